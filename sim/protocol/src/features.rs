//! Features: what a client's devices can do, and which mode that makes them work in.

use core::fmt;

use bitflags::bitflags;

bitflags! {
    /// `VDConfig.features`: asked by the client at Create, answered by GetConfiguration.
    ///
    /// Bits without a name are kept: a set with them is odd, but it is what the client said.
    /// Source: VDFeatures in vdi.h (Windows 2016 and Linux samples); VDI, "Feature Bits".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u32 {
        /// Media can be changed; the client answers VDC_Load.
        const REMOVABLE = 0x1;
        /// The client answers VDC_Rewind.
        const REWIND = 0x2;
        /// The client answers VDC_GetPosition and VDC_SetPosition.
        const POSITION = 0x10;
        /// The client answers VDC_SkipBlocks.
        const SKIP_BLOCKS = 0x20;
        /// VDC_SkipMarks and VDC_SkipBlocks may go backwards.
        const REVERSE_POSITION = 0x40;
        /// The client answers VDC_Discard.
        const DISCARD = 0x80;
        /// The client answers VDC_WriteMark and VDC_SkipMarks and reports filemarks on Read.
        const FILE_MARKS = 0x100;
        /// Every Read and Write carries a byte position that the client honours.
        const RANDOM_ACCESS = 0x200;
        /// The client answers VDC_PrepareToFreeze (SQL Server 2000 SP2 on).
        const SNAPSHOT_PREPARE = 0x400;
        /// The client wants the list of frozen files. In the headers only.
        const ENUM_FROZEN_FILES = 0x800;
        /// The client is SQL Writer. In the headers only.
        const VSS_WRITER = 0x1000;
        /// The client asks for VDC_Complete (KB3188454).
        const REQUEST_COMPLETE = 0x2000;
        /// Set by the server: this is a backup.
        const WRITE_MEDIA = 0x1_0000;
        /// Set by the server: this is a restore.
        const READ_MEDIA = 0x2_0000;
        /// Set by the server in answer to REQUEST_COMPLETE: VDC_Complete will come.
        const COMPLETE_ENABLED = 0x4_0000;
        /// In the headers only.
        const LATCH_STATS = 0x8000_0000;

        /// Alias: a stream without positions.
        const LIKE_PIPE = 0;
        /// Alias: all of what a tape drive does.
        const LIKE_TAPE = Self::FILE_MARKS.bits()
            | Self::REMOVABLE.bits()
            | Self::REWIND.bits()
            | Self::POSITION.bits()
            | Self::SKIP_BLOCKS.bits()
            | Self::REVERSE_POSITION.bits();
        /// Alias: a file with byte positions.
        const LIKE_DISK = Self::RANDOM_ACCESS.bits();

        // Bits that no header assigns belong to the value all the same.
        const _ = !0;
    }
}

/// The way a device works, which decides what the commands mean.
/// Source: VDI, "Client Supported Commands".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A stream in one direction.
    Pipe,
    /// Blocks, filemarks and opaque positions.
    Tape,
    /// Byte positions from the start of a file.
    Disk,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Pipe, Self::Tape, Self::Disk];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipe => "pipe-like",
            Self::Tape => "tape-like",
            Self::Disk => "disk-like",
        })
    }
}

/// Which way the data go; the server tells the client by WRITE_MEDIA or READ_MEDIA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// BACKUP: the client receives Writes.
    Backup,
    /// RESTORE: the client answers Reads.
    Restore,
}

impl Features {
    /// The bits that only the server sets; a client's own are ignored.
    pub const SERVER_BITS: Self =
        Self::WRITE_MEDIA.union(Self::READ_MEDIA).union(Self::COMPLETE_ENABLED);

    /// The bits that may be added to any listed mode.
    /// Source: VDI, "Feature Bits"; KB3188454 for REQUEST_COMPLETE.
    pub const OPTIONAL: Self =
        Self::DISCARD.union(Self::SNAPSHOT_PREPARE).union(Self::REQUEST_COMPLETE);

