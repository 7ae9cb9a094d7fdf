//! BACKUP and RESTORE over virtual devices, with a client in threads of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use fake_sqlserver::catalogue::{Catalogue, Server};
use fake_sqlserver::session::{Client, Gone, Instance, Login, Reply, Session, TextClient};
use mtf::{EXTENT_SIZE, page_id};
use rstest::rstest;
use vdi_device::{ClientDevice, ClientSet};
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult, VdConfig};

use crate::server::Fixture;
use crate::wholeness::layout;

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

/// Keeps what is written and hands out `stream`; refuses the command with which it `loses` that. Tells
/// `moved` how many bytes have gone, before every answer and at the end.
fn serve(
    set: &ClientSet,
    device: &ClientDevice,
    stream: &[u8],
    loses: Option<CommandCode>,
    mut moved: impl FnMut(usize),
) -> Vec<u8> {
    let (mut written, mut at) = (Vec::new(), 0);
    loop {
        let command = match device.get_command(None) {
            Ok(command) => command,
            Err(HResult::VD_E_CLOSE | HResult::VD_E_ABORT) => {
                moved(written.len() + at);
                return written;
            }
            Err(other) => panic!("{other}"),
        };
        let buffer = || set.map_buffer(set.get_buffer_handle(command.buffer).unwrap()).unwrap();
        let size = command.size as usize;
        moved(written.len() + at);
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
            code if Some(code) == loses => (CompletionCode::ERROR_DISK_FULL, 0),
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
    client_that(instance, set, streams, None)
}

/// A client that refuses the command with which it `loses` what was written.
pub(crate) fn client_that(
    instance: &Arc<Instance>,
    set: &str,
    streams: Vec<Vec<u8>>,
    loses: Option<CommandCode>,
) -> thread::JoinHandle<Vec<Vec<u8>>> {
    let client = ClientSet::new(instance.environment.clone());
    let mut config = VdConfig { device_count: streams.len() as u32, ..VdConfig::default() };
    if loses == Some(CommandCode::COMPLETE) {
        config.features = Features::REQUEST_COMPLETE.bits();
    }
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
                .map(|(device, stream)| {
                    scope.spawn(move || serve(client, device, stream, loses, |_| {}))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let _ = client.close();
        written
    })
}

// Catches: a stream that reaches the devices in another form than files, Writes that are no whole
// blocks, a restore that reads beyond what it needs, a log truncated though the data were lost; a
// history that takes virtual devices for files or leaves some out.
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

        let types = "SELECT s.type, f.device_type, f.physical_device_name FROM msdb.dbo.backupset s
            JOIN msdb.dbo.backupmediafamily f ON f.media_set_id = s.media_set_id";
        let rows = |kind: &'static str, set: &str| {
            let row = move |name| format!("{kind}|7|{name}");
            names(set, count).into_iter().map(row).collect::<Vec<_>>()
        };
        let expected = [rows("D", "full"), rows("L", "log")].concat();
        assert_eq!(server.run(types)[1..], expected, "the history has virtual devices");

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

// Catches: extents given to each device beforehand, so that all wait for the slowest one.
#[test]
fn a_slow_device_leaves_the_next_extents_to_the_other() {
    watched(|| {
        let mut server = Fixture::new();
        let set = ClientSet::new(server.instance.environment.clone());
        set.create(b"set", &VdConfig { device_count: 2, ..VdConfig::default() }).unwrap();
        let (far, is_far) = mpsc::channel::<()>();
        let client = thread::spawn(move || {
            set.get_configuration(None).unwrap();
            let [fast, slow] =
                ["set", "set1"].map(|name| set.open_device(name.as_bytes()).unwrap());
            let written = thread::scope(|scope| {
                let set = &set;
                let slow = scope.spawn(move || {
                    // Its first answer waits until the other device has nearly all of its part.
                    let mut wait = Some(is_far);
                    serve(set, &slow, &[], None, |_| {
                        let _ = wait.take().map(|is_far| is_far.recv());
                    })
                });
                let fast = scope.spawn(move || {
                    let mut far = Some(far);
                    serve(set, &fast, &[], None, |written| {
                        if written > 50 * EXTENT_SIZE {
                            far.take();
                        }
                    })
                });
                [fast, slow].map(|device| device.join().unwrap())
            });
            let _ = set.close();
            written
        });
        let devices = list("set", 2);
        server.succeed(&format!("BACKUP DATABASE pubs TO {devices} WITH MAXTRANSFERSIZE=65536"));
        let [fast, slow] = client.join().unwrap().map(|stream| first_pages(&stream));
        assert_eq!((fast.len(), slow.len()), (56, 56), "families are of one size");
        let early = slow.iter().filter(|page| **page < fast[50]).count();
        assert!(early < 20, "{early} extents waited for the slow device: {slow:?}");
    });
}

