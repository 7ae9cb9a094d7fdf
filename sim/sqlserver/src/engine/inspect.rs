//! RESTORE HEADERONLY, FILELISTONLY, LABELONLY and VERIFYONLY.

use std::sync::OnceLock;

use mtf::{Lsn, MediaDate, Scin, Sfgi, Sfin, Sset, Tape};
use uuid::Uuid;

use super::context::{Answer, Context, Progress};
use super::facts::{
    backup_type, check_release, date_time, facts, has_checksums, is_container, is_damaged,
    page_count, recovery_model,
};
use super::families::read_families;
use super::family_sink::{Destination, Extent, Gate, Head, Heads};
use super::password;
use super::whole::check_whole;
use crate::catalogue::SetKind;
use crate::messages::{Message, SeveralMessages};
use crate::session::{Column, RestorePlan, TransferPlan};
use crate::sql::{DeviceKind, RestoreKind};
use crate::value::{DataType, Value};

/// Columns of a result set: names with types.
type Columns = &'static [(&'static str, DataType)];

const NAME: DataType = DataType::NVarChar(Some(128));
const GUID: DataType = DataType::UniqueIdentifier;
const NUM: DataType = DataType::Numeric;

/// Lets everything pass. Only VERIFYONLY wants all families.
struct Open<'j> {
    context: &'j Context<'j>,
    heads: Option<Heads>,
    names: Vec<&'j str>,
    transfer: &'j TransferPlan,
    checksum: bool,
    /// What VERIFYONLY tells of its progress.
    told: OnceLock<Progress>,
}

impl Gate for Open<'_> {
    fn admit(
        &self,
        device: usize,
        head: &Head,
    ) -> Result<Option<Destination<'_>>, SeveralMessages> {
        password::check(self.transfer, head)?;
        if self.checksum && !has_checksums(head) {
            return Err(Message::new(3187, &[]).into());
        }
        let Some(heads) = &self.heads else { return Ok(None) };
        heads.add(device, head, &self.names)?;
        check_release(self.context, head)?;
        self.told.get_or_init(|| Progress::new(page_count(head), self.transfer.stats));
        Ok(None)
    }

    fn placed(&self, pages: u64) {
        self.told.get().into_iter().for_each(|told| told.advance(self.context, pages));
    }
}

/// Executes a RESTORE that only shows something.
pub(super) fn inspect(
    context: &Context<'_>,
    plan: &RestorePlan,
) -> Result<Answer, SeveralMessages> {
    let verifies = plan.kind == RestoreKind::VerifyOnly;
    let is_virtual = plan.devices[0].kind == DeviceKind::VirtualDevice;
    let extent = match plan.kind {
        RestoreKind::VerifyOnly => Extent::Whole,
        // A client at the other end of a pipe may want to rewind: no more is read than is needed.
        RestoreKind::HeaderOnly if !is_virtual => Extent::Sets,
        _ => Extent::Head,
    };
    let gate = Open {
        context,
        heads: verifies.then(Heads::default),
        names: plan.devices.iter().map(|device| device.name.as_str()).collect(),
        transfer: &plan.transfer,
        checksum: verifies && plan.transfer.checksum,
        told: OnceLock::new(),
    };
    let families = read_families(context, plan, &gate, extent)?;
    if verifies && !plan.transfer.continue_after_error {
        check_whole(context, &families)?;
    }
    let (head, brought) = &families[0];
    let (columns, rows) = match plan.kind {
        RestoreKind::VerifyOnly => {
            let mut messages = vec![Message::new(3262, &[&plan.position])];
            messages.extend(is_damaged(head).then(|| Message::new(3188, &[])));
            return Ok(Answer { messages, rows: None });
        }
        RestoreKind::FileListOnly => (FILE_LIST, file_list(head)),
        RestoreKind::LabelOnly => (LABEL, vec![label(head)]),
        _ => {
            let columns = header_columns(context.instance.profile.version.major);
            let row = |(head, last): &(Head, Option<mtf::Configuration>)| {
                let is_cut = last.is_none() && extent == Extent::Sets;
                let last = last.as_ref().unwrap_or(&head.configuration);
                let mut row = header(head, last, is_virtual);
                if is_cut {
                    row[0] = "*** INCOMPLETE ***".into();
                }
                row.truncate(columns.len());
                row
            };
            (columns, brought.sets.iter().map(row).collect())
        }
    };
    let columns = columns.iter().map(|(name, data_type)| Column::new(name, *data_type)).collect();
    Ok(Answer { messages: Vec::new(), rows: Some((columns, rows)) })
}

