//! Words about status codes.

use super::entry::Entry;
use crate::status::HResult;

/// Every status code of VDI, in the header's order.
pub(super) const STATUS: [(HResult, Entry); 16] = [
    (
        HResult::NOERROR,
        Entry {
            text: "The call succeeded.",
            causes: &["The call did what it was asked to do."],
            remedies: &[
                "Nothing. But NOERROR from Close, like VD_E_CLOSE from GetCommand, says nothing \
                 about the BACKUP or RESTORE: ask the SQL connection for its result.",
            ],
            source: "vdierror.h",
        },
    ),
    (
        HResult::VD_E_NOTOPEN,
        Entry {
            text: "The object was not open.",
            causes: &["No page of the specification returns this code; calls out of order get \
                 VD_E_PROTOCOL instead."],
            remedies: &[
                "Treat it like VD_E_PROTOCOL: check that Create (or OpenInSecondary) succeeded on \
                 this object and that Close did not come first.",
            ],
            source: "vdierror.h (in the header only)",
        },
    ),
    (
        HResult::VD_E_TIMEOUT,
        Entry {
            text: "The call waited for its whole interval and nothing came.",
            causes: &[
                "From GetConfiguration: SQL Server never attached. The BACKUP or RESTORE failed \
                 before it reached the device (syntax, permission, database state), or has not \
                 been sent yet.",
                "From GetConfiguration: the name in VIRTUAL_DEVICE differs from the name given to \
                 Create, or the statement went to another instance than CreateEx named.",
                "From GetConfiguration: SQL Server cannot open the client's shared memory (user, \
                 group, umask, container without shared IPC).",
                "From GetCommand: SQL Server has nothing to send at the moment: it reads the \
                 database, writes to another device, or waits for commands the client still holds.",
                "On Linux the unit is disputed: the documentation says milliseconds, the sample's \
                 comment seconds. A value of 90 may be a twelfth of a second.",
            ],
            remedies: &[
                "From GetConfiguration: look at the result of the SQL connection first; its \
                 message is the true cause. Poll with a short interval and stop waiting when the \
                 statement has ended.",
                "From GetCommand: call it again; it is no error. Keep a limit of your own for how \
                 long nothing may come.",
                "On Linux use a wait that is right under both units: 1000 in a loop.",
            ],
            source: "VDI, GetConfiguration and GetCommand pages; vdierror.h",
        },
    ),
    (
        HResult::VD_E_ABORT,
        Entry {
            text: "The set was aborted; nothing but Close is of use now.",
            causes: &[
                "The other half called SignalAbort: SQL Server gives up on a KILL, a lost \
                 connection, an error on another device of the set, or its own time-out.",
                "This client called SignalAbort, perhaps in another thread or process.",
                "The process of SQL Server or the primary client died.",
                "The client completed nothing for two intervals of VDConfig.serverTimeOut while \
                 commands were pending.",
                "A primary closed the set while devices were open.",
                "In a container: shared memory is not enabled or too small, and the first \
                 OpenDevice meets a set that is aborted already.",
            ],
            remedies: &[
                "Stop touching buffers, leave commands uncompleted, and call Close on the set; \
                 do not wait for VD_E_CLOSE.",
                "Read the SQL connection's messages and SQL Server's error log: the cause stands \
                 there, while 995 in them is only the abort again.",
                "If serverTimeOut was hit, complete commands sooner or set it to 0.",
            ],
            source: "VDI, SignalAbort page, \"Abnormal Termination\", \"Process Model\"",
        },
    ),
    (
        HResult::VD_E_SECURITY,
        Entry {
            text: "The security environment of the set could not be made.",
            causes: &[
                "The client may not create shared memory that the server can open: missing rights \
                 on the process handle (Windows) or on /dev/shm (Linux).",
                "An object of the same name is there already and belongs to another user.",
            ],
            remedies: &[
                "Run the client as a user that shares a group with SQL Server's account (Linux), \
                 or with administrative rights (Windows).",
                "Remove what an earlier run left: `vdisim doctor` names owner, mode and command.",
            ],
            source: "vdierror.h (in the header only)",
        },
    ),
    (
        HResult::VD_E_INVALID,
        Entry {
            text: "An argument is invalid.",
            causes: &[
                "OpenDevice: the name is none of the VIRTUAL_DEVICE names of the statement. The \
                 first device has the name of the set; names are case-sensitive.",
                "CompleteCommand: the command was completed before, belongs to another device, or \
                 its address was copied instead of kept.",
                "GetBufferHandle: the address is not the exact start of a command's buffer.",
                "MapBufferHandle: the handle comes from another set, or was made up.",
                "Create: the name is NULL, empty or has a backslash in it.",
            ],
            remedies: &[
                "Pass CompleteCommand the very pointer that GetCommand returned, once.",
                "Print the name or handle just before the call and compare it with the statement \
                 or with what the other process sent.",
            ],
            source: "VDI, OpenDevice, CompleteCommand, GetBufferHandle, MapBufferHandle pages",
        },
    ),
    (
        HResult::VD_E_INSTANCE_NAME,
        Entry {
            text: "The name of the SQL Server instance is not recognised.",
            causes: &[
                "CreateEx was given HOST\\INSTANCE; it takes the instance's name alone.",
                "The default instance was named (MSSQLSERVER) instead of passing NULL.",
                "The instance is not installed on this computer: VDI works locally only.",
            ],
            remedies: &[
                "Pass NULL for the default instance, SQLEXPRESS and the like for a named one.",
                "Check that the environment variable _VIRTUAL_SERVER_NAME_ is not set: Create \
                 takes the instance from it.",
            ],
            source: "vdierror.h; VDI, CreateEx page",
        },
    ),
    (
        HResult::VD_E_NOTSUPPORTED,
        Entry {
            text: "The configuration that the client asks for is invalid or not supported.",
            causes: &[
                "VDConfig was not zeroed before its fields were set.",
                "deviceCount is 0 or more than 64.",
                "alignment is no power of two or more than 64 KiB; prefixZoneSize or \
                 softFileMarkBlockSize is more than 64 KiB.",
            ],
            remedies: &[
                "memset the structure to 0, set deviceCount, features and serverTimeOut, and \
                 nothing else unless you need it.",
                "Use a listed feature set: VDF_LikePipe, VDF_LikeTape or VDF_LikeDisk, with \
                 VDF_RequestComplete, VDF_SnapshotPrepare or VDF_Discard if wanted.",
            ],
            source: "VDI, CreateEx page, \"VDConfig Structure\"",
        },
    ),
    (
        HResult::VD_E_MEMORY,
        Entry {
            text: "Memory for the set or its buffers could not be had.",
            causes: &[
                "BUFFERCOUNT times MAXTRANSFERSIZE is more than the shared memory that is free; \
                 /dev/shm of a container has 64 MB unless told otherwise.",
                "A memory limit of the container or service (cgroup) is reached.",
                "A 32-bit process has no room to map the buffers.",
                "Segments of runs that were killed still take up shared memory.",
            ],
            remedies: &[
                "Lower BUFFERCOUNT or MAXTRANSFERSIZE in the statement.",
                "Start the container with --shm-size=1g or more.",
                "Run `vdisim doctor` for limits and leftovers, `vdisim doctor --clean` to remove \
                 the leftovers.",
            ],
            source: "VDI, EndConfiguration, RequestBuffers, AllocateBuffer pages",
        },
    ),
    (
        HResult::VD_E_UNEXPECTED,
        Entry {
            text: "Something happened inside that should not happen.",
            causes: &[
                "The shared memory of the set was overwritten, usually by a client that writes \
                 outside its buffer or prefix zone.",
                "The drop-in library and the server half are of different versions.",
            ],
            remedies: &[
                "Check every write against the command's size and buffer; run the client under \
                 AddressSanitizer.",
                "Make sure that both halves come from one build.",
            ],
            source: "vdierror.h (in the header only)",
        },
    ),
    (
        HResult::VD_E_PROTOCOL,
        Entry {
            text: "The call is out of order: the state of the set or device does not allow it.",
            causes: &[
                "Create: this object holds a set already, or a set of this name exists.",
                "OpenDevice before GetConfiguration succeeded, or a second time for one device.",
                "GetCommand or CompleteCommand after the device delivered VD_E_CLOSE and the set \
                 is terminated, or on a device whose set was closed.",
                "OpenInSecondary before the primary has been through Create and GetConfiguration.",
                "Close on a set that is not open.",
                "The object is used in a child process after fork.",
            ],
            remedies: &[
                "Keep to the order Create, GetConfiguration, OpenDevice for each device, \
                 GetCommand and CompleteCommand until VD_E_CLOSE, Close.",
                "Use a new name (a GUID) for every statement.",
                "In secondaries, wait until the primary says that GetConfiguration has returned.",
            ],
            source: "VDI, \"Client Transitions\", \"Server Transitions\"",
        },
    ),
    (
        HResult::VD_E_OPEN,
        Entry {
            text: "From OpenDevice: all devices are open already. From Close: devices were still \
                   open, so the set was aborted and released.",
            causes: &[
                "OpenDevice was called more often than deviceCount says; in a loop that opens \
                 until this code comes it is the normal end.",
                "Close was called before every device delivered VD_E_CLOSE.",
            ],
            remedies: &[
                "From OpenDevice: stop opening.",
                "From Close: the resources are gone all the same, but the BACKUP or RESTORE was \
                 aborted. Fetch commands until VD_E_CLOSE on each device, then call Close.",
            ],
            source: "VDI, OpenDevice and Close pages",
        },
    ),
    (
        HResult::VD_E_CLOSE,
        Entry {
            text: "The server closed the device: the normal end of the command loop.",
            causes: &[
                "The server has sent all that it wanted, after success or failure alike.",
                "On RESTORE the server may close before it has read to the end of the data: \
                 RESTORE FILELISTONLY and HEADERONLY always do.",
            ],
            remedies: &[
                "Leave the loop, and call Close on the set when every device has said this.",
                "Take the result of the BACKUP or RESTORE from the SQL connection: 3014 is \
                 success, 3013 failure. This code says nothing about it.",
                "If the value does not match in your code, use the constant of vdierror.h: \
                 0x8077000E.",
            ],
            source: "VDI, GetCommand page, \"Normal Termination\"",
        },
    ),
    (
        HResult::VD_E_BUSY,
        Entry {
            text: "The resource is busy.",
            causes: &["No page of the specification returns this code."],
            remedies: &["Wait for the other call on the same object to return, then try again."],
            source: "vdierror.h (in the header only)",
        },
    ),
    (
        HResult::VD_E_QUEUE_FULL,
        Entry {
            text: "The device's command queue is full. Seen by the server half only.",
            causes: &[
                "The client fetches commands more slowly than the server sends them, or not at all.",
            ],
            remedies: &[
                "The server waits for completions and sends again; a client sees nothing of it.",
            ],
            source: "VDI, IServerVirtualDevice::SendCommand page; no value is published, this one \
                     is ours",
        },
    ),
    (
        HResult::VD_E_IO_ERROR,
        Entry {
            text: "The device is in the IO-ERROR state and accepts nothing but VDC_ClearError. \
                   Seen by the server half only.",
            causes: &["A command of this device was completed with an error."],
            remedies: &[
                "The server sends VDC_ClearError, closes the device or aborts the set. A client \
                 answers ClearError with ERROR_SUCCESS once it has completed what it held.",
            ],
            source: "VDI, IServerVirtualDevice::SendCommand page, \"Command Error Handling\"; no \
                     value is published, this one is ours",
        },
    ),
];

