/* vdi.h: the Virtual Device Interface, for C++ programs on Linux, and for C and C++ on Windows.
 *
 * A client creates a device set, has SQL Server run BACKUP or RESTORE with VIRTUAL_DEVICE='<set>',
 * waits for the configuration, opens its devices and serves their commands until they are closed.
 * On Linux it links with -lsqlvdi; on Windows it asks COM for CLSID_MSSQL_ClientVirtualDeviceSet of
 * vdiguid.h.
 *
 * Part of vdisim. Names, values and layouts are those of SQL Server's interface, so that a program
 * written against either header compiles and runs with both; the wording is vdisim's.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef VDISIM_VDI_H
#define VDISIM_VDI_H

#ifdef _WIN32
#include <windows.h>
/* What WIN32_LEAN_AND_MEAN leaves out. */
#include <ole2.h>
typedef unsigned long VDI_UINT32;
typedef DWORD VDI_INT32;
typedef DWORDLONG VDI_INT64;
typedef BYTE VDI_BYTE;
#else
#include <stdint.h>
#include <time.h>
typedef uint32_t VDI_UINT32;
typedef int32_t VDI_INT32;
typedef int64_t VDI_INT64;
typedef uint8_t VDI_BYTE;
#endif

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
    VDI_UINT32 deviceCount;           /* 1 to 64, one for each VIRTUAL_DEVICE of the statement */
    VDI_UINT32 features;              /* VDFeatures */
    VDI_UINT32 prefixZoneSize;        /* room for the client before the data of every buffer */
    VDI_UINT32 alignment;             /* of the data of every buffer; a power of two, 0: any */
    VDI_UINT32 softFileMarkBlockSize; /* with VDF_FileMarks only; 0: hard filemarks */
    VDI_UINT32 EOMWarningSize;        /* warning zone at the end of the medium; 0: none */
    VDI_UINT32 serverTimeOut;         /* milliseconds, the server aborts after two; 0: never */

    VDI_UINT32 blockSize;       /* every transfer is a multiple of it */
    VDI_UINT32 maxIODepth;      /* always 4 */
    VDI_UINT32 maxTransferSize; /* the largest transfer */
    VDI_UINT32 bufferAreaSize;  /* all buffers together */
};

/* A command, as GetCommand gives it. It is for reading only, and its address is what
 * CompleteCommand wants back. */
struct VDC_Command
{
    VDI_INT32 commandCode; /* VDCommands */
    VDI_INT32 size;        /* bytes to transfer, or a count for some commands */
    VDI_INT64 position;
    VDI_BYTE *buffer; /* of Read and Write, in shared memory */
};

/* A command, as the server sends it. */
struct VDS_Command
{
    VDI_INT32 commandCode;
    VDI_INT32 size;
    VDI_INT64 inPosition;
    VDI_INT64 outPosition;
    VDI_BYTE *buffer;
    VDI_BYTE *completionRoutine; /* void (*)(VDS_Command *) */
    VDI_BYTE *completionContext;
    VDI_INT32 completionCode;
    VDI_INT32 bytesTransferred;
};

#ifdef _WIN32

#ifndef __cplusplus
typedef struct VDConfig VDConfig;
typedef struct VDC_Command VDC_Command;
typedef struct VDS_Command VDS_Command;
#endif

typedef struct IClientVirtualDevice IClientVirtualDevice;
typedef struct IClientVirtualDeviceSet IClientVirtualDeviceSet;
typedef struct IClientVirtualDeviceSet2 IClientVirtualDeviceSet2;
typedef struct IServerVirtualDevice IServerVirtualDevice;
typedef struct IServerVirtualDeviceSet IServerVirtualDeviceSet;
typedef struct IServerVirtualDeviceSet2 IServerVirtualDeviceSet2;

EXTERN_C const IID IID_IClientVirtualDevice;
EXTERN_C const IID IID_IClientVirtualDeviceSet;
EXTERN_C const IID IID_IClientVirtualDeviceSet2;
EXTERN_C const IID IID_IServerVirtualDevice;
EXTERN_C const IID IID_IServerVirtualDeviceSet;
EXTERN_C const IID IID_IServerVirtualDeviceSet2;

#if defined(__cplusplus) && !defined(CINTERFACE)

