// An implementation of the interface with shared memory of nobody's, or rather none: no server can
// ever serve its sets. It is right wherever no server is needed. IMPLEMENTATION_BREAKS names one wrong
// return code; each is a line with `breaks(...)` below.

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "vdi.h"
#include "vdierror.h"

static bool breaks(const char *name)
{
    const char *given = std::getenv("IMPLEMENTATION_BREAKS");
    return given && std::strcmp(given, name) == 0;
}

class CVDS
{
public:
    bool exists = false, aborted = false;
    std::string name;
};
class CVD
{
};

static std::mutex lock;
static std::map<std::string, CVDS *> sets;
typedef std::lock_guard<std::mutex> Guard;

ClientVirtualDeviceSet::ClientVirtualDeviceSet() : cvds(new CVDS)
{
}

ClientVirtualDeviceSet::~ClientVirtualDeviceSet()
{
    Close();
    delete cvds;
}

int ClientVirtualDeviceSet::Create(char *name, VDConfig *cfg)
{
    Guard guard(lock);
    if (cvds->exists)
        return breaks("creates-again") ? 0 : VD_E_PROTOCOL;
    if (!name || !*name || std::strchr(name, '\\'))
        return VD_E_INVALID;
    uint32_t alignment = cfg->alignment;
    if (cfg->deviceCount == 0 || cfg->deviceCount > 64 || (alignment & (alignment - 1)) ||
        cfg->prefixZoneSize > 65536)
        return VD_E_NOTSUPPORTED;
    if (sets.count(name))
        return VD_E_PROTOCOL;
    cvds->exists = true;
    cvds->aborted = false;
    cvds->name = name;
    sets[name] = cvds;
    return 0;
}

int ClientVirtualDeviceSet::GetConfiguration(time_t timeout, VDConfig *)
{
    {
        Guard guard(lock);
        if (!cvds->exists)
            return VD_E_PROTOCOL;
        if (cvds->aborted)
            return VD_E_ABORT;
    }
    usleep(timeout < 0 ? 1000000 : timeout * 1000);
    return VD_E_TIMEOUT;
}

int ClientVirtualDeviceSet::OpenDevice(char *, ClientVirtualDevice **device)
{
    Guard guard(lock);
    *device = NULL;
    return cvds->exists && cvds->aborted ? VD_E_ABORT : VD_E_PROTOCOL;
}

int ClientVirtualDeviceSet::Close()
{
    Guard guard(lock);
    if (!cvds->exists)
        return breaks("closes-nothing") ? 0 : VD_E_PROTOCOL;
    cvds->exists = false;
    sets.erase(cvds->name);
    return 0;
}

int ClientVirtualDeviceSet::SignalAbort()
{
    Guard guard(lock);
    if (!cvds->exists)
        return VD_E_PROTOCOL;
    cvds->aborted = true;
    return 0;
}

int ClientVirtualDeviceSet::OpenInSecondary(char *name)
{
    Guard guard(lock);
    std::map<std::string, CVDS *>::iterator found = sets.find(name);
    return found != sets.end() && found->second->aborted ? VD_E_ABORT : VD_E_PROTOCOL;
}

int ClientVirtualDeviceSet::GetBufferHandle(uint8_t *, unsigned int *)
{
    return cvds->exists ? VD_E_INVALID : VD_E_PROTOCOL;
}

int ClientVirtualDeviceSet::MapBufferHandle(int, uint8_t **)
{
    return cvds->exists ? VD_E_INVALID : VD_E_PROTOCOL;
}

void ClientVirtualDeviceSet::RegisterDeviceClosed()
{
}

ClientVirtualDevice::ClientVirtualDevice() : cvd(NULL)
{
}

ClientVirtualDevice::~ClientVirtualDevice()
{
}

int ClientVirtualDevice::GetCommand(time_t, VDC_Command **)
{
    return cvd ? VD_E_ABORT : VD_E_PROTOCOL;
}

int ClientVirtualDevice::CompleteCommand(VDC_Command *, int, unsigned long, int64_t)
{
    return cvd ? VD_E_ABORT : VD_E_PROTOCOL;
}
