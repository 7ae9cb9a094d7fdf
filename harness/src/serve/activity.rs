//! Work in the databases while nobody asks for any: pages change and log is written, so that
//! differential and log backups have something to hold.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fake_sqlserver::catalogue::{Database, DatabaseState};
use fake_sqlserver::messages::{LogEntry, Message};
use fake_sqlserver::session::Instance;

/// How often pages change.
const STEP: Duration = Duration::from_secs(1);

/// The highest id of a system database.
const SYSTEM_DATABASES: u16 = 4;

/// Changes pages of every user database until it is dropped.
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

/// The server's own message for a database whose files are in use.
const IN_USE: u32 = 3023;

/// Changes `pages` pages of each user database that is online. One that is being backed up or
/// restored has its turn later.
fn change(instance: &Instance, pages: u32, seed: u64) {
    let databases = match instance.server.read() {
        Ok(catalogue) => catalogue.databases,
        Err(error) => {
            return say(instance, Message::user(0, 16, 1, format!("No activity: {error}.")));
        }
    };
    let works = |database: &&Database| {
        database.id > SYSTEM_DATABASES && database.state == DatabaseState::Online
    };
    for database in databases.iter().filter(works) {
        let seed = seed.wrapping_mul(0x9e37_79b9) ^ u64::from(database.id);
        if let Err(failed) = instance.change(&database.name, pages, seed) {
            let worth_saying = failed.0.into_iter().filter(|message| message.number != IN_USE);
            worth_saying.for_each(|message| say(instance, message));
        }
    }
}

fn say(instance: &Instance, message: Message) {
    let (time, source) = (jiff::Zoned::now().datetime(), "Activity".to_owned());
    instance.error_log.write(LogEntry { time, source, message });
}
