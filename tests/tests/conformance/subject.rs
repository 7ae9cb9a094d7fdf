//! The good client, compiled once, and what the suite says of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use vdisim_tests::{Ended, Scene, compile};

/// What the good client supports.
const CAPABILITIES: &str = "devices: 64\nmodes: [pipe, tape, disk]\n\
                            features: [complete, snapshot, processes, handles]\nmedia: raw\n";

/// The executable of the client that names its set.
pub(crate) fn good_client() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| built("good_client"))
}

/// The executable of the client that invents its set's name and sends the statement.
pub(crate) fn sqlcmd_client() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| built("sqlcmd_client"))
}

/// One of the clients of the conformance tests, compiled.
pub(crate) fn built(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("{name}-{}", std::process::id()));
    compile(&format!("conformance/{name}.cpp"), &path);
    path
}

/// `vdisim test` over the good client with one mistake, or none.
pub(crate) fn suite(scene: &Scene, mistake: &str, more: &str) -> Command {
    let mut command = suite_of(
        scene,
        &format!("{} {{op}} {{mode}} {{devices}} {{files}}", good_client().display()),
        more,
    );
    command.arg("--capabilities").arg(scene.file("capabilities.yaml", CAPABILITIES.as_bytes()));
    command.env("CLIENT_BREAKS", mistake);
    command
}

/// `vdisim test` over any client.
pub(crate) fn suite_of(scene: &Scene, client: &str, more: &str) -> Command {
    let mut command = scene.vdisim("test");
    command.args(["--client", client]).args(more.split_whitespace());
    command
}

/// The results in JSON.
pub(crate) fn results(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ended.out, ended.err))
}

/// Each case's verdict.
pub(crate) fn verdicts(results: &Value) -> BTreeMap<String, String> {
    let cases = results["cases"].as_array().expect("cases");
    let text = |case: &Value, name: &str| case[name].as_str().expect("a string").to_owned();
    cases.iter().map(|case| (text(case, "id"), text(case, "verdict"))).collect()
}

/// Whether a verdict says that the rule was broken.
pub(crate) fn is_broken(verdict: &str) -> bool {
    matches!(verdict, "FAIL" | "CRASH" | "HANG")
}

/// The shared objects of a run.
pub(crate) fn objects_of(run: u32) -> Vec<String> {
    let ours = format!("vdisim.t{run}-");
    let objects = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let names = objects.map(|object| object.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&ours)).collect()
}

/// Waits until a client of a run has made its set.
pub(crate) fn await_object_of(run: u32) {
    let begin = std::time::Instant::now();
    while !objects_of(run).iter().any(|name| name.contains("Host_")) {
        assert!(begin.elapsed().as_secs() < 60, "no client made a set");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The processes that were started in a run's namespaces.
pub(crate) fn processes_of(run: u32) -> Vec<i32> {
    let mark = format!("VDISIM_NAMESPACE=t{run}-");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let bears = |process: &i32| {
        let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).split('\0').any(|entry| entry.starts_with(&mark))
    };
    numbers.filter(bears).collect()
}