/// The first page of each extent of a stream.
fn first_pages(stream: &[u8]) -> Vec<u32> {
    let extents = layout(stream).extents.into_iter();
    extents.map(|at| page_id(stream[at].first_chunk().unwrap()).page).collect()
}

/// The numbers of a batch's errors in a session of its own.
pub(crate) fn errors(instance: &Arc<Instance>, batch: &str) -> Vec<u32> {
    let mut client = TextClient::default();
    let mut session = Session::new(instance.clone(), Login::default());
    session.execute(batch, &[], &mut client).unwrap();
    let number = |line: &String| line.split(':').next()?.parse().ok();
    let told = client.lines.iter().filter_map(number);
    told.filter(|number| ![0, 3014, 4035].contains(number)).collect()
}

// Catches: backups of one server that wait for each other, take each other's devices or fail with each
// other; a second backup of a database while one runs.
#[test]
fn several_backups_run_at_once() {
    watched(|| {
        let server = Fixture::new();
        let instance = &server.instance;
        let names = ["pubs", "Northwind", "msdb", "model"];
        // Every client stops at its first command, until all statements are under way.
        let held: Vec<_> =
            names.iter().map(|name| held_client(instance, name, Vec::new(), 0)).collect();
        let written: Vec<_> = thread::scope(|scope| {
            let statements: Vec<_> = names
                .iter()
                .map(|name| {
                    let batch = format!("BACKUP DATABASE {name} TO VIRTUAL_DEVICE='{name}'");
                    scope.spawn(move || errors(instance, &batch))
                })
                .collect();
            held.iter().for_each(|(begun, _, _)| begun.recv().unwrap());
            let second = errors(instance, "BACKUP DATABASE pubs TO DISK='x'");
            assert_eq!(second, [3023, 3013]);
            let offline = errors(instance, "ALTER DATABASE pubs SET OFFLINE");
            assert_eq!(offline, [5061, 5069], "the backup would end behind it");
            let tail = errors(instance, "BACKUP LOG pubs TO DISK='x' WITH NORECOVERY");
            assert_eq!(tail, [3101, 3013], "a full backup would end behind the tail");
            held.iter().for_each(|(_, go_on, _)| go_on.send(()).unwrap());
            for statement in statements {
                assert_eq!(statement.join().unwrap(), [0_u32; 0]);
            }
            held.into_iter().map(|(_, _, client)| client.join().unwrap()).collect()
        });
        for (name, stream) in names.iter().zip(written) {
            let reader = client(instance, "back", vec![stream]);
            let batch = format!("RESTORE DATABASE [{name} 2] FROM VIRTUAL_DEVICE='back'");
            assert_eq!(errors(instance, &batch), [0_u32; 0]);
            reader.join().unwrap();
            assert_eq!(server.digest(&format!("{name} 2")), server.digest(name), "{name}");
        }
    });
}

/// A client of a set with one device that stops before the answer behind which `after` bytes have gone:
/// tells of it, waits for a word to go on, and gives what was written.
type Held = (mpsc::Receiver<()>, mpsc::Sender<()>, thread::JoinHandle<Vec<u8>>);

