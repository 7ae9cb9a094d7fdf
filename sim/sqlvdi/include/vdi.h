/* vdi.h: the client half of the Virtual Device Interface, for C++ programs on Linux.
 *
 * A client creates a device set, has SQL Server run BACKUP or RESTORE with VIRTUAL_DEVICE='<set>',
 * waits for the configuration, opens its devices and serves their commands until they are closed.
 * Link with -lsqlvdi.
 *
 * Part of vdisim. Names, values and layouts are those of SQL Server's interface, so that a program
 * written against either header compiles and runs with both; the wording is vdisim's.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef VDISIM_VDI_H
#define VDISIM_VDI_H

#include <stdint.h>
#include <time.h>

#pragma pack(push, _vdi_h_, 8)

/* How a client answers a command: the last but two arguments of CompleteCommand. Other codes of
 * the Win32 numbering are legal too. */
#ifndef ERROR_SUCCESS
#define ERROR_SUCCESS 0
#endif
#ifndef ERROR_ARENA_TRASHED
#define ERROR_ARENA_TRASHED 7
#endif
#ifndef ERROR_HANDLE_EOF
#define ERROR_HANDLE_EOF 38
#endif
#ifndef ERROR_HANDLE_DISK_FULL
#define ERROR_HANDLE_DISK_FULL 39
#endif
#ifndef ERROR_NOT_SUPPORTED
#define ERROR_NOT_SUPPORTED 50
#endif
#ifndef ERROR_DISK_FULL
#define ERROR_DISK_FULL 112
#endif
#ifndef ERROR_OPERATION_ABORTED
#define ERROR_OPERATION_ABORTED 995
#endif

/* Bits of VDConfig.features. */
enum VDFeatures
{
    /* Asked for by the client at Create. */
    VDF_Removable = 0x1,         /* media can be changed: VDC_Load */
    VDF_Rewind = 0x2,            /* VDC_Rewind */
    VDF_Position = 0x10,         /* VDC_GetPosition, VDC_SetPosition */
    VDF_SkipBlocks = 0x20,       /* VDC_SkipBlocks */
    VDF_ReversePosition = 0x40,  /* positioning goes backwards too */
    VDF_Discard = 0x80,          /* VDC_Discard */
    VDF_FileMarks = 0x100,       /* VDC_WriteMark, VDC_SkipMarks */
    VDF_RandomAccess = 0x200,    /* Read and Write carry a byte position */
    VDF_SnapshotPrepare = 0x400, /* VDC_PrepareToFreeze */
    VDF_EnumFrozenFiles = 0x800, /* VDC_FileInfoBegin, VDC_FileInfoEnd */
    VDF_VSSWriter = 0x1000,
    VDF_RequestComplete = 0x2000, /* VDC_Complete, if the server offers it */

    /* Set by the server in the answer of GetConfiguration. */
    VDF_WriteMedia = 0x10000,      /* a BACKUP: the client will be asked to write */
    VDF_ReadMedia = 0x20000,       /* a RESTORE: the client will be asked to read */
    VDF_CompleteEnabled = 0x40000, /* VDC_Complete will be sent */

    VDF_LatchStats = 0x80000000,

    /* The three kinds of device. */
    VDF_LikePipe = 0,
    VDF_LikeTape = VDF_FileMarks | VDF_Removable | VDF_Rewind | VDF_Position | VDF_SkipBlocks |
                   VDF_ReversePosition,
    VDF_LikeDisk = VDF_RandomAccess
};

/* VDC_Command.commandCode. */
enum VDCommands
{
    VDC_Read = 1,
    VDC_Write = 2,
    VDC_ClearError = 3,
    VDC_Rewind = 4,
    VDC_WriteMark = 5,
    VDC_SkipMarks = 6,
    VDC_SkipBlocks = 7,
    VDC_Load = 8,
    VDC_GetPosition = 9,
    VDC_SetPosition = 10,
    VDC_Discard = 11,
    VDC_Flush = 12,
    VDC_Snapshot = 13,
    VDC_MountSnapshot = 14,
    VDC_PrepareToFreeze = 15,
    VDC_FileInfoBegin = 16,
    VDC_FileInfoEnd = 17,
    VDC_GetError = 18,
    VDC_Complete = 19
};

/* Where a VDC_SetPosition of a random-access device counts from; it stands in `size`. */
enum VDWhence
{
    VDC_Beginning = 0,
    VDC_Current = 1,
    VDC_End = 2
};

