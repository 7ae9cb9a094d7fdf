//! `vdisim bench`: measures our client and others', compares, and says what went wrong.
#![cfg(target_os = "linux")]

#[path = "report/browser.rs"]
#[allow(dead_code, reason = "the report's tests do more with it")]
mod browser;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use browser::Browser;
use rstest::rstest;
use serde_json::{Value, json};
use vdisim::bench::{Results, page};
use vdisim_tests::{Ended, Scene, artefacts, assert_schema, compile};

/// The smallest sweep that has more than one cell each way.
const TINY: &str = "--maxtransfersize 64K --buffercount 4 --devices 1,2 --size 1M --repeats 3";
/// One cell.
const ONE: &str =
    "--operation backup --maxtransfersize 64K --buffercount 4 --devices 1 --size 1M --repeats 3";

/// `vdisim bench` with these arguments in words; its JSON and its page go into the scene.
fn bench(scene: &Scene, arguments: &str) -> Command {
    let mut command = scene.vdisim("bench");
    command.args(arguments.split_whitespace());
    command.arg("--json").arg(scene.path("bench.json"));
    command.arg("--html").arg(scene.path("index.html"));
    // So that what it leaves behind is seen.
    command.env("TMPDIR", scene.path("."));
    command
}

fn results(scene: &Scene) -> Value {
    serde_json::from_slice(&fs::read(scene.path("bench.json")).unwrap()).unwrap()
}

fn cells(results: &Value) -> &Vec<Value> {
    results["cells"].as_array().unwrap()
}

/// One of tests/clients, compiled against our headers.
fn compiled(scene: &Scene, name: &str) -> PathBuf {
    let path = scene.path(name);
    compile(&format!("{name}.cpp"), &path);
    path
}

/// What a run of a cell has to show, whatever the machine: every transfer counted once by both sides.
fn assert_measured(cell: &Value, repeats: usize) {
    assert!(cell["failure"].is_null(), "{cell}");
    let runs = cell["runs"].as_array().unwrap();
    assert_eq!(runs.len(), repeats, "{cell}");
    let devices = cell["cell"]["devices"].as_u64().unwrap();
    let size = cell["cell"]["maxTransferSize"].as_u64().unwrap();
    for run in runs {
        let number = |name: &str| run[name].as_f64().unwrap();
        assert_eq!(run["bytes"], 1 << 20);
        for name in ["seconds", "clientCpuSeconds", "serverCpuSeconds", "inFlight", "withClient"] {
            assert!(number(name) > 0.0, "{name}: {run}");
        }
        assert!(number("inFlight") <= number("inFlightMax"), "{run}");
        // Buffers that are in use, a small one a device, and a Flush of each.
        let most = cell["cell"]["bufferCount"].as_u64().unwrap() + 2 * devices;
        assert!(run["inFlightMax"].as_u64().unwrap() <= most, "{run}");
        assert!(number("withClient") <= number("inFlight"), "{run}");
    }
    // The head of 4 KiB, then full transfers, then the rest.
    let transfers = devices * (1 + ((1 << 20) / devices - 4096).div_ceil(size)) * repeats as u64;
    for stage in ["getCommand", "clientWork", "roundTrip"] {
        let times = &cell["stages"][stage];
        assert_eq!(times["count"], transfers, "{stage}: {cell}");
        let number = |name: &str| times[name].as_f64().unwrap();
        assert!(number("p50") <= number("p95") && number("p95") <= number("p99"), "{times}");
        assert!(number("p99") <= number("max") && number("mean") <= number("max"), "{times}");
    }
    let whole = cell["stages"]["roundTrip"]["mean"].as_f64().unwrap();
    let work = cell["stages"]["clientWork"]["mean"].as_f64().unwrap();
    assert!(work <= whole, "work is part of a round trip: {cell}");
}

