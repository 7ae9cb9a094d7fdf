//! A control segment that a stranger writes into: every call ends, with success or with an error, nobody
//! panics, and nothing is left behind.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rstest::rstest;
use support::{Pair, client_config, objects_left, watched};
use vdi_device::{
    AbortKind, ClientDevice, ClientSet, CompletionRoutine, Request, ServerDevice, ServerSet,
};
use vdi_protocol::{CommandCode, CompletionCode, HResult};
use vdi_region::{Backend, ObjectName, Region};

const NOTHING: Vec<String> = Vec::new();

/// The control segment of `pair`, opened as a stranger would.
fn control_of(pair: &Pair) -> Region {
    let name = format!("vdisim.{}.Host_set_SQLVDIMemoryName_0", pair.environment.namespace);
    Region::open(pair.environment.backend, &ObjectName::new(&name).unwrap()).unwrap()
}

/// A client that takes and completes commands until a call fails, reads what it is given, and closes.
fn serve(set: &ClientSet, device: &ClientDevice) -> HResult {
    loop {
        let command = match device.get_command(None) {
            Ok(command) => command,
            Err(status) => return status,
        };
        if let Ok(handle) = set.get_buffer_handle(command.buffer)
            && let Ok(buffer) = set.map_buffer(handle)
            && let Ok(slice) = buffer.slice()
        {
            let mut bytes = vec![0; slice.len().min(4096)];
            slice.copy_to(0, &mut bytes).unwrap();
        }
        let (id, bytes) = (command.id, u64::from(command.size));
        if let Err(status) = device.complete_command(id, CompletionCode::ERROR_SUCCESS, bytes, 0) {
            return status;
        }
    }
}

fn write(server: &ServerSet, device: &ServerDevice, routine: CompletionRoutine) -> bool {
    let Ok(buffer) = server.allocate_buffer(4096, 0) else { return false };
    let (code, size, buffer) = (CommandCode::WRITE, 4096, Some(buffer));
    let request = Request { code, size, position: 0, buffer, context: 0, routine };
    let _ = device.send_command(request);
    true
}

/// A set with one command in the client's hands, in which word `index` is turned over.
fn live_on_with_a_flipped_word(backend: Backend, index: usize) {
    let pair = Pair::new(backend, client_config(1), 2);
    let stranger = control_of(&pair);
    let agent = pair.agent();
    let (routine, answers) = {
        let (sender, answers) = mpsc::channel();
        let routine: CompletionRoutine =
            Arc::new(move |completed| sender.send(completed.completion).unwrap());
        (routine, answers)
    };
    let (server, device) = (&pair.server, &pair.server_devices[0]);
    assert!(write(server, device, Arc::clone(&routine)));
    let held = pair.client_devices[0].get_command(None).unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let status = serve(&pair.client, &pair.client_devices[0]);
            // What a client does after any error.
            let _ = pair.client.close();
            status
        });
        stranger.word(index * 4).unwrap().fetch_xor(u32::MAX, Ordering::SeqCst);
        let code = CompletionCode::ERROR_SUCCESS;
        let _ = pair.client_devices[0].complete_command(held.id, code, 4096, 0);
        let sent = 1 + usize::from(write(server, device, routine));
        for _ in 0..sent {
            answers.recv().expect("every routine is called");
        }
        let _ = device.close_device();
        let _ = agent.join().unwrap();
        let _ = pair.server.close();
        client.join().unwrap();
    });
    assert_eq!(objects_left(&pair.environment), NOTHING, "word {index}");
}

