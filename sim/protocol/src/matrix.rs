//! Which fields a command uses, and which commands a client has to execute.

use crate::command::CommandCode;
use crate::features::{Features, Mode};
use crate::source::Source;

/// What a command's `size` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SizeUse {
    /// Nothing to rely on.
    Unused,
    /// The number of bytes to transfer.
    Bytes,
    /// A signed number of marks or blocks.
    Count,
    /// An input whose meaning is not known (VDC_Load).
    Unconfirmed,
    /// A [`crate::Whence`], with VDF_RandomAccess; otherwise nothing.
    Whence,
}

/// When a command's `position` goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PositionUse {
    /// Never: nothing to rely on.
    Unused,
    /// With VDF_RandomAccess: a byte address from the start of the file.
    RandomAccess,
    /// Always.
    Always,
}

/// Which fields of a command carry something, in and out. Every command has a completion code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// A data buffer goes with it.
    pub buffer: bool,
    /// What `size` carries.
    pub size: SizeUse,
    /// When `position` goes to the client.
    pub position_in: PositionUse,
    /// The client reports the number of bytes moved.
    pub bytes_out: bool,
    /// The client reports a position.
    pub position_out: bool,
    /// Whether the specification lists the command.
    pub source: Source,
}

/// Whether a client has to execute a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Support {
    /// It must.
    Required,
    /// It may answer ERROR_NOT_SUPPORTED.
    Optional,
    /// A server that keeps the rules does not send it.
    NotSent,
}

/// One cell of the table of modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SupportCell {
    /// Whether the client has to execute the command.
    pub support: Support,
    /// Whether the specification says so.
    pub source: Source,
}

/// A kind of device: a column of the table "Client Supported Commands".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Pipe-like, with or without removable media.
    Pipe,
    /// Tape-like.
    Tape,
    /// Disk-like with a fixed medium.
    Disk,
    /// Disk-like with removable media.
    RemovableDisk,
}

impl DeviceKind {
    /// All columns in the table's order.
    pub const ALL: [Self; 4] = [Self::Pipe, Self::Tape, Self::Disk, Self::RemovableDisk];

    /// The column that these features belong to.
    pub const fn of(features: Features) -> Self {
        match features.mode() {
            Mode::Pipe => Self::Pipe,
            Mode::Tape => Self::Tape,
            Mode::Disk if features.contains(Features::REMOVABLE) => Self::RemovableDisk,
            Mode::Disk => Self::Disk,
        }
    }
}

/// What makes a server send a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// It belongs to every mode.
    Always,
    /// One of these features was negotiated.
    Feature(Features),
    /// The statement says WITH SNAPSHOT.
    Snapshot,
    /// None is known.
    Unknown,
}

impl CommandCode {
    /// Which fields of the command carry something, or `None` for an unknown code.
    /// Source: VDI, "Command Inputs" and "Command Outputs".
    pub fn shape(self) -> Option<Shape> {
        SHAPES.iter().find(|(code, _)| *code == self).map(|(_, shape)| *shape)
    }

    /// Whether a client with this kind of device has to execute the command, or `None` for an
    /// unknown code. Source: VDI, "Client Supported Commands".
    pub fn support_by(self, kind: DeviceKind) -> Option<SupportCell> {
        SUPPORT.iter().find(|(code, _)| *code == self).map(|(_, row)| row[kind as usize])
    }

    /// What makes a server send the command, or `None` for an unknown code.
    /// Source: VDI, "Feature Bits" and the pages of the commands.
    pub fn occasion(self) -> Option<Occasion> {
        OCCASIONS.iter().find(|(code, _)| *code == self).map(|(_, occasion)| *occasion)
    }

    /// Whether a client that negotiated these features has to execute the command. An unknown
    /// code is not sent.
    pub fn support_with(self, negotiated: Features) -> Support {
        match self.occasion() {
            Some(Occasion::Always) => Support::Required,
            Some(Occasion::Feature(any)) if negotiated.intersects(any) => Support::Required,
            Some(Occasion::Snapshot | Occasion::Unknown) => Support::Optional,
            Some(Occasion::Feature(_)) | None => Support::NotSent,
        }
    }
}

const PLAIN: Shape = Shape {
    buffer: false,
    size: SizeUse::Unused,
    position_in: PositionUse::Unused,
    bytes_out: false,
    position_out: false,
    source: Source::Stated,
};

const TRANSFER: Shape = Shape {
    buffer: true,
    size: SizeUse::Bytes,
    position_in: PositionUse::RandomAccess,
    bytes_out: true,
    ..PLAIN
};

const IN_HEADERS_ONLY: Source =
    Source::Decided("in the headers, but not in the tables of commands");

const HEADER_PLAIN: Shape = Shape { source: IN_HEADERS_ONLY, ..PLAIN };

/// What the fields of each command carry.
/// Source: VDI, "Command Inputs", "Command Outputs"; VDC_SetPosition page for whence.
#[rustfmt::skip]
const SHAPES: [(CommandCode, Shape); 19] = [
    (CommandCode::READ, TRANSFER),
    (CommandCode::WRITE, TRANSFER),
    (CommandCode::CLEAR_ERROR, PLAIN),
    (CommandCode::REWIND, PLAIN),
    (CommandCode::WRITE_MARK, PLAIN),
    (CommandCode::SKIP_MARKS, Shape { size: SizeUse::Count, ..PLAIN }),
    (CommandCode::SKIP_BLOCKS, Shape { size: SizeUse::Count, ..PLAIN }),
    (CommandCode::LOAD, Shape { size: SizeUse::Unconfirmed, ..PLAIN }),
    (CommandCode::GET_POSITION, Shape { position_out: true, ..PLAIN }),
    (CommandCode::SET_POSITION, Shape {
        size: SizeUse::Whence, position_in: PositionUse::Always, position_out: true, ..PLAIN
    }),
    (CommandCode::DISCARD, PLAIN),
    (CommandCode::FLUSH, PLAIN),
    (CommandCode::SNAPSHOT, PLAIN),
    (CommandCode::MOUNT_SNAPSHOT, PLAIN),
    (CommandCode::PREPARE_TO_FREEZE, HEADER_PLAIN),
    (CommandCode::FILE_INFO_BEGIN, HEADER_PLAIN),
    (CommandCode::FILE_INFO_END, HEADER_PLAIN),
    (CommandCode::GET_ERROR, HEADER_PLAIN),
    (CommandCode::COMPLETE, HEADER_PLAIN),
];