/* One device. The set's OpenDevice makes it; every call returns a status, see vdierror.h. */
MIDL_INTERFACE("40700424-0080-11d2-851f-00c04fc21759")
IClientVirtualDevice : public IUnknown
{
public:
    /* Waits for the next command, in milliseconds; 0 polls, INFINITE waits for ever; the wait is
     * alertable. VD_E_CLOSE is the normal end. */
    virtual HRESULT STDMETHODCALLTYPE GetCommand(DWORD dwTimeOut, struct VDC_Command **ppCmd) = 0;
    /* Answers a command, from any thread. */
    virtual HRESULT STDMETHODCALLTYPE CompleteCommand(struct VDC_Command *pCmd,
        DWORD dwCompletionCode, DWORD dwBytesTransferred, DWORDLONG dwlPosition) = 0;
};

/* The set of devices of one BACKUP or RESTORE, as it was in SQL Server 7.0. */
MIDL_INTERFACE("40700425-0080-11d2-851f-00c04fc21759")
IClientVirtualDeviceSet : public IUnknown
{
public:
    /* CreateEx for the instance that the variable _VIRTUAL_SERVER_NAME_ names, else for the default. */
    virtual HRESULT STDMETHODCALLTYPE Create(LPCWSTR lpName, struct VDConfig *pCfg) = 0;
    /* Waits until the server has decided the configuration. */
    virtual HRESULT STDMETHODCALLTYPE GetConfiguration(DWORD dwTimeOut, struct VDConfig *pCfg) = 0;
    /* Opens a device. The first one is named as the set. VD_E_OPEN when all are open. */
    virtual HRESULT STDMETHODCALLTYPE OpenDevice(LPCWSTR lpName,
        struct IClientVirtualDevice **ppVirtualDevice) = 0;
    /* Ends the use of the set and of all its devices. VD_E_OPEN if a device was still open. */
    virtual HRESULT STDMETHODCALLTYPE Close(void) = 0;
    /* Asks both sides to stop; calls that wait return VD_E_ABORT. Any thread, any time. */
    virtual HRESULT STDMETHODCALLTYPE SignalAbort(void) = 0;
    /* OpenInSecondaryEx for the instance that Create takes. */
    virtual HRESULT STDMETHODCALLTYPE OpenInSecondary(LPCWSTR lpSetName) = 0;
    /* A number that names the buffer of a command in every process of the set. */
    virtual HRESULT STDMETHODCALLTYPE GetBufferHandle(BYTE *pBuffer, DWORD *pBufferHandle) = 0;
    /* The address in this process of the buffer that another process sent the handle of. */
    virtual HRESULT STDMETHODCALLTYPE MapBufferHandle(DWORD dwBuffer, BYTE **ppBuffer) = 0;
};

/* The same with names of instances: NULL is the default one, and the machine's name is no part. */
MIDL_INTERFACE("d0e6eb07-7a62-11d2-8573-00c04fc21759")
IClientVirtualDeviceSet2 : public IClientVirtualDeviceSet
{
public:
    /* Makes the set. VD_E_PROTOCOL if one of this name exists, or if this object has one. */
    virtual HRESULT STDMETHODCALLTYPE CreateEx(LPCWSTR lpInstanceName, LPCWSTR lpName,
        struct VDConfig *pCfg) = 0;
    /* Joins the set of another process, which has done CreateEx and GetConfiguration. */
    virtual HRESULT STDMETHODCALLTYPE OpenInSecondaryEx(LPCWSTR lpInstanceName,
        LPCWSTR lpSetName) = 0;
};

/* A device as the server has it. */
MIDL_INTERFACE("b5e7a131-a7bd-11d1-84c2-00c04fc21759")
IServerVirtualDevice : public IUnknown
{
public:
    /* Queues a command; its routine is called when it is completed, also when it is refused. */
    virtual HRESULT STDMETHODCALLTYPE SendCommand(struct VDS_Command *pCmd) = 0;
    /* The client gets VD_E_CLOSE behind everything sent before. */
    virtual HRESULT STDMETHODCALLTYPE CloseDevice(void) = 0;
};

