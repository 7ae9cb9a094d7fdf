//! Commands, threads and time.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use vdi_device::{AbortKind, Completed, CompletionRoutine, Request};
use vdi_protocol::{CommandCode, CompletionCode, HResult, VdConfig};
use vdi_region::Backend;

use crate::fixture::{NOTHING, flush, ignored, leave, told};
use crate::support::{Pair, client_config, objects_left, watched};

/// Catches: a byte count beyond the command's that reaches the server as bytes, or is lost as a claim.
#[rstest]
fn more_bytes_than_asked_for(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        for (claimed, bytes) in
            [(0, 0), (511, 511), (512, 512), (513, 512), (1 << 32, 512), (u64::MAX, 512)]
        {
            let (routine, completed) = told();
            let buffer = Some(pair.server.allocate_buffer(512, 0).unwrap());
            let (code, size, position) = (CommandCode::WRITE, 512, u64::MAX - 1);
            let request = Request { code, size, position, buffer, context: claimed, routine };
            pair.server_devices[0].send_command(request).unwrap();
            let command = pair.client_devices[0].get_command(None).unwrap();
            assert_eq!((command.size, command.position), (512, u64::MAX - 1));
            let code = CompletionCode::ERROR_SUCCESS;
            pair.client_devices[0].complete_command(command.id, code, claimed, 1 << 63).unwrap();
            let again = pair.client_devices[0].complete_command(command.id, code, claimed, 0);
            assert_eq!(again, Err(HResult::VD_E_INVALID));
            let mut told = None;
            pair.server
                .run_agent_until(
                    &mut || {
                        told = told.take().or_else(|| completed.try_recv().ok());
                        told.is_some()
                    },
                    None,
                )
                .unwrap();
            let told = told.unwrap();
            assert_eq!((told.bytes, told.claimed, told.context), (bytes, claimed, claimed));
            assert_eq!((told.position, told.code, told.size), (1 << 63, CommandCode::WRITE, 512));
            assert!(told.buffer.is_some());
        }
        leave(pair);
    });
}

/// Catches: two threads that get one command, a thread that Close leaves asleep, completions that only
/// the thread may send which took the command.
#[rstest]
fn many_threads_on_one_device(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        let agent = pair.agent();
        let count = 2000;
        let answered = Arc::new(Mutex::new(Vec::new()));
        let (taken, to_complete) = mpsc::channel::<u32>();
        let device = pair.client_devices[0].clone();
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let (device, taken) = (device.clone(), taken.clone());
                thread::spawn(move || {
                    loop {
                        match device.get_command(None) {
                            Ok(command) => taken.send(command.id).unwrap(),
                            Err(status) => return status,
                        }
                    }
                })
            })
            .collect();
        drop(taken);
        let completers = {
            let device = device.clone();
            thread::spawn(move || {
                let mut waiting: Vec<u32> = Vec::new();
                for id in &to_complete {
                    waiting.push(id);
                    // In another order than they came.
                    if waiting.len() > 2 {
                        let id = waiting.remove(1);
                        device.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0).unwrap();
                    } else {
                        let id = waiting.remove(0);
                        device.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0).unwrap();
                    }
                }
            })
        };
        for context in 0..count {
            let answered = Arc::clone(&answered);
            let routine: CompletionRoutine = Arc::new(move |c: Completed| {
                assert_eq!(c.completion, CompletionCode::ERROR_SUCCESS);
                answered.lock().unwrap().push(c.context);
            });
            while pair.server_devices[0].outstanding() == 64 {
                thread::yield_now();
            }
            pair.server_devices[0].send_command(Request { context, ..flush(routine) }).unwrap();
        }
        while answered.lock().unwrap().len() < count as usize {
            thread::sleep(Duration::from_millis(1));
        }
        let mut contexts = answered.lock().unwrap().clone();
        contexts.sort_unstable();
        assert_eq!(contexts, (0..count).collect::<Vec<_>>());
        // All four sleep now; the set is open, so that Close aborts it.
        thread::sleep(Duration::from_millis(20));
        assert_eq!(pair.client.close().unwrap_err().status(), HResult::VD_E_OPEN);
        for taker in takers {
            assert_eq!(taker.join().unwrap(), HResult::VD_E_ABORT);
        }
        completers.join().unwrap();
        assert_eq!(device.get_command(None), Err(HResult::VD_E_PROTOCOL));
        assert_eq!(agent.join().unwrap().unwrap_err().status(), HResult::VD_E_ABORT);
        let _ = pair.server.close();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: a time-out that is not kept because the agent slept when the command came, fires after one
