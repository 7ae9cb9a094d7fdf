//! A resident agent: it is started once for a run, and a trigger has it do each BACKUP and RESTORE.
//!
//! Its environment was made before there was a case. What differs from case to case, the trace and the unit of
//! time-outs, is left in the namespace, where the drop-in looks when the agent creates a set.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fake_sqlserver::transfer::DropInFault;
use vdi_device::{CREATE_FAULT, Environment, Namespace, Rendezvous};

use super::trial::TrialError;
use crate::launch::{Launch, prepend};
use crate::process::{ProcessGroup, signal_of};
use crate::serve::data_folder::{OUR_DATA_HOME, data_folder};
use crate::shim::install_commands;

/// How long an agent that neither ends nor says a word takes until it can be triggered.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long the command that ends it may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// How often its start is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// An agent. Dropping it ends it.
#[derive(Debug)]
pub struct Resident {
    start: Vec<String>,
    stop: Vec<String>,
    environment: Environment,
    vdisim: PathBuf,
    drop_in: PathBuf,
    folder: tempfile::TempDir,
    running: Mutex<Option<ProcessGroup>>,
}

/// An agent that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ResidentError {
    /// Not a command line.
    #[error("--{0} '{1}' is no command line: it is empty, or a quotation mark has no partner.")]
    Words(&'static str, String),
    /// Where device sets are found.
    #[error("{0}.")]
    Environment(#[from] vdi_device::Error),
    /// No room for its folder.
    #[error("the agent's folder cannot be made: {0}.")]
    Folder(#[from] io::Error),
}

fn words(option: &'static str, line: Option<&str>) -> Result<Vec<String>, ResidentError> {
    let Some(line) = line else { return Ok(Vec::new()) };
    let words = shell_words::split(line).ok().filter(|words| !words.is_empty());
    words.ok_or_else(|| ResidentError::Words(option, line.to_owned()))
}

impl Resident {
    /// An agent that `start` starts and `stop` ends. One that is started here gets a namespace of its own; without
    /// `start` it runs already, in the namespace of this process.
    ///
    /// # Errors
    /// A command line that is none.
    pub fn new(
        start: Option<&str>,
        stop: Option<&str>,
        vdisim: &Path,
        drop_in: &Path,
    ) -> Result<Resident, ResidentError> {
        let mut environment = Environment::from_process()?;
        if start.is_some() {
            environment.namespace = Namespace::new(&format!("t{}-agent", std::process::id()))?;
        }
        Ok(Resident {
            start: words("start", start)?,
            stop: words("stop", stop)?,
            environment,
            vdisim: vdisim.to_owned(),
            drop_in: drop_in.to_owned(),
            folder: tempfile::tempdir()?,
            running: Mutex::new(None),
        })
    }

    /// The namespace that it lives in.
    pub(crate) fn namespace(&self) -> &str {
        self.environment.namespace.as_str()
    }

    /// Where the folders of its servers are: its own, or for one that nobody started here that of its account.
    pub(crate) fn data_home(&self) -> Option<PathBuf> {
        (!self.start.is_empty()).then(|| self.folder.path().join("data"))
    }

    /// Where a server of its namespace has its data.
    pub(crate) fn data(&self) -> Result<PathBuf, TrialError> {
        match self.data_home() {
            Some(home) => Ok(home.join("vdisim").join(self.namespace())),
            None => data_folder(&self.environment.namespace)
                .map_err(|error| TrialError::Bug(error.to_string())),
        }
    }

    /// Sees that it runs and finds the settings of the next statement, for as long as these are kept.
    pub(crate) fn prepare(
        &self,
        trace: &Path,
        unit: Option<&str>,
        create_fault: Option<DropInFault>,
    ) -> Result<Rendezvous, TrialError> {
        let trace = trace.display().to_string();
        let mut settings = vec![("VDISIM_TRACE", trace.as_str())];
        settings.extend(unit.map(|unit| ("VDISIM_TIMEOUT_UNIT", unit)));
        settings.extend(create_fault.map(DropInFault::setting));
        let left = Rendezvous::leave(&self.environment, &settings)
            .map_err(|error| TrialError::Bug(error.to_string()))?;
        self.set_going()?;
        Ok(left)
    }

    /// Which signal ended it, if one did.
    pub(crate) fn crashed(&self) -> Option<i32> {
        let status = self.running().as_mut()?.try_wait().ok()??;
        signal_of(status)
    }

    /// Ends it: by its command, and then for certain what was started here.
    pub(crate) fn end(&self) {
        let Some(running) = self.running().take() else { return };
        if !self.stop.is_empty()
            && let Ok(mut command) = self.command(&self.stop)
            && let Ok(mut stopping) = ProcessGroup::spawn(&mut command)
        {
            // Too late, and it is killed with what it was to end.
            let _ = stopping.wait_within(FAREWELL);
        }
        drop(running);
    }

    fn running(&self) -> MutexGuard<'_, Option<ProcessGroup>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_going(&self) -> Result<(), TrialError> {
        let mut running = self.running();
        if self.start.is_empty() || running.is_some() {
            return Ok(());
        }
        let mut command = self.command(&self.start)?;
        let mut agent = ProcessGroup::spawn(&mut command)
            .map_err(|error| TrialError::NotStarted { program: self.start[0].clone(), error })?;
        let begin = Instant::now();
        let said = || std::fs::metadata(self.said()).is_ok_and(|said| said.len() > 0);
        while agent.try_wait()?.is_none() && !said() && begin.elapsed() < WARM_UP {
            thread::sleep(LOOK);
        }
        if let Some(status) = agent.try_wait()?.filter(|status| !status.success()) {
            let error = io::Error::other(format!("it ended at once: {status}"));
            return Err(TrialError::NotStarted { program: self.start[0].clone(), error });
        }
        *running = Some(agent);
        Ok(())
    }

    fn said(&self) -> PathBuf {
        self.folder.path().join("agent.out")
    }

    /// Its environment says where it lives, and nothing of a case.
    fn command(&self, words: &[String]) -> Result<Command, TrialError> {
        let bug = |error: &dyn std::fmt::Display| TrialError::Bug(error.to_string());
        let mut command = Command::new(OsStr::new(&words[0]));
        command.args(&words[1..]);
        let launch = Launch {
            namespace: Some(self.namespace().to_owned()),
            ..Launch::new(self.drop_in.clone())
        };
        launch.prepare(&mut command).map_err(|error| bug(&error))?;
        command
            .env_remove("VDISIM_TRACE")
            .env_remove("VDISIM_TIMEOUT_UNIT")
            .env_remove(CREATE_FAULT);
        if let Some(home) = self.data_home() {
            command.env(OUR_DATA_HOME, home);
        }
        let commands = self.folder.path().join("bin");
        install_commands(&self.vdisim, &commands).map_err(|error| bug(&error))?;
        prepend(&mut command, "PATH", &commands);
        let said = File::create(self.said())?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        Ok(command)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.end();
    }
}