/* A set as the server of SQL Server 7.0 had it. vdisim's class does not offer it. */
MIDL_INTERFACE("b5e7a132-a7bd-11d1-84c2-00c04fc21759")
IServerVirtualDeviceSet : public IUnknown
{
public:
    virtual HRESULT STDMETHODCALLTYPE Open(LPCWSTR lpName) = 0;
    virtual HRESULT STDMETHODCALLTYPE GetConfiguration(struct VDConfig *pCfg) = 0;
    virtual HRESULT STDMETHODCALLTYPE SetConfiguration(struct VDConfig *pCfg) = 0;
    virtual HRESULT STDMETHODCALLTYPE ExecuteCompletionAgent(void) = 0;
    virtual HRESULT STDMETHODCALLTYPE OpenDevice(LPCWSTR lpName,
        struct IServerVirtualDevice **ppVirtualDevice) = 0;
    virtual HRESULT STDMETHODCALLTYPE AllocateBuffer(BYTE **ppBuffer, DWORD dwSize,
        DWORD dwAlignment) = 0;
    virtual HRESULT STDMETHODCALLTYPE FreeBuffer(BYTE *pBuffer, DWORD dwSize) = 0;
    virtual BOOL STDMETHODCALLTYPE IsSharedBuffer(BYTE *pBuffer) = 0;
    virtual HRESULT STDMETHODCALLTYPE SignalAbort(void) = 0;
    virtual HRESULT STDMETHODCALLTYPE Close(void) = 0;
};

/* A set as the server has it. */
MIDL_INTERFACE("aecbd0d6-24c6-11d3-85b7-00c04fc21759")
IServerVirtualDeviceSet2 : public IUnknown
{
public:
    /* Finds the set that the client created. */
    virtual HRESULT STDMETHODCALLTYPE Open(LPCWSTR lpInstanceName, LPCWSTR lpSetName) = 0;
    /* What the client asked for. */
    virtual HRESULT STDMETHODCALLTYPE GetConfiguration(struct VDConfig *pCfg) = 0;
    /* Decides the configuration; block size before alignment. */
    virtual HRESULT STDMETHODCALLTYPE BeginConfiguration(DWORD dwFeatures, DWORD dwBlockSize,
        DWORD dwAlignment, DWORD dwMaxTransferSize, DWORD dwTimeout) = 0;
    /* Makes the buffers asked for; the client's GetConfiguration returns. */
    virtual HRESULT STDMETHODCALLTYPE EndConfiguration(void) = 0;
    virtual HRESULT STDMETHODCALLTYPE RequestBuffers(DWORD dwSize, DWORD dwAlignment,
        DWORD dwCount) = 0;
    virtual HRESULT STDMETHODCALLTYPE QueryAvailableBuffers(DWORD dwSize, DWORD dwAlignment,
        DWORD *pCount) = 0;
    /* Calls the routines of completed commands, on this thread, until the set ends. */
    virtual HRESULT STDMETHODCALLTYPE ExecuteCompletionAgent(void) = 0;
    /* Opens the next device and names it; the first is named as the set. */
    virtual HRESULT STDMETHODCALLTYPE OpenDevice(LPCWSTR lpName,
        struct IServerVirtualDevice **ppVirtualDevice) = 0;
    virtual HRESULT STDMETHODCALLTYPE AllocateBuffer(BYTE **ppBuffer, DWORD dwSize,
        DWORD dwAlignment) = 0;
    virtual HRESULT STDMETHODCALLTYPE FreeBuffer(BYTE *pBuffer, DWORD dwSize) = 0;
    virtual BOOL STDMETHODCALLTYPE IsSharedBuffer(BYTE *pBuffer) = 0;
    virtual HRESULT STDMETHODCALLTYPE SignalAbort(void) = 0;
    virtual HRESULT STDMETHODCALLTYPE Close(void) = 0;
};

/* __uuidof for compilers that know it by templates. */
#ifdef __CRT_UUID_DECL
__CRT_UUID_DECL(IClientVirtualDevice, 0x40700424, 0x0080, 0x11d2, 0x85, 0x1f, 0x00, 0xc0, 0x4f,
    0xc2, 0x17, 0x59)
__CRT_UUID_DECL(IClientVirtualDeviceSet, 0x40700425, 0x0080, 0x11d2, 0x85, 0x1f, 0x00, 0xc0, 0x4f,
    0xc2, 0x17, 0x59)
__CRT_UUID_DECL(IClientVirtualDeviceSet2, 0xd0e6eb07, 0x7a62, 0x11d2, 0x85, 0x73, 0x00, 0xc0, 0x4f,
    0xc2, 0x17, 0x59)
__CRT_UUID_DECL(IServerVirtualDevice, 0xb5e7a131, 0xa7bd, 0x11d1, 0x84, 0xc2, 0x00, 0xc0, 0x4f,
    0xc2, 0x17, 0x59)
