//! The options of BACKUP and RESTORE.

use super::ast::Operand;

/// Which statements know an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statements {
    pub(super) backup: bool,
    pub(super) restore: bool,
}

const BACKUP: Statements = Statements { backup: true, restore: false };
const RESTORE: Statements = Statements { backup: false, restore: true };
const BOTH: Statements = Statements { backup: true, restore: true };

/// What follows an option's keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// `= n` or `= @variable`.
    Number,
    /// `= n` or nothing.
    OptionalNumber,
    /// `= 'text'` or `= @variable`.
    Text,
    /// `= 'mark' [AFTER 'time']`.
    Mark,
    /// `'logical' TO 'physical'`.
    Move,
    /// `( … )`.
    List,
    /// `( … )` or nothing.
    OptionalList,
}

macro_rules! options {
    ($($option:ident $keyword:literal $statements:ident $takes:ident;)*) => {
        /// An option of BACKUP or RESTORE, named as its keyword.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is the option of that name")]
        pub enum OptionName { $($option),* }

        impl OptionName {
            /// All options.
            pub const ALL: &[OptionName] = &[$(OptionName::$option),*];

            /// The keyword, in upper case.
            pub fn keyword(self) -> &'static str {
                match self { $(OptionName::$option => $keyword),* }
            }

            pub(super) fn statements(self) -> Statements {
                match self { $(OptionName::$option => $statements),* }
            }

            pub(super) fn takes(self) -> Takes {
                match self { $(OptionName::$option => Takes::$takes),* }
            }
        }
    };
}

options! {
    BlockSize "BLOCKSIZE" BOTH Number;
    BufferCount "BUFFERCOUNT" BOTH Number;
    Checksum "CHECKSUM" BOTH Nothing;
    CommitDifferentialBase "COMMIT_DIFFERENTIAL_BASE" RESTORE Nothing;
    Compression "COMPRESSION" BACKUP OptionalList;
    ContinueAfterError "CONTINUE_AFTER_ERROR" BOTH Nothing;
    CopyOnly "COPY_ONLY" BACKUP Nothing;
    Credential "CREDENTIAL" BOTH Text;
    Description "DESCRIPTION" BACKUP Text;
    Differential "DIFFERENTIAL" BACKUP Nothing;
    EnableBroker "ENABLE_BROKER" RESTORE Nothing;
    Encryption "ENCRYPTION" BACKUP List;
    EnhancedIntegrity "ENHANCEDINTEGRITY" BACKUP Text;
    ErrorBrokerConversations "ERROR_BROKER_CONVERSATIONS" RESTORE Nothing;
    ExpireDate "EXPIREDATE" BACKUP Text;
    File "FILE" RESTORE Number;
    FileStream "FILESTREAM" BOTH List;
    Format "FORMAT" BACKUP Nothing;
    Init "INIT" BACKUP Nothing;
    KeepReplication "KEEP_REPLICATION" RESTORE Nothing;
    KeepTemporalRetention "KEEP_TEMPORAL_RETENTION" RESTORE Nothing;
    LoadHistory "LOADHISTORY" RESTORE Nothing;
    MaxTransferSize "MAXTRANSFERSIZE" BOTH Number;
    MediaDescription "MEDIADESCRIPTION" BACKUP Text;
    MediaName "MEDIANAME" BOTH Text;
    MediaPassword "MEDIAPASSWORD" BOTH Text;
    MetadataOnly "METADATA_ONLY" BOTH Nothing;
    Move "MOVE" RESTORE Move;
    Name "NAME" BACKUP Text;
    NewBroker "NEW_BROKER" RESTORE Nothing;
    NoChecksum "NO_CHECKSUM" BOTH Nothing;
    NoCompression "NO_COMPRESSION" BACKUP Nothing;
    NoFormat "NOFORMAT" BACKUP Nothing;
    NoInit "NOINIT" BACKUP Nothing;
    NoRecovery "NORECOVERY" BOTH Nothing;
    NoRewind "NOREWIND" BOTH Nothing;
    NoSkip "NOSKIP" BACKUP Nothing;
    NoTruncate "NO_TRUNCATE" BACKUP Nothing;
    NoUnload "NOUNLOAD" BOTH Nothing;
    Online "ONLINE" RESTORE Nothing;
    Partial "PARTIAL" RESTORE Nothing;
    Password "PASSWORD" BOTH Text;
    Recovery "RECOVERY" RESTORE Nothing;
    Replace "REPLACE" RESTORE Nothing;
    Restart "RESTART" BOTH Nothing;
    RestrictedUser "RESTRICTED_USER" RESTORE Nothing;
    RetainDays "RETAINDAYS" BACKUP Number;
    Rewind "REWIND" BOTH Nothing;
    Skip "SKIP" BACKUP Nothing;
    Snapshot "SNAPSHOT" BOTH Nothing;
    SnapshotImport "SNAPSHOT_IMPORT" RESTORE Nothing;
    Standby "STANDBY" BOTH Text;
    Stats "STATS" BOTH OptionalNumber;
    StopAt "STOPAT" RESTORE Text;
    StopAtMark "STOPATMARK" RESTORE Mark;
    StopBeforeMark "STOPBEFOREMARK" RESTORE Mark;
    StopOnError "STOP_ON_ERROR" BOTH Nothing;
    Unload "UNLOAD" BOTH Nothing;
    Verbose "VERBOSE" RESTORE Nothing;
}

impl OptionName {
    /// The option with this keyword, in any case.
    pub fn from_keyword(keyword: &str) -> Option<OptionName> {
        Self::ALL.iter().copied().find(|option| option.keyword().eq_ignore_ascii_case(keyword))
    }

    /// Whether the option is read and checked, and changes nothing here: tapes, encryption,
    /// brokers and the like are not simulated.
    pub fn is_without_effect(self) -> bool {
        use OptionName::*;
        matches!(
            self,
            CommitDifferentialBase
                | Compression
                | Credential
                | EnableBroker
                | Encryption
                | EnhancedIntegrity
                | ErrorBrokerConversations
                | FileStream
                | KeepReplication
                | KeepTemporalRetention
                | LoadHistory
                | NewBroker
                | NoCompression
                | NoRewind
                | NoTruncate
                | NoUnload
                | Online
                | Partial
                | Restart
                | RestrictedUser
                | Rewind
                | SnapshotImport
                | Unload
                | Verbose
        )
    }
}

/// An option with what follows its keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithOption {
    /// Which one.
    pub name: OptionName,
    /// Its value.
    pub value: OptionValue,
    /// Its line in the batch, from 1.
    pub line: u32,
}

/// What follows an option's keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// Nothing.
    None,
    /// `= value`.
    Operand(Operand),
    /// `= 'mark' [AFTER 'time']`.
    Mark {
        /// The mark, or `lsn:` and a log sequence number.
        mark: Operand,
        /// Only marks from this time on.
        after: Option<Operand>,
    },
    /// `'logical' TO 'physical'`.
    Move {
        /// Logical name of the file.
        logical: Operand,
        /// Where it goes.
        physical: Operand,
    },
    /// `( name = value, … )`; names of several words are joined by a space.
    List(Vec<(String, Option<Operand>)>),
}