/// Status codes of the system that users of VDI meet, with the name to print.
pub(super) const SYSTEM: [(HResult, &str, Entry); 4] = [
    (
        HResult(0x8007_0002),
        "HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)",
        Entry {
            text: "Win32 error 2, \"file not found\": shared memory of the set could not be found. In \
                   message 18210 after \"Open failure\": SQL Server found no device set of this \
                   name. On the client's stderr after Open(hBufferMemory): the client does not \
                   see the server's buffers.",
            causes: &[
                "The client has not called Create yet, or has closed the set, when the statement \
                 runs.",
                "The name in VIRTUAL_DEVICE is not the name given to Create.",
                "The statement went to another instance, or the client waits for another one.",
                "The client and SQL Server do not share memory: different containers, IPC \
                 namespaces or sessions.",
                "Open(hBufferMemory): the buffers could not be made (a container without enough \
                 shared memory) or were removed by somebody else.",
            ],
            remedies: &[
                "Create the set first, send the statement then.",
                "Compare the two names letter by letter, with braces and case.",
                "Run both in one container or share its IPC namespace, with --shm-size=1g and \
                 memory.enablecontainersharedmemory.",
            ],
            source: "observed in SQL Server's error log",
        },
    ),
    (
        HResult(0x8007_0005),
        "E_ACCESSDENIED",
        Entry {
            text: "Win32 error 5: access is denied.",
            causes: &[
                "The account of the client may not open the objects of SQL Server, or the other \
                 way round.",
            ],
            remedies: &[
                "Windows: run the client elevated. Linux: put the client and mssql into each \
                 other's group, start both anew, and call umask(0) or 0007 before Create.",
            ],
            source: "winerror.h",
        },
    ),
    (
        HResult(0x8004_0154),
        "REGDB_E_CLASSNOTREG",
        Entry {
            text: "The COM class is not registered: CoCreateInstance found no sqlvdi.dll.",
            causes: &[
                "sqlvdi.dll is not registered on this computer.",
                "It is registered for the other bitness: a 32-bit client needs the 32-bit library.",
                "The class id was mistaken for the interface id of the second set interface.",
            ],
            remedies: &[
                "Register the library of the client's bitness (`vdisim register` for the drop-in).",
                "Create CLSID_MSSQL_ClientVirtualDeviceSet, 40700425-0080-11d2-851f-00c04fc21759.",
            ],
            source: "winerror.h; VDI, \"Initialization\"",
        },
    ),
    (
        HResult(0x8001_0106),
        "RPC_E_CHANGED_MODE",
        Entry {
            text: "The thread has another COM threading model already.",
            causes: &["CoInitializeEx(COINIT_MULTITHREADED) ran on a single-threaded apartment."],
            remedies: &["Use a thread of your own for VDI, or tolerate this answer."],
            source: "winerror.h",
        },
    ),
];
