//! The transport against clients that take liberties, in one process.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use fake_sqlserver::transfer::{
    Ask, Cause, CompareSink, Expected, FaultPlan, SeededBytes, SeededSource, Session, SetName,
    Sink, SinkError, Source, Statement, Summary, TransferError, Unobserved,
};
use rstest::rstest;
use vdi_device::{ClientCommand, ClientDevice, ClientSet, Environment, Namespace};
use vdi_protocol::{CommandCode, CompletionCode, Direction, Features, HResult, Profile, VdConfig};
use vdi_region::{Backend, SharedSlice};

/// After so long nobody comes any more.
const WATCHDOG: Option<Duration> = Some(Duration::from_secs(30));

fn environment() -> Environment {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("transfer-{}-{count}", std::process::id());
    Environment::new(Namespace::new(&name).unwrap(), Backend::platform_default())
}

/// A client with its data: how commands are answered is up to each test.
struct Client {
    set: ClientSet,
    devices: Vec<ClientDevice>,
}

impl Client {
    /// Creates the set in this thread, so that the server finds it.
    fn create(environment: &Environment, features: Features, devices: u32) -> Client {
        let set = ClientSet::new(environment.clone());
        let config =
            VdConfig { device_count: devices, features: features.bits(), ..VdConfig::default() };
        set.create(b"set", &config).unwrap();
        Client { set, devices: Vec::new() }
    }

    /// Waits for the server and opens the devices.
    fn open(mut self) -> Client {
        let config = self.set.get_configuration(WATCHDOG).unwrap();
        let name = |k: u32| if k == 0 { "set".to_owned() } else { format!("set{k}") };
        let names = (0..config.device_count).map(name);
        self.devices = names.map(|n| self.set.open_device(n.as_bytes()).unwrap()).collect();
        self
    }

    /// The next command; `None` once the device is closed.
    fn next(&self, device: usize) -> Option<ClientCommand> {
        match self.devices[device].get_command(WATCHDOG) {
            Ok(command) => Some(command),
            Err(HResult::VD_E_CLOSE) => None,
            Err(status) => panic!("device {device}: {status}"),
        }
    }

    fn put(&self, command: &ClientCommand, bytes: &[u8]) {
        let handle = self.set.get_buffer_handle(command.buffer).unwrap();
        let buffer = self.set.map_buffer(handle).unwrap();
        buffer.slice().unwrap().copy_from(0, bytes).unwrap();
    }

    fn take(&self, command: &ClientCommand) -> Vec<u8> {
        let handle = self.set.get_buffer_handle(command.buffer).unwrap();
        let buffer = self.set.map_buffer(handle).unwrap();
        let mut bytes = vec![0; command.size as usize];
        buffer.slice().unwrap().copy_to(0, &mut bytes).unwrap();
        bytes
    }

    fn complete(&self, device: usize, command: &ClientCommand, code: CompletionCode, bytes: u64) {
        self.devices[device].complete_command(command.id, code, bytes, 0).unwrap();
    }

    /// Answers everything on a device as a good client of a BACKUP; returns the bytes.
    fn store(&self, device: usize) -> Vec<u8> {
        let mut stored = Vec::new();
        while let Some(command) = self.next(device) {
            if command.code == CommandCode::WRITE {
                stored.extend(self.take(&command));
            }
            let bytes = if command.code == CommandCode::WRITE { command.size } else { 0 };
            self.complete(device, &command, SUCCESS, u64::from(bytes));
        }
        stored
    }
}

const SUCCESS: CompletionCode = CompletionCode::ERROR_SUCCESS;
const TRANSFER: u32 = 65_536;

fn statement(direction: Direction, devices: u32) -> Statement {
    let name = |k: u32| if k == 0 { "set".to_owned() } else { format!("set{k}") };
    Statement {
        devices: (0..devices).map(|k| name(k).into_bytes()).collect(),
        wait: WATCHDOG,
        max_transfer_size: Some(TRANSFER),
        buffer_count: Some(6 * devices),
        ..Statement::new(direction, SetName::Named(b"set".to_vec()), Profile::SQL2016)
    }
}

