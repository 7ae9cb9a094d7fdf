//! The configuration of a set: what the client asks for, what the server answers, and the limits.

use core::fmt;
use core::mem::{align_of, offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::features::Features;
use crate::status::HResult;

/// 1 KiB.
const KIB: u32 = 1024;

/// Most devices that a set can have. Source: VDI, "VDConfig Structure".
pub const MAX_DEVICES: u32 = 64;

/// Largest alignment, block and prefix zone. Source: VDI, BeginConfiguration page; the limit of
/// the prefix zone and of soft filemarks is ours, to bound what a client can make a server reserve.
pub const MAX_BLOCK_SIZE: u32 = 64 * KIB;

/// Smallest block, and the default for virtual devices. Source: VDI, "Glossary" (BLOCKSIZE).
pub const MIN_BLOCK_SIZE: u32 = 512;

/// The unit and the smallest value of the transfer size. Source: VDI, "Glossary"
/// (MAXTRANSFERSIZE); BeginConfiguration page.
pub const TRANSFER_UNIT: u32 = 64 * KIB;

/// The largest transfer size. Source: VDI, "Glossary" (MAXTRANSFERSIZE). The page of
/// BeginConfiguration only asks for a multiple of 64 KiB; since no statement can name more than
/// 4 MiB, more is refused there too.
pub const MAX_TRANSFER_SIZE: u32 = 4 * KIB * KIB;

/// What `maxIODepth` always answers; the field is deprecated.
/// Source: VDI, "VDConfig Structure".
pub const MAX_IO_DEPTH: u32 = 4;

/// How many intervals of `serverTimeOut` may pass with commands pending and none completing
/// before the operation is aborted. Source: VDI, "Description" (completion agent).
pub const SERVER_TIME_OUT_INTERVALS: u32 = 2;

/// The configuration of a set (VDConfig): 44 bytes, the same on Windows and Linux.
///
/// At Create the client fills the first seven fields; GetConfiguration returns them as the server
/// decided, with the rest. Source: vdi.h of both samples; VDI, "VDConfig Structure".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VdConfig {
    /// Number of devices, 1 to 64.
    pub device_count: u32,
    /// [`Features`] bits.
    pub features: u32,
    /// Bytes reserved right before the data of every buffer; the server never sees them.
    pub prefix_zone_size: u32,
    /// In: least alignment of the data that the client needs, 0 if it does not care.
    /// Out: the alignment that all buffers have.
    pub alignment: u32,
    /// Bytes of a soft filemark, with VDF_FileMarks only; 0 for hard filemarks.
    pub soft_file_mark_block_size: u32,
    /// Bytes of the warning zone at the end of the medium; 0 for none.
    pub eom_warning_size: u32,
    /// Milliseconds that the server gives the client to complete something; 0 for ever. See
    /// [`SERVER_TIME_OUT_INTERVALS`].
    pub server_time_out: u32,
    /// Out: the block size; every transfer is a multiple of it.
    pub block_size: u32,
    /// Out: always 4, deprecated.
    pub max_io_depth: u32,
    /// Out: bytes of the largest transfer.
    pub max_transfer_size: u32,
    /// Out: bytes of all buffers together.
    pub buffer_area_size: u32,
}

const _: () = {
    assert!(size_of::<VdConfig>() == 44 && align_of::<VdConfig>() == 4);
    assert!(offset_of!(VdConfig, device_count) == 0);
    assert!(offset_of!(VdConfig, features) == 4);
    assert!(offset_of!(VdConfig, prefix_zone_size) == 8);
    assert!(offset_of!(VdConfig, alignment) == 12);
    assert!(offset_of!(VdConfig, soft_file_mark_block_size) == 16);
    assert!(offset_of!(VdConfig, eom_warning_size) == 20);
    assert!(offset_of!(VdConfig, server_time_out) == 24);
    assert!(offset_of!(VdConfig, block_size) == 28);
    assert!(offset_of!(VdConfig, max_io_depth) == 32);
    assert!(offset_of!(VdConfig, max_transfer_size) == 36);
    assert!(offset_of!(VdConfig, buffer_area_size) == 40);
};

impl VdConfig {
    /// The features as bits with names; unknown bits are kept.
    pub const fn features(&self) -> Features {
        Features::from_bits_retain(self.features)
    }
}

