//! Aborting a transfer from outside, whatever it waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fake_sqlserver::transfer::{
    Cause, CompareSink, FaultPlan, SeededBytes, SeededSource, Session, SetName, Statement,
    TransferError, Unobserved,
};
use rstest::rstest;
use vdi_device::{ClientSet, Environment, Namespace};
use vdi_protocol::{CommandCode, CompletionCode, Direction, HResult, Profile, VdConfig};
use vdi_region::Backend;

const WATCHDOG: Option<Duration> = Some(Duration::from_secs(30));

/// What the client does not get to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stall {
    /// Opening its device.
    Open,
    /// Answering the first command of this kind.
    Answer(CommandCode),
    /// Answering Writes, until the server runs out of buffers.
    EveryWrite,
}

/// A client of one device that stalls, says so, and returns what it learns then.
fn client(set: &ClientSet, stall: Stall, stalls: &mpsc::Sender<()>) -> HResult {
    if stall == Stall::Open {
        set.get_configuration(WATCHDOG).unwrap();
        stalls.send(()).unwrap();
        loop {
            match set.open_device(b"set") {
                Ok(_) => thread::sleep(Duration::from_millis(10)),
                Err(error) => return error.status(),
            }
        }
    }
    set.get_configuration(WATCHDOG).unwrap();
    let device = set.open_device(b"set").unwrap();
    let mut unanswered = 0;
    loop {
        let command = match device.get_command(WATCHDOG) {
            Ok(command) => command,
            Err(status) => return status,
        };
        let write = command.code == CommandCode::WRITE;
        let skipped = match stall {
            Stall::Answer(code) => command.code == code,
            Stall::EveryWrite => write,
            Stall::Open => false,
        };
        if skipped {
            unanswered += 1;
            if unanswered == 1 || stall == Stall::EveryWrite {
                // The test may have what it waited for.
                let _ = stalls.send(());
            }
            continue;
        }
        let bytes = if write { u64::from(command.size) } else { 0 };
        let _ = device.complete_command(command.id, CompletionCode::ERROR_SUCCESS, bytes, 0);
    }
}

fn transfer(session: Session, direction: Direction) -> Result<(), TransferError> {
    let bytes = SeededBytes::new(7, 0, 1 << 20);
    match direction {
        Direction::Backup => {
            let mut source = SeededSource::new(bytes);
            session.backup(vec![&mut source]).map(drop)
        }
        Direction::Restore => {
            let mut sink = CompareSink::new(bytes);
            session.restore(vec![&mut sink]).map(drop)
        }
    }
}

// Catches: a wait that an abort from outside does not end, an abort that the client does not learn
// of, a cancel that looks like the client's own abort.
#[rstest]
#[case::opening(Direction::Backup, Stall::Open, 1)]
#[case::writing(Direction::Backup, Stall::Answer(CommandCode::WRITE), 1)]
#[case::out_of_buffers(Direction::Backup, Stall::EveryWrite, 2)]
#[case::flushing(Direction::Backup, Stall::Answer(CommandCode::FLUSH), 1)]
#[case::reading(Direction::Restore, Stall::Answer(CommandCode::READ), 1)]
fn a_stalled_transfer_ends(
    #[case] direction: Direction,
    #[case] stall: Stall,
    #[case] stalls_before: usize,
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("abort-{}-{count}", std::process::id());
    let environment = Environment::new(Namespace::new(&name).unwrap(), backend);
    let (stalled, stalls) = mpsc::channel();
    let set = ClientSet::new(environment.clone());
    set.create(b"set", &VdConfig { device_count: 1, ..VdConfig::default() }).unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(move || {
            let learnt = client(&set, stall, &stalled);
            let _ = set.close();
            learnt
        });
        let statement = Statement {
            wait: WATCHDOG,
            max_transfer_size: Some(65_536),
            buffer_count: Some(2),
            ..Statement::new(direction, SetName::Named(b"set".to_vec()), Profile::SQL2016)
        };
        let observer = Arc::new(Unobserved);
        let session =
            Session::attach(&environment, statement, FaultPlan::default(), observer).unwrap();
        let abort = session.abort_handle();
        scope.spawn(move || {
            for _ in 0..stalls_before {
                stalls.recv_timeout(Duration::from_secs(30)).expect("the client stalls");
            }
            abort.abort();
            // Later ones do nothing.
            abort.abort();
        });
        let error = transfer(session, direction).unwrap_err();
        let Cause::Cancelled { oldest } = &error.cause else { panic!("{:?}", error.cause) };
        if let Stall::Answer(code) = stall {
            assert_eq!(oldest.as_ref().unwrap().code, code, "{error}");
        }
        let numbers: Vec<_> = error.messages.iter().map(|message| message.number).collect();
        assert_eq!(numbers, [18210, 3204, 3013]);
        assert!(error.messages[0].text.contains("995("), "{}", error.messages[0]);
        assert_eq!(client.join().unwrap(), HResult::VD_E_ABORT);
    });
}

// Catches: an abort that is lost because it came before the transfer began.
#[test]
fn an_abort_before_the_transfer_counts() {
    let name = format!("abort-early-{}", std::process::id());
    let environment = Environment::new(Namespace::new(&name).unwrap(), Backend::platform_default());
    let set = ClientSet::new(environment.clone());
    set.create(b"set", &VdConfig { device_count: 1, ..VdConfig::default() }).unwrap();
    let statement =
        Statement::new(Direction::Backup, SetName::Named(b"set".to_vec()), Profile::SQL2016);
    let observer = Arc::new(Unobserved);
    let session = Session::attach(&environment, statement, FaultPlan::default(), observer).unwrap();
    session.abort_handle().abort();
    let error = transfer(session, Direction::Backup).unwrap_err();
    assert!(matches!(error.cause, Cause::Cancelled { oldest: None }), "{error:?}");
}