pub(crate) fn held_client(
    instance: &Arc<Instance>,
    set: &str,
    stream: Vec<u8>,
    after: usize,
) -> Held {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let mut begun = Some(begun);
    let thread = telling_client(instance, set, stream, move |moved| {
        if let Some(begun) = begun.take_if(|_| moved >= after) {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
        }
    });
    (has_begun, go_on, thread)
}

/// A client of a set with one device that tells `moved`, as [`serve`] does, and gives what was written.
fn telling_client(
    instance: &Arc<Instance>,
    set: &str,
    stream: Vec<u8>,
    moved: impl FnMut(usize) + Send + 'static,
) -> thread::JoinHandle<Vec<u8>> {
    let client = ClientSet::new(instance.environment.clone());
    let config = VdConfig { device_count: 1, ..VdConfig::default() };
    client.create(set.as_bytes(), &config).unwrap();
    let name = set.as_bytes().to_vec();
    thread::spawn(move || {
        client.get_configuration(None).unwrap();
        let device = client.open_device(&name).unwrap();
        let written = serve(&client, &device, &stream, None, moved);
        let _ = client.close();
        written
    })
}

/// Where the block that describes the files ends, in bytes.
fn head_end(stream: &[u8]) -> usize {
    #[derive(Default)]
    struct Blocks(bool, usize);
    impl mtf::Events for Blocks {
        type Error = mtf::MtfError;

        fn block(&mut self, block: &mtf::Block, _: u64) -> Result<(), Self::Error> {
            self.0 = matches!(block, mtf::Block::Msci(_));
            Ok(())
        }

        fn end_block(&mut self, end: u64) -> Result<(), Self::Error> {
            if std::mem::take(&mut self.0) {
                self.1 = end as usize;
            }
            Ok(())
        }
    }
    let mut blocks = Blocks::default();
    mtf::Reader::new().feed(stream, &mut blocks).unwrap();
    blocks.1
}

// Catches: a look that reads bytes of the data; one that gives up, or reads block by block, where the
// head is long.
#[rstest]
#[case::short(0, "")]
#[case::large_blocks(0, " WITH BLOCKSIZE=65536")]
#[case::many_files(150, "")]
fn a_look_reads_to_the_end_of_the_head(#[case] files: u16, #[case] with: &str) {
    let with = with.to_owned();
    watched(move || {
        let server = Fixture::new();
        let instance = &server.instance;
        let add = |catalogue: &mut Catalogue| {
            let database = catalogue.database_mut("pubs").unwrap();
            for id in 3..3 + files {
                let mut file = database.files[0].clone();
                (file.id, file.size) = (id, 1 << 19);
                file.unique_id = uuid::Uuid::from_u128(id.into());
                file.logical_name = format!("file {id}");
                file.physical_name = format!("d:\\{id}.ndf");
                database.files.insert(1, file);
            }
            Ok::<_, ()>(())
        };
        instance.server.update(add).unwrap().unwrap();
        let keeping = client(instance, "set", vec![Vec::new()]);
        let backup = format!("BACKUP DATABASE pubs TO VIRTUAL_DEVICE='set'{with}");
        assert_eq!(errors(instance, &backup), [0_u32; 0]);
        let stream = keeping.join().unwrap().remove(0);
        let most = head_end(&stream).max(65536);
        for what in ["HEADERONLY", "FILELISTONLY", "LABELONLY"] {
            let (tell, told) = mpsc::channel();
            let looking = telling_client(instance, "look", stream.clone(), move |moved| {
                tell.send(moved).unwrap();
            });
            let batch = format!("RESTORE {what} FROM VIRTUAL_DEVICE='look'");
            assert_eq!(errors(instance, &batch), [0_u32; 0]);
            looking.join().unwrap();
            let moved: Vec<_> = told.iter().collect();
            let read = *moved.last().unwrap();
            assert!(read > 0 && read <= most, "{what} reads {read} of {most} bytes");
            assert!(moved.len() < 40, "{what}: {} commands", moved.len());
        }
    });
}

/// A client that went without a word: nothing reaches it.
struct Absent;

impl Client for Absent {
    fn reply(&mut self, _: Reply<'_>) -> Result<(), Gone> {
        Err(Gone)
    }
}