fn lsn(lsn: Lsn) -> Value {
    Value::Numeric(i128::try_from(lsn.to_decimal()).unwrap_or(0))
}

fn date(date: MediaDate) -> Value {
    date_time(date).map_or(Value::Null, Value::DateTime)
}

fn guid(guid: Uuid) -> Value {
    if guid.is_nil() { Value::Null } else { Value::Guid(guid) }
}

fn text(text: String) -> Value {
    if text.is_empty() { Value::Null } else { Value::Text(text) }
}

fn big(number: u64) -> Value {
    Value::BigInt(i64::try_from(number).unwrap_or(i64::MAX))
}

fn int(number: u32) -> Value {
    Value::Int(i32::try_from(number).unwrap_or(i32::MAX))
}

const FILE_LIST: Columns = &[
    ("LogicalName", NAME),
    ("PhysicalName", DataType::NVarChar(Some(260))),
    ("Type", DataType::NChar(1)),
    ("FileGroupName", NAME),
    ("Size", DataType::BigInt),
    ("MaxSize", DataType::BigInt),
    ("FileId", DataType::BigInt),
    ("CreateLSN", NUM),
    ("DropLSN", NUM),
    ("UniqueId", GUID),
    ("ReadOnlyLSN", NUM),
    ("ReadWriteLSN", NUM),
    ("BackupSizeInBytes", DataType::BigInt),
    ("SourceBlockSize", DataType::Int),
    ("FileGroupId", DataType::Int),
    ("LogGroupGUID", GUID),
    ("DifferentialBaseLSN", NUM),
    ("DifferentialBaseGUID", GUID),
    ("IsReadOnly", DataType::Bit),
    ("IsPresent", DataType::Bit),
    ("TDEThumbprint", DataType::VarBinary(Some(20))),
    ("SnapshotUrl", DataType::NVarChar(Some(336))),
];

fn file_list(head: &Head) -> Vec<Vec<Value>> {
    let zero = || lsn(Lsn::default());
    let filegroup = |id| {
        let mut groups = head.configuration.filegroups();
        let group = groups.find(|group| group.get(Sfgi::FILEGROUP_ID) == id);
        group.map_or(Value::Null, |group| text(group.text(Sfgi::NAME)))
    };
    let row = |file: &mtf::Record<Sfin>| {
        let is_log = file.is_log();
        vec![
            Value::Text(file.text(Sfin::LOGICAL_NAME)),
            Value::Text(file.text(Sfin::PHYSICAL_NAME)),
            match is_log {
                _ if is_container(file) => "S",
                true => "L",
                false => "D",
            }
            .into(),
            if is_log { Value::Null } else { filegroup(file.get(Sfin::FILEGROUP_ID)) },
            big(file.get(Sfin::FILE_SIZE)),
            big(file.get(Sfin::MAX_SIZE)),
            big(file.get(Sfin::FILE_ID).into()),
            zero(),
            zero(),
            Value::Guid(file.get(Sfin::UNIQUE_ID)),
            zero(),
            zero(),
            big(file.get(Sfin::BACKUP_SIZE)),
            int(file.get(Sfin::SECTOR_SIZE)),
            int(if is_log { 0 } else { file.get(Sfin::FILEGROUP_ID) }),
            Value::Null,
            lsn(file.get(Sfin::DIFFERENTIAL_BASE_LSN)),
            Value::Guid(file.get(Sfin::DIFFERENTIAL_BASE)),
            Value::Bit(false),
            Value::Bit(file.get(Sfin::FLAGS) & Sfin::PRESENT != 0),
            Value::Null,
            Value::Null,
        ]
    };
    head.configuration.files().map(row).collect()
}

const LABEL: Columns = &[
    ("MediaName", NAME),
    ("MediaSetId", GUID),
    ("FamilyCount", DataType::Int),
    ("FamilySequenceNumber", DataType::Int),
    ("MediaFamilyId", GUID),
    ("MediaSequenceNumber", DataType::Int),
    ("MediaLabelPresent", DataType::TinyInt),
    ("MediaDescription", DataType::NVarChar(Some(255))),
    ("SoftwareName", NAME),
    ("SoftwareVendorId", DataType::Int),
    ("MediaDate", DataType::DateTime),
    ("Mirror_Count", DataType::Int),
    ("IsCompressed", DataType::Bit),
];

