//! Words about completion codes.

use super::entry::Entry;
use crate::completion::CompletionCode;

const GENERAL: &str = "VDI, \"Command General Rules\"; winerror.h";
const SEND: &str = "VDI, IServerVirtualDevice::SendCommand page";

/// Every completion code that the specification names.
pub(super) const COMPLETION: [(CompletionCode, Entry); 17] = [
    (
        CompletionCode::ERROR_SUCCESS,
        Entry {
            text: "The command was executed.",
            causes: &["Everything asked for was done; for Read and Write all bytes were moved."],
            remedies: &[
                "Report the bytes truly moved. A Read that moved fewer belongs with \
                 ERROR_HANDLE_EOF; servers tolerate a short success, and take no bytes at all as \
                 the end of the data.",
                "Answer VDC_Flush with it only when the data are durable.",
            ],
            source: GENERAL,
        },
    ),
    (
        CompletionCode::ERROR_INVALID_HANDLE,
        Entry {
            text: "The device was not open when the server sent a command.",
            causes: &["The server sent before the device was opened or after it was closed."],
            remedies: &["A fault of the server half; a client never has to answer with it."],
            source: SEND,
        },
    ),
    (
        CompletionCode::ERROR_ARENA_TRASHED,
        Entry {
            text: "The client's bookkeeping is destroyed.",
            causes: &["The client found its own structures inconsistent and says so."],
            remedies: &["Look for the client's memory fault; the operation cannot go on."],
            source: "vdi.h of the Linux sample; winerror.h",
        },
    ),
    (
        CompletionCode::ERROR_WRITE_FAULT,
        Entry {
            text: "The data could not be written.",
            causes: &["The storage behind the client failed on a Write or Flush."],
            remedies: &["Read the client's log for the storage's own error."],
            source: GENERAL,
        },
    ),
    (
        CompletionCode::ERROR_READ_FAULT,
        Entry {
            text: "The data could not be read.",
            causes: &["The storage behind the client failed on a Read."],
            remedies: &["Read the client's log for the storage's own error."],
            source: GENERAL,
        },
    ),
    (
        CompletionCode::ERROR_HANDLE_EOF,
        Entry {
            text: "End of data: a Read got fewer bytes than it asked for, or none.",
            causes: &[
                "The normal end of a RESTORE from a stream.",
                "The backup is cut short: an upload that broke off, or a BACKUP that failed and \
                 was kept. SQL Server then reports 3256 or 3241.",
                "The client counts from the wrong place, for instance after RESTORE FILELISTONLY \
                 consumed the beginning.",
            ],
            remedies: &[
                "Give the bytes that were read with this code, and answer every further Read with \
                 0 bytes and this code again.",
                "Compare the stored size with what the BACKUP sent.",
                "Start every statement from the first byte of the stream.",
            ],
            source: "VDI, VDC_Read page",
        },
    ),
    (
        CompletionCode::ERROR_HANDLE_DISK_FULL,
        Entry {
            text: "The disk behind the client is full.",
            causes: &[
                "There is no room for the data.",
                "Some clients answer with it on purpose to make the BACKUP fail.",
            ],
            remedies: &["Make room and run the BACKUP again; it cannot be continued."],
            source: "vdi.h of the Linux sample; winerror.h",
        },
    ),
    (
        CompletionCode::ERROR_NOT_SUPPORTED,
        Entry {
            text: "The client does not support the command.",
            causes: &[
                "The client has no case for the command: the right answer for what it did not \
                 announce in its features.",
                "The client announced a feature whose commands it does not execute: VDF_Removable \
                 without Load, VDF_RequestComplete without Complete.",
                "A restore client rejects Flush, or a backup client Read: it is in the wrong mode.",
            ],
            remedies: &[
                "Execute Read, Write, ClearError and Flush in every mode.",
                "Ask only for features that you execute.",
            ],
            source: GENERAL,
        },
    ),
    (
        CompletionCode::ERROR_DISK_FULL,
        Entry {
            text: "There is no room for a Write.",
            causes: &["The storage is full, or a quota is reached."],
            remedies: &[
                "Make room and run the BACKUP again: without removable media there is no recovery.",
            ],
            source: "VDI, VDC_Write page, \"End Of Media and Unexpected Filemarks\"",
        },
    ),
    (
        CompletionCode::ERROR_OPERATION_ABORTED,
        Entry {
            text: "The command was cut off because the set was aborted. SQL Server prints it as \
                   \"Operating system error 995\", which hides the true cause.",
            causes: &[
                "The client called SignalAbort, or Close with devices open.",
                "The client's process died or was killed.",
                "The client completed nothing for two intervals of VDConfig.serverTimeOut.",
                "The client could not map the buffers: shared memory too small or not permitted \
                 (containers; user and group on Linux), so the set was aborted at the start.",
                "The statement was cancelled or its connection lost.",
                "The client answered VDC_Snapshot with it, to give up the snapshot.",
            ],
            remedies: &[
                "Look into the client's log at the time of the message: the reason is there, not \
                 in SQL Server's.",
                "Look which call the 18210 names: ClearError, Flush or Write say in which phase \
                 the client went away; AllocateBuffer points to shared memory.",
                "In a container set memory.enablecontainersharedmemory and --shm-size=1g.",
                "If serverTimeOut is set, raise it or set it to 0.",
            ],
            source: "VDI, \"Abnormal Termination\", SendCommand page; SQL Server's event 18210",
        },
    ),
    (
        CompletionCode::ERROR_END_OF_MEDIA,
        Entry {
            text: "A Write reached the warning zone at the end of a removable medium.",
            causes: &["The tape or other medium is nearly full."],
            remedies: &[
                "Store every Write that is pending, report the bytes truly written, and wait for \
                 ClearError and Load. Only with VDF_Removable.",
            ],
            source: "VDI, VDC_Write page, \"End Of Media and Unexpected Filemarks\"",
        },
    ),
    (
        CompletionCode::ERROR_FILEMARK_DETECTED,
        Entry {
            text: "A Read tried to go past a filemark.",
            causes: &["The medium has a filemark there. Only with VDF_FileMarks."],
            remedies: &["Report the bytes before the mark; the server decides how to go on."],
            source: "VDI, VDC_Read and VDF_FileMarks pages",
        },
    ),
    (
        CompletionCode::ERROR_BEGINNING_OF_MEDIA,
        Entry {
            text: "A move backwards met the beginning of the medium.",
            causes: &["SkipMarks or SkipBlocks went further back than there is medium."],
            remedies: &["Stay at the beginning and report it."],
            source: GENERAL,
        },
    ),
    (
        CompletionCode::ERROR_NO_DATA_DETECTED,
        Entry {
            text: "No more data on the medium; the same as ERROR_HANDLE_EOF for a Read.",
            causes: &["The end of the recorded data was reached."],
            remedies: &["As for ERROR_HANDLE_EOF."],
            source: "VDI, VDC_Read page",
        },
    ),
    (
        CompletionCode::ERROR_IO_DEVICE,
        Entry {
            text: "The device is in the IO-ERROR state, so the command was not executed.",
            causes: &[
                "An earlier command on the device was completed with an error: commands still \
                 queued end with this code, and the client never sees them.",
                "The client answered with it for a failure of its storage.",
            ],
            remedies: &[
                "Look for the first completion on that device that was not ERROR_SUCCESS; it is \
                 the cause, this one only follows.",
            ],
            source: "VDI, \"Command Error Handling\", SendCommand page",
        },
    ),
    (
        CompletionCode::ERROR_EOM_OVERFLOW,
        Entry {
            text: "The physical end of the medium was passed.",
            causes: &["The client announced the warning zone too late, or not at all."],
            remedies: &[
                "Set EOMWarningSize to what can still be stored after the warning; the server \
                 aborts the BACKUP on this code.",
            ],
            source: "VDI, VDC_Write page",
        },
    ),
    (
        CompletionCode::ERROR_NO_SYSTEM_RESOURCES,
        Entry {
            text: "The device's command queue was full.",
            causes: &["The server sent more commands than the queue holds."],
            remedies: &["A matter of the server half; it sends again after a completion."],
            source: SEND,
        },
    ),
];
