//! What a BACKUP or RESTORE statement says about its devices and transfers.

use std::time::Duration;

use vdi_device::Fence;
use vdi_protocol::statement::{
    self, check_block_size, check_buffer_count, check_device_count, check_max_transfer_size,
};
use vdi_protocol::{Direction, Profile};

/// Which device set the statement works on: the name in its first VIRTUAL_DEVICE clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetName {
    /// This one.
    Named(Vec<u8>),
    /// The next one that a client creates in the namespace.
    Any,
}

/// A BACKUP or RESTORE with the options that concern the transfer.
#[derive(Clone, Debug)]
pub struct Statement {
    /// BACKUP or RESTORE.
    pub direction: Direction,
    /// The set.
    pub set: SetName,
    /// Names of all VIRTUAL_DEVICE clauses, the first equal to the set's. Empty: for a named set
    /// one device of that name; for [`SetName::Any`] as many devices as the client asked for, named
    /// as the set and then with 1, 2 … behind it.
    pub devices: Vec<Vec<u8>>,
    /// The SQL Server instance, if it is not the default one.
    pub instance: Option<Vec<u8>>,
    /// How long to wait for a client to create the set; `None` for ever.
    pub wait: Option<Duration>,
    /// Which SQL Server is played: defaults and abilities.
    pub profile: Profile,
    /// WITH BLOCKSIZE, in bytes.
    pub block_size: Option<u32>,
    /// WITH BUFFERCOUNT: buffers of the transfer size for all devices together.
    pub buffer_count: Option<u32>,
    /// WITH MAXTRANSFERSIZE, in bytes.
    pub max_transfer_size: Option<u32>,
    /// WITH SNAPSHOT.
    pub snapshot: bool,
    /// What stands around the buffers, to find clients that touch what is not theirs.
    pub fence: Fence,
}

/// A statement that cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// An option beyond its limits.
    #[error(transparent)]
    Option(#[from] statement::StatementError),
    /// The first device gives the set its name.
    #[error(
        "the first device is '{device}', but it must have the set's name '{set}'; name it so or \
         leave the devices out."
    )]
    FirstDevice {
        /// The first device named.
        device: String,
        /// The set.
        set: String,
    },
    /// A name that no set or device can have.
    #[error(
        "'{0}' cannot name a device set or device: names are not empty and contain no backslash."
    )]
    Name(String),
    /// Two clauses with one name.
    #[error("the device '{0}' is named twice; give every device a name of its own.")]
    SameName(String),
}

impl Statement {
    /// A statement over the named set with the profile's defaults that waits a minute.
    pub fn new(direction: Direction, set: SetName, profile: Profile) -> Self {
        Statement {
            direction,
            set,
            devices: Vec::new(),
            instance: None,
            wait: Some(Duration::from_secs(60)),
            profile,
            block_size: None,
            buffer_count: None,
            max_transfer_size: None,
            snapshot: false,
            fence: Fence::None,
        }
    }