fn label(head: &Head) -> Vec<Value> {
    let (tape, family) = (&head.tape, head.family());
    vec![
        text(tape.text(Tape::NAME)),
        Value::Guid(family.media_set),
        Value::Int(family.count.into()),
        Value::Int(family.number.into()),
        Value::Guid(Uuid::from_fields(family.id, 0, 0, &[0; 8])),
        Value::Int(tape.get(Tape::MEDIA_SEQUENCE).into()),
        Value::TinyInt(0),
        text(tape.text(Tape::DESCRIPTION)),
        Value::Text(tape.text(Tape::SOFTWARE).trim_end_matches('\0').to_owned()),
        Value::Int(tape.get(Tape::SOFTWARE_VENDOR).into()),
        date(tape.get(Tape::DATE)),
        Value::Int(1),
        Value::Bit(false),
    ]
}

/// Columns of HEADERONLY since SQL Server 2022; the last three are new there.
const HEADER: Columns = &[
    ("BackupName", NAME),
    ("BackupDescription", DataType::NVarChar(Some(255))),
    ("BackupType", DataType::TinyInt),
    ("ExpirationDate", DataType::DateTime),
    ("Compressed", DataType::TinyInt),
    ("Position", DataType::SmallInt),
    ("DeviceType", DataType::TinyInt),
    ("UserName", NAME),
    ("ServerName", NAME),
    ("DatabaseName", NAME),
    ("DatabaseVersion", DataType::Int),
    ("DatabaseCreationDate", DataType::DateTime),
    ("BackupSize", DataType::BigInt),
    ("FirstLSN", NUM),
    ("LastLSN", NUM),
    ("CheckpointLSN", NUM),
    ("DatabaseBackupLSN", NUM),
    ("BackupStartDate", DataType::DateTime),
    ("BackupFinishDate", DataType::DateTime),
    ("SortOrder", DataType::SmallInt),
    ("CodePage", DataType::SmallInt),
    ("UnicodeLocaleId", DataType::Int),
    ("UnicodeComparisonStyle", DataType::Int),
    ("CompatibilityLevel", DataType::TinyInt),
    ("SoftwareVendorId", DataType::Int),
    ("SoftwareVersionMajor", DataType::Int),
    ("SoftwareVersionMinor", DataType::Int),
    ("SoftwareVersionBuild", DataType::Int),
    ("MachineName", NAME),
    ("Flags", DataType::Int),
    ("BindingID", GUID),
    ("RecoveryForkID", GUID),
    ("Collation", NAME),
    ("FamilyGUID", GUID),
    ("HasBulkLoggedData", DataType::Bit),
    ("IsSnapshot", DataType::Bit),
    ("IsReadOnly", DataType::Bit),
    ("IsSingleUser", DataType::Bit),
    ("HasBackupChecksums", DataType::Bit),
    ("IsDamaged", DataType::Bit),
    ("BeginsLogChain", DataType::Bit),
    ("HasIncompleteMetaData", DataType::Bit),
    ("IsForceOffline", DataType::Bit),
    ("IsCopyOnly", DataType::Bit),
    ("FirstRecoveryForkID", GUID),
    ("ForkPointLSN", NUM),
    ("RecoveryModel", DataType::NVarChar(Some(60))),
    ("DifferentialBaseLSN", NUM),
    ("DifferentialBaseGUID", GUID),
    ("BackupTypeDescription", NAME),
    ("BackupSetGUID", GUID),
    ("CompressedBackupSize", DataType::BigInt),
    ("Containment", DataType::TinyInt),
    ("KeyAlgorithm", DataType::NVarChar(Some(32))),
    ("EncryptorThumbprint", DataType::VarBinary(Some(20))),
    ("EncryptorType", DataType::NVarChar(Some(32))),
    ("LastValidRestoreTime", DataType::DateTime),
    ("TimeZone", DataType::SmallInt),
    ("CompressionAlgorithm", DataType::NVarChar(Some(32))),
];