/// A field of a configuration, with the name that the documentation gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigField {
    /// VDConfig.deviceCount.
    DeviceCount,
    /// VDConfig.prefixZoneSize.
    PrefixZoneSize,
    /// VDConfig.alignment.
    ClientAlignment,
    /// VDConfig.softFileMarkBlockSize.
    SoftFileMarkBlockSize,
    /// BeginConfiguration's dwFeatures.
    ServerFeatures,
    /// BeginConfiguration's dwBlockSize.
    BlockSize,
    /// BeginConfiguration's dwAlignment.
    ServerAlignment,
    /// BeginConfiguration's dwMaxTransferSize.
    MaxTransferSize,
}

impl fmt::Display for ConfigField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeviceCount => "VDConfig.deviceCount",
            Self::PrefixZoneSize => "VDConfig.prefixZoneSize",
            Self::ClientAlignment => "VDConfig.alignment",
            Self::SoftFileMarkBlockSize => "VDConfig.softFileMarkBlockSize",
            Self::ServerFeatures => "BeginConfiguration's dwFeatures",
            Self::BlockSize => "BeginConfiguration's dwBlockSize",
            Self::ServerAlignment => "BeginConfiguration's dwAlignment",
            Self::MaxTransferSize => "BeginConfiguration's dwMaxTransferSize",
        })
    }
}

/// What a field had to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// At least `min`, at most `max`.
    Between {
        /// The smallest legal value.
        min: u32,
        /// The largest legal value.
        max: u32,
    },
    /// A power of two from `min` to `max`, or 0 for the default if `or_zero`.
    PowerOfTwo {
        /// The smallest legal value besides 0.
        min: u32,
        /// The largest legal value.
        max: u32,
        /// Whether 0 is legal too.
        or_zero: bool,
    },
    /// A multiple of `unit`, from `unit` to `max`.
    MultipleOf {
        /// The unit, also the smallest legal value.
        unit: u32,
        /// The largest legal value.
        max: u32,
    },
    /// A mask with VDF_WriteMedia, VDF_ReadMedia or both.
    Direction,
}

impl Limit {
    /// Whether a value keeps the limit.
    pub const fn admits(self, value: u32) -> bool {
        match self {
            Self::Between { min, max } => min <= value && value <= max,
            Self::PowerOfTwo { min, max, or_zero } => {
                (value.is_power_of_two() && min <= value && value <= max) || (value == 0 && or_zero)
            }
            Self::MultipleOf { unit, max } => {
                unit <= value && value <= max && value.is_multiple_of(unit)
            }
            Self::Direction => Features::from_bits_retain(value)
                .intersects(Features::WRITE_MEDIA.union(Features::READ_MEDIA)),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Between { min, max } => write!(f, "from {min} to {max}"),
            Self::PowerOfTwo { min, max, or_zero } => {
                write!(f, "a power of two from {min} to {max}")?;
                f.write_str(if or_zero { ", or 0 for the default" } else { "" })
            }
            Self::MultipleOf { unit, max } => write!(f, "a multiple of {unit}, at most {max}"),
            Self::Direction => {
                f.write_str("a mask with VDF_WriteMedia (backup) or VDF_ReadMedia (restore)")
            }
        }
    }
}

/// A field of a configuration that is outside its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{field} is {value}, but it must be {limit}; set it so and call again.")]
pub struct ConfigError {
    /// The field.
    pub field: ConfigField,
    /// What it held.
    pub value: u32,
    /// What it had to be.
    pub limit: Limit,
}

impl ConfigError {
    /// The status that the refusing call returns: VD_E_NOTSUPPORTED from Create (CreateEx page),
    /// VD_E_INVALID from BeginConfiguration (whose page names none; decided by the code's meaning).
    pub const fn status(&self) -> HResult {
        match self.field {
            ConfigField::DeviceCount
            | ConfigField::PrefixZoneSize
            | ConfigField::ClientAlignment
            | ConfigField::SoftFileMarkBlockSize => HResult::VD_E_NOTSUPPORTED,
            ConfigField::ServerFeatures
            | ConfigField::BlockSize
            | ConfigField::ServerAlignment
            | ConfigField::MaxTransferSize => HResult::VD_E_INVALID,
        }
    }
}