/* The configuration of a set. The client fills the first seven fields for Create (the others are
 * not looked at); GetConfiguration gives all of them as the server decided. Sizes are bytes. */
struct VDConfig
{
    uint32_t deviceCount;           /* 1 to 64, one for each VIRTUAL_DEVICE of the statement */
    uint32_t features;              /* VDFeatures */
    uint32_t prefixZoneSize;        /* room for the client before the data of every buffer */
    uint32_t alignment;             /* of the data of every buffer; a power of two, 0: any */
    uint32_t softFileMarkBlockSize; /* with VDF_FileMarks only; 0: hard filemarks */
    uint32_t EOMWarningSize;        /* warning zone at the end of the medium; 0: none */
    uint32_t serverTimeOut;         /* milliseconds, the server aborts after two; 0: never */

    uint32_t blockSize;       /* every transfer is a multiple of it */
    uint32_t maxIODepth;      /* always 4 */
    uint32_t maxTransferSize; /* the largest transfer */
    uint32_t bufferAreaSize;  /* all buffers together */
};

/* A command, as GetCommand gives it. It is for reading only, and its address is what
 * CompleteCommand wants back. */
struct VDC_Command
{
    int32_t commandCode; /* VDCommands */
    int32_t size;        /* bytes to transfer, or a count for some commands */
    int64_t position;
    uint8_t *buffer; /* of Read and Write, in shared memory */
};

/* A command, as the server sends it. */
struct VDS_Command
{
    int32_t commandCode;
    int32_t size;
    int64_t inPosition;
    int64_t outPosition;
    uint8_t *buffer;
    uint8_t *completionRoutine; /* void (*)(VDS_Command *) */
    uint8_t *completionContext;
    int32_t completionCode;
    int32_t bytesTransferred;
};

class CVD;
class CVDS;

extern "C"
{

/* One device. OpenDevice makes it; it may be deleted at any time or never. Every call returns a
 * status, see vdierror.h. */
class ClientVirtualDevice
{
public:
    ClientVirtualDevice();
    ~ClientVirtualDevice();

    /* Waits for the next command. timeOut in milliseconds; negative: for ever; 0: polls.
     * VD_E_CLOSE is the normal end, VD_E_TIMEOUT means that there is none, VD_E_ABORT that one of
     * the two sides aborted. */
    int GetCommand(time_t timeOut, VDC_Command **ppCmd);

    /* Answers a command: bytesTransferred for Read and Write, position for GetPosition and
     * SetPosition. VD_E_INVALID if the command is not an open one of this device. */
    int CompleteCommand(VDC_Command *pCmd, int completionCode, unsigned long bytesTransferred,
                        int64_t position);

private:
    CVD *cvd;
    friend class ClientVirtualDeviceSet;
};

/* The set of devices of one BACKUP or RESTORE. */
class ClientVirtualDeviceSet
{
public:
    /* Makes the set. VD_E_PROTOCOL if one of this name exists, or if this object has one. */
    int Create(char *name, VDConfig *cfg);

    /* Waits until the server has decided the configuration. timeout as for GetCommand. */
    int GetConfiguration(time_t timeout, VDConfig *cfg);

    /* Opens a device. The first one is named as the set. VD_E_OPEN when all are open. */
    int OpenDevice(char *name, ClientVirtualDevice **ppVirtualDevice);

    /* Ends the use of the set and of all its devices. VD_E_OPEN if a device was still open: then
     * the set was aborted first. */
    int Close();

    /* Asks both sides to stop; calls that wait return VD_E_ABORT. Any thread, any time. */
    int SignalAbort();

    /* Joins the set of another process, which has done Create and GetConfiguration. */
    int OpenInSecondary(char *setName);

    /* A number that names the buffer of a command in every process of the set. */
    int GetBufferHandle(uint8_t *pBuffer, unsigned int *pBufferHandle);

    /* The address in this process of the buffer that another process sent the handle of. */
    int MapBufferHandle(int dwBuffer, uint8_t **ppBuffer);

    /* Of no use to a client; it does nothing. */
    void RegisterDeviceClosed();

    ClientVirtualDeviceSet();
    ~ClientVirtualDeviceSet();

private:
    CVDS *cvds;
};

} /* extern "C" */

#pragma pack(pop, _vdi_h_)

#endif