// Catches: cells that are missing, transfers that one side does not count (records lost at a device's
// end, a Flush counted), stages swapped, a table without the line that says what the numbers are not,
// files or shared objects left behind.
#[test]
fn our_own_client_is_measured() {
    let scene = Scene::new();
    let ended = scene.run(bench(&scene, TINY));
    ended.expect(0).says("GiB/s").says("p50 / p95 / p99 / max").says("nothing about the speed");
    let results = results(&scene);
    assert_eq!(cells(&results).len(), 4);
    for cell in cells(&results) {
        assert_measured(cell, 3);
        assert!(cell["stages"]["completeToNext"]["count"].as_u64() > Some(0), "{cell}");
        assert!(cell["shareOfMemoryCopy"]["median"].as_f64() > Some(0.0), "{cell}");
    }
    assert_eq!(results["measuring"]["pairs"], 5);
    assert_eq!(results["bytesPerRun"], 1 << 20);
    let left: BTreeSet<_> = fs::read_dir(scene.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("said-"))
        .collect();
    assert_eq!(left, BTreeSet::from(["bench.json".to_owned(), "index.html".to_owned()]));
}

// Catches: a client that needs a rebuild or an option to be measured, restores without a backup before
// them, CPU time and calls of secondary processes that are not seen.
#[rstest]
#[case::threads("threads_client")]
#[case::processes("process_client")]
fn a_cpp_client_is_measured_unmodified(#[case] name: &str) {
    let scene = Scene::new();
    let client = compiled(&scene, name);
    let mut command = bench(&scene, TINY);
    command.arg("--client").arg(format!("{} {{op}} {{set}} {{files}}", client.display()));
    command.arg("--media").arg(scene.path("."));
    scene.run(command).expect(0);
    let results = results(&scene);
    assert_eq!(cells(&results).len(), 4);
    cells(&results).iter().for_each(|cell| assert_measured(cell, 3));
    assert!(results["client"].as_str().unwrap().ends_with("{op} {set} {files}"));
    let media = fs::read_dir(scene.path(".")).unwrap().flatten();
    let left =
        media.filter(|entry| entry.file_name().to_string_lossy().starts_with("vdisim-bench"));
    assert_eq!(left.count(), 0, "the client's files are left");
}

/// What a client does in the cell with two devices; elsewhere it is the good one.
fn failing(scene: &Scene, with_two: &str) -> Command {
    let client = compiled(scene, "threads_client");
    let script =
        format!("case \"$VDISIM_DEVICES\" in *bench1*) {with_two} ;; esac; exec \"$0\" \"$@\"");
    let script = scene.file("wrapper.sh", script.as_bytes());
    let mut command = bench(scene, TINY);
    let client = client.display();
    command.args(["--operation", "backup", "--stall", "3", "--client"]);
    command.arg(format!("sh -c '. {}' {client} {{op}} {{set}} {{files}}", script.display()));
    command
}

// Catches: a run that ends with its first failure, a failure that is taken for a slow cell, an exit code
// that does not tell, and words that do not say how the client ended.
#[rstest]
#[case::fails("echo out of tapes >&2; exit 3", "ended with exit code 3", "out of tapes")]
#[case::dies("kill -SEGV $$", "was killed by SIGSEGV", "backup, 4 × 64 KiB, 2 devices")]
#[case::hangs("sleep 1000", "the client hangs: nothing happened for 3 s", "created no set")]
#[case::lies("exit 0", "never created the set", "ended with exit code 0")]
fn a_client_that_fails_in_a_cell_fails_that_cell(
    #[case] script: &str,
    #[case] how: &str,
    #[case] more: &str,
) {
    let scene = Scene::new();
    let ended = scene.run(failing(&scene, script));
    ended.expect(1).says("1 of 2 cells failed").says("FAILED").says(more);
    let results = results(&scene);
    assert_measured(&cells(&results)[0], 3);
    let bad = &cells(&results)[1];
    assert!(bad["failure"].as_str().unwrap().contains(how), "{bad}");
    assert_eq!(bad["runs"], json!([]));
}

