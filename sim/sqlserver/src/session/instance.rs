//! The server that sessions belong to.

use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};

use vdi_device::Environment;
use vdi_protocol::Profile;

use super::cancel::CancelToken;
use super::clock::now;
use super::plan::{DevicePlan, RestorePlan, SequenceEnd, TransferPlan};
use crate::catalogue::{Catalogue, Content, Pages, Server, StorageError, StoreError};
use crate::engine::{self, Context};
use crate::messages::{ErrorLog, LogEntry, Message, SeveralMessages};
use crate::sql::{DeviceKind, RestoreKind};
use crate::transfer::{AtOnce, Attach};

/// An instance of the fake SQL Server.
pub struct Instance {
    /// Its databases.
    pub server: Server,
    /// Where device sets are found.
    pub environment: Environment,
    /// Which SQL Server it plays.
    pub profile: Profile,
    /// What it calls itself: `@@SERVERNAME`.
    pub name: String,
    /// Its error log.
    pub error_log: Arc<dyn ErrorLog>,
    /// How its statements come to their device sets.
    pub attach: Arc<dyn Attach>,
    /// Whether a RESTORE without MOVE gives files new places where other databases have theirs. SQL
    /// Server, and a new instance, refuse it (1834, 3156).
    pub relocates: bool,
    next_session: AtomicU16,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The first session id that a user gets.
const FIRST_SESSION: u16 = 51;

impl Instance {
    /// An instance over a data folder; a device set that is not there is an error at once.
    pub fn new(
        server: Server,
        environment: Environment,
        profile: Profile,
        name: &str,
        error_log: Arc<dyn ErrorLog>,
    ) -> Self {
        let next_session = AtomicU16::new(FIRST_SESSION);
        let (name, attach) = (name.to_owned(), Arc::new(AtOnce));
        Instance {
            server,
            environment,
            profile,
            name,
            error_log,
            attach,
            relocates: false,
            next_session,
        }
    }

    /// Puts the database of a full backup into the catalogue, in the place of one of that name, as
    /// `RESTORE DATABASE name FROM DISK = … WITH REPLACE` does; files get new places where other
    /// databases have theirs. `families` are the backup's files, one a device; a relative path starts
    /// from the current folder.
    ///
    /// # Errors
    ///
    /// What RESTORE says; nothing is changed then.
    pub fn attach_backup(&self, name: &str, families: &[&Path]) -> Result<(), SeveralMessages> {
        let device = |path: &&Path| DevicePlan {
            kind: DeviceKind::Disk,
            name: std::path::absolute(path).as_deref().unwrap_or(path).display().to_string(),
        };
        let plan = RestorePlan {
            kind: RestoreKind::Database,
            database: name.to_owned(),
            devices: families.iter().map(device).collect(),
            transfer: TransferPlan::default(),
            end: SequenceEnd::Recovery,
            replace: true,
            moves: Vec::new(),
            relocate: true,
            stop_at: None,
            position: 1,
        };
        let (login, cancel) = (Login::default(), CancelToken::default());
        // Nobody waits for the note that a real server's log is not replayed.
        let (progress, _) = mpsc::channel();
        let context = Context::new(self, &login, &cancel, progress);
        engine::restore(&context, &plan).map(|_| ())
    }

    /// Changes `count` pages of a database, chosen by `seed`, and writes the log of it.
    ///
    /// # Errors
    ///
    /// 911 for a database that does not exist, 927 for one that is not online, 3023 for one whose files
    /// are being backed up or restored, 3250 for more than 100,000 pages.
    pub fn change(&self, name: &str, count: u32, seed: u64) -> Result<(), SeveralMessages> {
        if count > MOST_CHANGES {
            return Err(pages_out_of_range(count.into()).into());
        }
        self.update(|catalogue| {
            let missing = || Message::new(911, &[&name]).with_state(4);
            let database = catalogue.database_mut(name).ok_or_else(missing)?;
            let stored =
                database.data_files().any(|file| !matches!(file.content, Content::Generated(_)));
            if stored && self.server.is_reserved(name) {
                return Err(Message::new(3023, &[]));
            }
            let failed =
                |error: StorageError| Message::new(3271, &[&error.path.display(), &error.error]);
            let pages = Pages::open(database).map_err(failed)?;
            let allocated = pages.allocated().map_err(failed)?;
            let changes = database.change(&allocated, count, seed, now())?;
            pages.write_changes(&changes).map_err(failed)
        })
    }

    /// Notes something down in the error log.
    pub(crate) fn log(&self, source: &str, message: Message) {
        self.error_log.write(LogEntry { time: now(), source: source.to_owned(), message });
    }

    /// The catalogue as it is now.
    pub(crate) fn catalogue(&self) -> Result<Catalogue, SeveralMessages> {
        self.server.read().map_err(|error| self.store_failed(&error))
    }

    /// Changes the catalogue.
    pub(crate) fn update<T>(
        &self,
        change: impl FnOnce(&mut Catalogue) -> Result<T, Message>,
    ) -> Result<T, SeveralMessages> {
        match self.server.update(change) {
            Ok(result) => result.map_err(SeveralMessages::from),
            Err(error) => Err(self.store_failed(&error)),
        }
    }

    /// The catalogue failed: the log says how, the client gets an internal error.
    fn store_failed(&self, error: &StoreError) -> SeveralMessages {
        self.log(
            "Server",
            Message::user(0, 16, 1, format!("The catalogue cannot be used: {error}")),
        );
        Message::new(3270, &[]).into()
    }

    pub(super) fn next_session(&self) -> u16 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }
}

/// Page changes of one call. Each is a record in the log, which is in memory.
const MOST_CHANGES: u32 = 100_000;

/// The refusal of a number of page changes.
pub(super) fn pages_out_of_range(count: i128) -> Message {
    Message::new(3250, &[&count, &"@pages"])
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Name of the login.
    pub name: String,
    /// Name of the client's machine.
    pub host: String,
    /// Name of the client's program.
    pub program: String,
    /// Whether it is a member of sysadmin; without that, VIRTUAL_DEVICE is refused (3265).
    pub is_sysadmin: bool,
}

impl Default for Login {
    fn default() -> Self {
        Login {
            name: "sa".to_owned(),
            host: String::new(),
            program: String::new(),
            is_sysadmin: true,
        }
    }
}