__CRT_UUID_DECL(IServerVirtualDeviceSet, 0xb5e7a132, 0xa7bd, 0x11d1, 0x84, 0xc2, 0x00, 0xc0, 0x4f,
    0xc2, 0x17, 0x59)
__CRT_UUID_DECL(IServerVirtualDeviceSet2, 0xaecbd0d6, 0x24c6, 0x11d3, 0x85, 0xb7, 0x00, 0xc0, 0x4f,
    0xc2, 0x17, 0x59)
#endif

#else /* C */

typedef struct IClientVirtualDeviceVtbl
{
    BEGIN_INTERFACE
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IClientVirtualDevice *This, REFIID riid,
        void **ppvObject);
    ULONG(STDMETHODCALLTYPE *AddRef)(IClientVirtualDevice *This);
    ULONG(STDMETHODCALLTYPE *Release)(IClientVirtualDevice *This);
    HRESULT(STDMETHODCALLTYPE *GetCommand)(IClientVirtualDevice *This, DWORD dwTimeOut,
        struct VDC_Command **ppCmd);
    HRESULT(STDMETHODCALLTYPE *CompleteCommand)(IClientVirtualDevice *This,
        struct VDC_Command *pCmd, DWORD dwCompletionCode, DWORD dwBytesTransferred,
        DWORDLONG dwlPosition);
    END_INTERFACE
} IClientVirtualDeviceVtbl;

struct IClientVirtualDevice
{
    CONST_VTBL struct IClientVirtualDeviceVtbl *lpVtbl;
};

#ifdef COBJMACROS
#define IClientVirtualDevice_QueryInterface(This, riid, ppvObject) \
    (This)->lpVtbl->QueryInterface(This, riid, ppvObject)
#define IClientVirtualDevice_AddRef(This) (This)->lpVtbl->AddRef(This)
#define IClientVirtualDevice_Release(This) (This)->lpVtbl->Release(This)
#define IClientVirtualDevice_GetCommand(This, dwTimeOut, ppCmd) \
    (This)->lpVtbl->GetCommand(This, dwTimeOut, ppCmd)
#define IClientVirtualDevice_CompleteCommand(This, pCmd, dwCompletionCode, dwBytesTransferred, \
                                             dwlPosition) \
    (This)->lpVtbl->CompleteCommand(This, pCmd, dwCompletionCode, dwBytesTransferred, dwlPosition)
#endif

typedef struct IClientVirtualDeviceSetVtbl
{
    BEGIN_INTERFACE
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IClientVirtualDeviceSet *This, REFIID riid,
        void **ppvObject);
    ULONG(STDMETHODCALLTYPE *AddRef)(IClientVirtualDeviceSet *This);
    ULONG(STDMETHODCALLTYPE *Release)(IClientVirtualDeviceSet *This);
    HRESULT(STDMETHODCALLTYPE *Create)(IClientVirtualDeviceSet *This, LPCWSTR lpName,
        struct VDConfig *pCfg);
    HRESULT(STDMETHODCALLTYPE *GetConfiguration)(IClientVirtualDeviceSet *This, DWORD dwTimeOut,
        struct VDConfig *pCfg);
    HRESULT(STDMETHODCALLTYPE *OpenDevice)(IClientVirtualDeviceSet *This, LPCWSTR lpName,
        struct IClientVirtualDevice **ppVirtualDevice);
    HRESULT(STDMETHODCALLTYPE *Close)(IClientVirtualDeviceSet *This);
    HRESULT(STDMETHODCALLTYPE *SignalAbort)(IClientVirtualDeviceSet *This);
    HRESULT(STDMETHODCALLTYPE *OpenInSecondary)(IClientVirtualDeviceSet *This, LPCWSTR lpSetName);
    HRESULT(STDMETHODCALLTYPE *GetBufferHandle)(IClientVirtualDeviceSet *This, BYTE *pBuffer,
        DWORD *pBufferHandle);
    HRESULT(STDMETHODCALLTYPE *MapBufferHandle)(IClientVirtualDeviceSet *This, DWORD dwBuffer,
        BYTE **ppBuffer);
    END_INTERFACE
} IClientVirtualDeviceSetVtbl;

struct IClientVirtualDeviceSet
{
    CONST_VTBL struct IClientVirtualDeviceSetVtbl *lpVtbl;
};

#ifdef COBJMACROS
#define IClientVirtualDeviceSet_QueryInterface(This, riid, ppvObject) \
    (This)->lpVtbl->QueryInterface(This, riid, ppvObject)
