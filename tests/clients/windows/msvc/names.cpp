// The headers as Microsoft's compiler reads them: __uuidof by __declspec(uuid), its calling conventions, its
// packing. It is compiled, not run.

#include <windows.h>

#include "vdi.h"
#include "vdierror.h"
#include "vdiguid.h"

static_assert(sizeof(VDConfig) == 44, "VDConfig");
static_assert(sizeof(VDC_Command) == 24, "VDC_Command");
static_assert(VD_E_CLOSE == (HRESULT)0x8077000E, "VD_E_CLOSE");

const IID &device = __uuidof(IClientVirtualDevice);
const IID &set = __uuidof(IClientVirtualDeviceSet);
const IID &set2 = __uuidof(IClientVirtualDeviceSet2);
const IID &server_device = __uuidof(IServerVirtualDevice);
const IID &server_set2 = __uuidof(IServerVirtualDeviceSet2);
const CLSID &client_class = CLSID_MSSQL_ClientVirtualDeviceSet;

HRESULT call(IClientVirtualDeviceSet2 *set, IClientVirtualDevice *device)
{
    VDConfig config = {};
    VDC_Command *command = nullptr;
    set->CreateEx(nullptr, L"set", &config);
    device->GetCommand(0, &command);
    return device->CompleteCommand(command, 0, command->size, 0);
}