// Catches: a server that believes whatever a client returns, and calls that nobody saw shown as zero.
#[test]
fn a_client_that_only_seems_to_work_has_no_numbers() {
    let scene = Scene::new();
    let client = compiled(&scene, "threads_client");
    let zeros = scene.file("zeros", &vec![0; 1 << 20]);
    let run = |client: String, operation: &str| {
        let line = ONE.replace("--operation backup", operation);
        let mut command = bench(&scene, &line);
        command.args(["--client", &client]);
        scene.run(command)
    };
    let (client, zeros) = (client.display(), zeros.display());
    let forged = format!(
        "sh -c 'case $VDISIM_OP in restore) exec {client} restore bench {zeros};; esac; exec {client} backup bench \
         \"$VDISIM_FILE\"'"
    );
    run(forged, "--operation restore").expect(1).says("returned other bytes than it was sent");
    let unseen = format!("env -u VDISIM_TIMES {client} {{op}} {{set}} {{files}}");
    run(unseen, "--operation backup").expect(1).says("calls were not seen");
}

// Catches: a mistake that is found out after minutes, exit codes that do not tell who has to act.
#[rstest]
#[case::size("--maxtransfersize 100K", 2, "MAXTRANSFERSIZE")]
#[case::unit("--maxtransfersize 1X", 2, "64K")]
#[case::large("--maxtransfersize 8M", 2, "MAXTRANSFERSIZE")]
#[case::buffers("--buffercount 0", 2, "BUFFERCOUNT")]
#[case::devices("--devices 65", 2, "64")]
#[case::operation("--operation copy", 2, "backup")]
#[case::little("--size 1K", 2, "at least 1 MiB")]
#[case::repeats("--repeats 0", 2, "1..=1000")]
#[case::percent("--max-regression 5x --compare x", 2, "write 5%")]
#[case::no_base("--compare /nonexistent.json", 2, "/nonexistent.json cannot be read")]
#[case::alone("--max-regression 5%", 2, "--compare")]
#[case::metric("--metric speed --compare x", 2, "throughput")]
#[case::client("--client /nonexistent/client", 4, "/nonexistent/client could not be started")]
#[case::words("--client 'a", 2, "quotation mark")]
#[case::drop_in("--sqlvdi /nonexistent.so", 3, "/nonexistent.so")]
#[case::media("--client true --media /nonexistent", 3, "/nonexistent")]
#[case::memory("--maxtransfersize 4M --buffercount 4,1000000", 3, "of shared memory")]
#[case::output("--json /nonexistent/file.json", 2, "there is no folder /nonexistent")]
#[case::folder("--html /tmp", 2, "/tmp cannot be written: it is a folder")]
fn a_mistake_is_said_at_once(#[case] arguments: &str, #[case] code: i32, #[case] says: &str) {
    let scene = Scene::new();
    scene.run(scene.vdisim(&format!("bench {arguments}"))).expect(code).says(says);
}

// Catches: memory that is looked for at another place than where the buffers are made.
#[test]
fn too_little_shared_memory_is_said_before_anything_is_measured() {
    let scene = Scene::new();
    let unshare = ["--mount", "--map-root-user"];
    if !Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|it| it.success()) {
        println!("SKIP full /dev/shm: this user cannot unshare a mount namespace");
        return;
    }
    let script = "mount -t tmpfs -o size=8m,mode=1777 tmpfs /dev/shm && \
                  exec \"$0\" bench --maxtransfersize 64K,4M --buffercount 4 --repeats 3 --size 1M";
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", "-c", script]).arg(artefacts::vdisim());
    scene.place(&mut command);
    let ended = scene.run(command);
    ended
        .expect(3)
        .says("needs 18 MiB of shared memory")
        .says("6 of 12 cells")
        .says("--shm-size=1g");
}

/// A run, and what it left as JSON, changed.
fn base(scene: &Scene, change: impl FnOnce(&mut Value)) -> PathBuf {
    scene.run(bench(scene, ONE)).expect(0);
    let mut base = results(scene);
    change(&mut base);
    scene.file("base.json", base.to_string().as_bytes())
}

