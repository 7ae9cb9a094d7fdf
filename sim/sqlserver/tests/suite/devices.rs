//! BACKUP and RESTORE over virtual devices, with a client in threads of this process.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use fake_sqlserver::session::Instance;
use rstest::rstest;
use vdi_device::{ClientDevice, ClientSet};
use vdi_protocol::{CommandCode, CompletionCode, HResult, VdConfig};

use crate::server::Fixture;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `test` and ends the process if it hangs.
pub(crate) fn watched(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _done = done;
        test();
    });
    if wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        eprintln!("the test hangs");
        std::process::abort();
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn names(set: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| if n == 0 { set.to_owned() } else { format!("{set}{n}") }).collect()
}

pub(crate) fn list(set: &str, count: usize) -> String {
    let devices = names(set, count).into_iter().map(|name| format!("VIRTUAL_DEVICE='{name}'"));
    devices.collect::<Vec<_>>().join(", ")
}

/// Keeps what is written and hands out `stream`.
fn serve(set: &ClientSet, device: &ClientDevice, stream: &[u8]) -> Vec<u8> {
    let (mut written, mut at) = (Vec::new(), 0);
    loop {
        let command = match device.get_command(None) {
            Ok(command) => command,
            Err(HResult::VD_E_CLOSE | HResult::VD_E_ABORT) => return written,
            Err(other) => panic!("{other}"),
        };
        let buffer = || set.map_buffer(set.get_buffer_handle(command.buffer).unwrap()).unwrap();
        let size = command.size as usize;
        let (code, bytes) = match command.code {
            CommandCode::WRITE => {
                let mut piece = vec![0; size];
                buffer().slice().unwrap().copy_to(0, &mut piece).unwrap();
                written.extend(piece);
                (CompletionCode::ERROR_SUCCESS, size)
            }
            CommandCode::READ => {
                let count = size.min(stream.len() - at);
                buffer().slice().unwrap().copy_from(0, &stream[at..at + count]).unwrap();
                at += count;
                let ended = count < size;
                let code = if ended {
                    CompletionCode::ERROR_HANDLE_EOF
                } else {
                    CompletionCode::ERROR_SUCCESS
                };
                (code, count)
            }
            _ => (CompletionCode::ERROR_SUCCESS, 0),
        };
        // The set may have been aborted meanwhile.
        let _ = device.complete_command(command.id, code, bytes as u64, 0);
    }
}

/// A client of one set; joining it gives what was written to each device.
pub(crate) fn client(
    instance: &Arc<Instance>,
    set: &str,
    streams: Vec<Vec<u8>>,
) -> thread::JoinHandle<Vec<Vec<u8>>> {
    let client = ClientSet::new(instance.environment.clone());
    let config = VdConfig { device_count: streams.len() as u32, ..VdConfig::default() };
    client.create(set.as_bytes(), &config).unwrap();
    let names = names(set, streams.len());
    thread::spawn(move || {
        client.get_configuration(None).unwrap();
        let devices: Vec<_> =
            names.iter().map(|name| client.open_device(name.as_bytes()).unwrap()).collect();
        let written = thread::scope(|scope| {
            let client = &client;
            let pairs = devices.iter().zip(&streams);
            let threads: Vec<_> = pairs
                .map(|(device, stream)| scope.spawn(move || serve(client, device, stream)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let _ = client.close();
        written
    })
}

// Catches: a stream that reaches the devices in another form than files, Writes that are no whole
// blocks, a restore that reads beyond what it needs, a log truncated though the data were lost.
#[rstest]
#[case(1)]
#[case(4)]
fn a_database_comes_back_through_virtual_devices(#[case] count: usize) {
    watched(move || {
        let mut server = Fixture::new();
        server.succeed("EXEC vdisim.change pubs, 30, 4");
        let full = client(&server.instance, "full", vec![Vec::new(); count]);
        server.succeed(&format!("BACKUP DATABASE pubs TO {} WITH CHECKSUM", list("full", count)));
        let full = full.join().unwrap();
        server.succeed("EXEC vdisim.change pubs, 30, 5");
        let log = client(&server.instance, "log", vec![Vec::new(); count]);
        server.succeed(&format!("BACKUP LOG pubs TO {}", list("log", count)));
        let log = log.join().unwrap();
        assert!(full.iter().chain(&log).all(|stream| stream.len() % 512 == 0));

        let looked = client(&server.instance, "look", full.clone());
        let files = server.run(&format!("RESTORE FILELISTONLY FROM {}", list("look", count)));
        assert!(files[1].starts_with("pubs|"), "{files:?}");
        looked.join().unwrap();
        for (what, set, streams, end) in
            [("DATABASE", "r1", full, "NORECOVERY"), ("LOG", "r2", log, "RECOVERY")]
        {
            let reader = client(&server.instance, set, streams);
            let devices = list(set, count);
            server.succeed(&format!("RESTORE {what} copy FROM {devices} WITH {end}"));
            reader.join().unwrap();
        }
        assert_eq!(server.digest("copy"), server.digest("pubs"));
    });
}
