//! Drives a backup client from a Rust test, with the server half of VDI in the test's own process.
//!
//! ```text
//! cargo build && cargo test --example drive_a_client      # the tests below
//! cargo run --example drive_a_client                       # the same as a program
//! ```
//!
//! The client here is vdisim's reference client; for another one change [`client`] alone. It is a
//! program of its own, unmodified, that loads `libsqlvdi.so`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vdisim::device::{Environment, Namespace};
use vdisim::launch::Launch;
use vdisim::process::ProcessGroup;
use vdisim::protocol::{Direction, Profile};
use vdisim::server::transfer::{
    CompareSink, FaultPlan, SeededBytes, SeededSource, Session, SetName, Statement, TransferError,
    Unobserved,
};

/// The bytes that are backed up: so many, made from a seed.
const STREAM: (u64, u64) = (42, 3 << 20);

/// How the client is called: `verb` is backup or restore.
fn client(verb: &str, file: &Path) -> Command {
    let mut command = Command::new(built("vdisim"));
    command.args(["client", verb, "--set", "nightly", "--file"]).arg(file);
    command
}

/// What lies in `target/<profile>`; the example itself is in `examples` below it.
fn built(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.ancestors().nth(2).unwrap_or(Path::new(".")).join(name)
}

/// How one statement ended on both sides: for the server, and for the client's process.
type Ended = (Result<u64, TransferError>, bool);

/// Plays one statement to the client; a few faults may go with it.
fn play(direction: Direction, file: &Path, faults: FaultPlan) -> Result<Ended, Box<dyn Error>> {
    // A namespace of its own for each statement, so that tests can run at the same time.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let namespace = format!("example-{}-{count}", std::process::id());
    let backend = Environment::from_process()?.backend;
    let environment = Environment::new(Namespace::new(&namespace)?, backend);

    let verb = if direction == Direction::Backup { "backup" } else { "restore" };
    let mut command = client(verb, file);
    let mut launch = Launch::new(built("libsqlvdi.so"));
    launch.namespace = Some(namespace);
    launch.prepare(&mut command)?;
    // Killed with all that it starts when it goes out of scope.
    let mut client = ProcessGroup::spawn(&mut command)?;

    // BACKUP DATABASE … TO VIRTUAL_DEVICE = 'nightly', as SQL Server 2016 does it.
    let set = SetName::Named(b"nightly".to_vec());
    let statement = Statement::new(direction, set, Profile::SQL2016);
    let (seed, size) = STREAM;
    let bytes = SeededBytes::new(seed, 0, size);
    let done = Session::attach(&environment, statement, faults, Arc::new(Unobserved)).and_then(
        |session| match direction {
            Direction::Backup => session.backup(vec![&mut SeededSource::new(bytes)]),
            Direction::Restore => session.restore(vec![&mut CompareSink::new(bytes)]),
        },
    );
    let status = client.wait_within(Duration::from_secs(30))?.ok_or("the client hangs")?;
    Ok((done.map(|summary| summary.bytes.iter().sum()), status.success()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("nightly.bak");
    for direction in [Direction::Backup, Direction::Restore] {
        let (bytes, succeeded) = play(direction, &file, FaultPlan::default())?;
        println!("{direction:?}: {} bytes, the client succeeded: {succeeded}", bytes?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vdisim::server::transfer::{Action, At, Fault};

    use super::*;

    // Catches: a client that loses, doubles or changes a byte on either way.
    #[test]
    fn every_byte_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nightly.bak");
        for direction in [Direction::Backup, Direction::Restore] {
            let (bytes, succeeded) = play(direction, &file, FaultPlan::default()).unwrap();
            assert_eq!(bytes.unwrap(), STREAM.1);
            assert!(succeeded);
        }
    }

    // Catches: a client that reports success though the server gave up.
    #[test]
    fn an_abort_is_no_success() {
        let folder = tempfile::tempdir().unwrap();
        let at = At { device: Some(0), nth: Some(3.into()), ..At::default() };
        let faults = FaultPlan::new([Fault { at, action: Action::Abort }]);
        let file = folder.path().join("nightly.bak");
        let (done, succeeded) = play(Direction::Backup, &file, faults).unwrap();
        // The error has SQL Server's messages and the true cause.
        assert!(done.unwrap_err().messages.iter().any(|message| message.number == 3013));
        assert!(!succeeded);
    }
}
