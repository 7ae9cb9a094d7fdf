//! Resident agents: started before there is a case, triggered for each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rstest::rstest;
use vdisim_tests::Scene;

use crate::subject::{
    await_object_of, built, is_broken, objects_of, processes_of, results, verdicts,
};

fn agent() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| built("agent"))
}

/// `vdisim test` over the agent with one mistake, or none.
fn suite(scene: &Scene, mistake: &str, more: &str) -> Command {
    let (agent, socket) = (agent().display(), scene.path("socket"));
    let socket = socket.display();
    let mut command = scene.vdisim("test");
    command.args(["--trigger", &format!("{agent} do {socket} {{op}} {{set}} {{file}}")]);
    command.args(["--start", &format!("{agent} serve {socket} {mistake}")]);
    let capabilities = b"features: [complete]\nmedia: raw\n";
    command.arg("--capabilities").arg(scene.file("capabilities.yaml", capabilities));
    command.args(more.split_whitespace());
    command
}

// Catches: an agent whose calls nobody sees, because its environment was made before the case; one
// that a killing case leaves dead for the next; two cases in its namespace at once.
#[test]
fn an_agent_passes_what_it_declares() {
    let scene = Scene::new();
    let running = scene.start(suite(&scene, "", "--json --strict"));
    let ours = format!("vdisim.t{}-", running.id());
    let ended = running.wait();
    ended.expect(0);
    let verdicts = verdicts(&results(&ended));
    let passed = verdicts.values().filter(|verdict| *verdict == "PASS").count();
    assert!(passed >= 110, "{verdicts:?}");
    // These see calls of the drop-in, and a process that a case has killed.
    for id in ["client/Close/called", "client/Flush/durable", "client/Write/full"] {
        assert_eq!(verdicts[id], "PASS", "{id}");
    }
    let objects = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let left = objects.filter(|object| object.file_name().to_string_lossy().starts_with(&ours));
    assert_eq!(left.count(), 0);
}

// Catches: a trigger that is judged in the place of its agent.
#[rstest]
#[case::swallows("always-succeeds", "client/SignalAbort/exit-code", "FAIL")]
#[case::crashes("crashes", "client/Write/full", "CRASH")]
#[case::fine("", "client/SignalAbort/exit-code", "PASS")]
fn an_agents_mistake_is_seen(#[case] mistake: &str, #[case] id: &str, #[case] wanted: &str) {
    let scene = Scene::new();
    let ended = scene.run(suite(&scene, mistake, &format!("{id} --json --strict")));
    ended.expect(if is_broken(wanted) { 1 } else { 0 });
    assert_eq!(verdicts(&results(&ended))[id], wanted);
}

// Catches: settings of whoever starts the run that an agent takes for those of its case.
#[test]
fn an_agent_heeds_its_case_alone() {
    let scene = Scene::new();
    let mut command = suite(&scene, "", "client/Close/called --json --strict");
    let strangers = scene.path("strangers");
    command.env("VDISIM_TRACE", &strangers).env("VDISIM_CREATE_FAULT", "memory");
    scene.run(command).expect(0);
    assert!(!strangers.exists(), "its calls went where nobody looks");
}

// Catches: an order for Create that does not reach a process that was started before there was a case.
#[test]
fn an_agent_is_refused_its_set() {
    let scene = Scene::new();
    let line = "client/SignalAbort/exit-code --fault create-refused --stall 4 --json --strict";
    let ended = scene.run(suite(&scene, "", line));
    ended.expect(0);
    assert!(ended.out.contains("drop-in memory in Create"), "{}", ended.out);
    scene.run(suite(&scene, "always-succeeds", line)).expect(1);
}

// Catches: an agent that outlives the run, its own end that is not asked for, an agent that cannot be
// started and is waited for.
#[test]
fn the_agent_is_ended_as_it_was_started() {
    let scene = Scene::new();
    let stopped = scene.path("stopped");
    let mut command = suite(&scene, "", "client/Write/full");
    command.args(["--stop", &format!("touch {}", stopped.display())]);
    scene.run(command).expect(0);
    assert!(stopped.exists(), "--stop was not run");
    let knock = std::os::unix::net::UnixStream::connect(scene.path("socket"));
    assert!(knock.is_err(), "the agent outlived the run");

    let mut command = scene.vdisim("test client/Write/full --start /nonexistent/agent");
    command.args(["--trigger", "true {op} {set}"]);
    scene.run(command).expect(4).says("/nonexistent/agent");
    let mut command = scene.vdisim("test client/Write/full --client true --trigger true");
    command.args(["--start", "true"]);
    scene.run(command).expect(2);
    // Without a trigger the agent would be started for nobody.
    let line = "test client/Write/full --client true --start true";
    scene.run(scene.vdisim(line)).expect(2).says("--start");
}

// Catches: a Ctrl-C that forgets the agent, or what it was asked to be ended by.
#[test]
fn an_interrupted_run_ends_its_agent() {
    let scene = Scene::new();
    let (stopped, folder) = (scene.path("stopped"), scene.path("report"));
    // The server goes quiet, and nothing would happen for a minute.
    let line = "client/Write/full --fault stall-mid-stream --stall 60 --report";
    let mut command = suite(&scene, "", line);
    command.arg(&folder).args(["--stop", &format!("touch {}", stopped.display())]);
    let running = scene.start(command);
    let id = running.id();
    await_object_of(id);
    let pid = nix::unistd::Pid::from_raw(id.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    running.wait().expect(1).says("none was judged").says("interrupted");
    assert!(stopped.exists(), "--stop was not run");
    assert_eq!((objects_of(id), processes_of(id)), (Vec::new(), Vec::new()));
    assert!(folder.join("results.json").exists());
}

// Catches: a running agent, which nobody here started, that is looked for in another namespace than
// its own.
#[test]
fn an_agent_that_runs_already_is_met_in_its_namespace() {
    let scene = Scene::new();
    let socket = scene.path("socket");
    let mut serve = Command::new(agent());
    serve.arg("serve").arg(&socket);
    scene.place(&mut serve);
    let library = vdisim_tests::artefacts::drop_in();
    serve.env("LD_LIBRARY_PATH", library.parent().unwrap());
    let _agent = scene.start(serve);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !socket.exists() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut command = scene.vdisim("test client/Close/called client/Read/returned --json --strict");
    let (agent, socket) = (agent().display(), socket.display());
    command.args(["--trigger", &format!("{agent} do {socket} {{op}} {{set}} {{file}}")]);
    let ended = scene.run(command);
    ended.expect(0);
    assert!(verdicts(&results(&ended)).values().all(|verdict| verdict == "PASS"));
}
