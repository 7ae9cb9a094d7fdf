//! A namespace and a folder of its own, in which processes meet that are watched and cleaned up.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vdisim::process::ProcessGroup;

use crate::artefacts;

/// After so long a process counts as hanging. Far beyond what any test needs on a slow machine.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Where the processes of one test meet. Dropping it removes its shared objects and its folder.
#[derive(Debug)]
pub struct Scene {
    namespace: String,
    folder: tempfile::TempDir,
}

impl Default for Scene {
    fn default() -> Self {
        Scene::new()
    }
}

impl Scene {
    /// A scene of its own for this test.
    ///
    /// # Panics
    /// There is no room for temporary files.
    pub fn new() -> Scene {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("e2e-{}-{count}", std::process::id());
        Scene { namespace, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The path of a file of the scene.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the scene with these bytes.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a file of the scene");
        path
    }

    /// The `vdisim` command in this scene, with these arguments in words.
    pub fn vdisim(&self, line: &str) -> Command {
        let mut command = Command::new(artefacts::vdisim());
        command.args(line.split_whitespace());
        self.place(&mut command);
        command
    }

    /// Puts another program into this scene.
    pub fn place(&self, command: &mut Command) {
        command
            .env("VDISIM_NAMESPACE", &self.namespace)
            .env("XDG_DATA_HOME", self.folder.path())
            .env("LOCALAPPDATA", self.folder.path())
            .env("VDISIM_SQLVDI", artefacts::drop_in())
            .stdin(Stdio::null());
    }

    /// Starts a command of this scene; what it says is kept.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(&self, mut command: Command) -> Running {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let out = self.path(&format!("said-{count}.out"));
        let err = self.path(&format!("said-{count}.err"));
        let create = |path: &Path| File::create(path).expect("a file of the scene");
        command.stdout(create(&out)).stderr(create(&err));
        let what = format!("{command:?}");
        let group = ProcessGroup::spawn(&mut command)
            .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
        Running { group, what, out, err }
    }

    /// Starts a command and waits for its end.
    pub fn run(&self, command: Command) -> Ended {
        self.start(command).wait()
    }

    /// The names of the shared objects that the scene has now.
    pub fn objects(&self) -> Vec<String> {
        let prefix = format!("vdisim.{}.", self.namespace);
        let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(&prefix)).collect()
    }

    /// Waits until a shared object of the scene has `part` in its name; its path.
    ///
    /// # Panics
    /// None comes.
    pub fn await_object(&self, part: &str) -> PathBuf {
        let end = std::time::Instant::now() + WATCHDOG;
        loop {
            if let Some(name) = self.objects().into_iter().find(|name| name.contains(part)) {
                return Path::new("/dev/shm").join(name);
            }
            assert!(std::time::Instant::now() < end, "no object with '{part}' came");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for name in self.objects() {
            let _ = fs::remove_file(Path::new("/dev/shm").join(name));
        }
    }
}

/// A process of a scene.
#[derive(Debug)]
pub struct Running {
    group: ProcessGroup,
    what: String,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// Waits for its end.
    ///
    /// # Panics
    /// It hangs.
    pub fn wait(self) -> Ended {
        self.wait_within(WATCHDOG)
    }

    /// The same for what takes longer than any single step.
    ///
    /// # Panics
    /// It hangs.
    pub fn wait_within(mut self, watchdog: Duration) -> Ended {
        let status = self.group.wait_within(watchdog).expect("a child can be waited for");
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let (out, err) = (read(&self.out), read(&self.err));
        let Some(status) = status else {
            panic!("{} hangs\n--- out\n{out}\n--- err\n{err}", self.what);
        };
        Ended { what: self.what.clone(), status, out, err }
    }

    /// Waits until it has printed a line that starts so; the rest of that line.
    ///
    /// # Panics
    /// None comes.
    pub fn await_line(&self, start: &str) -> String {
        let end = std::time::Instant::now() + WATCHDOG;
        loop {
            let out = fs::read_to_string(&self.out).unwrap_or_default();
            let lines = out.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            if let Some(rest) = lines.filter_map(|line| line.strip_prefix(start)).next() {
                return rest.to_owned();
            }
            assert!(std::time::Instant::now() < end, "{} prints no '{start}'", self.what);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// What it has said on standard error so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// Sends SIGKILL to the process alone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.group.kill_leader();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.group.id()
    }
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    what: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ended {
    /// Its exit code, if no signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Asserts its exit code.
    ///
    /// # Panics
    /// It is another one.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        let Ended { what, status, out, err } = self;
        assert_eq!(
            status.code(),
            Some(code),
            "{what} ended with {status}\n--- out\n{out}\n--- err\n{err}"
        );
        self
    }

    /// Asserts that it said something, on either stream.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        let Ended { what, out, err, .. } = self;
        assert!(
            out.contains(text) || err.contains(text),
            "{what} does not say '{text}'\n--- out\n{out}\n--- err\n{err}"
        );
        self
    }
}

/// Whether SIGKILL ended a process.
pub fn is_killed(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
    }
    #[cfg(not(unix))]
    {
        status.code() == Some(1)
    }
}
