// Every name of the headers, with the value, type and place that it has in SQL Server's. It is
// compiled, not run, by any C++ from C++98 on.

#include <stddef.h>

#include "vdi.h"
#include "vdi.h"
#include "vdierror.h"
#include "vdierror.h"

// A static assertion that C++98 knows: an array of -1 elements does not compile.
#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define MUST(what) typedef char JOIN(must_hold_, __COUNTER__)[(what) ? 1 : -1]
#define AT(type, member, offset, width) \
    MUST(offsetof(type, member) == (offset) && sizeof(((type *)0)->member) == (width))

MUST(sizeof(VDConfig) == 44);
AT(VDConfig, deviceCount, 0, 4);
AT(VDConfig, features, 4, 4);
AT(VDConfig, prefixZoneSize, 8, 4);
AT(VDConfig, alignment, 12, 4);
AT(VDConfig, softFileMarkBlockSize, 16, 4);
AT(VDConfig, EOMWarningSize, 20, 4);
AT(VDConfig, serverTimeOut, 24, 4);
AT(VDConfig, blockSize, 28, 4);
AT(VDConfig, maxIODepth, 32, 4);
AT(VDConfig, maxTransferSize, 36, 4);
AT(VDConfig, bufferAreaSize, 40, 4);

MUST(sizeof(VDC_Command) == 24);
AT(VDC_Command, commandCode, 0, 4);
AT(VDC_Command, size, 4, 4);
AT(VDC_Command, position, 8, 8);
AT(VDC_Command, buffer, 16, 8);

MUST(sizeof(VDS_Command) == 56);
AT(VDS_Command, commandCode, 0, 4);
AT(VDS_Command, size, 4, 4);
AT(VDS_Command, inPosition, 8, 8);
AT(VDS_Command, outPosition, 16, 8);
AT(VDS_Command, buffer, 24, 8);
AT(VDS_Command, completionRoutine, 32, 8);
AT(VDS_Command, completionContext, 40, 8);
AT(VDS_Command, completionCode, 48, 4);
AT(VDS_Command, bytesTransferred, 52, 4);

MUST(sizeof(ClientVirtualDevice) == 8);
MUST(sizeof(ClientVirtualDeviceSet) == 8);

MUST(VDF_Removable == 0x1 && VDF_Rewind == 0x2 && VDF_Position == 0x10 && VDF_SkipBlocks == 0x20);
MUST(VDF_ReversePosition == 0x40 && VDF_Discard == 0x80 && VDF_FileMarks == 0x100);
MUST(VDF_RandomAccess == 0x200 && VDF_SnapshotPrepare == 0x400 && VDF_EnumFrozenFiles == 0x800);
MUST(VDF_VSSWriter == 0x1000 && VDF_RequestComplete == 0x2000 && VDF_WriteMedia == 0x10000);
MUST(VDF_ReadMedia == 0x20000 && VDF_CompleteEnabled == 0x40000);
MUST((unsigned)VDF_LatchStats == 0x80000000u);
MUST(VDF_LikePipe == 0 && VDF_LikeTape == 0x173 && VDF_LikeDisk == 0x200);

MUST(VDC_Read == 1 && VDC_Write == 2 && VDC_ClearError == 3 && VDC_Rewind == 4);
MUST(VDC_WriteMark == 5 && VDC_SkipMarks == 6 && VDC_SkipBlocks == 7 && VDC_Load == 8);
MUST(VDC_GetPosition == 9 && VDC_SetPosition == 10 && VDC_Discard == 11 && VDC_Flush == 12);
MUST(VDC_Snapshot == 13 && VDC_MountSnapshot == 14 && VDC_PrepareToFreeze == 15);
MUST(VDC_FileInfoBegin == 16 && VDC_FileInfoEnd == 17 && VDC_GetError == 18 && VDC_Complete == 19);
MUST(VDC_Beginning == 0 && VDC_Current == 1 && VDC_End == 2);

MUST(ERROR_SUCCESS == 0 && ERROR_ARENA_TRASHED == 7 && ERROR_HANDLE_EOF == 38);
MUST(ERROR_HANDLE_DISK_FULL == 39 && ERROR_NOT_SUPPORTED == 50 && ERROR_DISK_FULL == 112);
MUST(ERROR_OPERATION_ABORTED == 995);

MUST(VD_E_NOTOPEN == -2139684862 && VD_E_TIMEOUT == -2139684861 && VD_E_ABORT == -2139684860);
MUST(VD_E_SECURITY == -2139684859 && VD_E_INVALID == -2139684858);
MUST(VD_E_INSTANCE_NAME == -2139684857 && VD_E_NOTSUPPORTED == -2139684855);
MUST(VD_E_MEMORY == -2139684854 && VD_E_UNEXPECTED == -2139684853 && VD_E_PROTOCOL == -2139684852);
MUST(VD_E_OPEN == -2139684851 && VD_E_CLOSE == -2139684850 && VD_E_BUSY == -2139684849);
MUST(VD_ERROR(3) == VD_E_TIMEOUT && sizeof(VD_E_TIMEOUT) == sizeof(int));

// Struct and enum names may be written out, as C programmers do.
struct VDConfig config;
struct VDC_Command command;
struct VDS_Command server_command;
enum VDFeatures features = VDF_LikePipe;
enum VDCommands code = VDC_Read;
enum VDWhence whence = VDC_Beginning;

// Every member, with exactly these types.
int (ClientVirtualDevice::*get_command)(time_t, VDC_Command **) = &ClientVirtualDevice::GetCommand;
int (ClientVirtualDevice::*complete_command)(VDC_Command *, int, unsigned long, int64_t) =
    &ClientVirtualDevice::CompleteCommand;
int (ClientVirtualDeviceSet::*create)(char *, VDConfig *) = &ClientVirtualDeviceSet::Create;
int (ClientVirtualDeviceSet::*get_configuration)(time_t, VDConfig *) =
    &ClientVirtualDeviceSet::GetConfiguration;
int (ClientVirtualDeviceSet::*open_device)(char *, ClientVirtualDevice **) =
    &ClientVirtualDeviceSet::OpenDevice;
int (ClientVirtualDeviceSet::*close_set)() = &ClientVirtualDeviceSet::Close;
int (ClientVirtualDeviceSet::*signal_abort)() = &ClientVirtualDeviceSet::SignalAbort;
int (ClientVirtualDeviceSet::*open_in_secondary)(char *) = &ClientVirtualDeviceSet::OpenInSecondary;
int (ClientVirtualDeviceSet::*get_buffer_handle)(uint8_t *, unsigned int *) =
    &ClientVirtualDeviceSet::GetBufferHandle;
int (ClientVirtualDeviceSet::*map_buffer_handle)(int, uint8_t **) =
    &ClientVirtualDeviceSet::MapBufferHandle;
void (ClientVirtualDeviceSet::*register_device_closed)() =
    &ClientVirtualDeviceSet::RegisterDeviceClosed;

// Objects on the stack, on the heap, and as bases; statuses as case labels.
struct DerivedSet : ClientVirtualDeviceSet
{
};
struct DerivedDevice : ClientVirtualDevice
{
};

int use(int status)
{
    ClientVirtualDeviceSet *set = new ClientVirtualDeviceSet;
    ClientVirtualDevice device;
    DerivedSet derived_set;
    DerivedDevice derived_device;
    delete set;
    switch (status) {
    case NOERROR:
    case VD_E_CLOSE:
        return S_OK;
    default:
        return MAKE_HRESULT(1, 0x77, 4);
    }
}
