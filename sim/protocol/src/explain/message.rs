//! Words about SQL Server's messages that users of VDI meet.

use super::entry::Entry;

/// A message of SQL Server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Its number.
    pub(super) number: u32,
    /// Its severity: 16 an error, 10 information.
    pub(super) severity: u8,
    /// Its words, with the server's placeholders.
    pub(super) template: &'static str,
    /// Ours.
    pub(super) entry: Entry,
}

const DOCS: &str = "SQL Server's list of messages";
const VDI_DOCS: &str = "SQL Server's list of messages; VDI, \"Configuration\"";

/// In ascending order of their numbers.
pub(super) const MESSAGES: [Message; 32] = [
    Message {
        number: 3013,
        severity: 16,
        template: "%hs is terminating abnormally.",
        entry: Entry {
            text: "The statement failed. It is always the last message and never the cause.",
            causes: &["An earlier message of the same statement: 3201, 3202, 3203, 3271, 18210 …"],
            remedies: &[
                "Collect every message of the connection, not only the last, and read the first.",
                "Report the operation as failed, with a non-zero exit code, whatever VDI returned.",
            ],
            source: DOCS,
        },
    },
    Message {
        number: 3014,
        severity: 10,
        template: "%hs successfully processed %I64d pages in %d.%03d seconds (%d.%03d MB/sec).",
        entry: Entry {
            text: "The statement succeeded.",
            causes: &["All pages were moved and the client acknowledged them."],
            remedies: &["Take this, not VD_E_CLOSE, for the success of the operation."],
            source: DOCS,
        },
    },
    Message {
        number: 3041,
        severity: 16,
        template: "BACKUP failed to complete the command %.*ls. Check the backup application log \
                   for detailed messages.",
        entry: Entry {
            text: "SQL Server's error log notes that a BACKUP failed.",
            causes: &["It comes with 3013; the reason is in 18210 or 18204 just before it."],
            remedies: &["Read the lines before it, then the client's own log at that time."],
            source: DOCS,
        },
    },
    Message {
        number: 3196,
        severity: 16,
        template: "RESTORE master WITH SNAPSHOT is not supported. To restore master from a \
                   snapshot backup, stop the service and copy the data and log file.",
        entry: Entry {
            text: "master cannot be restored from a snapshot by a statement.",
            causes: &["RESTORE DATABASE master … WITH SNAPSHOT."],
            remedies: &["Stop the service and put the files back."],
            source: DOCS,
        },
    },
    Message {
        number: 3197,
        severity: 10,
        template: "I/O is frozen on database %ls. No user action is required. However, if I/O is \
                   not resumed promptly, you could cancel the backup.",
        entry: Entry {
            text: "A snapshot backup has stopped writes to the database.",
            causes: &["VDC_PrepareToFreeze was acknowledged, or VDC_Snapshot is under way."],
            remedies: &["Complete VDC_Snapshot quickly; 3198 follows."],
            source: DOCS,
        },
    },
    Message {
        number: 3198,
        severity: 10,
        template: "I/O was resumed on database %ls. No user action is required.",
        entry: Entry {
            text: "Writes to the database go on after a snapshot.",
            causes: &["VDC_Snapshot was completed, or the backup was given up."],
            remedies: &["Nothing. The time since 3197 is how long the database stood still."],
            source: DOCS,
        },
    },
    Message {
        number: 3199,
        severity: 16,
        template: "RESTORE requires MAXTRANSFERSIZE=%u but %u was specified.",
        entry: Entry {
            text: "This backup can be restored only with the transfer size it was made with.",
            causes: &["The backup holds full-text data and the RESTORE names another size."],
            remedies: &["Keep BLOCKSIZE and MAXTRANSFERSIZE with the backup and repeat them."],
            source: DOCS,
        },
    },
    Message {
        number: 3201,
        severity: 16,
        template: "Cannot open backup device '%ls'. Operating system error %ls.",
        entry: Entry {
            text: "A backup device cannot be opened.",
            causes: &["For a virtual device: no client has created a set of this name."],
            remedies: &["As for 0x80070002: create the set first, compare names and instance."],
            source: DOCS,
        },
    },
    Message {
        number: 3202,
        severity: 16,
        template: "Write on \"%ls\" failed: %ls",
        entry: Entry {
            text: "A Write failed.",
            causes: &[
                "The client completed it with an error, whose number and text follow.",
                "112 and 39: storage full. 995: the client went away. 1117: a follower of an \
                 earlier error.",
            ],
            remedies: &["Explain the number (`vdisim explain 112`) and read the client's log."],
            source: DOCS,
        },
    },
    Message {
        number: 3203,
        severity: 16,
        template: "Read on \"%ls\" failed: %ls",
        entry: Entry {
            text: "A Read failed.",
            causes: &[
                "The client completed it with an error, whose number and text follow.",
                "38: the stored backup ends too early.",
            ],
            remedies: &["Compare the size of what is stored with what the BACKUP sent."],
            source: DOCS,
        },
    },
    Message {
        number: 3204,
        severity: 16,
        template: "The backup or restore was aborted.",
        entry: Entry {
            text: "Somebody stopped the operation.",
            causes: &["The statement was cancelled, killed, or its connection was closed."],
            remedies: &[
                "Check the client's query time-out: a BACKUP needs none (0).",
                "Expect VD_E_ABORT on the devices and Close the set.",
            ],
            source: DOCS,
        },
    },
    Message {
        number: 3205,
        severity: 16,
        template: "Too many backup devices specified for backup or restore; only %d are allowed.",
        entry: Entry {
            text: "The statement names too many devices.",
            causes: &["More than 64 VIRTUAL_DEVICE clauses."],
            remedies: &["Name 64 at most, and as many as VDConfig.deviceCount says."],
            source: VDI_DOCS,
        },
    },
    Message {
        number: 3207,
        severity: 16,
        template: "Backup or restore requires at least one backup device. Rerun your statement \
                   specifying a backup device.",
        entry: Entry {
            text: "The statement names no device.",
            causes: &["No VIRTUAL_DEVICE clause."],
            remedies: &["Add TO or FROM VIRTUAL_DEVICE='name'."],
            source: DOCS,
        },
    },
    Message {
        number: 3208,
        severity: 16,
        template: "Unexpected end of file while reading beginning of backup set. Confirm that the \
                   media contains a valid SQL Server backup set, and see the console error log \
                   for more details.",
        entry: Entry {
            text: "The data end before the backup set begins.",
            causes: &[
                "The client serves an empty or cut-off file.",
                "The client did not go back to the first byte after RESTORE FILELISTONLY or \
                 HEADERONLY.",
            ],
            remedies: &["Start each statement at byte 0 of the stream; check the stored size."],
            source: DOCS,
        },
    },
    Message {
        number: 3211,
        severity: 10,
        template: "%d percent processed.",
        entry: Entry {
            text: "Progress, as often as STATS asks.",
            causes: &["STATS=n in the statement; 10 otherwise."],
            remedies: &["Nothing; it is information."],
            source: DOCS,
        },
    },
    Message {
        number: 3217,
        severity: 16,
        template: "Invalid value specified for %ls parameter.",
        entry: Entry {
            text: "An option of the statement has a value it cannot have.",
            causes: &["MAXTRANSFERSIZE that is no multiple of 65536."],
            remedies: &["Use a multiple of 65536 from 65536 to 4194304."],
            source: VDI_DOCS,
        },
    },
    Message {
        number: 3227,
        severity: 16,
        template: "The backup media on \"%ls\" is part of media family %d which has already been \
                   processed on \"%ls\". Ensure that backup devices are correctly specified. For \
                   tape devices, ensure that the correct volumes are loaded.",
        entry: Entry {
            text: "Two devices delivered the same stripe.",
            causes: &["The client serves one file on two devices."],
            remedies: &["Bind each device's name to the stream that it wrote."],
            source: DOCS,
        },
    },
    Message {
        number: 3231,
        severity: 16,
        template: "The media loaded on \"%ls\" is formatted to support %d media families, but %d \
                   media families are expected according to the backup device specification.",
        entry: Entry {
            text: "The number of devices differs from that of the backup.",
            causes: &["RESTORE names fewer or more VIRTUAL_DEVICEs than the BACKUP did."],
            remedies: &["Restore with as many devices as the backup has stripes."],
            source: DOCS,
        },
    },
    Message {
        number: 3241,
        severity: 16,
        template: "The media family on device '%ls' is incorrectly formed. SQL Server cannot \
                   process this media family.",
        entry: Entry {
            text: "The stream is not what a backup looks like.",
            causes: &[
                "Bytes were lost, doubled or reordered: the count of a short Read was wrong, or a \
                 Write was stored twice.",
                "The stream does not start at its first byte.",
                "The backup comes from a newer server.",
            ],
            remedies: &[
                "Compare what was stored with what was sent; `vdisim restore --compare` shows the \
                 first byte that differs.",
            ],
            source: DOCS,
        },
    },
    Message {
        number: 3242,
        severity: 16,
        template: "The file on device '%ls' is not a valid Microsoft Tape Format backup set.",
        entry: Entry {
            text: "The stream is no backup at all.",
            causes: &["The client serves another file, or its own container format."],
            remedies: &["Give back exactly the bytes that the Writes carried."],
            source: DOCS,
        },
    },
    Message {
        number: 3250,
        severity: 16,
        template: "The value '%d' is not within range for the %ls parameter.",
        entry: Entry {
            text: "An option of the statement is out of range.",
            causes: &["BLOCKSIZE, BUFFERCOUNT or MAXTRANSFERSIZE beyond its limits."],
            remedies: &[
                "BLOCKSIZE 512 to 65536, MAXTRANSFERSIZE 65536 to 4194304, BUFFERCOUNT 1 or more.",
            ],
            source: VDI_DOCS,
        },
    },
    Message {
        number: 3253,
        severity: 16,
        template: "The block size parameter must supply a value that is a power of 2.",
        entry: Entry {
            text: "BLOCKSIZE is no power of two.",
            causes: &["BLOCKSIZE=1000 instead of 1024 and the like."],
            remedies: &["Use 512, 1024, 2048, 4096, 8192, 16384, 32768 or 65536."],
            source: VDI_DOCS,
        },
    },
    Message {
        number: 3254,
        severity: 16,
        template: "The volume on device '%ls' is empty.",
        entry: Entry {
            text: "The device delivered nothing.",
            causes: &["The client answered the first Read with no bytes."],
            remedies: &["Check that the client opened the right file for this device."],
            source: DOCS,
        },
    },
    Message {
        number: 3256,
        severity: 16,
        template: "The backup set on device '%ls' was terminated while it was being created and \
                   is incomplete. RESTORE sequence is terminated abnormally.",
        entry: Entry {
            text: "The backup was never finished.",
            causes: &[
                "The BACKUP failed after data were stored, and the client kept them as good.",
                "The client took a Flush in mid-stream for the end and stopped storing.",
            ],
            remedies: &[
                "Discard what was stored when the statement ends with 3013.",
                "Store until VD_E_CLOSE.",
            ],
            source: DOCS,
        },
    },
    Message {
        number: 3261,
        severity: 16,
        template: "SQL Server cannot use the virtual device configuration.",
        entry: Entry {
            text: "SQL Server read the client's VDConfig and refused it.",
            causes: &[
                "deviceCount differs from the number of VIRTUAL_DEVICE clauses.",
                "A feature set that is not listed, or fields that were never zeroed.",
                "An alignment or prefix zone that the server cannot give.",
            ],
            remedies: &[
                "Zero the structure, set deviceCount to the number of clauses, and use a listed \
                 feature set.",
            ],
            source: VDI_DOCS,
        },
    },
    Message {
        number: 3262,
        severity: 10,
        template: "The backup set on file %d is valid.",
        entry: Entry {
            text: "RESTORE VERIFYONLY found the backup readable and complete.",
            causes: &["The whole stream was read."],
            remedies: &["Nothing. WITH CHECKSUM makes the check sharper."],
            source: DOCS,
        },
    },
    Message {
        number: 3265,
        severity: 16,
        template: "The login has insufficient authority. Membership of the sysadmin role is \
                   required to use VIRTUAL_DEVICE with BACKUP or RESTORE.",
        entry: Entry {
            text: "The login of the statement is no sysadmin.",
            causes: &[
                "db_backupoperator and the permission to BACKUP are not enough for a virtual \
                 device.",
            ],
            remedies: &[
                "Use a login in the sysadmin role. The client meets this as VD_E_TIMEOUT from \
                 GetConfiguration: look at the SQL connection while waiting.",
            ],
            source: "SQL Server's list of messages; VDI reference",
        },
    },
    Message {
        number: 3271,
        severity: 16,
        template: "A nonrecoverable I/O error occurred on file \"%ls:\" %ls.",
        entry: Entry {
            text: "A device failed for good.",
            causes: &[
                "The operating system error after the name says how: 995 means that the client \
                 aborted, died or took too long.",
                "A Flush or Complete was answered with an error.",
            ],
            remedies: &["Explain that number and read the client's log at that time."],
            source: DOCS,
        },
    },
    Message {
        number: 3276,
        severity: 16,
        template: "WITH SNAPSHOT can be used only if the backup set was created WITH SNAPSHOT.",
        entry: Entry {
            text: "The backup holds data, not a snapshot's metadata.",
            causes: &["RESTORE … WITH SNAPSHOT of an ordinary backup."],
            remedies: &["Leave WITH SNAPSHOT out."],
            source: DOCS,
        },
    },
    Message {
        number: 3277,
        severity: 16,
        template: "WITH SNAPSHOT must be used with only one virtual device.",
        entry: Entry {
            text: "A snapshot statement takes one device.",
            causes: &["More than one VIRTUAL_DEVICE clause with SNAPSHOT."],
            remedies: &["Use one; only metadata pass through it."],
            source: DOCS,
        },
    },
    Message {
        number: 18204,
        severity: 16,
        template: "%s: Backup device '%s' failed to %s. Operating system error %s.",
        entry: Entry {
            text: "SQL Server's error log notes which step on a device failed.",
            causes: &[
                "The operating system error behind it; 18210 is the form for virtual devices.",
            ],
            remedies: &["Explain that number, and read the client's log at that time."],
            source: DOCS,
        },
    },
    Message {
        number: 18210,
        severity: 16,
        template: "%s: %s failure on backup device '%s'. Operating system error %s.",
        entry: Entry {
            text: "A step on a virtual device failed. The first word names the step, the operating \
                   system error how it ended; with 995 the true cause is on the client's side.",
            causes: &[
                "Initialize: Open … 0x80070002: no client has a set of this name.",
                "AllocateBuffer … 995: the client could not map the buffers (shared memory too \
                 small, permissions, containers) and the set was aborted.",
                "ReportIoError: write … 995: the client aborted, died, or timed out in the data.",
                "RequestDurableMedia: Flush … 995 or another: the client did not confirm the end.",
                "ClearError … 995: the client gave up after an error of its own.",
                "SendFileInfoBegin, PrepareToFreeze, TakeSnapshot: a snapshot through SQL Writer \
                 or a client like it failed.",
            ],
            remedies: &[
                "Explain the operating system error (`vdisim explain 995`).",
                "Read the client's log at that time; on Windows also source SQLVDI in the \
                 application event log.",
            ],
            source: "SQL Server's event 18210; observed error logs",
        },
    },
];