/// Catches: a word that is believed: used as an index, a length or a state without a look, or waited
/// for without end.
#[rstest]
fn every_word_turned_over(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let words = {
            let pair = Pair::new(backend, client_config(1), 2);
            let len = control_of(&pair).len();
            let _ = (pair.client.close(), pair.server.close());
            len / 4
        };
        // Waits of the portable backend poll: many at once starve each other, and the rules that this
        // test is about are not the backend's.
        let (at_once, step) = match backend {
            Backend::Portable => (6, 45),
            _ => (24, 5),
        };
        let next = Arc::new(AtomicUsize::new(0));
        let current = Arc::new(Mutex::new(vec![None; at_once]));
        let workers: Vec<_> = (0..at_once)
            .map(|worker| {
                let (next, current) = (Arc::clone(&next), Arc::clone(&current));
                thread::spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        // Every word of the state and the tables; of the rings' slots every fifth word (or
                        // 45th), which meets each of a slot's eight in some slot.
                        let index = if index < 400 { index } else { 400 + (index - 400) * step };
                        current.lock().unwrap()[worker] = Some(index);
                        if index >= words {
                            return;
                        }
                        live_on_with_a_flipped_word(backend, index);
                    }
                })
            })
            .collect();
        // If one hangs, the watchdog ends the process: say which, from time to time.
        let mut patience = 0;
        while !workers.iter().all(thread::JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(100));
            patience += 1;
            if patience % 200 == 0 {
                eprintln!("still at work on the words {:?}", current.lock().unwrap());
            }
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// A small generator with a seed, so that a failure can be had again.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn stream_until_it_breaks(backend: Backend, seed: u64) {
    let pair = Pair::new(backend, client_config(2), 4);
    let stranger = control_of(&pair);
    let agent = pair.agent();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let scribbler = scope.spawn(|| {
            let mut noise = Noise(seed);
            while !over.load(Ordering::Relaxed) {
                let bytes = noise.next().to_le_bytes();
                let len = 1 + (noise.next() % 8) as usize;
                let at = (noise.next() as usize) % (stranger.len() - 8);
                stranger.slice(at, 8).unwrap().copy_from(0, &bytes[..len]).unwrap();
                thread::sleep(Duration::from_micros(noise.next() % 300));
            }
        });
        let clients: Vec<_> = (pair.client_devices.iter())
            .map(|device| scope.spawn(|| serve(&pair.client, device)))
            .collect();
        let servers: Vec<_> = (pair.server_devices.iter())
            .map(|device| {
                let server = &pair.server;
                scope.spawn(move || {
                    let _driver = device.index().is_multiple_of(2).then(|| server.drive());
                    let status = loop {
                        let buffer = match server.allocate_buffer_wait(4096, 0, None) {
                            Ok(buffer) => buffer,
                            Err(error) => break error.status(),
                        };
                        let code = CommandCode::WRITE;
                        if let Err(error) = device.execute(code, 4096, 0, Some(buffer)) {
                            break error.status();
                        }
                        if server.abort_cause().is_some() {
                            break HResult::VD_E_ABORT;
                        }
                    };
                    // What a server does after any error.
                    server.signal_abort();
                    status
                })
            })
            .collect();
        for thread in clients.into_iter().chain(servers) {
            let status = thread.join().unwrap();
            assert!(!status.is_success(), "{status}");
            // What a client does after any error; the first takes the rest with it.
            let _ = pair.client.signal_abort();
        }
        over.store(true, Ordering::Relaxed);
        scribbler.join().unwrap();
        let _ = agent.join().unwrap();
    });
    let _ = pair.client.close();
    let _ = pair.server.close();
    assert_eq!(objects_left(&pair.environment), NOTHING, "seed {seed}");
}

/// Catches: as above, while everything is in motion; and ends that depend on words which the stranger
/// goes on to write.
#[rstest]
fn random_bytes_while_a_stream_runs(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(1, 2, 3, 4)] series: u64,
) {
    watched(move || {
        for round in 0..25 {
            stream_until_it_breaks(backend, series * 1000 + round + 1);
        }
    });
}

/// Offsets of the control segment's parts that these tests aim at.
const PENDING: usize = 128 + 512;
const LANE: usize = 128 + 768 + 8 * 64 + 32 * 128;
const COMPLETIONS: usize = LANE + 256 + 64 * 64;

/// Catches: a client that is asleep according to nobody and is never looked after again.
#[rstest]
fn a_sleepers_flag_taken_down(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let stranger = control_of(&pair);
        let agent = pair.agent();
        thread::scope(|scope| {
            let client = scope.spawn(|| serve(&pair.client, &pair.client_devices[0]));
            let sleeping = stranger.word(LANE + 4).unwrap();
            while sleeping.load(Ordering::SeqCst) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(20));
            sleeping.store(0, Ordering::SeqCst);
            let (sender, answers) = mpsc::channel();
            let routine: CompletionRoutine =
                Arc::new(move |completed| sender.send(completed.completion).unwrap());
            assert!(write(&pair.server, &pair.server_devices[0], routine));
            assert_eq!(answers.recv().unwrap(), CompletionCode::ERROR_SUCCESS);
            // Asleep again, and again nobody is to know; the close is the last chance.
            while sleeping.load(Ordering::SeqCst) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(20));
            sleeping.store(0, Ordering::SeqCst);
            pair.server_devices[0].close_device().unwrap();
            assert_eq!(client.join().unwrap(), HResult::VD_E_CLOSE);
        });
        agent.join().unwrap().unwrap();
        pair.client.close().unwrap();
        pair.server.close().unwrap();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: a completion that is found by its bit only, for a server whose waits are short, too.