    /// The modes that the specification lists, without [`Features::OPTIONAL`].
    /// Source: VDI, "Feature Bits" and "Client Supported Commands".
    pub const LISTED_MODES: [(Self, Mode); 5] = [
        (Self::LIKE_PIPE, Mode::Pipe),
        (Self::REMOVABLE, Mode::Pipe),
        (Self::LIKE_TAPE, Mode::Tape),
        (Self::LIKE_DISK, Mode::Disk),
        (Self::LIKE_DISK.union(Self::REMOVABLE), Mode::Disk),
    ];

    /// The mode that these features make. For a combination that is not listed: positions on
    /// every transfer make it disk-like, else filemarks make it tape-like, else it is a pipe.
    pub const fn mode(self) -> Mode {
        if self.contains(Self::RANDOM_ACCESS) {
            Mode::Disk
        } else if self.contains(Self::FILE_MARKS) {
            Mode::Tape
        } else {
            Mode::Pipe
        }
    }

    /// Whether a client may ask for exactly this: a listed mode, with any optional bits.
    /// Anything else is undefined by the specification.
    pub fn is_listed_combination(self) -> bool {
        let mode = self.difference(Self::OPTIONAL);
        Self::LISTED_MODES.iter().any(|(listed, _)| *listed == mode)
    }

    /// The direction in which the server said the data go, if it said one.
    pub const fn direction(self) -> Option<Direction> {
        match (self.contains(Self::WRITE_MEDIA), self.contains(Self::READ_MEDIA)) {
            (true, false) => Some(Direction::Backup),
            (false, true) => Some(Direction::Restore),
            _ => None,
        }
    }

    /// A willing server's answer to these features of a client, for BeginConfiguration: all that
    /// was asked for, the direction, and COMPLETE_ENABLED if VDC_Complete was asked for and is
    /// offered.
    pub fn answer(self, direction: Direction, offers_complete: bool) -> Self {
        let way = match direction {
            Direction::Backup => Self::WRITE_MEDIA,
            Direction::Restore => Self::READ_MEDIA,
        };
        let mut answer = self.difference(Self::SERVER_BITS).union(way);
        answer
            .set(Self::COMPLETE_ENABLED, offers_complete && self.contains(Self::REQUEST_COMPLETE));
        answer
    }

    /// Single bits and their names in the headers, in ascending order.
    pub const NAMES: [(Self, &'static str); 16] = [
        (Self::REMOVABLE, "VDF_Removable"),
        (Self::REWIND, "VDF_Rewind"),
        (Self::POSITION, "VDF_Position"),
        (Self::SKIP_BLOCKS, "VDF_SkipBlocks"),
        (Self::REVERSE_POSITION, "VDF_ReversePosition"),
        (Self::DISCARD, "VDF_Discard"),
        (Self::FILE_MARKS, "VDF_FileMarks"),
        (Self::RANDOM_ACCESS, "VDF_RandomAccess"),
        (Self::SNAPSHOT_PREPARE, "VDF_SnapshotPrepare"),
        (Self::ENUM_FROZEN_FILES, "VDF_EnumFrozenFiles"),
        (Self::VSS_WRITER, "VDF_VSSWriter"),
        (Self::REQUEST_COMPLETE, "VDF_RequestComplete"),
        (Self::WRITE_MEDIA, "VDF_WriteMedia"),
        (Self::READ_MEDIA, "VDF_ReadMedia"),
        (Self::COMPLETE_ENABLED, "VDF_CompleteEnabled"),
        (Self::LATCH_STATS, "VDF_LatchStats"),
    ];
}

/// `VDF_FileMarks|VDF_RequestComplete|0x4`; no bits at all read `VDF_LikePipe`.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut rest = *self;
        for (bit, name) in Self::NAMES {
            if self.contains(bit) {
                write!(f, "{separator}{name}")?;
                separator = "|";
                rest.remove(bit);
            }
        }
        if !rest.is_empty() {
            write!(f, "{separator}{:#x}", rest.bits())
        } else if separator.is_empty() {
            f.write_str("VDF_LikePipe")
        } else {
            Ok(())
        }
    }
}
