//! Measures how many times a second a client can connect, log in and run a trivial batch, without TLS, over
//! loopback. Build it with --release. Arguments: seconds (5) and client threads (2).

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    env, thread,
    time::{Duration, Instant},
};

use support::client::Client;
use tds_server::Encryption;

fn main() {
    let mut arguments = env::args().skip(1);
    let mut number = |default| {
        arguments.next().map_or(default, |text| text.parse().expect("arguments are whole numbers"))
    };
    let (seconds, threads) = (number(5), number(2));
    let (server, _canned) = support::start(support::config(Encryption::Auto));
    let address = server.local_addr();
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let count: u64 = thread::scope(|scope| {
        let clients: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(move || {
                    let mut count = 0;
                    while Instant::now() < end {
                        assert_eq!(Client::log_in(address).batch("select 1").len(), 3);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client failed")).sum()
    });
    println!("{:.0} logins with a batch a second", count as f64 / start.elapsed().as_secs_f64());
}