#[rstest]
fn an_announcement_taken_down(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(7, 5000)] wait_ms: u64,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let stranger = control_of(&pair);
        let (sender, answers) = mpsc::channel();
        let routine: CompletionRoutine =
            Arc::new(move |completed| sender.send(completed.completion).unwrap());
        assert!(write(&pair.server, &pair.server_devices[0], routine));
        let command = pair.client_devices[0].get_command(None).unwrap();
        let code = CompletionCode::ERROR_SUCCESS;
        pair.client_devices[0].complete_command(command.id, code, 4096, 0).unwrap();
        assert_eq!(stranger.word(PENDING).unwrap().swap(0, Ordering::SeqCst), 1);
        let mut answer = None;
        while answer.is_none() {
            let mut done = || {
                answer = answer.or_else(|| answers.try_recv().ok());
                answer.is_some()
            };
            let _ = pair.server.run_agent_until(&mut done, Some(Duration::from_millis(wait_ms)));
        }
        assert_eq!(answer, Some(code));
        let _ = (pair.client.close(), pair.server.close());
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: an answer to an earlier command that is taken for one to its successor, a stamp of no lap
/// that is taken for nothing new.
#[rstest]
fn a_forged_completion(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(2, 0xdead)] stamp: u32,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let stranger = control_of(&pair);
        let device = &pair.server_devices[0];
        let client = &pair.client_devices[0];
        let complete = || {
            let id = client.get_command(None).unwrap().id;
            client.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0).unwrap();
        };
        thread::scope(|scope| {
            scope.spawn(complete);
            device.execute(CommandCode::FLUSH, 0, 0, None).unwrap();
        });
        // The second command has the first one's id.
        let (sender, answers) = mpsc::channel();
        let routine: CompletionRoutine =
            Arc::new(move |completed| sender.send(completed.completion).unwrap());
        assert!(write(&pair.server, device, routine));
        client.get_command(None).unwrap();
        let mut first = [0; 64];
        stranger.slice(COMPLETIONS, 64).unwrap().copy_to(0, &mut first).unwrap();
        let second = stranger.slice(COMPLETIONS + 64, 64).unwrap();
        second.copy_from(4, &first[4..32]).unwrap();
        stranger.word(COMPLETIONS + 64).unwrap().store(stamp, Ordering::SeqCst);
        stranger.word(PENDING).unwrap().store(1, Ordering::SeqCst);
        let ended = pair.server.execute_completion_agent().unwrap_err();
        assert_eq!(ended.status(), HResult::VD_E_ABORT);
        assert_eq!(pair.server.abort_cause().unwrap().kind, AbortKind::Damaged);
        assert_eq!(answers.recv().unwrap(), CompletionCode::ERROR_OPERATION_ABORTED);
        assert_eq!(client.get_command(None), Err(HResult::VD_E_ABORT));
        let _ = (pair.client.close(), pair.server.close());
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: a command whose id, buffer or stamp is believed.
#[rstest]
fn a_forged_command(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    // The stamp, then the id in use, an id beyond all, a made-up buffer, a size beyond its buffer's.
    #[values((0, 0xdead), (4, 0), (4, 64), (28, 0x00ff_ffff), (16, 1 << 20))] forged: (usize, u32),
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 2);
        let stranger = control_of(&pair);
        let agent = pair.agent();
        let routine: CompletionRoutine = Arc::new(|_| {});
        assert!(write(&pair.server, &pair.server_devices[0], Arc::clone(&routine)));
        pair.client_devices[0].get_command(None).unwrap();
        let (sender, answers) = mpsc::channel();
        let routine: CompletionRoutine =
            Arc::new(move |completed| sender.send(completed.completion).unwrap());
        assert!(write(&pair.server, &pair.server_devices[0], routine));
        let slot = LANE + 256 + 64;
        stranger.word(slot + forged.0).unwrap().store(forged.1, Ordering::SeqCst);
        let got = pair.client_devices[0].get_command(None);
        assert_eq!(got, Err(HResult::VD_E_UNEXPECTED));
        assert_eq!(answers.recv().unwrap(), CompletionCode::ERROR_OPERATION_ABORTED);
        assert_eq!(agent.join().unwrap().unwrap_err().status(), HResult::VD_E_ABORT);
        let cause = pair.server.abort_cause().unwrap();
        assert_eq!((cause.kind, cause.device), (AbortKind::Damaged, Some(0)));
        let _ = (pair.client.close(), pair.server.close());
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: an abort that a stranger has written, of which the one who sleeps is never told.
#[rstest]
fn a_phase_written_over(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(0, 7, u32::MAX)] phase: u32,
    #[values(false, true)] server_sleeps: bool,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let stranger = control_of(&pair);
        let agent = pair.agent();
        thread::scope(|scope| {
            let client = (!server_sleeps)
                .then(|| scope.spawn(|| serve(&pair.client, &pair.client_devices[0])));
            thread::sleep(Duration::from_millis(20));
            stranger.word(128).unwrap().store(phase, Ordering::SeqCst);
            if server_sleeps {
                let got = pair.client_devices[0].get_command(None).map(drop);
                assert_eq!(got, Err(HResult::VD_E_ABORT));
                pair.client.close().unwrap();
            } else {
                let refused = pair.server.allocate_buffer(512, 0).unwrap_err();
                assert_eq!(refused.status(), HResult::VD_E_ABORT);
                pair.server.close().unwrap();
            }
            if let Some(client) = client {
                assert_eq!(client.join().unwrap(), HResult::VD_E_ABORT);
            }
        });
        assert_eq!(agent.join().unwrap().unwrap_err().status(), HResult::VD_E_ABORT);
        assert_eq!(pair.server.abort_cause().unwrap().kind, AbortKind::Damaged);
        let _ = (pair.client.close(), pair.server.close());
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}