#define IClientVirtualDeviceSet_AddRef(This) (This)->lpVtbl->AddRef(This)
#define IClientVirtualDeviceSet_Release(This) (This)->lpVtbl->Release(This)
#define IClientVirtualDeviceSet_Create(This, lpName, pCfg) \
    (This)->lpVtbl->Create(This, lpName, pCfg)
#define IClientVirtualDeviceSet_GetConfiguration(This, dwTimeOut, pCfg) \
    (This)->lpVtbl->GetConfiguration(This, dwTimeOut, pCfg)
#define IClientVirtualDeviceSet_OpenDevice(This, lpName, ppVirtualDevice) \
    (This)->lpVtbl->OpenDevice(This, lpName, ppVirtualDevice)
#define IClientVirtualDeviceSet_Close(This) (This)->lpVtbl->Close(This)
#define IClientVirtualDeviceSet_SignalAbort(This) (This)->lpVtbl->SignalAbort(This)
#define IClientVirtualDeviceSet_OpenInSecondary(This, lpSetName) \
    (This)->lpVtbl->OpenInSecondary(This, lpSetName)
#define IClientVirtualDeviceSet_GetBufferHandle(This, pBuffer, pBufferHandle) \
    (This)->lpVtbl->GetBufferHandle(This, pBuffer, pBufferHandle)
#define IClientVirtualDeviceSet_MapBufferHandle(This, dwBuffer, ppBuffer) \
    (This)->lpVtbl->MapBufferHandle(This, dwBuffer, ppBuffer)
#endif

typedef struct IClientVirtualDeviceSet2Vtbl
{
    BEGIN_INTERFACE
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IClientVirtualDeviceSet2 *This, REFIID riid,
        void **ppvObject);
    ULONG(STDMETHODCALLTYPE *AddRef)(IClientVirtualDeviceSet2 *This);
    ULONG(STDMETHODCALLTYPE *Release)(IClientVirtualDeviceSet2 *This);
    HRESULT(STDMETHODCALLTYPE *Create)(IClientVirtualDeviceSet2 *This, LPCWSTR lpName,
        struct VDConfig *pCfg);
    HRESULT(STDMETHODCALLTYPE *GetConfiguration)(IClientVirtualDeviceSet2 *This, DWORD dwTimeOut,
        struct VDConfig *pCfg);
    HRESULT(STDMETHODCALLTYPE *OpenDevice)(IClientVirtualDeviceSet2 *This, LPCWSTR lpName,
        struct IClientVirtualDevice **ppVirtualDevice);
    HRESULT(STDMETHODCALLTYPE *Close)(IClientVirtualDeviceSet2 *This);
    HRESULT(STDMETHODCALLTYPE *SignalAbort)(IClientVirtualDeviceSet2 *This);
    HRESULT(STDMETHODCALLTYPE *OpenInSecondary)(IClientVirtualDeviceSet2 *This, LPCWSTR lpSetName);
    HRESULT(STDMETHODCALLTYPE *GetBufferHandle)(IClientVirtualDeviceSet2 *This, BYTE *pBuffer,
        DWORD *pBufferHandle);
    HRESULT(STDMETHODCALLTYPE *MapBufferHandle)(IClientVirtualDeviceSet2 *This, DWORD dwBuffer,
        BYTE **ppBuffer);
    HRESULT(STDMETHODCALLTYPE *CreateEx)(IClientVirtualDeviceSet2 *This, LPCWSTR lpInstanceName,
        LPCWSTR lpName, struct VDConfig *pCfg);
    HRESULT(STDMETHODCALLTYPE *OpenInSecondaryEx)(IClientVirtualDeviceSet2 *This,
        LPCWSTR lpInstanceName, LPCWSTR lpSetName);
    END_INTERFACE
} IClientVirtualDeviceSet2Vtbl;

struct IClientVirtualDeviceSet2
{
    CONST_VTBL struct IClientVirtualDeviceSet2Vtbl *lpVtbl;
};

#ifdef COBJMACROS
#define IClientVirtualDeviceSet2_QueryInterface(This, riid, ppvObject) \
    (This)->lpVtbl->QueryInterface(This, riid, ppvObject)
#define IClientVirtualDeviceSet2_AddRef(This) (This)->lpVtbl->AddRef(This)
#define IClientVirtualDeviceSet2_Release(This) (This)->lpVtbl->Release(This)
#define IClientVirtualDeviceSet2_Create(This, lpName, pCfg) \
    (This)->lpVtbl->Create(This, lpName, pCfg)
