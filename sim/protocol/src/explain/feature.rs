//! Words about features.

use super::entry::Entry;
use crate::features::Features;

const BITS: &str = "VDI, \"Feature Bits\"";
const HEADER: &str = "vdi.h only; effect undocumented";
const CLIENT_ASKS: &[&str] = &["The client asks for it at Create."];

/// Every bit and alias, with the name that the headers give it.
pub(super) const FEATURE: [(Features, &str, Entry); 19] = [
    (
        Features::LIKE_PIPE,
        "VDF_LikePipe",
        Entry {
            text: "No features: a stream in one direction, without positions.",
            causes: CLIENT_ASKS,
            remedies: &["Execute Read, Write, ClearError and Flush; most clients need no more."],
            source: BITS,
        },
    ),
    (
        Features::LIKE_TAPE,
        "VDF_LikeTape",
        Entry {
            text: "All that a tape drive does: VDF_FileMarks, Removable, Rewind, Position, \
                   SkipBlocks and ReversePosition together.",
            causes: CLIENT_ASKS,
            remedies: &["Execute every command but SetPosition by bytes; set the mark's size."],
            source: BITS,
        },
    ),
    (
        Features::REMOVABLE,
        "VDF_Removable",
        Entry {
            text: "Media can be changed.",
            causes: CLIENT_ASKS,
            remedies: &["Execute VDC_Load; report ERROR_END_OF_MEDIA in the warning zone."],
            source: BITS,
        },
    ),
    (
        Features::REWIND,
        "VDF_Rewind",
        Entry {
            text: "The device can go to the beginning of its medium.",
            causes: CLIENT_ASKS,
            remedies: &["Execute VDC_Rewind. Listed only as a part of VDF_LikeTape."],
            source: BITS,
        },
    ),
    (
        Features::POSITION,
        "VDF_Position",
        Entry {
            text: "The device knows block addresses.",
            causes: CLIENT_ASKS,
            remedies: &[
                "Execute VDC_GetPosition and VDC_SetPosition. Listed only as a part of VDF_LikeTape.",
            ],
            source: BITS,
        },
    ),
    (
        Features::SKIP_BLOCKS,
        "VDF_SkipBlocks",
        Entry {
            text: "The device can pass blocks without reading them.",
            causes: CLIENT_ASKS,
            remedies: &["Execute VDC_SkipBlocks. Listed only as a part of VDF_LikeTape."],
            source: BITS,
        },
    ),
    (
        Features::REVERSE_POSITION,
        "VDF_ReversePosition",
        Entry {
            text: "SkipMarks and SkipBlocks may go backwards.",
            causes: CLIENT_ASKS,
            remedies: &["Take negative counts. Listed only as a part of VDF_LikeTape."],
            source: BITS,
        },
    ),
    (
        Features::DISCARD,
        "VDF_Discard",
        Entry {
            text: "Data may be declared dispensable. An optional addition to any mode.",
            causes: CLIENT_ASKS,
            remedies: &["Execute VDC_Discard."],
            source: BITS,
        },
    ),
    (
        Features::FILE_MARKS,
        "VDF_FileMarks",
        Entry {
            text: "The device has filemarks.",
            causes: CLIENT_ASKS,
            remedies: &[
                "Execute VDC_WriteMark and VDC_SkipMarks, report ERROR_FILEMARK_DETECTED on Reads \
                 past one, and set softFileMarkBlockSize. Listed only as a part of VDF_LikeTape.",
            ],
            source: "VDI, VDF_FileMarks page",
        },
    ),
    (
        Features::RANDOM_ACCESS,
        "VDF_RandomAccess",
        Entry {
            text: "Every Read and Write carries a byte position (VDF_LikeDisk is the same bit).",
            causes: CLIENT_ASKS,
            remedies: &[
                "Honour `position` on every transfer; execute SetPosition and GetPosition.",
                "Do not use it on Linux: SQL Server there aborts such a set, a known bug.",
            ],
            source: "VDI, \"Feature Bits\"; README of the Linux sample, \"Known bugs\"",
        },
    ),
    (
        Features::SNAPSHOT_PREPARE,
        "VDF_SnapshotPrepare",
        Entry {
            text: "The client wants to be told before a freeze. An optional addition to any mode, \
                   SQL Server 2000 SP2 on.",
            causes: CLIENT_ASKS,
            remedies: &["Execute VDC_PrepareToFreeze."],
            source: "VDI, VDF_SnapshotPrepare page",
        },
    ),
    (
        Features::ENUM_FROZEN_FILES,
        "VDF_EnumFrozenFiles",
        Entry {
            text: "The client wants the list of frozen files.",
            causes: CLIENT_ASKS,
            remedies: &["Leave it to SQL Writer."],
            source: HEADER,
        },
    ),
    (
        Features::VSS_WRITER,
        "VDF_VSSWriter",
        Entry {
            text: "The client is SQL Writer.",
            causes: CLIENT_ASKS,
            remedies: &["Leave it to SQL Writer."],
            source: HEADER,
        },
    ),
    (
        Features::REQUEST_COMPLETE,
        "VDF_RequestComplete",
        Entry {
            text: "The client asks for VDC_Complete at the end of the backup. An optional addition \
                   to any mode.",
            causes: CLIENT_ASKS,
            remedies: &[
                "Look for VDF_CompleteEnabled in the answer of GetConfiguration: servers before \
                 2012 SP3 CU5, 2014 SP1 CU10, 2014 SP2 CU3, 2016 CU4 and 2016 SP1 CU2 do not \
                 know it.",
                "Without the answer, treat the last Flush with the care that Complete would get.",
            ],
            source: "KB3188454",
        },
    ),
    (
        Features::WRITE_MEDIA,
        "VDF_WriteMedia",
        Entry {
            text: "This is a backup: the device will be written.",
            causes: &["The server sets it; GetConfiguration returns it."],
            remedies: &["Take the direction from it rather than from your command line."],
            source: "VDI, \"VDConfig Structure\", BeginConfiguration page",
        },
    ),
    (
        Features::READ_MEDIA,
        "VDF_ReadMedia",
        Entry {
            text: "This is a restore: the device will be read.",
            causes: &["The server sets it; GetConfiguration returns it."],
            remedies: &["Take the direction from it rather than from your command line."],
            source: "VDI, \"VDConfig Structure\", BeginConfiguration page",
        },
    ),
    (
        Features::COMPLETE_ENABLED,
        "VDF_CompleteEnabled",
        Entry {
            text: "VDC_Complete will come.",
            causes: &["The server sets it in answer to VDF_RequestComplete."],
            remedies: &["Execute VDC_Complete after the last Flush."],
            source: "KB3188454",
        },
    ),
    (
        Features::LATCH_STATS,
        "VDF_LatchStats",
        Entry {
            text: "Something about latch statistics.",
            causes: &["Nobody is known to ask for it."],
            remedies: &["Leave it clear."],
            source: HEADER,
        },
    ),
    (
        Features::LIKE_DISK,
        "VDF_LikeDisk",
        Entry {
            text: "A file with byte positions: another name of VDF_RandomAccess.",
            causes: CLIENT_ASKS,
            remedies: &[
                "Honour `position` on every transfer; execute SetPosition and GetPosition.",
                "Do not use it on Linux: SQL Server there aborts such a set, a known bug.",
            ],
            source: "VDI, \"Feature Bits\"; README of the Linux sample, \"Known bugs\"",
        },
    ),
];
