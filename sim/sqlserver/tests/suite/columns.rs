//! The result sets of the RESTOREs that show something.

use fake_sqlserver::catalogue::Server;
use fake_sqlserver::session::{Client, Column, Gone, Login, Reply, Session};
use fake_sqlserver::value::DataType;
use vdi_protocol::Profile;

use crate::server::Fixture;

/// Columns with types: nv is nvarchar, dt datetime, num numeric(25, 0), bin varbinary.
/// Source: SQL Server's documentation of the statements; types as SQL Server 2022 sends them.
const HEADER: &str = "BackupName nv128, BackupDescription nv255, BackupType tinyint, \
    ExpirationDate dt, Compressed tinyint, Position smallint, DeviceType tinyint, UserName nv128, \
    ServerName nv128, DatabaseName nv128, DatabaseVersion int, DatabaseCreationDate dt, \
    BackupSize bigint, FirstLSN num, LastLSN num, CheckpointLSN num, DatabaseBackupLSN num, \
    BackupStartDate dt, BackupFinishDate dt, SortOrder smallint, CodePage smallint, \
    UnicodeLocaleId int, UnicodeComparisonStyle int, CompatibilityLevel tinyint, \
    SoftwareVendorId int, SoftwareVersionMajor int, SoftwareVersionMinor int, \
    SoftwareVersionBuild int, MachineName nv128, Flags int, BindingID guid, RecoveryForkID guid, \
    Collation nv128, FamilyGUID guid, HasBulkLoggedData bit, IsSnapshot bit, IsReadOnly bit, \
    IsSingleUser bit, HasBackupChecksums bit, IsDamaged bit, BeginsLogChain bit, \
    HasIncompleteMetaData bit, IsForceOffline bit, IsCopyOnly bit, FirstRecoveryForkID guid, \
    ForkPointLSN num, RecoveryModel nv60, DifferentialBaseLSN num, DifferentialBaseGUID guid, \
    BackupTypeDescription nv128, BackupSetGUID guid, CompressedBackupSize bigint, \
    Containment tinyint, KeyAlgorithm nv32, EncryptorThumbprint bin20, EncryptorType nv32";
const HEADER_SINCE_2022: &str =
    ", LastValidRestoreTime dt, TimeZone smallint, CompressionAlgorithm nv32";
const FILE_LIST: &str = "LogicalName nv128, PhysicalName nv260, Type nchar1, FileGroupName nv128, \
    Size bigint, MaxSize bigint, FileId bigint, CreateLSN num, DropLSN num, UniqueId guid, \
    ReadOnlyLSN num, ReadWriteLSN num, BackupSizeInBytes bigint, SourceBlockSize int, \
    FileGroupId int, LogGroupGUID guid, DifferentialBaseLSN num, DifferentialBaseGUID guid, \
    IsReadOnly bit, IsPresent bit, TDEThumbprint bin20, SnapshotUrl nv336";
const LABEL: &str = "MediaName nv128, MediaSetId guid, FamilyCount int, \
    FamilySequenceNumber int, MediaFamilyId guid, MediaSequenceNumber int, \
    MediaLabelPresent tinyint, MediaDescription nv255, SoftwareName nv128, SoftwareVendorId int, \
    MediaDate dt, Mirror_Count int, IsCompressed bit";

/// The columns of every result set, as above; and whether its rows have as many values.
#[derive(Default)]
struct Sets(Vec<String>);

impl Client for Sets {
    fn reply(&mut self, reply: Reply<'_>) -> Result<(), Gone> {
        match reply {
            Reply::Columns(columns) => {
                let shown: Vec<_> = columns.iter().map(shown).collect();
                self.0.push(shown.join(", "));
            }
            Reply::Row(values) => {
                assert_eq!(values.len(), self.0.last().unwrap().split(", ").count());
            }
            _ => {}
        }
        Ok(())
    }
}

fn shown(column: &Column) -> String {
    let data_type = match column.data_type {
        DataType::NVarChar(Some(size)) => format!("nv{size}"),
        DataType::NChar(size) => format!("nchar{size}"),
        DataType::VarBinary(Some(size)) => format!("bin{size}"),
        DataType::Numeric => "num".to_owned(),
        DataType::DateTime => "dt".to_owned(),
        DataType::UniqueIdentifier => "guid".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("{} {data_type}", column.name)
}

// Catches: a column that is missing, too many, in another place, or of another type or length, for any
// server; a row with more or fewer values; columns of a newer server in the answer of an older one.
#[test]
fn every_server_shows_its_columns() {
    for profile in Profile::ALL {
        let mut server = Fixture::with(
            |folder| Server::open(folder).unwrap(),
            |instance| instance.profile = profile,
        );
        server.succeed("BACKUP DATABASE pubs TO DISK='x'");
        let mut session = Session::new(server.instance.clone(), Login::default());
        let mut sets = |what: &str| {
            let mut sets = Sets::default();
            let batch = format!("RESTORE {what} FROM DISK='x'");
            session.execute(&batch, &[], &mut sets).unwrap();
            sets.0
        };
        let new = if profile == Profile::SQL2022 { HEADER_SINCE_2022 } else { "" };
        let header = format!("{HEADER}{new}");
        let count = if profile == Profile::SQL2022 { 59 } else { 56 };
        assert_eq!(header.split(", ").count(), count);
        assert_eq!(sets("HEADERONLY"), [header], "{}", profile.name);
        assert_eq!(sets("FILELISTONLY"), [FILE_LIST], "{}", profile.name);
        assert_eq!(sets("LABELONLY"), [LABEL], "{}", profile.name);
        assert_eq!(sets("VERIFYONLY"), [""; 0], "{}", profile.name);
    }
}