fn against(scene: &Scene, base: &Path, more: &str) -> Ended {
    let mut command = bench(scene, &format!("--repeats 3 {more}"));
    command.arg("--compare").arg(base);
    scene.run(command)
}

/// Makes the base so many times as fast.
fn times_as_fast(base: &mut Value, factor: f64) {
    for part in ["median", "low", "high"] {
        let number = &mut base["cells"][0]["bytesPerSecond"][part];
        *number = json!(number.as_f64().unwrap() * factor);
    }
}

// Catches: a comparison the wrong way round, one that fails no job or fails it for an improvement, a
// regression without its cell, its size or the noise, and one that was seen once only.
#[test]
fn a_regression_fails_and_an_improvement_does_not() {
    let scene = Scene::new();
    let faster = base(&scene, |base| times_as_fast(base, 1e6));
    let ended = against(&scene, &faster, "");
    ended.expect(1).says("REGRESSED backup, 4 × 64 KiB, 1 device: throughput -100.0 %");
    ended.says("before").says("±").says("1 regressed by more than 5 %");
    let seen = results(&scene);
    assert_eq!(cells(&seen).len(), 1, "the base's cells are measured");
    assert_eq!(
        cells(&seen)[0]["runs"].as_array().unwrap().len(),
        6,
        "three runs and a second look"
    );
    let change = &seen["comparison"]["changes"][0];
    assert_eq!((&change["verdict"], &change["withinNoise"]), (&json!("regressed"), &json!(false)));

    let mut slower: Value = serde_json::from_slice(&fs::read(&faster).unwrap()).unwrap();
    times_as_fast(&mut slower, 1e-12);
    let slower = scene.file("slower.json", slower.to_string().as_bytes());
    let ended = against(&scene, &slower, "--max-regression 5");
    ended.expect(0).says("improved backup, 4 × 64 KiB, 1 device").says("0 regressed");
    assert_eq!(cells(&results(&scene))[0]["runs"].as_array().unwrap().len(), 3);
}

// Catches: numbers of another machine or client that are taken for ours without a word.
#[test]
fn a_base_from_elsewhere_is_said() {
    let scene = Scene::new();
    let other = base(&scene, |base| {
        times_as_fast(base, 1e-6);
        base["machine"]["processor"] = "Another One".into();
        base["client"] = "./their-client".into();
    });
    let ended = against(&scene, &other, "");
    ended.expect(0).says("another processor: Another One before").says("./their-client before");
    assert_eq!(results(&scene)["comparison"]["warnings"].as_array().unwrap().len(), 2);
}

// Catches: comparing nothing and calling it good; half a median; files of another kind or version.
#[test]
fn a_base_that_cannot_serve_is_refused() {
    let scene = Scene::new();
    let ours = base(&scene, |_| ());
    against(&scene, &ours, "--devices 3").expect(2).says("none of the cells");
    let mut few = bench(&scene, "--repeats 2");
    few.arg("--compare").arg(&ours);
    scene.run(few).expect(2).says("fewer than 3 runs");
    let broken = scene.file("broken.json", b"{\"version\": 1,\n \"runs\": 7}");
    against(&scene, &broken, "").expect(2).says("broken.json").says("line 2");
    let newer = scene.file("newer.json", b"{\"version\": 99}");
    against(&scene, &newer, "").expect(2).says("version 99");
}

