//! What a client supports, as its testers declare it, and what a case needs.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use vdi_protocol::config::MAX_DEVICES;

/// Something that a case needs of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// It can take backups.
    Backup,
    /// It can return them.
    Restore,
    /// So many devices.
    Devices(u32),
    /// Tape-like devices.
    Tape,
    /// Disk-like devices.
    Disk,
    /// It asks for VDC_Complete.
    Complete,
    /// It serves snapshots.
    Snapshot,
    /// It serves devices in secondary processes.
    Processes,
    /// It passes buffers to another process by handle.
    Handles,
    /// It sends the statement itself: a matter of the front-end.
    Sql,
    /// Its media are plain files with the bytes of the stream.
    RawMedia,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Backup => f.write_str("backup"),
            Need::Restore => f.write_str("restore"),
            Need::Devices(devices) => write!(f, "devices:{devices}"),
            Need::Tape => f.write_str("tape"),
            Need::Disk => f.write_str("disk"),
            Need::Complete => f.write_str("complete"),
            Need::Snapshot => f.write_str("snapshot"),
            Need::Processes => f.write_str("processes"),
            Need::Handles => f.write_str("handles"),
            Need::Sql => f.write_str("sql"),
            Need::RawMedia => f.write_str("media:raw"),
        }
    }
}

/// What a client supports.
///
/// ```yaml
/// devices: 8                 # at most; 1 if it is left out
/// operations: [backup, restore]
/// modes: [pipe, tape, disk]
/// features: [complete, snapshot, processes, handles]
/// media: raw                 # {file} holds the stream as it is
/// start-time: 5s             # more patience before the set is created
/// flush-hold: 60s            # more patience with commands
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Capabilities {
    /// Devices at most.
    #[serde(deserialize_with = "devices")]
    pub devices: u32,
    /// Directions.
    pub operations: Vec<Direction>,
    /// Kinds of device.
    pub modes: Vec<Mode>,
    /// What else it can do.
    pub features: Vec<Feature>,
    /// What its media are.
    pub media: Media,
    /// How much longer than others it may take to create its set.
    #[serde(deserialize_with = "duration")]
    pub start_time: Duration,
    /// How much longer than others it may hold a command.
    #[serde(deserialize_with = "duration")]
    pub flush_hold: Duration,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// BACKUP.
    Backup,
    /// RESTORE.
    Restore,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// VDF_LikePipe.
    Pipe,
    /// VDF_LikeTape.
    Tape,
    /// VDF_LikeDisk.
    Disk,
}

/// Something that not every client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// It asks for VDC_Complete.
    Complete,
    /// It serves snapshots.
    Snapshot,
    /// It serves devices in secondary processes.
    Processes,
    /// It passes buffers to another process by handle.
    Handles,
}

/// What a client's media are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Media {
    /// Known to the client alone.
    Opaque,
    /// Plain files at `{file}` with the bytes of the stream.
    Raw,
}

impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities {
            devices: 1,
            operations: vec![Direction::Backup, Direction::Restore],
            modes: vec![Mode::Pipe],
            features: Vec::new(),
            media: Media::Opaque,
            start_time: Duration::ZERO,
            flush_hold: Duration::ZERO,
        }
    }
}

impl Capabilities {
    /// What our own reference client supports.
    pub fn of_reference_client() -> Capabilities {
        Capabilities {
            devices: MAX_DEVICES,
            modes: vec![Mode::Pipe, Mode::Tape, Mode::Disk],
            features: vec![Feature::Complete, Feature::Processes, Feature::Handles],
            media: Media::Raw,
            ..Capabilities::default()
        }
    }

    /// Reads a capability file.
    ///
    /// # Errors
    /// A sentence that says what is wrong and where.
    pub fn read(path: &Path) -> Result<Capabilities, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the capability file {shown} cannot be read: {error}."))?;
        serde_saphyr::from_str(&text)
            .map_err(|error| format!("the capability file {shown} cannot be understood:\n{error}"))
    }

    /// Whether the client supports it.
    pub fn has(&self, need: Need) -> bool {
        match need {
            Need::Backup => self.operations.contains(&Direction::Backup),
            Need::Restore => self.operations.contains(&Direction::Restore),
            Need::Devices(devices) => devices <= self.devices,
            Need::Tape => self.modes.contains(&Mode::Tape),
            Need::Disk => self.modes.contains(&Mode::Disk),
            Need::Complete => self.features.contains(&Feature::Complete),
            Need::Snapshot => self.features.contains(&Feature::Snapshot),
            Need::Processes => self.features.contains(&Feature::Processes),
            Need::Handles => self.features.contains(&Feature::Handles),
            // Not declared: the run's front-end says it.
            Need::Sql => true,
            Need::RawMedia => self.media == Media::Raw,
        }
    }
}

fn devices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let given = u32::deserialize(deserializer)?;
    match given {
        1..=MAX_DEVICES => Ok(given),
        _ => Err(de::Error::custom(format!("a set has 1 to {MAX_DEVICES} devices, not {given}"))),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let given = String::deserialize(deserializer)?;
    humantime::parse_duration(&given)
        .map_err(|error| de::Error::custom(format!("'{given}' is no time such as 2s: {error}")))
}
