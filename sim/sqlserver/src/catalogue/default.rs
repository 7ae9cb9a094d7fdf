//! The databases that a new server has.

use std::collections::BTreeMap;

use jiff::civil::{DateTime, date};
use mtf::{EXTENT_PAGES, PAGE_SIZE};
use uuid::Uuid;

use super::database::{
    Access, Content, Database, DatabaseFile, DatabaseState, FileKind, Filegroup, RecoveryModel,
};
use super::log::{LOG_FILE, Log};
use super::pages::{GeneratedFile, mix};

/// Folder of the files of new databases, as the server tells it.
const DATA_FOLDER: &str = r"C:\Program Files\Microsoft SQL Server\MSSQL13.MSSQLSERVER\MSSQL\DATA";

/// What a generated database is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticDatabase {
    /// Its name.
    pub name: String,
    /// Bytes of its data file; rounded up to whole extents.
    pub size: u64,
    /// Where its content comes from.
    pub seed: u64,
    /// Its recovery model.
    pub recovery_model: RecoveryModel,
}

impl SyntheticDatabase {
    /// The database, online, with everything but the last eighth allocated.
    pub fn build(&self, id: u16, created: DateTime) -> Database {
        let extent = (EXTENT_PAGES * PAGE_SIZE) as u64;
        let size = self.size.max(extent).next_multiple_of(extent);
        let extents = size / extent;
        let used = u32::try_from(extents - extents / 8).unwrap_or(u32::MAX / 8);
        let generated = GeneratedFile {
            seed: self.seed,
            used_pages: used * EXTENT_PAGES as u32,
            changes: BTreeMap::new(),
        };
        // The GUIDs are functions of the seed too, so that runs can be compared.
        let guid = |n: u64| Uuid::from_u64_pair(mix(self.seed ^ n), mix(self.seed.wrapping_add(n)));
        let (name, suffix) = (&self.name, if id == 1 { "mastlog" } else { "_log" });
        let log_name = if id == 1 { suffix.to_owned() } else { format!("{name}{suffix}") };
        let file = |id, kind, logical_name: &str, extension, size, content| DatabaseFile {
            id,
            kind,
            filegroup: Filegroup::default(),
            logical_name: logical_name.to_owned(),
            physical_name: format!(r"{DATA_FOLDER}\{logical_name}.{extension}"),
            size,
            unique_id: guid(u64::from(id)),
            content,
        };
        Database {
            id,
            name: name.clone(),
            created,
            recovery_model: self.recovery_model,
            state: DatabaseState::Online,
            access: Access::MultiUser,
            read_only: false,
            compatibility_level: 130,
            family: guid(101),
            fork: guid(102),
            files: vec![
                file(1, FileKind::Data, name, "mdf", size, Content::Generated(generated)),
                file(LOG_FILE, FileKind::Log, &log_name, "ldf", Log::file_size(), Content::Log),
            ],
            log: Log::new(),
            base: None,
            changed: Vec::new(),
            arrived: None,
            unmapped: Vec::new(),
        }
    }
}

/// master, tempdb, model, msdb, pubs, Northwind and AdventureWorks, all generated.
pub fn default_databases() -> Vec<Database> {
    const MIB: u64 = 1 << 20;
    let databases = [
        ("master", 1, 5, RecoveryModel::Simple),
        ("tempdb", 2, 8, RecoveryModel::Simple),
        ("model", 3, 8, RecoveryModel::Full),
        ("msdb", 4, 16, RecoveryModel::Simple),
        ("pubs", 5, 8, RecoveryModel::Full),
        ("Northwind", 6, 8, RecoveryModel::Full),
        ("AdventureWorks", 7, 64, RecoveryModel::Full),
    ];
    let build = |(name, id, mebibytes, recovery_model): (&str, u16, u64, _)| {
        let seed = mix(u64::from(id));
        let size = mebibytes * MIB;
        let synthetic = SyntheticDatabase { name: name.to_owned(), size, seed, recovery_model };
        synthetic.build(id, date(2016, 4, 30).at(0, 0, 0, 0))
    };
    databases.into_iter().map(build).collect()
}