/// The columns that a server of this major version has.
fn header_columns(major: u8) -> Columns {
    const NEW_IN_2022: usize = 3;
    if major >= 16 { HEADER } else { HEADER.split_at(HEADER.len() - NEW_IN_2022).0 }
}

fn header(head: &Head, last: &mtf::Configuration, is_virtual: bool) -> Vec<Value> {
    let (set, scin, facts) = (&head.set, last.set(), facts(&head.set, &head.configuration));
    let (kind, description, _) = backup_type(scin);
    let flags = scin.get(Scin::FLAGS);
    let has = |flag| Value::Bit(flags & flag != 0);
    let server = scin.text(Scin::SERVER_NAME);
    let machine = server.split('\\').next().unwrap_or_default().to_owned();
    let base = facts.base.filter(|_| facts.kind == SetKind::Differential);
    let size = scin.get(Scin::BACKUP_SIZE);
    let zone = set.get(Sset::TIME_ZONE);
    vec![
        text(set.text(Sset::NAME)),
        text(set.text(Sset::DESCRIPTION)),
        Value::TinyInt(kind),
        date(set.get(Sset::EXPIRATION)),
        Value::TinyInt(0),
        Value::SmallInt(i16::try_from(set.get(Sset::DATA_SET_NUMBER)).unwrap_or(1)),
        Value::TinyInt(if is_virtual { 7 } else { 2 }),
        text(set.text(Sset::USER)),
        Value::Text(server),
        Value::Text(scin.text(Scin::DATABASE_NAME)),
        Value::Int(scin.get(Scin::DATABASE_VERSION).into()),
        date(scin.get(Scin::DATABASE_CREATED)),
        big(size),
        lsn(scin.get(Scin::FIRST_LSN)),
        lsn(scin.get(Scin::LAST_LSN)),
        lsn(scin.get(Scin::CHECKPOINT_LSN)),
        lsn(scin.get(Scin::DATABASE_BACKUP_LSN)),
        date(scin.get(Scin::STARTED)),
        date(scin.get(Scin::FINISHED)),
        Value::SmallInt(scin.get(Scin::SORT_ORDER).into()),
        Value::SmallInt(0),
        int(scin.get(Scin::LOCALE_ID)),
        int(scin.get(Scin::COMPARISON_STYLE)),
        Value::TinyInt(scin.get(Scin::COMPATIBILITY_LEVEL)),
        Value::Int(set.get(Sset::SOFTWARE_VENDOR).into()),
        Value::Int(scin.get(Scin::SOFTWARE_MAJOR).into()),
        Value::Int(scin.get(Scin::SOFTWARE_MINOR).into()),
        Value::Int(scin.get(Scin::SOFTWARE_BUILD).into()),
        Value::Text(machine),
        int(flags),
        Value::Guid(scin.get(Scin::BINDING_ID)),
        Value::Guid(scin.get(Scin::RECOVERY_FORK)),
        "SQL_Latin1_General_CP1_CI_AS".into(),
        Value::Guid(scin.get(Scin::FAMILY_GUID)),
        has(Scin::BULK_LOGGED),
        has(Scin::SNAPSHOT),
        has(Scin::READ_ONLY),
        has(Scin::SINGLE_USER),
        has(Scin::CHECKSUM),
        has(Scin::DAMAGED),
        // The first log backup starts where the chain began: with the first full backup.
        Value::Bit(facts.kind == SetKind::Log && facts.first == scin.get(Scin::CHAIN_LSN)),
        has(Scin::INCOMPLETE_METADATA),
        has(Scin::FORCE_OFFLINE),
        has(Scin::COPY_ONLY),
        Value::Guid(facts.first_fork),
        match facts.first_fork == facts.fork {
            true => Value::Null,
            false => lsn(scin.get(Scin::FORK_POINT_LSN)),
        },
        recovery_model(scin).description().into(),
        base.map_or(Value::Null, |base| lsn(base.lsn)),
        base.map_or(Value::Null, |base| guid(base.set)),
        description.into(),
        Value::Guid(facts.set),
        big(size),
        Value::TinyInt(0),
        Value::Null,
        Value::Null,
        Value::Null,
        date(scin.get(Scin::FINISHED)),
        match zone {
            Sset::UNKNOWN_ZONE => Value::Null,
            zone => Value::SmallInt(zone.into()),
        },
        Value::Null,
    ]
}
