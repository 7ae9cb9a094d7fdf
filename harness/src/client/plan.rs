//! What the reference client is to do.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vdi_protocol::{Features, VdConfig};

use super::mishap::Mishaps;

/// Which way the data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Store what the server sends.
    Backup,
    /// Return what was stored.
    Restore,
}

impl Operation {
    /// Opens a device's file as the operation needs it.
    pub fn open(self, path: &Path) -> io::Result<File> {
        match self {
            Operation::Backup => {
                File::options().read(true).write(true).create(true).truncate(true).open(path)
            }
            Operation::Restore => File::open(path),
        }
    }
}

/// Which process does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// One process, a thread a device.
    Threads,
    /// A secondary process a device; this one only creates and closes the set.
    Processes,
    /// This process takes and completes commands; a second one a device moves the bytes by handle.
    ByHandle,
}

/// Everything that the reference client has to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Backup or restore.
    pub operation: Operation,
    /// The set's name.
    pub set: Vec<u8>,
    /// The devices' names, the first equal to the set's.
    pub devices: Vec<Vec<u8>>,
    /// A file a device.
    pub files: Vec<PathBuf>,
    /// What is asked for at Create; `device_count` is set to the number of devices.
    pub config: VdConfig,
    /// How the work is shared.
    pub arrangement: Arrangement,
    /// How long to wait for the server's configuration; `None` for ever.
    pub timeout: Option<Duration>,
    /// Where to die or stop on purpose.
    pub mishaps: Mishaps,
    /// The drop-in.
    pub drop_in: PathBuf,
}

impl Plan {
    /// The configuration for Create.
    pub(crate) fn create_config(&self) -> VdConfig {
        VdConfig { device_count: self.devices.len() as u32, ..self.config }
    }
}

/// A word that is no feature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no feature '{0}'; give names of vdi.h such as LikeTape, LikeDisk or RequestComplete, \
     or a number such as 0x2000"
)]
pub struct FeatureError(String);

/// The features of a list of names, with or without `VDF_` and in any case, or of numbers.
pub fn parse_features(names: &[String]) -> Result<Features, FeatureError> {
    names
        .iter()
        .flat_map(|list| list.split([',', '|']))
        .map(parse_feature)
        .try_fold(Features::empty(), |all, one| one.map(|one| all | one))
}

fn parse_feature(given: &str) -> Result<Features, FeatureError> {
    let aliases = [
        (Features::LIKE_PIPE, "VDF_LikePipe"),
        (Features::LIKE_TAPE, "VDF_LikeTape"),
        (Features::LIKE_DISK, "VDF_LikeDisk"),
    ];
    let lower = given.trim().to_lowercase();
    let wanted = lower.strip_prefix("vdf_").unwrap_or(&lower);
    let named = Features::NAMES
        .into_iter()
        .chain(aliases)
        .find(|(_, name)| name.to_lowercase().strip_prefix("vdf_") == Some(wanted));
    let number = || {
        lower
            .strip_prefix("0x")
            .map_or_else(|| lower.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok())
    };
    named
        .map(|(feature, _)| feature)
        .or_else(|| number().map(Features::from_bits_retain))
        .ok_or_else(|| FeatureError(given.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: losing a feature of a list, or reading a hexadecimal number as a decimal one.
    #[test]
    fn features_are_named_as_in_the_headers() {
        let parse = |names: &[&str]| {
            parse_features(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(parse(&[]), Ok(Features::LIKE_PIPE));
        assert_eq!(
            parse(&["VDF_LikeTape,requestcomplete"]),
            Ok(Features::LIKE_TAPE | Features::REQUEST_COMPLETE)
        );
        assert_eq!(parse(&["LikeDisk", "0x2000"]).unwrap().bits(), 0x2200);
        assert!(parse(&["LikeDisc"]).unwrap_err().to_string().contains("LikeDisc"));
    }
}
