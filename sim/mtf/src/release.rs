//! Releases of SQL Server: what they write differently.

use uuid::Uuid;

use crate::block::{Mstl, VirtualLogFile};
use crate::configuration::{Scin, Sfgi, Sfin};
use crate::lsn::Lsn;
use crate::page::PAGE_SIZE;
use crate::record::{Record, TextTooLong};

/// A release of SQL Server: the numbers and record sizes in its backups.
///
/// The record sizes of 2008 R2, 2016 and 2019 were seen in real backups; 2008 shares those of
/// 2008 R2, 2014 and 2017 those of 2016, 2022 those of 2019. Of 2012 no source says how long the
/// records of a set and a filegroup are, but that the others are those of 2014: so are these here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Name in the product's title.
    pub name: &'static str,
    /// Major and minor version.
    pub version: (u8, u8),
    /// Build.
    pub build: u16,
    /// Version of the structure of its databases.
    pub database_version: u16,
    /// Highest compatibility level.
    pub compatibility_level: u8,
    records: &'static RecordSizes,
    /// [`Sfin::RELEASE_MARK`].
    file_mark: u8,
}

/// Sizes in bytes of the fixed parts of the records that changed.
#[derive(Debug, PartialEq, Eq)]
struct RecordSizes {
    set: usize,
    filegroup: usize,
    file: usize,
    log: usize,
    vlf_version: u16,
}

const RECORDS_2008: RecordSizes =
    RecordSizes { set: 0x16c, filegroup: 0x30, file: 0x400, log: 592, vlf_version: 4 };

const RECORDS_2014: RecordSizes =
    RecordSizes { set: 0x190, filegroup: 0xe0, file: 0x404, log: 596, vlf_version: 5 };

impl Release {
    /// SQL Server 2008.
    pub const SQL_2008: Self = Self {
        name: "2008",
        version: (10, 0),
        build: 1600,
        database_version: 655,
        compatibility_level: 100,
        records: &RECORDS_2008,
        file_mark: 0,
    };
    /// SQL Server 2008 R2.
    pub const SQL_2008_R2: Self = Self {
        name: "2008 R2",
        version: (10, 50),
        build: 4042,
        database_version: 661,
        ..Self::SQL_2008
    };
    /// SQL Server 2012.
    pub const SQL_2012: Self = Self {
        name: "2012",
        version: (11, 0),
        build: 2100,
        database_version: 706,
        compatibility_level: 110,
        ..Self::SQL_2014
    };
    /// SQL Server 2014.
    pub const SQL_2014: Self = Self {
        name: "2014",
        version: (12, 0),
        build: 2000,
        database_version: 782,
        compatibility_level: 120,
        records: &RECORDS_2014,
        file_mark: 0x41,
    };
    /// SQL Server 2016.
    pub const SQL_2016: Self = Self {
        name: "2016",
        version: (13, 0),
        build: 5081,
        database_version: 852,
        compatibility_level: 130,
        ..Self::SQL_2014
    };
    /// SQL Server 2017.
    pub const SQL_2017: Self = Self {
        name: "2017",
        version: (14, 0),
        build: 1000,
        database_version: 869,
        compatibility_level: 140,
        ..Self::SQL_2014
    };
    /// SQL Server 2019.
    pub const SQL_2019: Self = Self {
        name: "2019",
        version: (15, 0),
        build: 2000,
        database_version: 904,
        compatibility_level: 150,
        file_mark: 0x45,
        ..Self::SQL_2014
    };
    /// SQL Server 2022.
    pub const SQL_2022: Self = Self {
        name: "2022",
        version: (16, 0),
        build: 1000,
        database_version: 957,
        compatibility_level: 160,
        ..Self::SQL_2019
    };

    /// All releases, oldest first.
    pub const ALL: [Self; 8] = [
        Self::SQL_2008,
        Self::SQL_2008_R2,
        Self::SQL_2012,
        Self::SQL_2014,
        Self::SQL_2016,
        Self::SQL_2017,
        Self::SQL_2019,
        Self::SQL_2022,
    ];