#define IClientVirtualDeviceSet2_GetConfiguration(This, dwTimeOut, pCfg) \
    (This)->lpVtbl->GetConfiguration(This, dwTimeOut, pCfg)
#define IClientVirtualDeviceSet2_OpenDevice(This, lpName, ppVirtualDevice) \
    (This)->lpVtbl->OpenDevice(This, lpName, ppVirtualDevice)
#define IClientVirtualDeviceSet2_Close(This) (This)->lpVtbl->Close(This)
#define IClientVirtualDeviceSet2_SignalAbort(This) (This)->lpVtbl->SignalAbort(This)
#define IClientVirtualDeviceSet2_OpenInSecondary(This, lpSetName) \
    (This)->lpVtbl->OpenInSecondary(This, lpSetName)
#define IClientVirtualDeviceSet2_GetBufferHandle(This, pBuffer, pBufferHandle) \
    (This)->lpVtbl->GetBufferHandle(This, pBuffer, pBufferHandle)
#define IClientVirtualDeviceSet2_MapBufferHandle(This, dwBuffer, ppBuffer) \
    (This)->lpVtbl->MapBufferHandle(This, dwBuffer, ppBuffer)
#define IClientVirtualDeviceSet2_CreateEx(This, lpInstanceName, lpName, pCfg) \
    (This)->lpVtbl->CreateEx(This, lpInstanceName, lpName, pCfg)
#define IClientVirtualDeviceSet2_OpenInSecondaryEx(This, lpInstanceName, lpSetName) \
    (This)->lpVtbl->OpenInSecondaryEx(This, lpInstanceName, lpSetName)
#endif

typedef struct IServerVirtualDeviceVtbl
{
    BEGIN_INTERFACE
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IServerVirtualDevice *This, REFIID riid,
        void **ppvObject);
    ULONG(STDMETHODCALLTYPE *AddRef)(IServerVirtualDevice *This);
    ULONG(STDMETHODCALLTYPE *Release)(IServerVirtualDevice *This);
    HRESULT(STDMETHODCALLTYPE *SendCommand)(IServerVirtualDevice *This, struct VDS_Command *pCmd);
    HRESULT(STDMETHODCALLTYPE *CloseDevice)(IServerVirtualDevice *This);
    END_INTERFACE
} IServerVirtualDeviceVtbl;

struct IServerVirtualDevice
{
    CONST_VTBL struct IServerVirtualDeviceVtbl *lpVtbl;
};

#ifdef COBJMACROS
#define IServerVirtualDevice_QueryInterface(This, riid, ppvObject) \
    (This)->lpVtbl->QueryInterface(This, riid, ppvObject)
#define IServerVirtualDevice_AddRef(This) (This)->lpVtbl->AddRef(This)
#define IServerVirtualDevice_Release(This) (This)->lpVtbl->Release(This)
#define IServerVirtualDevice_SendCommand(This, pCmd) (This)->lpVtbl->SendCommand(This, pCmd)
#define IServerVirtualDevice_CloseDevice(This) (This)->lpVtbl->CloseDevice(This)
#endif

typedef struct IServerVirtualDeviceSetVtbl
{
    BEGIN_INTERFACE
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IServerVirtualDeviceSet *This, REFIID riid,
        void **ppvObject);
    ULONG(STDMETHODCALLTYPE *AddRef)(IServerVirtualDeviceSet *This);
    ULONG(STDMETHODCALLTYPE *Release)(IServerVirtualDeviceSet *This);
    HRESULT(STDMETHODCALLTYPE *Open)(IServerVirtualDeviceSet *This, LPCWSTR lpName);
    HRESULT(STDMETHODCALLTYPE *GetConfiguration)(IServerVirtualDeviceSet *This,
        struct VDConfig *pCfg);
    HRESULT(STDMETHODCALLTYPE *SetConfiguration)(IServerVirtualDeviceSet *This,
        struct VDConfig *pCfg);
    HRESULT(STDMETHODCALLTYPE *ExecuteCompletionAgent)(IServerVirtualDeviceSet *This);
    HRESULT(STDMETHODCALLTYPE *OpenDevice)(IServerVirtualDeviceSet *This, LPCWSTR lpName,
        struct IServerVirtualDevice **ppVirtualDevice);
    HRESULT(STDMETHODCALLTYPE *AllocateBuffer)(IServerVirtualDeviceSet *This, BYTE **ppBuffer,
        DWORD dwSize, DWORD dwAlignment);
    HRESULT(STDMETHODCALLTYPE *FreeBuffer)(IServerVirtualDeviceSet *This, BYTE *pBuffer,
        DWORD dwSize);
    BOOL(STDMETHODCALLTYPE *IsSharedBuffer)(IServerVirtualDeviceSet *This, BYTE *pBuffer);
    HRESULT(STDMETHODCALLTYPE *SignalAbort)(IServerVirtualDeviceSet *This);
    HRESULT(STDMETHODCALLTYPE *Close)(IServerVirtualDeviceSet *This);
    END_INTERFACE
} IServerVirtualDeviceSetVtbl;