fn attach(environment: &Environment, direction: Direction, devices: u32) -> Session {
    let statement = statement(direction, devices);
    Session::attach(environment, statement, FaultPlan::default(), Arc::new(Unobserved)).unwrap()
}

/// The bytes of a stream.
fn bytes(device: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SeededBytes::new(3, device, len as u64).read_at(0, &mut bytes).unwrap();
    bytes
}

/// Backs up `len` bytes a device to a client that does what `serve` says for each device.
fn backup<T: Send>(
    features: Features,
    devices: u32,
    len: u64,
    serve: impl Fn(&Client, usize) -> T + Sync,
) -> (Result<Summary, TransferError>, Vec<T>) {
    let environment = environment();
    let client = Client::create(&environment, features, devices);
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let client = client.open();
            let served = thread::scope(|scope| {
                let serve = &serve;
                let client = &client;
                let start = |k| scope.spawn(move || serve(client, k));
                let threads: Vec<_> = (0..devices as usize).map(start).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let _ = client.set.close();
            served
        });
        let session = attach(&environment, Direction::Backup, devices);
        let source = |device| SeededSource::new(SeededBytes::new(3, device, len));
        let mut sources: Vec<_> = (0..devices).map(source).collect();
        let done = session.backup(sources.iter_mut().map(|s| s as &mut dyn Source).collect());
        (done, serving.join().unwrap())
    })
}

/// Restores from one device into `sink`.
fn restore(
    features: Features,
    sink: &mut dyn Sink,
    serve: impl FnOnce(&Client) + Send,
) -> Result<Summary, TransferError> {
    let environment = environment();
    let client = Client::create(&environment, features, 1);
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let client = client.open();
            serve(&client);
            let _ = client.set.close();
        });
        let done = attach(&environment, Direction::Restore, 1).restore(vec![sink]);
        serving.join().unwrap();
        done
    })
}

// Catches: Writes that are no whole blocks, larger than the transfer size, out of order or lost.
#[test]
fn writes_are_blocks_within_the_transfer_size_in_order() {
    let (done, stored) = backup(Features::empty(), 1, 700_416, |client, device| {
        let mut stored = Vec::new();
        while let Some(command) = client.next(device) {
            assert!(command.size <= TRANSFER && command.size.is_multiple_of(512));
            assert_eq!(command.position, 0, "a pipe has no positions");
            if command.code == CommandCode::WRITE {
                stored.extend(client.take(&command));
            }
            client.complete(device, &command, SUCCESS, u64::from(command.size));
        }
        stored
    });
    assert_eq!(done.unwrap().bytes, [700_416]);
    assert!(stored[0] == bytes(0, 700_416));
}

// Catches: a server that waits for each answer before it sends the next command.
#[test]
fn several_writes_are_under_way_and_may_be_answered_in_any_order() {
    let (done, stored) = backup(Features::empty(), 1, 409_600, |client, device| {
        let mut held = Vec::new();
        let mut stored = Vec::new();
        while let Some(command) = client.next(device) {
            if command.code == CommandCode::WRITE {
                stored.extend(client.take(&command));
                held.push(command);
                if held.len() == 4 || stored.len() == 409_600 {
                    for command in held.drain(..).rev() {
                        client.complete(device, &command, SUCCESS, u64::from(command.size));
                    }
                }
            } else {
                client.complete(device, &command, SUCCESS, 0);
            }
        }
        stored
    });
    done.unwrap();
    assert!(stored[0] == bytes(0, 409_600));
}