    /// A new chunk about a backup set: the constants of this release, the collation
    /// SQL_Latin1_General_CP1_CI_AS, and the names. LSNs, dates, GUIDs, type and sizes are zero.
    ///
    /// # Errors
    ///
    /// When the names do not fit.
    pub fn set(&self, database: &str, server: &str) -> Result<Record<Scin>, TextTooLong> {
        let mut set = Record::<Scin>::chunk(Scin::TAG, self.records.set);
        set.set(Scin::FLAGS, Scin::ALWAYS)
            .set(Scin::FILEGROUP_COUNT, 1)
            .set(Scin::CONSTANT_10, 1)
            .set(Scin::SOFTWARE_BUILD, self.build)
            .set(Scin::SOFTWARE_MINOR, self.version.1)
            .set(Scin::SOFTWARE_MAJOR, self.version.0)
            .set(Scin::CONSTANT_1C, 9)
            .set(Scin::SORT_ORDER, 52)
            .set(Scin::CONSTANT_59, 1)
            .set(Scin::COMPATIBILITY_LEVEL, self.compatibility_level)
            .set(Scin::DATABASE_VERSION, self.database_version)
            .set(Scin::LOCALE_ID, 1033)
            .set(Scin::COMPARISON_STYLE, 0x0003_0001)
            .set(Scin::COLLATION, [0x09, 0x04, 0xd0, 0x00, 0x34])
            .set(Scin::STATUS, 0x0001_0000)
            .set(Scin::CONSTANT_F6, 1)
            .set(Scin::CONSTANT_174, 1);
        set.append_text(Scin::DATABASE_NAME, database)?;
        set.append_text(Scin::SERVER_NAME, server)?;
        set.seal_chunk();
        Ok(set)
    }

    /// A new chunk about a filegroup. LSNs and fork are zero.
    ///
    /// # Errors
    ///
    /// When the name does not fit.
    pub fn filegroup(&self, id: u32, name: &str) -> Result<Record<Sfgi>, TextTooLong> {
        let mut filegroup = Record::<Sfgi>::chunk(Sfgi::TAG, self.records.filegroup);
        filegroup
            .set(Sfgi::CONSTANT_08, 0x10)
            .set(Sfgi::FILEGROUP_ID, id)
            .set(Sfgi::CONSTANT_14, 1);
        if self.records.filegroup > RECORDS_2008.filegroup {
            filegroup.set(Sfgi::CONSTANT_28, 4);
        }
        filegroup.append_text(Sfgi::NAME, name)?;
        filegroup.seal_chunk();
        Ok(filegroup)
    }

    /// A new chunk about a file. LSNs, differential base and backup size are zero.
    ///
    /// # Errors
    ///
    /// When the names do not fit.
    pub fn file(&self, file: &BackupFile<'_>) -> Result<Record<Sfin>, TextTooLong> {
        const DATA_LIMIT: u64 = 0x1fff_ffff_e000;
        const LOG_LIMIT: u64 = 0x200_0000_0000;
        let mut chunk = Record::<Sfin>::chunk(Sfin::TAG, self.records.file);
        chunk
            .set(Sfin::FLAGS, Sfin::PRESENT)
            .set(Sfin::PAGE_SIZE, PAGE_SIZE as u32)
            .set(Sfin::FILE_ID, file.id)
            .set(Sfin::FILEGROUP_ID, file.filegroup)
            .set(Sfin::SECTOR_SIZE, 512)
            .set(Sfin::FILE_TYPE, if file.is_log { 0 } else { Sfin::DATA_FILE })
            .set(Sfin::FILE_SIZE, file.size)
            .set(Sfin::MAX_SIZE, if file.is_log { LOG_LIMIT } else { DATA_LIMIT })
            .set(Sfin::GROWTH, 0x400_0000)
            .set(Sfin::INITIAL_SIZE, file.size)
            .set(Sfin::SIZE_LIMIT, DATA_LIMIT)
            .set(Sfin::FILE_SIZE_COPY, file.size)
            .set(Sfin::UNIQUE_ID, file.unique_id)
            .set(Sfin::RELEASE_MARK, self.file_mark);
        chunk.append_text(Sfin::LOGICAL_NAME, file.logical_name)?;
        chunk.append_text(Sfin::PHYSICAL_NAME, file.physical_name)?;
        chunk.seal_chunk();
        Ok(chunk)
    }

    /// A new block about a virtual log file in a backup of the log from `first` to `last`; the same
    /// on every family.
    pub fn log(&self, vlf: &VirtualLogFile, first: Lsn, last: Lsn) -> Record<Mstl> {
        let range = vlf.range(first, last);
        Record::with_layout(self.records.log, self.records.vlf_version, vlf, range)
    }
}

/// What a new chunk about a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupFile<'a> {
    /// File id.
    pub id: u32,
    /// Filegroup id; [`Sfin::LOG_FILEGROUP`] for log.
    pub filegroup: u32,
    /// Whether it is a log file.
    pub is_log: bool,
    /// Size in bytes.
    pub size: u64,
    /// Logical name.
    pub logical_name: &'a str,
    /// Path on the server.
    pub physical_name: &'a str,
    /// GUID of the file.
    pub unique_id: Uuid,
}