struct IServerVirtualDeviceSet
{
    CONST_VTBL struct IServerVirtualDeviceSetVtbl *lpVtbl;
};

#ifdef COBJMACROS
#define IServerVirtualDeviceSet_QueryInterface(This, riid, ppvObject) \
    (This)->lpVtbl->QueryInterface(This, riid, ppvObject)
#define IServerVirtualDeviceSet_AddRef(This) (This)->lpVtbl->AddRef(This)
#define IServerVirtualDeviceSet_Release(This) (This)->lpVtbl->Release(This)
#define IServerVirtualDeviceSet_Open(This, lpName) (This)->lpVtbl->Open(This, lpName)
#define IServerVirtualDeviceSet_GetConfiguration(This, pCfg) \
    (This)->lpVtbl->GetConfiguration(This, pCfg)
#define IServerVirtualDeviceSet_SetConfiguration(This, pCfg) \
    (This)->lpVtbl->SetConfiguration(This, pCfg)
#define IServerVirtualDeviceSet_ExecuteCompletionAgent(This) \
    (This)->lpVtbl->ExecuteCompletionAgent(This)
#define IServerVirtualDeviceSet_OpenDevice(This, lpName, ppVirtualDevice) \
    (This)->lpVtbl->OpenDevice(This, lpName, ppVirtualDevice)
#define IServerVirtualDeviceSet_AllocateBuffer(This, ppBuffer, dwSize, dwAlignment) \
    (This)->lpVtbl->AllocateBuffer(This, ppBuffer, dwSize, dwAlignment)
#define IServerVirtualDeviceSet_FreeBuffer(This, pBuffer, dwSize) \
    (This)->lpVtbl->FreeBuffer(This, pBuffer, dwSize)
#define IServerVirtualDeviceSet_IsSharedBuffer(This, pBuffer) \
    (This)->lpVtbl->IsSharedBuffer(This, pBuffer)
#define IServerVirtualDeviceSet_SignalAbort(This) (This)->lpVtbl->SignalAbort(This)
#define IServerVirtualDeviceSet_Close(This) (This)->lpVtbl->Close(This)
#endif

typedef struct IServerVirtualDeviceSet2Vtbl
{
    BEGIN_INTERFACE
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IServerVirtualDeviceSet2 *This, REFIID riid,
        void **ppvObject);
    ULONG(STDMETHODCALLTYPE *AddRef)(IServerVirtualDeviceSet2 *This);
    ULONG(STDMETHODCALLTYPE *Release)(IServerVirtualDeviceSet2 *This);
    HRESULT(STDMETHODCALLTYPE *Open)(IServerVirtualDeviceSet2 *This, LPCWSTR lpInstanceName,
        LPCWSTR lpSetName);
    HRESULT(STDMETHODCALLTYPE *GetConfiguration)(IServerVirtualDeviceSet2 *This,
        struct VDConfig *pCfg);
    HRESULT(STDMETHODCALLTYPE *BeginConfiguration)(IServerVirtualDeviceSet2 *This, DWORD dwFeatures,
        DWORD dwBlockSize, DWORD dwAlignment, DWORD dwMaxTransferSize, DWORD dwTimeout);
    HRESULT(STDMETHODCALLTYPE *EndConfiguration)(IServerVirtualDeviceSet2 *This);
    HRESULT(STDMETHODCALLTYPE *RequestBuffers)(IServerVirtualDeviceSet2 *This, DWORD dwSize,
        DWORD dwAlignment, DWORD dwCount);
    HRESULT(STDMETHODCALLTYPE *QueryAvailableBuffers)(IServerVirtualDeviceSet2 *This, DWORD dwSize,
        DWORD dwAlignment, DWORD *pCount);
    HRESULT(STDMETHODCALLTYPE *ExecuteCompletionAgent)(IServerVirtualDeviceSet2 *This);
    HRESULT(STDMETHODCALLTYPE *OpenDevice)(IServerVirtualDeviceSet2 *This, LPCWSTR lpName,
        struct IServerVirtualDevice **ppVirtualDevice);
    HRESULT(STDMETHODCALLTYPE *AllocateBuffer)(IServerVirtualDeviceSet2 *This, BYTE **ppBuffer,
        DWORD dwSize, DWORD dwAlignment);
    HRESULT(STDMETHODCALLTYPE *FreeBuffer)(IServerVirtualDeviceSet2 *This, BYTE *pBuffer,
        DWORD dwSize);
    BOOL(STDMETHODCALLTYPE *IsSharedBuffer)(IServerVirtualDeviceSet2 *This, BYTE *pBuffer);
    HRESULT(STDMETHODCALLTYPE *SignalAbort)(IServerVirtualDeviceSet2 *This);
    HRESULT(STDMETHODCALLTYPE *Close)(IServerVirtualDeviceSet2 *This);
    END_INTERFACE
} IServerVirtualDeviceSet2Vtbl;

