//! A running server, and waiting for things to happen.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vdisim::device::{Environment, Namespace, live_sets};
use vdisim::serve::rendezvous::{self, Rendezvous};
use vdisim_tests::{Running, Scene};

/// Far longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const USER: &str = "sa";
pub(crate) const PASSWORD: &str = "Pässw0rd!";

/// Runs a test and fails it if it hangs.
pub(crate) fn watched(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let runner = thread::spawn(move || {
        let _done = done;
        test();
    });
    match wait.recv_timeout(PATIENCE * 3) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        _ => runner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Waits until something is so.
pub(crate) fn await_that(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes_true(is_so), "waited in vain: {what}");
}

fn comes_true(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// A running `vdisim serve`, in a scene of its own.
pub(crate) struct Serving {
    pub(crate) scene: Scene,
    pub(crate) server: Running,
    pub(crate) found: Rendezvous,
}

impl Serving {
    pub(crate) fn start(arguments: &str) -> Serving {
        Serving::start_in(Scene::new(), arguments)
    }

    pub(crate) fn start_in(scene: Scene, arguments: &str) -> Serving {
        let folder = data_folder(&scene);
        let server = scene.start(Serving::command(&scene, arguments));
        let mut found = None;
        await_that("the server is found", || {
            found = rendezvous::find(&folder).unwrap();
            found.is_some()
        });
        Serving { server, found: found.unwrap(), scene }
    }

    pub(crate) fn command(scene: &Scene, arguments: &str) -> Command {
        let mut command = scene.vdisim("serve --listen 127.0.0.1:0");
        command
            .args(["--login", &format!("{USER}:{PASSWORD}"), "--public-login", "guest:guest"])
            .args(arguments.split_whitespace())
            .env("XDG_DATA_HOME", scene.path("home"));
        command
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.found.address
    }

    /// What the server's error log says so far.
    pub(crate) fn log(&self) -> String {
        self.server.err()
    }

    /// Waits until the server's error log shows something.
    pub(crate) fn await_log(&self, what: &str, shows: impl Fn(&str) -> bool) {
        let came = comes_true(|| shows(&self.log()));
        assert!(came, "waited in vain: {what}\n--- log\n{}", self.log());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.found.pid.cast_signed()), signal).unwrap();
    }

    /// A VDI client of one device; it has made its set when this returns.
    pub(crate) fn vdi_client(
        &self,
        direction: &str,
        set: &str,
        file: &Path,
        more: &str,
    ) -> Running {
        let line = format!("client {direction} --set {set} {more} --file");
        let mut command = self.scene.vdisim(&line);
        command.arg(file);
        let client = self.scene.start(command);
        let namespace = Namespace::new(self.scene.namespace()).unwrap();
        let environment = Environment::from_process().unwrap();
        await_that("the set is made", || {
            let sets = live_sets(environment.backend, Some(&namespace)).unwrap();
            sets.iter().any(|found| found.created && found.name == set.as_bytes())
        });
        client
    }

    /// Ends the server as a service manager does.
    pub(crate) fn stop(self) {
        self.signal(Signal::SIGTERM);
        self.ends();
    }

    /// It has been asked to end: it does, and leaves nothing that leads to it.
    pub(crate) fn ends(self) {
        let Serving { scene, server, found } = self;
        let ended = server.wait();
        ended.expect(0);
        assert_eq!(ended.out, format!("listening on {}\n", found.address));
        assert!(!data_folder(&scene).join("serve.json").exists());
    }
}

pub(crate) fn data_folder(scene: &Scene) -> PathBuf {
    let namespace = Namespace::new(scene.namespace()).unwrap();
    scene.path("home").join("vdisim").join(namespace.as_str())
}

/// The lines of a stream, as they come.
pub(crate) fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