// Catches: a failed BACKUP that the error log does not tell of, because nobody was left to be answered.
#[test]
fn the_log_tells_of_a_backup_whose_client_went() {
    watched(|| {
        let server = Fixture::new();
        let instance = &server.instance;
        let (_begun, go_on, client) = held_client(instance, "held", Vec::new(), 50 * EXTENT_SIZE);
        let mut session = Session::new(instance.clone(), Login::default());
        let batch = "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='held' WITH STATS=10, \
                     MAXTRANSFERSIZE=65536";
        assert_eq!(session.execute(batch, &[], &mut Absent), Err(Gone));
        // It may have been aborted before it had so much.
        let _ = go_on.send(());
        client.join().unwrap();
        let log = server.log.entries();
        let cause = log
            .iter()
            .position(|entry| entry.message.text.starts_with("Cause: The statement was cancelled"));
        let failed = log.iter().position(|entry| entry.message.number == 3041);
        assert!(cause.is_some() && cause < failed, "{log:?}");
    });
}

// Catches: files that two restores under way give to two databases.
#[test]
fn of_two_restores_into_the_same_files_one_succeeds() {
    watched(|| {
        let server = Fixture::with(|folder| Server::open(folder).unwrap(), |_| {});
        let instance = &server.instance;
        let keeping = client(instance, "full", vec![Vec::new()]);
        let backup = "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='full'";
        assert_eq!(errors(instance, backup), [0_u32; 0]);
        let stream = keeping.join().unwrap().remove(0);
        assert_eq!(errors(instance, "DROP DATABASE pubs"), [0_u32; 0]);
        let names = ["one", "two"];
        let half = stream.len() / 2;
        let held = names.map(|name| held_client(instance, name, stream.clone(), half));
        let mut told = thread::scope(|scope| {
            let statements = names.map(|name| {
                let batch = format!("RESTORE DATABASE {name} FROM VIRTUAL_DEVICE='{name}'");
                scope.spawn(move || errors(instance, &batch))
            });
            // Both have been found good by now.
            held.iter().for_each(|(begun, _, _)| begun.recv().unwrap());
            held.iter().for_each(|(_, go_on, _)| go_on.send(()).unwrap());
            statements.map(|statement| statement.join().unwrap())
        });
        held.into_iter().for_each(|(_, _, client)| drop(client.join().unwrap()));
        told.sort();
        assert_eq!(told, [vec![], vec![1834, 3013]]);
        let files = instance.server.folder().join("data").read_dir().unwrap().count();
        assert_eq!(files, 1, "what the refused one made is gone");
    });
}

// Catches: log truncated by a backup that is not the one that holds it, or of a database that took the
// place of the one backed up; a log backup that waits for a full one, or the other way round.
#[test]
fn one_log_backup_runs_at_once() {
    watched(|| {
        let server = Fixture::new();
        let instance = &server.instance;
        assert_eq!(errors(instance, "BACKUP DATABASE pubs TO DISK='full'"), [0_u32; 0]);
        let (begun, go_on, client) = held_client(instance, "log", Vec::new(), 0);
        let told = thread::scope(|scope| {
            let backup = "BACKUP LOG pubs TO VIRTUAL_DEVICE='log'";
            let statement = scope.spawn(move || errors(instance, backup));
            begun.recv().unwrap();
            for (batch, expected) in [
                ("BACKUP LOG pubs TO DISK='x'", &[3023, 3013][..]),
                ("BACKUP LOG pubs TO DISK='x' WITH NORECOVERY", &[3023, 3013]),
                ("RESTORE DATABASE pubs FROM DISK='full' WITH REPLACE", &[3101, 3013]),
                ("DROP DATABASE pubs", &[3702]),
                ("ALTER DATABASE pubs SET OFFLINE", &[5061, 5069]),
                ("BACKUP DATABASE pubs TO DISK='y'", &[]),
                ("EXEC vdisim.change pubs, 5, 5", &[]),
            ] {
                assert_eq!(errors(instance, batch), expected, "{batch}");
            }
            go_on.send(()).unwrap();
            statement.join().unwrap()
        });
        assert_eq!(told, [0_u32; 0]);
        client.join().unwrap();
        assert_eq!(errors(instance, "BACKUP LOG pubs TO DISK='x'"), [0_u32; 0]);
    });
}

