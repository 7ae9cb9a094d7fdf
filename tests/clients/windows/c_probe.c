/* The C face of the headers: INITGUID, COBJMACROS, the tables of functions, and the layout of the structures.
 *
 *     c_probe SET     0 and "ok" if all is right
 */

#define INITGUID
#define COBJMACROS
#define CINTERFACE
#define _WIN32_DCOM
#include <objbase.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "vdi.h"
#include "vdierror.h"
#include "vdiguid.h"

#define MUST(what) typedef char must_hold[(what) ? 1 : -1] __attribute__((unused))
#define SLOT(interface, method, slot) MUST(offsetof(interface##Vtbl, method) == (slot) * sizeof(void *))

MUST(sizeof(VDConfig) == 44);
MUST(sizeof(VDC_Command) == 24 && offsetof(VDC_Command, buffer) == 16);
MUST(offsetof(VDS_Command, outPosition) == 16 && offsetof(VDS_Command, buffer) == 24);
SLOT(IClientVirtualDevice, GetCommand, 3);
SLOT(IClientVirtualDevice, CompleteCommand, 4);
SLOT(IClientVirtualDeviceSet, Create, 3);
SLOT(IClientVirtualDeviceSet, GetConfiguration, 4);
SLOT(IClientVirtualDeviceSet, OpenDevice, 5);
SLOT(IClientVirtualDeviceSet, Close, 6);
SLOT(IClientVirtualDeviceSet, SignalAbort, 7);
SLOT(IClientVirtualDeviceSet, OpenInSecondary, 8);
SLOT(IClientVirtualDeviceSet, GetBufferHandle, 9);
SLOT(IClientVirtualDeviceSet, MapBufferHandle, 10);
SLOT(IClientVirtualDeviceSet2, Create, 3);
SLOT(IClientVirtualDeviceSet2, GetConfiguration, 4);
SLOT(IClientVirtualDeviceSet2, OpenDevice, 5);
SLOT(IClientVirtualDeviceSet2, Close, 6);
SLOT(IClientVirtualDeviceSet2, SignalAbort, 7);
SLOT(IClientVirtualDeviceSet2, OpenInSecondary, 8);
SLOT(IClientVirtualDeviceSet2, GetBufferHandle, 9);
SLOT(IClientVirtualDeviceSet2, MapBufferHandle, 10);
SLOT(IClientVirtualDeviceSet2, CreateEx, 11);
SLOT(IClientVirtualDeviceSet2, OpenInSecondaryEx, 12);
SLOT(IServerVirtualDevice, SendCommand, 3);
SLOT(IServerVirtualDevice, CloseDevice, 4);
SLOT(IServerVirtualDeviceSet2, Open, 3);
SLOT(IServerVirtualDeviceSet2, GetConfiguration, 4);
SLOT(IServerVirtualDeviceSet2, BeginConfiguration, 5);
SLOT(IServerVirtualDeviceSet2, EndConfiguration, 6);
SLOT(IServerVirtualDeviceSet2, RequestBuffers, 7);
SLOT(IServerVirtualDeviceSet2, QueryAvailableBuffers, 8);
SLOT(IServerVirtualDeviceSet2, ExecuteCompletionAgent, 9);
SLOT(IServerVirtualDeviceSet2, OpenDevice, 10);
SLOT(IServerVirtualDeviceSet2, AllocateBuffer, 11);
SLOT(IServerVirtualDeviceSet2, FreeBuffer, 12);
SLOT(IServerVirtualDeviceSet2, IsSharedBuffer, 13);
SLOT(IServerVirtualDeviceSet2, SignalAbort, 14);
SLOT(IServerVirtualDeviceSet2, Close, 15);

