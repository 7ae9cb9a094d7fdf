//! C++ clients in processes of their own against the server half in this one.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;
use support::server::{Server, TRANSFER, stream};
use support::{Client, Namespace, WATCHDOG};
use vdi_protocol::{CommandCode, CompletionCode, Direction};
use vdi_region::Backend;

const SET: &str = "nightly";

/// The names that the clients give to the devices of `SET`.
fn names(count: usize) -> Vec<String> {
    let others = (1..count).map(|index| format!("{SET}{index}"));
    std::iter::once(SET.to_owned()).chain(others).collect()
}

/// A client with the number of devices it is run with.
#[derive(Clone, Copy)]
struct Case(&'static str, usize);

const PIPE: Case = Case("pipe_client", 1);
const THREADS: Case = Case("threads_client", 4);
const MANY_THREADS: Case = Case("threads_client", 64);
const PROCESSES: Case = Case("process_client", 4);
const HANDLE: Case = Case("handle_client", 1);

fn files(folder: &Path, count: usize) -> Vec<PathBuf> {
    (0..count).map(|index| folder.join(format!("{index}.bak"))).collect()
}

fn start(client: &str, operation: &str, files: &[PathBuf], namespace: &Namespace) -> Client {
    let mut arguments = vec![operation, SET];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    Client::start(client, &arguments, namespace)
}

/// Streams of different lengths; the last Write of each is a short one.
fn streams(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| stream(index as u32, 6_000_001 / count + 1_001 * index)).collect()
}

/// Catches: bytes lost, doubled or mixed between devices, a command that never arrives, a wrong
/// status at the end, a secondary's Close that ends the set, objects left behind.
#[rstest]
#[timeout(WATCHDOG)]
fn a_backup_arrives_byte_for_byte(
    #[values(PIPE, THREADS, MANY_THREADS, PROCESSES, HANDLE)] case: Case,
    #[values(Backend::Posix, Backend::Portable)] backend: Backend,
) {
    let Case(client, devices) = case;
    let (namespace, folder) = (Namespace::over(backend), tempfile::tempdir().unwrap());
    let (files, streams) = (files(folder.path(), devices), streams(devices));

    let client = start(client, "backup", &files, &namespace);
    let server = Server::attach(&namespace, SET, &names(devices), Direction::Backup);
    server.backup(&streams);
    client.must_succeed();
    server.close();

    for (file, stream) in files.iter().zip(&streams) {
        assert!(fs::read(file).unwrap() == *stream, "{} differs", file.display());
    }
    namespace.assert_empty();
}

/// Catches: as above, in the other direction, and an end of data that is not told.
#[rstest]
#[timeout(WATCHDOG)]
fn a_restore_arrives_byte_for_byte(
    #[values(PIPE, THREADS, MANY_THREADS, PROCESSES, HANDLE)] case: Case,
    #[values(Backend::Posix, Backend::Portable)] backend: Backend,
) {
    let Case(client, devices) = case;
    let (namespace, folder) = (Namespace::over(backend), tempfile::tempdir().unwrap());
    let (files, streams) = (files(folder.path(), devices), streams(devices));
    for (file, stream) in files.iter().zip(&streams) {
        fs::write(file, stream).unwrap();
    }

    let client = start(client, "restore", &files, &namespace);
    let server = Server::attach(&namespace, SET, &names(devices), Direction::Restore);
    let restored = server.restore();
    client.must_succeed();
    server.close();

    assert!(restored == streams, "the bytes differ");
    namespace.assert_empty();
}

/// Catches: zones that are cleared, moved or shared when a buffer goes back to the pool: a client keeps
/// bytes of its own there from one transfer to the next.
#[rstest]
#[timeout(WATCHDOG)]
fn a_prefix_zone_keeps_its_bytes(
    #[values(Backend::Posix, Backend::Portable)] backend: Backend,
    #[values("1", "100", "4096")] zone: &str,
) {
    let (namespace, folder) = (Namespace::over(backend), tempfile::tempdir().unwrap());
    let file = folder.path().join("0.bak");
    let client = Client::start("zone_client", &[SET, file.to_str().unwrap(), zone], &namespace);
    let server = Server::attach(&namespace, SET, &names(1), Direction::Backup);
    let sent = stream(3, 10 * TRANSFER as usize);
    server.backup(std::slice::from_ref(&sent));
    client.must_succeed();
    server.close();
    assert!(fs::read(file).unwrap() == sent, "the bytes differ");
    namespace.assert_empty();
}