fn check(field: ConfigField, value: u32, limit: Limit) -> Result<(), ConfigError> {
    if limit.admits(value) { Ok(()) } else { Err(ConfigError { field, value, limit }) }
}

/// What Create checks: device count, alignment, prefix zone and soft filemarks.
///
/// `blockSize`, `maxIODepth`, `maxTransferSize` and `bufferAreaSize` are the server's to fill and
/// are ignored; odd feature sets are accepted ([`Features::is_listed_combination`] tells).
/// Source: VDI, "VDConfig Structure" and CreateEx page; the limits of `prefixZoneSize` and
/// `softFileMarkBlockSize` are ours.
pub fn validate_client_config(config: &VdConfig) -> Result<(), ConfigError> {
    check(
        ConfigField::DeviceCount,
        config.device_count,
        Limit::Between { min: 1, max: MAX_DEVICES },
    )?;
    check(
        ConfigField::ClientAlignment,
        config.alignment,
        Limit::PowerOfTwo { min: 1, max: MAX_BLOCK_SIZE, or_zero: true },
    )?;
    let zone = Limit::Between { min: 0, max: MAX_BLOCK_SIZE };
    check(ConfigField::PrefixZoneSize, config.prefix_zone_size, zone)?;
    check(ConfigField::SoftFileMarkBlockSize, config.soft_file_mark_block_size, zone)
}

/// The server's choice: BeginConfiguration's arguments in the header's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The client's features as far as the server grants them, with the direction and
    /// COMPLETE_ENABLED: what [`Features::answer`] makes. A bit left out here is withdrawn.
    pub features: Features,
    /// Bytes of a block: a power of two, 512 to 64 KiB.
    pub block_size: u32,
    /// Bytes: a power of two, at least the block size, at most 64 KiB; 0 for the block size.
    pub alignment: u32,
    /// Bytes of the largest transfer: a multiple of 64 KiB, at most 4 MiB.
    pub max_transfer_size: u32,
    /// Milliseconds that the primary client has to finish declaring buffer areas.
    pub time_out: u32,
}

impl ServerConfig {
    /// The server's minimum alignment, with 0 resolved to the block size.
    pub const fn effective_alignment(&self) -> u32 {
        if self.alignment == 0 { self.block_size } else { self.alignment }
    }

    /// What BeginConfiguration checks. Source: VDI, BeginConfiguration page; for the upper limit
    /// of the transfer size see [`MAX_TRANSFER_SIZE`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        check(ConfigField::ServerFeatures, self.features.bits(), Limit::Direction)?;
        check(
            ConfigField::BlockSize,
            self.block_size,
            Limit::PowerOfTwo { min: MIN_BLOCK_SIZE, max: MAX_BLOCK_SIZE, or_zero: false },
        )?;
        check(
            ConfigField::ServerAlignment,
            self.alignment,
            Limit::PowerOfTwo { min: self.block_size, max: MAX_BLOCK_SIZE, or_zero: true },
        )?;
        check(
            ConfigField::MaxTransferSize,
            self.max_transfer_size,
            Limit::MultipleOf { unit: TRANSFER_UNIT, max: MAX_TRANSFER_SIZE },
        )
    }
}

/// The configuration that GetConfiguration returns to the client, from two valid halves.
///
/// Features: what the client asked for and the server granted, the server's direction, and
/// COMPLETE_ENABLED only where REQUEST_COMPLETE was asked for. Alignment: the greater of the two.
/// Source: VDI, "VDConfig Structure", BeginConfiguration page; KB3188454.
pub fn negotiate(client: &VdConfig, server: &ServerConfig, buffer_area_size: u32) -> VdConfig {
    let asked = client.features();
    let mut features = asked.difference(Features::SERVER_BITS).intersection(server.features)
        | server.features.intersection(Features::SERVER_BITS);
    if !asked.contains(Features::REQUEST_COMPLETE) {
        features.remove(Features::COMPLETE_ENABLED);
    }
    VdConfig {
        features: features.bits(),
        alignment: client.alignment.max(server.effective_alignment()),
        block_size: server.block_size,
        max_io_depth: MAX_IO_DEPTH,
        max_transfer_size: server.max_transfer_size,
        buffer_area_size,
        ..*client
    }
}