// Catches: Flush sent to one device after the other, Complete before every Flush was answered, and
// a device closed before every Complete was.
#[test]
fn the_end_is_the_same_for_all_devices() {
    const DEVICES: u32 = 3;
    let arrived = (Mutex::new(0), Condvar::new());
    // Nobody answers before all devices have got the command.
    let meet = |rounds: usize| {
        let (count, changed) = &arrived;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        let all = rounds * DEVICES as usize;
        let waiting = changed.wait_timeout_while(count, WATCHDOG.unwrap(), |n| *n < all).unwrap();
        assert!(!waiting.1.timed_out(), "not every device got its command");
    };
    let (done, orders) = backup(Features::REQUEST_COMPLETE, DEVICES, 100_000, |client, device| {
        let mut order = Vec::new();
        while let Some(command) = client.next(device) {
            order.push(command.code);
            match command.code {
                CommandCode::FLUSH => meet(1),
                CommandCode::COMPLETE => meet(2),
                _ => {}
            }
            let bytes = if command.code == CommandCode::WRITE { command.size } else { 0 };
            client.complete(device, &command, SUCCESS, u64::from(bytes));
        }
        order
    });
    done.unwrap();
    for order in orders {
        assert_eq!(order[order.len() - 2..], [CommandCode::FLUSH, CommandCode::COMPLETE]);
        assert_eq!(order.iter().filter(|code| **code == CommandCode::FLUSH).count(), 1);
    }
}

// Catches: VDC_Complete for a client that did not ask for it.
#[test]
fn without_request_complete_flush_is_the_last_command() {
    let (done, orders) = backup(Features::empty(), 1, 1000, |client, device| {
        let mut last = None;
        while let Some(command) = client.next(device) {
            let bytes = if command.code == CommandCode::WRITE { command.size } else { 0 };
            client.complete(device, &command, SUCCESS, u64::from(bytes));
            last = Some(command.code);
        }
        last
    });
    done.unwrap();
    assert_eq!(orders, [Some(CommandCode::FLUSH)]);
}

// Catches: a BACKUP that succeeds though the client took fewer bytes, claimed more, or refused.
#[rstest]
#[case::short(SUCCESS, -512)]
#[case::nothing(SUCCESS, -65_536)]
#[case::more(SUCCESS, 1)]
#[case::full(CompletionCode::ERROR_DISK_FULL, -65_536)]
#[case::end_of_media(CompletionCode::ERROR_EOM_OVERFLOW, -65_536)]
fn a_bad_answer_fails_the_backup(#[case] code: CompletionCode, #[case] off_by: i64) {
    let (done, closed) = backup(Features::empty(), 2, 1_000_000, |client, device| {
        let mut writes = 0;
        while let Some(command) = client.next(device) {
            let mut answer = (SUCCESS, i64::from(command.size));
            if command.code == CommandCode::WRITE && device == 1 {
                writes += 1;
                if writes == 5 {
                    answer = (code, i64::from(command.size) + off_by);
                }
            }
            client.complete(device, &command, answer.0, answer.1 as u64);
        }
        true
    });
    // Neither device was aborted: the server closes them.
    assert_eq!(closed, [true, true]);
    let error = done.unwrap_err();
    let (Cause::Completion { command, .. } | Cause::WrongCount { command, .. }) = &error.cause
    else {
        panic!("{error}");
    };
    assert_eq!((command.device, command.n, command.code), (1, 5, CommandCode::WRITE));
    let numbers: Vec<_> = error.messages.iter().map(|message| message.number).collect();
    assert_eq!(numbers, [18210, 3202, 3013]);
}

// Catches: a BACKUP that succeeds though the client refused the last word.
#[rstest]
#[case(CommandCode::FLUSH)]
#[case(CommandCode::COMPLETE)]
fn a_refused_end_fails_the_backup(#[case] refused: CommandCode) {
    let (done, _) = backup(Features::REQUEST_COMPLETE, 1, 5000, |client, device| {
        while let Some(command) = client.next(device) {
            let code = match command.code == refused {
                true => CompletionCode::ERROR_HANDLE_DISK_FULL,
                false => SUCCESS,
            };
            client.complete(device, &command, code, u64::from(command.size));
        }
    });
    let error = done.unwrap_err();
    assert!(matches!(&error.cause, Cause::Completion { command, .. } if command.code == refused));
    assert_eq!(error.messages.last().map(|message| message.number), Some(3013));
}

/// Keeps everything that it reads.
#[derive(Default)]
struct Collect(Vec<u8>);

impl Sink for Collect {
    fn ask(&mut self, _: u64) -> Ask {
        Ask::Read(u64::MAX)
    }

