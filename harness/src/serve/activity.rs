//! Work in the databases while nobody asks for any: pages change and log is written, so that
//! differential and log backups have something to hold.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fake_sqlserver::catalogue::{Catalogue, Content, Database, DatabaseState};
use fake_sqlserver::messages::{LogEntry, Message};
use fake_sqlserver::session::Instance;

/// How often pages change.
const STEP: Duration = Duration::from_secs(1);

/// The highest id of a system database.
const SYSTEM_DATABASES: u16 = 4;

/// Changes pages of every generated user database until it is dropped.
#[derive(Debug)]
pub(super) struct Activity {
    /// Dropping it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Activity {
    /// Starts to change `pages` pages a second in each database.
    pub(super) fn start(instance: Arc<Instance>, pages: u32) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let work = move || {
            for seed in 1.. {
                match stopped.recv_timeout(STEP) {
                    Err(RecvTimeoutError::Timeout) => change(&instance, pages, seed),
                    _ => return,
                }
            }
        };
        let thread = thread::Builder::new().name("activity".to_owned()).spawn(work)?;
        Ok(Activity { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic itself.
            let _ = thread.join();
        }
    }
}

/// Changes `pages` pages of each database that has work.
fn change(instance: &Instance, pages: u32, seed: u64) {
    let time = jiff::Zoned::now().datetime();
    let changed = instance.server.update(|catalogue: &mut Catalogue| {
        for database in catalogue.databases.iter_mut().filter(|database| has_work(database)) {
            // Generated pages are changed with the catalogue.
            database.change(
                pages,
                seed.wrapping_mul(0x9e37_79b9) ^ u64::from(database.id),
                time,
            )?;
        }
        Ok::<(), Message>(())
    });
    let said = match changed {
        Ok(Ok(())) => return,
        Ok(Err(message)) => message,
        Err(error) => Message::user(0, 16, 1, format!("No activity: {error}.")),
    };
    let source = "Activity".to_owned();
    instance.error_log.write(LogEntry { time, source, message: said });
}

fn has_work(database: &Database) -> bool {
    let generated = |file: &fake_sqlserver::catalogue::DatabaseFile| {
        matches!(file.content, Content::Generated(_))
    };
    database.id > SYSTEM_DATABASES
        && database.state == DatabaseState::Online
        && database.data_files().all(generated)
}
