//! Profiles: the differences between the servers that can be played, as data.

use core::fmt;
use core::str::FromStr;

use crate::config::{MIN_BLOCK_SIZE, TRANSFER_UNIT};

/// A server to play: its defaults, what it offers, what it refuses, and what it calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name by which a user picks it.
    pub name: &'static str,
    /// What the server calls itself.
    pub product: &'static str,
    /// The version written in the stream and told to SQL clients.
    pub version: ServerVersion,
    /// The version of the databases it writes.
    pub database_version: u16,
    /// The newest version of databases whose backups it restores. A server restores its own and
    /// older ones (3169).
    pub restores_up_to: u16,
    /// Bytes of a block unless the statement says otherwise.
    /// Source: VDI, "Glossary" (BLOCKSIZE, virtual devices).
    pub block_size: u32,
    /// Bytes of the largest transfer unless the statement says otherwise: 64 KiB as documented
    /// for virtual devices, 1 MiB as later servers practise.
    pub max_transfer_size: u32,
    /// Whether VDC_Complete is granted to a client that asks for it.
    /// Source: KB3188454 (from 2012 SP3 CU5, 2014 SP1 CU10, 2016 CU4).
    pub offers_complete: bool,
    /// Why this server aborts a disk-like set, if it does.
    pub refuses_disk: Option<&'static str>,
}

/// A server's version as it stands in a backup and in a login answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerVersion {
    /// 13 for SQL Server 2016.
    pub major: u8,
    /// 50 for SQL Server 2008 R2, 0 for the others.
    pub minor: u8,
    /// The build.
    pub build: u16,
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// 1 MiB.
const MIB: u32 = 1024 * 1024;

impl Profile {
    /// SQL Server 2008 R2 on Windows; it knows no VDC_Complete.
    pub const SQL2008: Self = Self {
        name: "sql2008",
        product: "Microsoft SQL Server 2008 R2",
        version: ServerVersion { major: 10, minor: 50, build: 1600 },
        database_version: 661,
        restores_up_to: 661,
        block_size: MIN_BLOCK_SIZE,
        max_transfer_size: TRANSFER_UNIT,
        offers_complete: false,
        refuses_disk: None,
    };

    /// SQL Server 2016 SP2 on Windows.
    pub const SQL2016: Self = Self {
        name: "sql2016",
        product: "Microsoft SQL Server 2016",
        version: ServerVersion { major: 13, minor: 0, build: 5026 },
        database_version: 852,
        restores_up_to: 852,
        block_size: MIN_BLOCK_SIZE,
        max_transfer_size: MIB,
        offers_complete: true,
        refuses_disk: None,
    };

    /// SQL Server 2019 on Windows.
    pub const SQL2019: Self = Self {
        name: "sql2019",
        product: "Microsoft SQL Server 2019",
        version: ServerVersion { major: 15, minor: 0, build: 2000 },
        database_version: 904,
        restores_up_to: 904,
        ..Self::SQL2016
    };

    /// SQL Server 2019 on Linux, which cannot do disk-like devices.
    /// Source: README of the Linux sample, "Known bugs".
    pub const SQL2019_LINUX: Self = Self {
        name: "sql2019-linux",
        refuses_disk: Some(
            "SQL Server 2019 on Linux aborts a set that asks for VDF_RandomAccess (VDF_LikeDisk): \
             a known bug of that server, which this profile repeats; use pipe-like devices there.",
        ),
        ..Self::SQL2019
    };

    /// SQL Server 2022 on Windows.
    pub const SQL2022: Self = Self {
        name: "sql2022",
        product: "Microsoft SQL Server 2022",
        version: ServerVersion { major: 16, minor: 0, build: 1000 },
        database_version: 957,
        restores_up_to: 957,
        ..Self::SQL2016
    };

    /// The default: SQL Server 2016 that also restores what newer servers have written, as far as
    /// their streams are known, so that nobody has to say which server a backup came from.
    pub const DEFAULT: Self =
        Self { name: "default", restores_up_to: Self::SQL2022.restores_up_to, ..Self::SQL2016 };

    /// All profiles, the default first and then from the oldest.
    pub const ALL: [Self; 6] = [
        Self::DEFAULT,
        Self::SQL2008,
        Self::SQL2016,
        Self::SQL2019,
        Self::SQL2019_LINUX,
        Self::SQL2022,
    ];

    /// The names of all profiles, for messages.
    fn names() -> String {
        Self::ALL.map(|profile| profile.name).join(", ")
    }

    /// The number of buffers of a whole operation unless the statement says otherwise.
    ///
    /// Real servers do not document theirs. Ours is four a device (what `maxIODepth` promises
    /// can be under way) and four more to be filled meanwhile, as far as
    /// [`DEFAULT_POOL_BYTES`] goes, so that the pool fits the 64 MB of shared memory that a
    /// container has; but always one a device and one more, or devices would wait for each other.
    ///
    /// `transfer_size` is in bytes; 0 counts as 1.
    pub const fn default_buffer_count(&self, devices: u32, transfer_size: u32) -> u32 {
        let wanted = devices.saturating_mul(4).saturating_add(4);
        let affordable = DEFAULT_POOL_BYTES / if transfer_size == 0 { 1 } else { transfer_size };
        let least = devices.saturating_add(1);
        let count = if wanted < affordable { wanted } else { affordable };
        if count < least { least } else { count }
    }
}

/// Bytes that the default number of buffers keeps within, where the devices allow it.
pub const DEFAULT_POOL_BYTES: u32 = 32 * MIB;

impl Default for Profile {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A name that is no profile's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile '{name}'; choose one of {}.", Profile::names())]
pub struct UnknownProfile {
    /// The name that was asked for.
    pub name: String,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownProfile { name: name.to_owned() })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