/// interval, is not restarted by a completion, or blames nobody.
#[rstest]
fn the_server_time_out(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(false, true)] short_waits: bool,
) {
    watched(move || {
        // Long, so that a busy machine has half of it to spare.
        const MILLISECONDS: u32 = 500;
        let interval = Duration::from_millis(MILLISECONDS.into());
        let config = VdConfig { server_time_out: MILLISECONDS, ..client_config(2) };
        let pair = Pair::new(backend, config, 1);
        // Either the agent's thread, asleep before the first command comes, or a server thread that
        // looks again and again and never waits as long as the client may.
        let agent = if short_waits {
            let server = pair.server.clone();
            thread::spawn(move || {
                loop {
                    let waited =
                        server.run_agent_until(&mut || false, Some(Duration::from_millis(7)));
                    match waited {
                        Err(error) if error.status() == HResult::VD_E_TIMEOUT => {}
                        other => return other,
                    }
                }
            })
        } else {
            pair.agent()
        };
        thread::sleep(Duration::from_millis(30));
        let sent = Instant::now();
        let (routine, completed) = told();
        pair.server_devices[0].send_command(flush(ignored())).unwrap();
        pair.server_devices[1].send_command(flush(Arc::clone(&routine))).unwrap();
        // One interval and a half later a completion sets the clock back.
        thread::sleep(interval * 3 / 2);
        let command = pair.client_devices[0].get_command(None).unwrap();
        let code = CompletionCode::ERROR_SUCCESS;
        pair.client_devices[0].complete_command(command.id, code, 0, 0).unwrap();
        let restarted = Instant::now();
        let ended = agent.join().unwrap().unwrap_err();
        assert!(sent.elapsed() >= interval * 3, "{:?}", sent.elapsed());
        assert!(restarted.elapsed() >= interval * 2 - Duration::from_millis(5));
        assert_eq!(ended.status(), HResult::VD_E_ABORT);
        let told = completed.recv().unwrap();
        assert_eq!(told.completion, CompletionCode::ERROR_OPERATION_ABORTED);
        let cause = pair.server.abort_cause().unwrap();
        assert_eq!((cause.kind, cause.detail), (AbortKind::TimedOut, MILLISECONDS));
        assert_eq!((cause.device, cause.command), (Some(1), Some(CommandCode::FLUSH)));
        assert_eq!(pair.client_devices[1].get_command(None), Err(HResult::VD_E_ABORT));
        pair.client.close().unwrap();
        pair.server.close().unwrap();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: a time-out that is not kept when the agent slept without a clock as the command came.
#[rstest]
fn the_server_time_out_of_a_client_that_never_answers(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let pair = Pair::new(backend, VdConfig { server_time_out: 40, ..client_config(1) }, 1);
        let agent = pair.agent();
        thread::sleep(Duration::from_millis(30));
        let sent = Instant::now();
        let (routine, completed) = told();
        pair.server_devices[0].send_command(flush(routine)).unwrap();
        let told = completed.recv().unwrap();
        assert_eq!(told.completion, CompletionCode::ERROR_OPERATION_ABORTED);
        assert!(sent.elapsed() >= Duration::from_millis(80), "{:?}", sent.elapsed());
        agent.join().unwrap().unwrap_err();
        assert_eq!(pair.server.abort_cause().unwrap().kind, AbortKind::TimedOut);
        pair.client.close().unwrap();
        pair.server.close().unwrap();
        assert_eq!(objects_left(&pair.environment), NOTHING);
    });
}

/// Catches: threads that wait for ever because a leader left and nobody took over. (Hand-overs that
/// cost a follower its second of patience now and then are beyond what a test without a clock can tell.)
#[rstest]
fn leadership_is_never_lost(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        for _ in 0..50 {
            let pair = Pair::new(backend, client_config(3), 1);
            thread::scope(|scope| {
                for device in &pair.server_devices {
                    let server = &pair.server;
                    scope.spawn(move || {
                        let _driver = server.drive();
                        device.execute(CommandCode::FLUSH, 0, 0, None).unwrap();
                        device.close_device().unwrap();
                    });
                    // The first leads, the others follow in this order.
                    thread::sleep(Duration::from_millis(2));
                }
                let ids = [0, 1, 2].map(|n| pair.client_devices[n].get_command(None).unwrap().id);
                for (device, id) in pair.client_devices.iter().zip(ids) {
                    if device.index() == 2 {
                        thread::sleep(Duration::from_millis(5));
                    }
                    device.complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0).unwrap();
                }
            });
            pair.client.close().unwrap();
            pair.server.close().unwrap();
            assert_eq!(objects_left(&pair.environment), NOTHING);
        }
    });
}

/// Catches: a freed buffer of which the wrong thread is told, or of several only one thread: each such
/// miss costs a second, and all of them together the watchdog's patience.
#[rstest]
fn threads_that_wait_for_buffers_are_all_fed(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(false, true)] the_leader_waits_for_a_buffer: bool,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(1), 1);
        pair.server.request_buffers(4096, 0, 2).unwrap();
        let (server, device, client) =
            (&pair.server, &pair.server_devices[0], &pair.client_devices[0]);
        for _ in 0..150 {
            let take = |size: u32| server.allocate_buffer(size, 0).unwrap();
            let (small, large) = ([take(4096), take(4096)], take(65536));
            thread::scope(|scope| {
                // Leads to the end.
                scope.spawn(move || match the_leader_waits_for_a_buffer {
                    true => drop(server.allocate_buffer_wait(65536, 0, None).unwrap()),
                    false => drop(device.execute(CommandCode::FLUSH, 0, 0, None).unwrap()),
                });
                thread::sleep(Duration::from_millis(1));
                let wait = || server.allocate_buffer_wait(4096, 0, None).unwrap();
                let waiting = [(); 2].map(|()| scope.spawn(wait));
                thread::sleep(Duration::from_millis(1));
                drop(small);
                // Kept until both have one: a buffer that comes back is told anew.
                let fed = waiting.map(|thread| thread.join().unwrap());
                drop((fed, large));
                if !the_leader_waits_for_a_buffer {
                    let command = client.get_command(None).unwrap();
                    let done = CompletionCode::ERROR_SUCCESS;
                    client.complete_command(command.id, done, 0, 0).unwrap();
                }
            });
        }
        leave(pair);
    });
}