/* The values of the headers. */
MUST(VD_E_NOTOPEN == (HRESULT)0x80770002);
MUST(VD_E_TIMEOUT == (HRESULT)0x80770003);
MUST(VD_E_ABORT == (HRESULT)0x80770004);
MUST(VD_E_SECURITY == (HRESULT)0x80770005);
MUST(VD_E_INVALID == (HRESULT)0x80770006);
MUST(VD_E_INSTANCE_NAME == (HRESULT)0x80770007);
MUST(VD_E_NOTSUPPORTED == (HRESULT)0x80770009);
MUST(VD_E_MEMORY == (HRESULT)0x8077000A);
MUST(VD_E_UNEXPECTED == (HRESULT)0x8077000B);
MUST(VD_E_PROTOCOL == (HRESULT)0x8077000C);
MUST(VD_E_OPEN == (HRESULT)0x8077000D);
MUST(VD_E_CLOSE == (HRESULT)0x8077000E);
MUST(VD_E_BUSY == (HRESULT)0x8077000F);
MUST(VDF_Removable == 1);
MUST(VDF_Rewind == 2);
MUST(VDF_Position == 0x10);
MUST(VDF_SkipBlocks == 0x20);
MUST(VDF_ReversePosition == 0x40);
MUST(VDF_Discard == 0x80);
MUST(VDF_FileMarks == 0x100);
MUST(VDF_RandomAccess == 0x200);
MUST(VDF_SnapshotPrepare == 0x400);
MUST(VDF_EnumFrozenFiles == 0x800);
MUST(VDF_VSSWriter == 0x1000);
MUST(VDF_RequestComplete == 0x2000);
MUST(VDF_WriteMedia == 0x10000);
MUST(VDF_ReadMedia == 0x20000);
MUST(VDF_CompleteEnabled == 0x40000);
MUST(VDF_LikePipe == 0);
MUST(VDF_LikeTape == 0x173);
MUST(VDF_LikeDisk == 0x200);
MUST((DWORD)VDF_LatchStats == 0x80000000);
MUST(VDC_Read == 1);
MUST(VDC_Write == 2);
MUST(VDC_ClearError == 3);
MUST(VDC_Rewind == 4);
MUST(VDC_WriteMark == 5);
MUST(VDC_SkipMarks == 6);
MUST(VDC_SkipBlocks == 7);
MUST(VDC_Load == 8);
MUST(VDC_GetPosition == 9);
MUST(VDC_SetPosition == 10);
MUST(VDC_Discard == 11);
MUST(VDC_Flush == 12);
MUST(VDC_Snapshot == 13);
MUST(VDC_MountSnapshot == 14);
MUST(VDC_PrepareToFreeze == 15);
MUST(VDC_FileInfoBegin == 16);
MUST(VDC_FileInfoEnd == 17);
MUST(VDC_GetError == 18);
MUST(VDC_Complete == 19);
MUST(VDC_Beginning == 0 && VDC_Current == 1 && VDC_End == 2);

static int expect(const char *call, HRESULT got, HRESULT wanted)
{
    if (got != wanted)
        printf("%s is 0x%08lX, not 0x%08lX\n", call, (unsigned long)got, (unsigned long)wanted);
    return got != wanted;
}

#define EXPECT(wanted, call) wrong += expect(#call, call, wanted)

int main(int argc, char **argv)
{
    int wrong = 0;
    WCHAR name[200];
    VDConfig config;
    IClientVirtualDeviceSet2 *client = NULL;
    IServerVirtualDeviceSet2 *server = NULL;
    if (argc < 2)
        return 2;
    MultiByteToWideChar(CP_UTF8, 0, argv[1], -1, name, 200);
    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    EXPECT(S_OK, CoCreateInstance(&CLSID_MSSQL_ClientVirtualDeviceSet, NULL, CLSCTX_INPROC_SERVER,
                                  &IID_IClientVirtualDeviceSet2, (void **)&client));
    EXPECT(S_OK, CoCreateInstance(&CLSID_MSSQL_ServerVirtualDeviceSet, NULL, CLSCTX_INPROC_SERVER,
                                  &IID_IServerVirtualDeviceSet2, (void **)&server));
    if (wrong != 0)
        return 1;
    memset(&config, 0, sizeof config);
    config.deviceCount = 3;
    EXPECT(NOERROR, IClientVirtualDeviceSet2_CreateEx(client, NULL, name, &config));
    EXPECT(VD_E_TIMEOUT, IClientVirtualDeviceSet2_GetConfiguration(client, 0, &config));
    EXPECT(NOERROR, server->lpVtbl->Open(server, NULL, name));
    config.deviceCount = 0;
    EXPECT(NOERROR, IServerVirtualDeviceSet2_GetConfiguration(server, &config));
    wrong += config.deviceCount != 3;
    EXPECT(NOERROR, client->lpVtbl->SignalAbort(client));
    EXPECT(VD_E_ABORT, IServerVirtualDeviceSet2_GetConfiguration(server, &config));
    EXPECT(NOERROR, IServerVirtualDeviceSet2_Close(server));
    EXPECT(NOERROR, IClientVirtualDeviceSet2_Close(client));
    wrong += IServerVirtualDeviceSet2_Release(server) != 0;
    wrong += IClientVirtualDeviceSet2_Release(client) != 0;
    CoUninitialize();
    if (wrong == 0)
        printf("ok\n");
    return wrong != 0;
}
