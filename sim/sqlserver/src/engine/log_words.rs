//! What the error log's lines about backups and restores have in common.

use mtf::Lsn;

use crate::catalogue::{BackupFacts, Database};
use crate::session::DevicePlan;

/// The words of a line, in their order.
#[derive(Debug)]
pub(super) struct LogWords {
    pub(super) name: String,
    /// When the database was created.
    pub(super) date: String,
    pub(super) time: String,
    pub(super) first: String,
    pub(super) last: String,
    /// Number of devices, and what they are.
    pub(super) count: usize,
    pub(super) list: String,
}

impl LogWords {
    /// The words about set `position` on the media in the devices, which are all of one kind.
    pub(super) fn new(
        database: &Database,
        facts: &BackupFacts,
        devices: &[DevicePlan],
        position: i64,
    ) -> Self {
        let names: Vec<_> = devices.iter().map(|device| format!("'{}'", device.name)).collect();
        let kind = devices.first().map_or("", |device| device.kind.keyword());
        LogWords {
            name: database.name.clone(),
            date: database.created.strftime("%Y/%m/%d").to_string(),
            time: database.created.strftime("%H:%M:%S").to_string(),
            first: log_lsn(facts.first),
            last: log_lsn(facts.last),
            count: devices.len(),
            list: format!("FILE={position}, TYPE={kind}: {{{}}}", names.join(", ")),
        }
    }
}

/// A log sequence number as the error log shows it.
pub(super) fn log_lsn(lsn: Lsn) -> String {
    format!("{}:{}:{}", lsn.vlf, lsn.block, lsn.slot)
}