/// Catches: a return code that differs from the documented one in any state; a client's change to
/// its command that takes effect or is not told; an address that is no command but is taken for one.
#[rstest]
#[timeout(WATCHDOG)]
fn the_probe_finds_the_documented_return_codes_in_every_state() {
    let namespace = Namespace::new();
    let mut client = Client::start("api_probe", &["served", SET], &namespace);
    client.wait_for("created");
    let server = Server::attach(&namespace, SET, &names(2), Direction::Backup);
    let written = server.write(0, &[0xA5; TRANSFER as usize]).unwrap();
    assert_eq!((written.completion, written.bytes), (CompletionCode::ERROR_SUCCESS, TRANSFER));
    server.command(0, CommandCode::FLUSH).unwrap();
    server.close_devices();
    let ended = client.must_succeed();
    server.close();
    assert!(ended.stderr.contains("wrote to its VDC_Command"), "{ended:#?}");
    assert!(ended.stderr.contains("VDC_Flush size 0 position 0 buffer 0x0 became"), "{ended:#?}");
    assert!(ended.stderr.contains("size 4711"), "{ended:#?}");
    namespace.assert_empty();
}

/// Catches: memory that C++ cannot delete, a device that dies with its set, a double release, a
/// destructor that leaves the set running, a forked child that ends its parent's set, a name that a
/// process leaves behind at its exit.
#[rstest]
#[timeout(WATCHDOG)]
#[case::delete_before_close("delete-before-close", "closed the set")]
#[case::delete_after_set("delete-after-set", "closed the set")]
#[case::destroy_without_close("destroy-without-close", "closed the set")]
#[case::copy_and_destroy_twice("copy-and-destroy-twice", "closed the set")]
#[case::fork("fork", "closed the set")]
#[case::exit_without_close("exit-without-close", "client")]
fn clients_may_treat_their_objects_as_cpp_allows(
    #[case] mode: &str,
    #[case] cause: &str,
    #[values("lifetime_probe", "lifetime_probe+asan")] program: &str,
) {
    if program.ends_with("+asan") && !support::has_address_sanitizer() {
        eprintln!("SKIP C++ client with sanitizer: the compiler has no address sanitizer");
        return;
    }
    let namespace = Namespace::new();
    let mut client = Client::start(program, &[mode, SET], &namespace);
    client.wait_for("created");
    let server = Server::attach(&namespace, SET, &names(1), Direction::Backup);
    // What becomes of the Write depends on the mode; that the set ends and says why does not.
    let _ = server.write(0, &[0xA5; TRANSFER as usize]);
    let told = server.wait_for_abort();
    client.must_succeed();
    assert!(told.contains(cause), "{told}");
    server.close();
    namespace.assert_empty();
}

/// Catches: a client whose death nobody notices, or whose objects nobody removes.
#[rstest]
#[timeout(WATCHDOG)]
fn a_killed_client_aborts_the_set() {
    let (namespace, folder) = (Namespace::new(), tempfile::tempdir().unwrap());
    let files = files(folder.path(), 1);
    let mut client = start("pipe_client", "backup", &files, &namespace);
    let server = Server::attach(&namespace, SET, &names(1), Direction::Backup);
    server.write(0, &stream(1, TRANSFER as usize)).unwrap();
    client.kill();
    client.end();
    let cause = server.wait_for_abort();
    assert!(cause.contains(&client.pid().to_string()), "{cause}");
    server.close();
    namespace.assert_empty();
}

