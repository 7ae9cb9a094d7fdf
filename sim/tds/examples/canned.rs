//! A server with the tests' canned engine on port 14330, to try a client by hand: user sa, password Pässw0rd!.

#[path = "../tests/support/mod.rs"]
mod support;

use tds_server::Encryption;

fn main() {
    let mut config = support::config(Encryption::Auto);
    config.listen.set_port(14330);
    let (server, canned) = support::start(config);
    canned.allowed.store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
    println!("listening on {}", server.local_addr());
    std::thread::park();
}
