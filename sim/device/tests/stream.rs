//! Data through one set within one process: what was written arrives, and nothing is left behind.

mod support;

use std::{
    hint,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rstest::rstest;
use support::{Pair, client_config, objects_left, watched};
use vdi_device::{ClientDevice, ClientSet, CompletionRoutine, Request};
use vdi_protocol::{CommandCode, CompletionCode, HResult};
use vdi_region::Backend;

/// A good pipe client: stores Writes, acknowledges the rest.
fn store(set: &ClientSet, device: &ClientDevice) -> Result<Vec<u8>, HResult> {
    let mut stored = Vec::new();
    loop {
        let command = match device.get_command(None) {
            Ok(command) => command,
            Err(HResult::VD_E_CLOSE) => return Ok(stored),
            Err(status) => return Err(status),
        };
        if command.code == CommandCode::WRITE {
            let buffer = set.map_buffer(set.get_buffer_handle(command.buffer)?)?;
            let mut bytes = vec![0; command.size as usize];
            buffer.slice().unwrap().copy_to(0, &mut bytes).unwrap();
            stored.extend_from_slice(&bytes);
        }
        device.complete_command(
            command.id,
            CompletionCode::ERROR_SUCCESS,
            u64::from(command.size),
            0,
        )?;
    }
}

/// Catches: a ring that loses, repeats or reorders messages, buffers given to two commands at once,
/// a close that overtakes commands.
#[rstest]
#[case(1)]
#[case(4)]
#[case(64)]
fn a_stream_arrives(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[case] devices: u32,
    #[values(false, true)] driven: bool,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(devices), 8);
        let agent = pair.agent();
        let writes = if devices == 64 { 20 } else { 200 };
        let sent: Vec<Vec<u8>> = thread::scope(|scope| {
            let readers: Vec<_> = (pair.client_devices.iter())
                .map(|device| scope.spawn(|| store(&pair.client, device)))
                .collect();
            let writers: Vec<_> = (pair.server_devices.iter())
                .map(|device| {
                    let server = &pair.server;
                    scope.spawn(move || {
                        let _driver = driven.then(|| server.drive());
                        let mut sent = Vec::new();
                        for n in 0..writes {
                            let buffer = server.allocate_buffer_wait(65536, 0, None).unwrap();
                            let size = (n % 128 + 1) * 512;
                            let byte = (n * 7 + device.index() * 13) as u8;
                            let bytes = vec![byte; size as usize];
                            buffer.slice().copy_from(0, &bytes).unwrap();
                            sent.extend_from_slice(&bytes);
                            let routine: CompletionRoutine = Arc::new(move |completed| {
                                assert_eq!(completed.completion, CompletionCode::ERROR_SUCCESS);
                                assert_eq!(completed.bytes, size);
                            });
                            let request = Request {
                                code: CommandCode::WRITE,
                                size,
                                position: 0,
                                buffer: Some(buffer),
                                context: u64::from(n),
                                routine,
                            };
                            device.send_command(request).unwrap();
                        }
                        device.execute(CommandCode::FLUSH, 0, 0, None).unwrap();
                        device.close_device().unwrap();
                        sent
                    })
                })
                .collect();
            let sent: Vec<_> = writers.into_iter().map(|w| w.join().unwrap()).collect();
            for (reader, sent) in readers.into_iter().zip(&sent) {
                let stored = reader.join().unwrap().unwrap();
                assert!(stored == *sent, "{} bytes stored, {} sent", stored.len(), sent.len());
            }
            sent
        });
        assert_eq!(sent.len(), devices as usize);
        agent.join().unwrap().unwrap();
        pair.client.close().unwrap();
        pair.server.close().unwrap();
        assert_eq!(objects_left(&pair.environment), Vec::<String>::new());
    });
}

/// Catches: a routine that is called twice or never when either side aborts while commands are open.
#[rstest]
fn an_abort_completes_everything_once(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
    #[values(false, true)] by_client: bool,
) {
    watched(move || {
        let pair = Pair::new(backend, client_config(2), 8);
        let agent = pair.agent();
        let answers = Arc::new(Mutex::new(Vec::new()));
        for (n, device) in pair.server_devices.iter().cycle().take(8).enumerate() {
            let buffer = pair.server.allocate_buffer(65536, 0).unwrap();
            let answers = Arc::clone(&answers);
            let routine: CompletionRoutine = Arc::new(move |completed| {
                answers.lock().unwrap().push((completed.context, completed.completion));
            });
            let request = Request {
                code: CommandCode::WRITE,
                size: 512,
                position: 0,
                buffer: Some(buffer),
                context: n as u64,
                routine,
            };
            device.send_command(request).unwrap();
        }
        let first = pair.client_devices[0].get_command(None).unwrap();
        match by_client {
            true => pair.client.signal_abort().unwrap(),
            false => pair.server.signal_abort(),
        }
        assert_eq!(pair.client_devices[1].get_command(None), Err(HResult::VD_E_ABORT));
        let late = pair.client_devices[0].complete_command(
            first.id,
            CompletionCode::ERROR_SUCCESS,
            512,
            0,
        );
        assert_eq!(late, Err(HResult::VD_E_ABORT));
        let ended = agent.join().unwrap().unwrap_err();
        assert_eq!(ended.status(), HResult::VD_E_ABORT);
        let mut answers = answers.lock().unwrap().clone();
        answers.sort();
        let aborted = |n| (n, CompletionCode::ERROR_OPERATION_ABORTED);
        assert_eq!(answers, (0..8).map(aborted).collect::<Vec<_>>());
        pair.client.close().unwrap();
        pair.server.close().unwrap();
        assert_eq!(objects_left(&pair.environment), Vec::<String>::new());
    });
}

/// Catches: an agent that looks for an abort, meets one a moment later, and leaves what is open to nobody.
#[test]
fn an_agent_that_comes_with_the_abort_completes_what_is_open() {
    watched(|| {
        for round in 0..1000 {
            let pair = Pair::new(Backend::platform_default(), client_config(1), 1);
            let (sender, answers) = mpsc::channel();
            let routine: CompletionRoutine = Arc::new(move |completed| {
                // A test that has failed listens no more.
                let _ = sender.send(completed.completion);
            });
            let (code, buffer) = (CommandCode::FLUSH, None);
            let request = Request { code, size: 0, position: 0, buffer, context: 0, routine };
            pair.server_devices[0].send_command(request).unwrap();
            let agent = pair.agent();
            // As long as a thread takes to start, more or less.
            let moment = Instant::now() + Duration::from_micros(round % 100);
            while Instant::now() < moment {
                hint::spin_loop();
            }
            pair.client.signal_abort().unwrap();
            assert_eq!(agent.join().unwrap().unwrap_err().status(), HResult::VD_E_ABORT);
            assert_eq!(answers.try_recv(), Ok(CompletionCode::ERROR_OPERATION_ABORTED));
            let _ = (pair.client.close(), pair.server.close());
        }
    });
}
