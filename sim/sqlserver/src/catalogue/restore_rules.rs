//! Which backup may be restored next: a pure state machine over log sequence numbers.
//!
//! Source: SQL Server's documentation, "Restore sequences" and the texts of the messages.

use jiff::civil::DateTime;
use mtf::Lsn;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::database::{BackupFacts, Database, DatabaseState, DifferentialBase, SetKind};
use super::lsn_text;
use crate::messages::Message;

/// How far a database has been restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The first log record that is still missing.
    #[serde(with = "lsn_text")]
    pub redo: Lsn,
    /// The base for differential backups.
    pub base: Option<DifferentialBase>,
    /// Its recovery path.
    pub fork: Uuid,
}

/// Where a restore of this full set begins; `time` is when the set was made.
///
/// # Errors
///
/// 3118 for a set that is not full.
pub fn check_base(facts: &BackupFacts, time: DateTime) -> Result<Progress, Message> {
    if facts.kind != SetKind::Full {
        return Err(Message::new(3118, &[&facts.database]));
    }
    let itself = DifferentialBase { lsn: facts.checkpoint, set: facts.set, time };
    let base = if facts.copy_only { facts.base } else { Some(itself) };
    Ok(Progress { redo: facts.last, base, fork: facts.fork })
}

/// Where a database that has been restored up to `progress` gets with this differential or log set.
///
/// # Errors
///
/// SQL Server's message if the set does not fit.
pub fn check_next(progress: &Progress, facts: &BackupFacts) -> Result<Progress, Message> {
    match facts.kind {
        SetKind::Full => check_base(facts, DateTime::ZERO),
        SetKind::Differential => {
            let same_base = match (progress.base, facts.base) {
                (Some(have), Some(want)) => have.lsn == want.lsn && have.set == want.set,
                _ => false,
            };
            if !same_base {
                return Err(Message::new(3136, &[]));
            }
            if facts.last < progress.redo {
                return Err(Message::new(3120, &[]));
            }
            Ok(Progress { redo: facts.last, fork: facts.fork, ..*progress })
        }
        SetKind::Log => {
            if facts.first > progress.redo {
                return Err(Message::new(4305, &[&facts.first, &progress.redo]));
            }
            if facts.last < progress.redo {
                return Err(Message::new(4326, &[&facts.last, &progress.redo]));
            }
            // A database on the old path may take the fork only where it begins.
            let at_fork = facts.first_fork == progress.fork && progress.redo <= facts.fork_point;
            if facts.fork != progress.fork && !at_fork {
                return Err(Message::new(4330, &[]));
            }
            Ok(Progress { redo: facts.last, fork: facts.fork, ..*progress })
        }
    }
}

/// Checks that a set may be restored to what stands under the database's name now, and says how far
/// that database gets. `existing` is that database; `replace` is WITH REPLACE, `stop_at` says that
/// the restore stops at a point in time.
///
/// # Errors
///
/// SQL Server's message if not.
pub fn check_target(
    name: &str,
    existing: Option<&Database>,
    facts: &BackupFacts,
    time: DateTime,
    replace: bool,
    stop_at: bool,
) -> Result<Progress, Message> {
    let Some(existing) = existing else {
        return match facts.kind {
            SetKind::Full => check_base(facts, time),
            _ => Err(Message::new(3118, &[&name])),
        };
    };
    match (&existing.state, facts.kind) {
        (_, SetKind::Full) if replace => check_base(facts, time),
        (_, SetKind::Full) if existing.family != facts.family => {
            Err(Message::new(3154, &[&existing.name]).with_state(4))
        }
        (DatabaseState::Online, SetKind::Full) if existing.has_unsaved_log() && !stop_at => {
            Err(Message::new(3159, &[&existing.name]))
        }
        (_, SetKind::Full) => check_base(facts, time),
        (DatabaseState::Restoring(progress) | DatabaseState::Standby(progress), _) => {
            check_next(progress, facts)
        }
        _ => Err(Message::new(3117, &[])),
    }
}
