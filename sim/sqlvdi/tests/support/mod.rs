//! Compiles and runs the C++ programs of `tests/clients` against the drop-in of this build.

#![allow(dead_code, reason = "each test crate uses its own part")]

pub(crate) mod server;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vdi_region::Backend;

/// How long a program may take before the test kills it and fails. Generous: it only has to be
/// shorter than for ever.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(120);

/// The folder of this package.
pub(crate) const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// The drop-in that was built with this test: cargo puts the two side by side. Not `locate`, which
/// looks at the environment.
pub(crate) fn drop_in() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.with_file_name("libsqlvdi.so");
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

pub(crate) fn clients() -> PathBuf {
    Path::new(PACKAGE).join("../../tests/clients")
}

/// A set of objects of this test's own in shared memory; checked to be empty at the end.
pub(crate) struct Namespace {
    name: String,
    pub(crate) backend: Backend,
}

impl Namespace {
    pub(crate) fn new() -> Namespace {
        Namespace::over(Backend::platform_default())
    }

    pub(crate) fn over(backend: Backend) -> Namespace {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Namespace { name: format!("sqlvdi-{}-{number}", std::process::id()), backend }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The names of its objects.
    pub(crate) fn objects(&self) -> Vec<String> {
        let prefix = format!("vdisim.{}.", self.name);
        let objects = vdi_region::list_objects(self.backend, &prefix).unwrap();
        objects.into_iter().map(|object| object.name.to_string()).collect()
    }

    /// Fails if anything is left.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.objects(), Vec::<String>::new(), "objects left in shared memory");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let prefix = format!("vdisim.{}.", self.name);
        for object in vdi_region::list_objects(self.backend, &prefix).into_iter().flatten() {
            let _ = vdi_region::remove_leftover(self.backend, &object);
        }
    }
}

/// Runs a program to its end and gives what it printed; panics with that if it fails.
pub(crate) fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// The program built from `tests/clients/<name>.cpp`, compiled if it is older than its sources.
/// `<name>+asan` is the same under the address sanitizer.
pub(crate) fn compiled(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join(name);
    let (source, sanitize) = match name.strip_suffix("+asan") {
        Some(source) => (source, Some("-fsanitize=address")),
        None => (name, None),
    };
    let include = Path::new(PACKAGE).join("include");
    let sources = [clients(), include.clone()]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| modified(&entry.unwrap().path()));
    let newest = sources.max().unwrap().max(modified(&drop_in()));
    if program.exists() && modified(&program) > newest {
        return program;
    }
    // Under a name of its own first: several tests may compile the same program at once.
    let mine =
        folder.join(format!("{name}.{}.{:?}", std::process::id(), std::thread::current().id()));
    let library = drop_in();
    must(
        Command::new("g++")
            .args(["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread", "-g"])
            .args(sanitize)
            .arg("-I")
            .arg(include)
            .arg(clients().join(format!("{source}.cpp")))
            .arg("-L")
            .arg(library.parent().unwrap())
            .args(["-lsqlvdi", "-o"])
            .arg(&mine),
    );
    std::fs::rename(&mine, &program).unwrap();
    program
}

/// Whether g++ can build with the address sanitizer here.
pub(crate) fn has_address_sanitizer() -> bool {
    let check = Command::new("g++").arg("-print-file-name=libasan.so").output();
    check.is_ok_and(|output| output.stdout.starts_with(b"/"))
}

fn modified(path: &Path) -> std::time::SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}

/// A running C++ program; killed when dropped or when it takes too long.
pub(crate) struct Client {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    began: Instant,
}

/// How a program ended and what it printed (stdout from the last [`Client::wait_for`] on).
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Client {
    /// Starts `tests/clients/<name>` in a namespace.
    pub(crate) fn start(name: &str, arguments: &[&str], namespace: &Namespace) -> Client {
        Client::start_with(name, arguments, namespace, &[])
    }

    /// The same with more variables in its environment.
    pub(crate) fn start_with(
        name: &str,
        arguments: &[&str],
        namespace: &Namespace,
        environment: &[(&str, &str)],
    ) -> Client {
        let mut command = Command::new(compiled(name));
        command
            .args(arguments)
            .env("LD_LIBRARY_PATH", drop_in().parent().unwrap())
            .env("VDISIM_NAMESPACE", namespace.name())
            .env("VDISIM_BACKEND", namespace.backend.as_str())
            .env_remove("VDISIM_TRACE")
            .env_remove("VDISIM_TIMEOUT_UNIT")
            // Sets and devices that a client never deletes are legal. Memory that the library freed and
            // still uses shows by what stands in it then.
            .env("ASAN_OPTIONS", "detect_leaks=0:max_free_fill_size=65536")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut pipe = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Client { child, lines, stderr: Some(stderr), began: Instant::now() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program prints this line.
    pub(crate) fn wait_for(&mut self, line: &str) {
        loop {
            match self.lines.recv_timeout(WATCHDOG) {
                Ok(printed) if printed == line => return,
                Ok(other) => eprintln!("client: {other}"),
                Err(_) => panic!("the client never printed {line:?}: {:?}", self.end()),
            }
        }
    }

    /// Sends the program a line.
    pub(crate) fn answer(&mut self, line: &str) {
        // In one write: the program may act on the first byte and end before a second write.
        let stdin = self.child.stdin.as_mut().unwrap();
        if let Err(error) = stdin.write_all(format!("{line}\n").as_bytes()) {
            panic!("the client does not listen ({error}): {:?}", self.end());
        }
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.began.elapsed() > WATCHDOG {
                let _ = self.child.kill();
                let stdout: Vec<_> = self.lines.iter().collect();
                panic!("the client hangs; it printed {stdout:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let stdout = self.lines.iter().collect::<Vec<_>>().join("\n");
        let stderr = self.stderr.take().map_or_else(String::new, |thread| thread.join().unwrap());
        Ended { status, stdout, stderr }
    }

    /// Waits for its end, which must be exit code 0.
    pub(crate) fn must_succeed(mut self) -> Ended {
        let ended = self.end();
        assert!(ended.status.success(), "{ended:#?}");
        ended
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