const X: SupportCell = SupportCell { support: Support::Required, source: Source::Stated };
const O: SupportCell = SupportCell { support: Support::Optional, source: Source::Stated };

/// Cells that the published copy of the table lost, filled from the feature bits.
const LOST: Source = Source::Decided("the published table lost this cell; the feature bits say so");
const X_LOST: SupportCell = SupportCell { support: Support::Required, source: LOST };
const O_LOST: SupportCell = SupportCell { support: Support::Optional, source: LOST };
const NO_LOST: SupportCell = SupportCell { support: Support::NotSent, source: LOST };

/// GetPosition on a disk: the table's cell against the command's own page.
const X_PAGE: SupportCell = SupportCell {
    support: Support::Required,
    source: Source::Decided("the command's page says VDF_Position or VDF_RandomAccess"),
};

/// Commands that the table leaves out.
const O_HEADER: SupportCell = SupportCell { support: Support::Optional, source: IN_HEADERS_ONLY };

/// Columns in the order of [`DeviceKind::ALL`].
/// Source: VDI, "Client Supported Commands".
const SUPPORT: [(CommandCode, [SupportCell; 4]); 19] = [
    (CommandCode::READ, [X, X, X, X]),
    (CommandCode::WRITE, [X, X, X, X]),
    (CommandCode::CLEAR_ERROR, [X, X, X, X]),
    (CommandCode::REWIND, [NO_LOST, X_LOST, NO_LOST, NO_LOST]),
    (CommandCode::WRITE_MARK, [NO_LOST, X_LOST, NO_LOST, NO_LOST]),
    (CommandCode::SKIP_MARKS, [NO_LOST, X_LOST, NO_LOST, NO_LOST]),
    (CommandCode::SKIP_BLOCKS, [NO_LOST, X_LOST, NO_LOST, NO_LOST]),
    (CommandCode::LOAD, [O_LOST, X_LOST, NO_LOST, X_LOST]),
    (CommandCode::GET_POSITION, [NO_LOST, X_LOST, X_PAGE, X_PAGE]),
    (CommandCode::SET_POSITION, [NO_LOST, X_LOST, X_LOST, X_LOST]),
    (CommandCode::DISCARD, [O, O, O, O]),
    (CommandCode::FLUSH, [X, X, X, X]),
    (CommandCode::SNAPSHOT, [O, O, O, O]),
    (CommandCode::MOUNT_SNAPSHOT, [O, O, O, O]),
    (CommandCode::PREPARE_TO_FREEZE, [O_HEADER, O_HEADER, O_HEADER, O_HEADER]),
    (CommandCode::FILE_INFO_BEGIN, [O_HEADER, O_HEADER, O_HEADER, O_HEADER]),
    (CommandCode::FILE_INFO_END, [O_HEADER, O_HEADER, O_HEADER, O_HEADER]),
    (CommandCode::GET_ERROR, [O_HEADER, O_HEADER, O_HEADER, O_HEADER]),
    (CommandCode::COMPLETE, [O_HEADER, O_HEADER, O_HEADER, O_HEADER]),
];

/// What makes a server send each command.
/// Source: VDI, "Feature Bits", pages of VDF_FileMarks, VDF_SnapshotPrepare, VDC_GetPosition,
/// VDC_SetPosition; KB3188454. VDF_EnumFrozenFiles is taken from its name, unconfirmed.
const OCCASIONS: [(CommandCode, Occasion); 19] = {
    use Occasion::{Always, Feature, Snapshot, Unknown};
    let positions = Features::POSITION.union(Features::RANDOM_ACCESS);
    [
        (CommandCode::READ, Always),
        (CommandCode::WRITE, Always),
        (CommandCode::CLEAR_ERROR, Always),
        (CommandCode::REWIND, Feature(Features::REWIND)),
        (CommandCode::WRITE_MARK, Feature(Features::FILE_MARKS)),
        (CommandCode::SKIP_MARKS, Feature(Features::FILE_MARKS)),
        (CommandCode::SKIP_BLOCKS, Feature(Features::SKIP_BLOCKS)),
        (CommandCode::LOAD, Feature(Features::REMOVABLE)),
        (CommandCode::GET_POSITION, Feature(positions)),
        (CommandCode::SET_POSITION, Feature(positions)),
        (CommandCode::DISCARD, Feature(Features::DISCARD)),
        (CommandCode::FLUSH, Always),
        (CommandCode::SNAPSHOT, Snapshot),
        (CommandCode::MOUNT_SNAPSHOT, Snapshot),
        (CommandCode::PREPARE_TO_FREEZE, Feature(Features::SNAPSHOT_PREPARE)),
        (CommandCode::FILE_INFO_BEGIN, Feature(Features::ENUM_FROZEN_FILES)),
        (CommandCode::FILE_INFO_END, Feature(Features::ENUM_FROZEN_FILES)),
        (CommandCode::GET_ERROR, Unknown),
        (CommandCode::COMPLETE, Feature(Features::COMPLETE_ENABLED)),
    ]
};