    fn accept(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SinkError> {
        let start = self.0.len();
        self.0.resize(start + buffer.len(), 0);
        buffer.copy_to(0, &mut self.0[start..]).map_err(|e| SinkError::Other(e.to_string()))
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn total(&self) -> Option<u64> {
        None
    }
}

/// How a client tells the end of its data.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With the last bytes.
    With(CompletionCode),
    /// With a Read of its own.
    After(CompletionCode),
}

// Catches: losing the bytes that come with the end, or waiting for an end that has been told.
#[rstest]
#[case(End::With(CompletionCode::ERROR_HANDLE_EOF))]
#[case(End::With(CompletionCode::ERROR_NO_DATA_DETECTED))]
#[case(End::After(CompletionCode::ERROR_HANDLE_EOF))]
#[case(End::After(CompletionCode::ERROR_NO_DATA_DETECTED))]
#[case(End::After(CompletionCode::ERROR_FILEMARK_DETECTED))]
#[case(End::After(SUCCESS))]
fn every_way_of_telling_the_end_is_understood(
    #[case] end: End,
    #[values(300_000, 65_536 + 4096, 1, 0)] len: usize,
    #[values(usize::MAX, 10_007)] most: usize,
) {
    let data = bytes(0, len);
    let mut sink = Collect::default();
    let summary = restore(Features::empty(), &mut sink, |client| {
        let mut at = 0;
        while let Some(command) = client.next(0) {
            assert_eq!(command.code, CommandCode::READ);
            let part = most.min(command.size as usize).min(len - at);
            client.put(&command, &data[at..at + part]);
            at += part;
            let code = match end {
                End::With(code) if at == len => code,
                End::After(code) if part == 0 => code,
                _ => SUCCESS,
            };
            client.complete(0, &command, code, part as u64);
        }
    });
    assert_eq!(summary.unwrap().bytes, [len as u64]);
    assert!(sink.0 == data);
}

// Catches: putting Reads together in the order of their answers.
#[test]
fn reads_answered_in_reverse_are_put_in_order() {
    let data = bytes(0, 500_000);
    let mut sink = CompareSink::new(SeededBytes::new(3, 0, 500_000));
    let summary = restore(Features::empty(), &mut sink, |client| {
        let (mut at, mut held) = (0, Vec::new());
        while let Some(command) = client.next(0) {
            let part = (command.size as usize).min(data.len() - at);
            client.put(&command, &data[at..at + part]);
            at += part;
            let code = if part == 0 { CompletionCode::ERROR_HANDLE_EOF } else { SUCCESS };
            held.push((command, code, part));
            if held.len() == 3 || at == data.len() {
                for (command, code, part) in held.drain(..).rev() {
                    client.complete(0, &command, code, part as u64);
                }
            }
        }
    });
    assert_eq!(summary.unwrap().bytes, [500_000]);
}

// Catches: reading on behind the compared length, or not looking there at all.
#[test]
fn a_comparison_asks_once_behind_the_end() {
    let data = bytes(0, 200_000);
    let behind = AtomicUsize::new(0);
    let mut sink = CompareSink::new(SeededBytes::new(3, 0, 200_000));
    let summary = restore(Features::empty(), &mut sink, |client| {
        let mut at = 0;
        while let Some(command) = client.next(0) {
            let part = (command.size as usize).min(data.len() - at);
            if part == 0 {
                behind.fetch_add(1, Ordering::Relaxed);
            }
            client.put(&command, &data[at..at + part]);
            at += part;
            let code = if part == 0 { CompletionCode::ERROR_HANDLE_EOF } else { SUCCESS };
            client.complete(0, &command, code, part as u64);
        }
    });
    summary.unwrap();
    assert_eq!(behind.into_inner(), 1);
}

// Catches: taking what follows a short Read of a disk from where the short Read should have ended.
#[test]
fn a_short_read_of_a_disk_is_asked_again() {
    let data = bytes(0, 400_000);
    let mut sink = CompareSink::new(SeededBytes::new(3, 0, 400_000));
    let summary = restore(Features::LIKE_DISK, &mut sink, |client| {
        while let Some(command) = client.next(0) {
            if command.code == CommandCode::CLEAR_ERROR {
                client.complete(0, &command, SUCCESS, 0);
                continue;
            }
            let at = (command.position as usize).min(data.len());
            let left = data.len() - at;
            // Every Read but the small ones is short by 1000 bytes.
            let part = (command.size as usize - 1000).min(left);
            client.put(&command, &data[at..at + part]);
            let code = if left == 0 { CompletionCode::ERROR_HANDLE_EOF } else { SUCCESS };
            client.complete(0, &command, code, part as u64);
        }
    });
    assert_eq!(summary.unwrap().bytes, [400_000]);
}

// Catches: bytes behind the end of data that are dropped in silence, and failing Reads.
#[rstest]
#[case::behind_the_end(SUCCESS, 4096, 3013)]
#[case::read_fault(CompletionCode::ERROR_READ_FAULT, 0, 3203)]
#[case::claims(SUCCESS, 1_000_000, 3203)]
fn a_bad_answer_fails_the_restore(
    #[case] code: CompletionCode,
    #[case] claims: u64,
    #[case] message: u32,
) {
    let mut sink = Collect::default();
    let done = restore(Features::empty(), &mut sink, |client| {
        // Two Reads at once: the first ends the data where the second is to go on.
        let (first, second) = (client.next(0).unwrap(), client.next(0).unwrap());
        let end = if message == 3013 { CompletionCode::ERROR_NO_DATA_DETECTED } else { SUCCESS };
        client.complete(0, &second, code, claims);
        client.complete(0, &first, end, 512);
        while let Some(command) = client.next(0) {
            client.complete(0, &command, CompletionCode::ERROR_HANDLE_EOF, 0);
        }
    });
    let error = done.unwrap_err();
    assert!(error.messages.iter().any(|found| found.number == message), "{error:?}");
    assert_eq!(error.messages.last().map(|message| message.number), Some(3013));
}

// Catches: a tape that gets no filemark or is not asked for its position, and a disk without
// positions.
#[test]
fn tapes_and_disks_get_their_commands() {
    let (done, orders) = backup(Features::LIKE_TAPE, 1, 1000, |client, device| {
        let mut order = Vec::new();
        while let Some(command) = client.next(device) {
            order.push(command.code);
            let bytes = if command.code == CommandCode::WRITE { command.size } else { 0 };
            client.complete(device, &command, SUCCESS, u64::from(bytes));
        }
        order
    });
    done.unwrap();
    use CommandCode as C;
    assert_eq!(orders[0], [C::GET_POSITION, C::WRITE, C::WRITE_MARK, C::FLUSH]);

    let (done, positions) = backup(Features::LIKE_DISK, 1, 200_000, |client, device| {
        let mut positions = Vec::new();
        while let Some(command) = client.next(device) {
            if command.code == C::WRITE {
                positions.push((command.position, command.size));
            }
            client.complete(device, &command, SUCCESS, u64::from(command.size));
        }
        positions
    });
    done.unwrap();
    let mut end = 0;
    for (position, size) in &positions[0] {
        assert_eq!(*position, end);
        end += u64::from(*size);
    }
    assert_eq!(end, 200_000);
}

// Catches: devices that starve each other where there are fewer buffers than devices.
#[test]
fn many_devices_share_few_buffers() {
    let environment = environment();
    let devices = 16;
    let client = Client::create(&environment, Features::empty(), devices);
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let client = client.open();
            let stored: Vec<_> = thread::scope(|scope| {
                let client = &client;
                let start = |k| scope.spawn(move || client.store(k));
                let threads: Vec<_> = (0..devices as usize).map(start).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            client.set.close().unwrap();
            stored
        });
        let statement =
            Statement { buffer_count: Some(3), ..statement(Direction::Backup, devices) };
        let faults = FaultPlan::default();
        let session =
            Session::attach(&environment, statement, faults, Arc::new(Unobserved)).unwrap();
        let source = |device| SeededSource::new(SeededBytes::new(3, device, 300_000));
        let mut sources: Vec<_> = (0..devices).map(source).collect();
        session.backup(sources.iter_mut().map(|s| s as &mut dyn Source).collect()).unwrap();
        for (device, stored) in serving.join().unwrap().into_iter().enumerate() {
            assert!(stored == bytes(device as u32, 300_000), "device {device}");
        }
    });
}