struct IServerVirtualDeviceSet2
{
    CONST_VTBL struct IServerVirtualDeviceSet2Vtbl *lpVtbl;
};

#ifdef COBJMACROS
#define IServerVirtualDeviceSet2_QueryInterface(This, riid, ppvObject) \
    (This)->lpVtbl->QueryInterface(This, riid, ppvObject)
#define IServerVirtualDeviceSet2_AddRef(This) (This)->lpVtbl->AddRef(This)
#define IServerVirtualDeviceSet2_Release(This) (This)->lpVtbl->Release(This)
#define IServerVirtualDeviceSet2_Open(This, lpInstanceName, lpSetName) \
    (This)->lpVtbl->Open(This, lpInstanceName, lpSetName)
#define IServerVirtualDeviceSet2_GetConfiguration(This, pCfg) \
    (This)->lpVtbl->GetConfiguration(This, pCfg)
#define IServerVirtualDeviceSet2_BeginConfiguration(This, dwFeatures, dwBlockSize, dwAlignment, \
                                                    dwMaxTransferSize, dwTimeout) \
    (This)->lpVtbl->BeginConfiguration(This, dwFeatures, dwBlockSize, dwAlignment, \
                                       dwMaxTransferSize, dwTimeout)
#define IServerVirtualDeviceSet2_EndConfiguration(This) (This)->lpVtbl->EndConfiguration(This)
#define IServerVirtualDeviceSet2_RequestBuffers(This, dwSize, dwAlignment, dwCount) \
    (This)->lpVtbl->RequestBuffers(This, dwSize, dwAlignment, dwCount)
#define IServerVirtualDeviceSet2_QueryAvailableBuffers(This, dwSize, dwAlignment, pCount) \
    (This)->lpVtbl->QueryAvailableBuffers(This, dwSize, dwAlignment, pCount)
#define IServerVirtualDeviceSet2_ExecuteCompletionAgent(This) \
    (This)->lpVtbl->ExecuteCompletionAgent(This)
#define IServerVirtualDeviceSet2_OpenDevice(This, lpName, ppVirtualDevice) \
    (This)->lpVtbl->OpenDevice(This, lpName, ppVirtualDevice)
#define IServerVirtualDeviceSet2_AllocateBuffer(This, ppBuffer, dwSize, dwAlignment) \
    (This)->lpVtbl->AllocateBuffer(This, ppBuffer, dwSize, dwAlignment)
#define IServerVirtualDeviceSet2_FreeBuffer(This, pBuffer, dwSize) \
    (This)->lpVtbl->FreeBuffer(This, pBuffer, dwSize)
#define IServerVirtualDeviceSet2_IsSharedBuffer(This, pBuffer) \
    (This)->lpVtbl->IsSharedBuffer(This, pBuffer)
#define IServerVirtualDeviceSet2_SignalAbort(This) (This)->lpVtbl->SignalAbort(This)
#define IServerVirtualDeviceSet2_Close(This) (This)->lpVtbl->Close(This)
#endif

#endif /* C */

#else /* Linux */

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

#endif /* Linux */

#pragma pack(pop, _vdi_h_)

#endif
