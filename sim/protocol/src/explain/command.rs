//! Words about commands.

use super::entry::Entry;
use crate::command::CommandCode;

const TAPE: &str = "VDI, \"Client Supported Commands\" (the command's own page could not be read)";
const HEADER: &str = "vdi.h only; meaning taken from the name, unconfirmed";
const DO_WHAT_IT_SAYS: &str = "Execute it and answer ERROR_SUCCESS; a client that does not know \
                               it answers ERROR_NOT_SUPPORTED.";

/// Every command, in the order of its code.
pub(super) const COMMAND: [(CommandCode, Entry); 19] = [
    (
        CommandCode::READ,
        Entry {
            text: "Fill the buffer with `size` bytes from the device and report how many there \
                   were. `position` counts only with VDF_RandomAccess.",
            causes: &["RESTORE and VERIFYONLY; disk-like devices also to check headers."],
            remedies: &[
                "Serve any size: a multiple of BLOCKSIZE up to MAXTRANSFERSIZE, not the sizes that \
                 the BACKUP wrote.",
                "At the end report the bytes left with ERROR_HANDLE_EOF, then 0 bytes with it.",
                "Expect the device to be closed before the end of the data.",
            ],
            source: "VDI, VDC_Read page, \"Active\"",
        },
    ),
    (
        CommandCode::WRITE,
        Entry {
            text: "Take `size` bytes from the buffer to the device and report how many were taken. \
                   They may be cached until VDC_Flush.",
            causes: &["BACKUP, for the data and for small blocks of metadata."],
            remedies: &[
                "Do not touch the buffer after CompleteCommand; it is the server's again.",
                "For lack of room answer ERROR_DISK_FULL with the bytes that were stored.",
            ],
            source: "VDI, VDC_Write page",
        },
    ),
    (
        CommandCode::CLEAR_ERROR,
        Entry {
            text: "Leave the IO-ERROR state. It comes when the client has completed everything it \
                   held on the device.",
            causes: &["A command was completed with an error and the server wants to go on."],
            remedies: &["Answer ERROR_SUCCESS, in every mode."],
            source: "VDI, \"Command Error Handling\"",
        },
    ),
    (
        CommandCode::REWIND,
        Entry {
            text: "Go to the beginning of the medium.",
            causes: &["Devices with VDF_Rewind (tape-like)."],
            remedies: &[DO_WHAT_IT_SAYS],
            source: TAPE,
        },
    ),
    (
        CommandCode::WRITE_MARK,
        Entry {
            text: "Write a filemark.",
            causes: &["Devices with VDF_FileMarks (tape-like), on BACKUP."],
            remedies: &[DO_WHAT_IT_SAYS],
            source: TAPE,
        },
    ),
    (
        CommandCode::SKIP_MARKS,
        Entry {
            text: "Pass the number of filemarks that `size` holds; negative (backwards) only with \
                   VDF_ReversePosition. The sign is unconfirmed.",
            causes: &["Devices with VDF_FileMarks (tape-like)."],
            remedies: &[DO_WHAT_IT_SAYS],
            source: TAPE,
        },
    ),
    (
        CommandCode::SKIP_BLOCKS,
        Entry {
            text: "Pass the number of blocks that `size` holds; negative (backwards) only with \
                   VDF_ReversePosition. The sign is unconfirmed.",
            causes: &["Devices with VDF_SkipBlocks (tape-like)."],
            remedies: &[DO_WHAT_IT_SAYS],
            source: TAPE,
        },
    ),
    (
        CommandCode::LOAD,
        Entry {
            text: "Load the next medium. `size` is an input of unknown meaning.",
            causes: &[
                "Devices with VDF_Removable: on RESTORE when the data of a medium ended and the \
                 backup set is not complete.",
            ],
            remedies: &["Answer ERROR_SUCCESS when the next medium is ready at its beginning."],
            source: "VDI, \"End Of Media and Unexpected Filemarks\", \"Command Inputs\"",
        },
    ),
    (
        CommandCode::GET_POSITION,
        Entry {
            text: "Say where the device is: with VDF_RandomAccess the byte offset from the \
                   beginning of the data, otherwise a block address of the client's own choice.",
            causes: &["Devices with VDF_Position or VDF_RandomAccess."],
            remedies: &["Return the position in CompleteCommand's last argument."],
            source: "VDI, VDC_GetPosition page",
        },
    ),
    (
        CommandCode::SET_POSITION,
        Entry {
            text: "Go to a position: with VDF_RandomAccess a byte offset from the beginning, the \
                   present place or the end (VDC_Beginning, VDC_Current, VDC_End in `size`), \
                   otherwise one that GetPosition returned before.",
            causes: &["Devices with VDF_Position or VDF_RandomAccess."],
            remedies: &["Return the new position as GetPosition would."],
            source: "VDI, VDC_SetPosition page",
        },
    ),
    (
        CommandCode::DISCARD,
        Entry {
            text: "Data written so far may be dropped.",
            causes: &["Devices with VDF_Discard."],
            remedies: &[DO_WHAT_IT_SAYS],
            source: "VDI, \"Feature Bits\"; meaning taken from the name, unconfirmed",
        },
    ),
    (
        CommandCode::FLUSH,
        Entry {
            text: "Make every Write so far durable; a disk-like device also ends its file at the \
                   last byte written.",
            causes: &[
                "BACKUP before it ends, and in between too (FILESTREAM data): it is not the end \
                 of the backup.",
            ],
            remedies: &[
                "Answer ERROR_SUCCESS only after fsync, FlushFileBuffers or the store's own \
                 confirmation: SQL Server may cut the log after it.",
                "Go on fetching commands until VD_E_CLOSE.",
                "If the confirmation takes long, set serverTimeOut to 0 or large.",
            ],
            source: "VDI, VDC_Flush page; KB3188454",
        },
    ),
    (
        CommandCode::SNAPSHOT,
        Entry {
            text: "The database files are frozen: take the snapshot now.",
            causes: &["BACKUP … WITH SNAPSHOT, after the metadata."],
            remedies: &[
                "Take it fast and answer ERROR_SUCCESS; ERROR_OPERATION_ABORTED gives it up. Next \
                 comes VD_E_CLOSE.",
            ],
            source: "VDI, VDC_Snapshot page",
        },
    ),
    (
        CommandCode::MOUNT_SNAPSHOT,
        Entry {
            text: "Bring the files of the snapshot back, byte for byte.",
            causes: &["RESTORE … WITH SNAPSHOT, after the metadata was read."],
            remedies: &["Answer ERROR_SUCCESS when data and log files are in place."],
            source: "VDI, \"Media Recovery Using the Snapshot\"",
        },
    ),
    (
        CommandCode::PREPARE_TO_FREEZE,
        Entry {
            text: "Get ready for the freeze; success lets it happen.",
            causes: &["BACKUP … WITH SNAPSHOT for a client with VDF_SnapshotPrepare."],
            remedies: &[
                "Align the databases that share a volume, then answer ERROR_SUCCESS. Writes with \
                 metadata and VDC_Snapshot follow.",
            ],
            source: "VDI, VDF_SnapshotPrepare page",
        },
    ),
    (
        CommandCode::FILE_INFO_BEGIN,
        Entry {
            text: "The list of frozen files begins.",
            causes: &["Clients with VDF_EnumFrozenFiles (SQL Writer)."],
            remedies: &[DO_WHAT_IT_SAYS],
            source: HEADER,
        },
    ),
    (
        CommandCode::FILE_INFO_END,
        Entry {
            text: "The list of frozen files ends.",
            causes: &["Clients with VDF_EnumFrozenFiles (SQL Writer)."],
            remedies: &[DO_WHAT_IT_SAYS],
            source: HEADER,
        },
    ),
    (
        CommandCode::GET_ERROR,
        Entry {
            text: "Say what the last error was.",
            causes: &["Never observed."],
            remedies: &[DO_WHAT_IT_SAYS],
            source: HEADER,
        },
    ),
    (
        CommandCode::COMPLETE,
        Entry {
            text: "SQL Server has sent everything. The client closes its books; its answer still \
                   decides whether the BACKUP succeeds.",
            causes: &["The client asked for VDF_RequestComplete and the server answered with \
                 VDF_CompleteEnabled. It follows the last Flush."],
            remedies: &[
                "Answer ERROR_SUCCESS, or a Win32 error to fail the BACKUP (the log is not cut \
                 then). A status such as VD_E_ABORT is no completion code.",
                "Without VDF_CompleteEnabled do not wait for it: older servers never send it.",
            ],
            source: "KB3188454",
        },
    ),
];