// Catches: files that are named and were never made, in the place of pages that are generated.
#[test]
fn a_snapshot_of_a_database_that_is_offline_costs_nothing() {
    let mut server = Fixture::new();
    let digest = server.digest("pubs");
    server.succeed("ALTER DATABASE pubs SET OFFLINE");
    let backup = "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='nobody' WITH SNAPSHOT";
    assert_eq!(server.errors(backup), [942, 3013]);
    assert_eq!(server.data_files(), 0, "nothing is made for a backup that is refused");
    server.succeed("ALTER DATABASE pubs SET ONLINE");
    assert_eq!(server.digest("pubs"), digest);
}

// Catches: the files of a database taken for some that were made in vain, as it was altered just before its
// snapshot.
#[test]
fn a_database_altered_before_its_snapshot_keeps_its_files() {
    watched(|| {
        let server = Fixture::new();
        let instance = &server.instance;
        assert_eq!(errors(instance, "BACKUP DATABASE pubs TO DISK='full'"), [0_u32; 0]);
        for _ in 0..10 {
            let restore = "RESTORE DATABASE copy FROM DISK='full' WITH REPLACE";
            assert_eq!(errors(instance, restore), [0_u32; 0]);
            let digest = server.digest("copy");
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    for model in ["BULK_LOGGED", "FULL"].iter().cycle() {
                        let batch = format!("ALTER DATABASE copy SET RECOVERY {model}");
                        assert_eq!(errors(instance, &batch), [0_u32; 0]);
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
                let batch = "BACKUP DATABASE copy TO VIRTUAL_DEVICE='nobody' WITH SNAPSHOT";
                assert_eq!(errors(instance, batch).last(), Some(&3013));
                is_over.store(true, Ordering::Relaxed);
            });
            assert_eq!(server.digest("copy"), digest);
        }
    });
}

// Catches: log that is truncated when it was written and not when it was acknowledged, so that a client
// that loses it breaks the chain.
#[rstest]
#[case(CommandCode::FLUSH)]
#[case::acknowledged_last(CommandCode::COMPLETE)]
fn log_that_a_client_has_lost_is_backed_up_again(#[case] loses: CommandCode) {
    watched(move || {
        let server = Fixture::new();
        let instance = &server.instance;
        assert_eq!(errors(instance, "BACKUP DATABASE pubs TO DISK='full'"), [0_u32; 0]);
        assert_eq!(errors(instance, "EXEC vdisim.change pubs, 30, 1"), [0_u32; 0]);
        let backup = "BACKUP LOG pubs TO VIRTUAL_DEVICE='log'";
        let losing = client_that(instance, "log", vec![Vec::new()], Some(loses));
        let told = errors(instance, backup);
        assert_eq!(told.last(), Some(&3013), "{told:?}");
        losing.join().unwrap();
        let log = server.log.entries();
        let cause = log.iter().find(|entry| entry.message.text.starts_with("Cause: "));
        let cause = &cause.unwrap_or_else(|| panic!("{log:?}")).message.text;
        assert!(cause.contains("'log'") && cause.contains("112"), "{cause}");
        let keeping = client(instance, "log", vec![Vec::new()]);
        assert_eq!(errors(instance, backup), [0_u32; 0]);
        let kept = keeping.join().unwrap();
        let full = "RESTORE DATABASE copy FROM DISK='full' WITH NORECOVERY";
        assert_eq!(errors(instance, full), [0_u32; 0]);
        let reader = client(instance, "log", kept);
        let restore = "RESTORE LOG copy FROM VIRTUAL_DEVICE='log'";
        assert_eq!(errors(instance, restore), [0_u32; 0]);
        reader.join().unwrap();
        assert_eq!(server.digest("copy"), server.digest("pubs"));
    });
}