/// Catches: other lines than those that people search for, or another result than the real
/// library's when a buffer object cannot be opened.
#[rstest]
#[timeout(WATCHDOG)]
fn an_unopenable_buffer_is_told_like_sql_server_does() {
    let namespace = Namespace::new();
    let mut client = Client::start("lifetime_probe", &["unmappable", SET], &namespace);
    client.wait_for("created");
    let server = Server::attach(&namespace, SET, &names(1), Direction::Backup);
    let segment = namespace.objects().into_iter().find(|name| name.contains("_B0.")).unwrap();
    fs::remove_file(Path::new("/dev/shm").join(segment)).unwrap();
    client.answer("configured");
    let ended = client.must_succeed();
    let object = format!("Host_{SET}_SQLVDIMemoryName_0: ");
    let expected = [
        "ClientBufferAreaManager::SyncWithGlobalTable: Open(hBufferMemory): error 2",
        "TriggerAbort: invoked: error 0",
        "TriggerAbort: ChannelSem: error 2",
    ]
    .map(|line| object.clone() + line);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines[..3], expected);
    // One line of our own says why.
    assert!(lines[3].starts_with("vdisim: there is no shared object"), "{lines:?}");
    assert_eq!(lines.len(), 4, "{lines:?}");
    server.close();
    namespace.assert_empty();
}

/// Catches: the unit variable ignored, or seconds taken for milliseconds.
#[rstest]
#[timeout(WATCHDOG)]
#[case("s", 1000)]
#[case("ms", 1)]
fn the_unit_of_time_outs_can_be_chosen(#[case] unit: &str, #[case] at_least: u64) {
    let namespace = Namespace::new();
    let variable = [("VDISIM_TIMEOUT_UNIT", unit)];
    let began = Instant::now();
    Client::start_with("lifetime_probe", &["wait-one", SET], &namespace, &variable).must_succeed();
    assert!(began.elapsed() >= Duration::from_millis(at_least));
}

/// Catches: calls missing from a trace, lines that are no JSON, a field renamed, lines of several
/// processes mixed.
#[rstest]
#[timeout(WATCHDOG)]
fn a_trace_has_every_call_in_order() {
    let (namespace, folder) = (Namespace::new(), tempfile::tempdir().unwrap());
    let trace = folder.path().join("trace.jsonl");
    let variable = [("VDISIM_TRACE", trace.to_str().unwrap())];
    let file = folder.path().join("0.bak");
    let arguments = ["backup", SET, file.to_str().unwrap()];
    let client = Client::start_with("handle_client", &arguments, &namespace, &variable);
    let pid = client.pid();
    let server = Server::attach(&namespace, SET, &names(1), Direction::Backup);
    server.backup(&[stream(7, 10 * TRANSFER as usize)]);
    client.must_succeed();
    server.close();

    let lines: Vec<Value> = fs::read_to_string(&trace)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &lines {
        assert_eq!(line["version"], 1, "{line}");
        for field in ["time", "pid", "thread"] {
            assert!(line[field].is_u64(), "{line}");
        }
    }
    let calls = |first: bool| {
        let mine = move |line: &&Value| (line["pid"] == pid) == first && line["call"].is_string();
        lines.iter().filter(mine).map(|line| line["call"].as_str().unwrap()).collect::<Vec<_>>()
    };
    let mut wanted = vec!["Create", "GetConfiguration", "OpenDevice"];
    for _ in 0..10 {
        wanted.extend(["GetCommand", "GetBufferHandle", "CompleteCommand"]);
    }
    let end = ["GetCommand", "CompleteCommand", "GetCommand", "Close"];
    wanted.extend(end);
    wanted.extend(["~ClientVirtualDevice", "~ClientVirtualDeviceSet"]);
    assert_eq!(calls(true), wanted);
    let mut wanted = vec!["OpenInSecondary"];
    wanted.extend(["MapBufferHandle"; 10]);
    wanted.extend(["Close", "~ClientVirtualDeviceSet"]);
    assert_eq!(calls(false), wanted);

    let command = lines.iter().find(|line| line["call"] == "GetCommand").unwrap();
    assert_eq!(command["result"]["code"], "VDC_Write", "{command}");
    assert_eq!(command["result"]["size"], TRANSFER, "{command}");
    assert_eq!(command["result"]["status"], 0, "{command}");
    assert_eq!(command["arguments"]["timeout"], -1, "{command}");
}