// Catches: an interruption that throws away what was measured, or leaves a client or objects behind.
#[test]
fn an_interrupted_run_writes_what_there_is() {
    let scene = Scene::new();
    let line = ONE.replace("--repeats 3", "--repeats 1000");
    let running = scene.start(bench(&scene, &line));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(50);
    // Planned, and at least one run behind it: the folder with the client's times is there then.
    while !running.err().contains("1000 runs") {
        assert!(std::time::Instant::now() < end, "it never begins: {}", running.err());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = nix::unistd::Pid::from_raw(running.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    running.wait().expect(1).says("the run was interrupted");
    let results = results(&scene);
    assert_eq!(results["interrupted"], true);
    assert!(cells(&results)[0]["runs"].as_array().unwrap().len() < 1000);
    assert!(scene.path("index.html").is_file());
    let objects = fs::read_dir("/dev/shm").unwrap().flatten();
    let prefix = format!("vdisim.bench-{pid}.");
    let left = objects.filter(|it| it.file_name().to_string_lossy().starts_with(&prefix));
    assert_eq!(left.count(), 0);
}

// Catches: a change of the JSON that its published schema does not have.
#[test]
fn the_published_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench.schema.json");
    let published: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(
        published == vdisim::bench::schema(),
        "docs/bench.schema.json is not current; write it anew: \
         cargo run -- bench --schema > docs/bench.schema.json, and raise VERSION if a field went \
         or changed its meaning"
    );
}

// Catches: a schema that real results do not keep, and one that takes everything.
#[test]
fn what_is_written_keeps_the_published_schema() {
    let scene = Scene::new();
    let base = base(&scene, |base| times_as_fast(base, 1e6));
    // With a comparison in it.
    against(&scene, &base, "").expect(1);
    let mut bad = results(&scene);
    bad["cells"][0]["runs"][0]["seconds"] = "fast".into();
    let bad = scene.file("bad.json", bad.to_string().as_bytes());
    assert_schema("bench.schema.json", &scene.path("bench.json"), &bad);
}

// Catches: a page that needs something else, that draws nothing, mixes up cells, hides a failure, or
// takes a client's words for markup; colours that can't be read in either scheme.
#[test]
fn the_page_shows_every_cell() {
    let scene = Scene::new();
    scene.run(bench(&scene, TINY)).expect(0);
    let mut results: Results = serde_json::from_value(results(&scene)).unwrap();
    let hostile = "<img src=x onerror='window.pwned=1'></script>";
    results.client = Some(hostile.to_owned());
    results.cells[1].failure = Some(hostile.to_owned());
    results.cells[3].bytes_per_second = None;
    // As on a system that counts none.
    results.cells[0].runs.iter_mut().for_each(|run| run.client_context_switches = None);
    let file = scene.file("index.html", page(&results).as_bytes());
    let Some(mut browser) = Browser::open(&file) else { return };
    let number = |browser: &mut Browser, of: &str| {
        browser.number(&format!("document.querySelectorAll('{of}').length"))
    };
    assert_eq!(number(&mut browser, "#rows tr"), 4);
    assert_eq!(number(&mut browser, "#rows .failed"), 1);
    assert_eq!(number(&mut browser, "#plots figure"), 4);
    assert_eq!(number(&mut browser, "#plots .point"), 4);
    assert_eq!(number(&mut browser, "#plots .run-dot"), 12);
    assert_eq!(number(&mut browser, "#stages .curve"), 4);
    browser.click("#metrics button:nth-child(3)");
    assert_eq!(
        browser.text("document.querySelector('#metrics [aria-pressed=true]').textContent"),
        "CPU time"
    );
    assert_eq!(number(&mut browser, "#plots .copy"), 0);
    browser.click("#metrics button:nth-child(5)");
    assert_eq!(number(&mut browser, "#plots .point"), 3);
    browser.click("#rows tr:nth-child(2)");
    let chosen = "document.getElementById('cell').value";
    assert_eq!(browser.text(chosen), "backup, 4 × 64 KiB, 2 devices");
    let failure = browser.text("document.querySelector('.failure').textContent");
    assert!(failure.ends_with(hostile), "{failure}");
    assert!(
        browser.text("document.getElementById('disclaimer').textContent").contains("SQL Server")
    );
    for theme in ["light", "dark"] {
        browser.click(&format!("[name=theme][value={theme}]"));
        let contrast = include_str!("report/contrast.js");
        assert_eq!(browser.value(contrast), json!([]), "{theme}");
    }
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        json!({"width": 380, "height": 740, "deviceScaleFactor": 1, "mobile": true}),
    );
    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.number(overflow), 0);
    assert_eq!(browser.value("window.pwned === undefined && document.images.length === 0"), true);
    assert_eq!(browser.complaints, Vec::<String>::new());
}
