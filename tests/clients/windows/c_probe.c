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
SLOT(IServerVirtualDeviceSet2, BeginConfiguration, 5);
SLOT(IServerVirtualDeviceSet2, Close, 15);

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
