/* The same in C, by the tables of functions and by the macros. */

#define COBJMACROS
#include <stddef.h>
#include <windows.h>

#include "vdi.h"
#include "vdierror.h"
#include "vdiguid.h"

HRESULT call(IClientVirtualDeviceSet2 *set, IServerVirtualDevice *device)
{
    VDConfig config = {0};
    VDS_Command command = {0};
    set->lpVtbl->CreateEx(set, NULL, L"set", &config);
    IClientVirtualDeviceSet2_SignalAbort(set);
    return IServerVirtualDevice_SendCommand(device, &command);
}