    /// How SQL Server's messages call the statement.
    pub fn verb(&self) -> &'static str {
        match self.direction {
            Direction::Backup => "BACKUP DATABASE",
            Direction::Restore => "RESTORE DATABASE",
        }
    }

    /// The block size in bytes: the option's or the profile's.
    pub fn block_size(&self) -> u32 {
        self.block_size.unwrap_or(self.profile.block_size)
    }

    /// The largest transfer in bytes: the option's or the profile's.
    pub fn max_transfer_size(&self) -> u32 {
        self.max_transfer_size.unwrap_or(self.profile.max_transfer_size)
    }

    /// The number of large buffers: the option's, or the profile's choice for so many devices.
    pub fn buffer_count(&self, devices: u32) -> u32 {
        self.buffer_count
            .unwrap_or_else(|| self.profile.default_buffer_count(devices, self.max_transfer_size()))
    }

    /// Checks the options as SQL Server does before it touches a device.
    pub fn check(&self) -> Result<(), StatementError> {
        check_block_size(i64::from(self.block_size()))?;
        check_max_transfer_size(i64::from(self.max_transfer_size()))?;
        if let Some(count) = self.buffer_count {
            check_buffer_count(i64::from(count))?;
        }
        check_device_count(self.devices.len().max(1))?;
        match &self.set {
            SetName::Named(set) => self.check_names(set),
            SetName::Any => Ok(()),
        }
    }

    /// Whether the names are possible.
    /// Source: VDI, CreateEx page.
    fn check_characters<'n>(
        mut names: impl Iterator<Item = &'n [u8]>,
    ) -> Result<(), StatementError> {
        match names.find(|name| name.is_empty() || name.contains(&b'\\')) {
            Some(name) => Err(StatementError::Name(text(name))),
            None => Ok(()),
        }
    }

    /// The devices' names in the set `set`, whose client asked for `asked` devices.
    pub(crate) fn device_names(
        &self,
        set: &[u8],
        asked: u32,
    ) -> Result<Vec<Vec<u8>>, StatementError> {
        if !self.devices.is_empty() {
            self.check_names(set)?;
            return Ok(self.devices.clone());
        }
        let count = if self.set == SetName::Any { asked } else { 1 };
        let later = (1..count).map(|k| [set, k.to_string().as_bytes()].concat());
        Ok(std::iter::once(set.to_vec()).chain(later).collect())
    }

    fn check_names(&self, set: &[u8]) -> Result<(), StatementError> {
        Self::check_characters([set].into_iter().chain(self.devices.iter().map(Vec::as_slice)))?;
        let Some(first) = self.devices.first() else { return Ok(()) };
        if first != set {
            return Err(StatementError::FirstDevice { device: text(first), set: text(set) });
        }
        let mut seen = std::collections::HashSet::new();
        match self.devices.iter().find(|name| !seen.insert(name.as_slice())) {
            Some(twice) => Err(StatementError::SameName(text(twice))),
            None => Ok(()),
        }
    }
}

/// A name as people read it.
pub(crate) fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(set: &str, devices: &[&str]) -> Statement {
        let mut statement = Statement::new(
            Direction::Backup,
            SetName::Named(set.as_bytes().to_vec()),
            Profile::SQL2016,
        );
        statement.devices = devices.iter().map(|name| name.as_bytes().to_vec()).collect();
        statement
    }

    // Catches: leaving out one of the checks, or checking MAXTRANSFERSIZE for a power of two.
    #[test]
    fn options_have_the_limits_of_sql_server() {
        for (block, ok) in
            [(512, true), (65536, true), (256, false), (1000, false), (131072, false)]
        {
            let statement = Statement { block_size: Some(block), ..statement("s", &[]) };
            assert_eq!(statement.check().is_ok(), ok, "BLOCKSIZE={block}");
        }
        for (size, ok) in [
            (65536, true),
            (196608, true),
            (4 << 20, true),
            (65537, false),
            (0, false),
            (5 << 20, false),
        ] {
            let statement = Statement { max_transfer_size: Some(size), ..statement("s", &[]) };
            assert_eq!(statement.check().is_ok(), ok, "MAXTRANSFERSIZE={size}");
        }
        let none = Statement { buffer_count: Some(0), ..statement("s", &[]) };
        assert!(none.check().is_err());
    }

    // Catches: comparing the names without regard to case, or not at all.
    #[test]
    fn the_first_device_has_the_name_of_the_set() {
        assert_eq!(statement("Set", &["Set", "Set1"]).check(), Ok(()));
        assert!(statement("Set", &["set", "Set1"]).check().is_err());
        assert_eq!(
            statement("Set", &["Set", "b", "b"]).check(),
            Err(StatementError::SameName("b".into()))
        );
    }

    // Catches: numbering the second device 0 or 2.
    #[test]
    fn unnamed_devices_of_any_set_are_numbered_from_the_second_on() {
        let any = Statement { set: SetName::Any, ..statement("", &[]) };
        let names = any.device_names(b"vol", 3).unwrap();
        assert_eq!(names, [b"vol".to_vec(), b"vol1".to_vec(), b"vol2".to_vec()]);
    }
}
