// A DLL of somebody else's with the interface's classes: every object is one of the DLL that FOREIGN_WRAPS
// names, in objects of its own. FOREIGN_BREAKS names one thing that is wrong; each is a line with
// `breaks(...)` below.

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "vdi.h"
#include "vdierror.h"
#include "vdiguid.h"

typedef HRESULT(STDAPICALLTYPE *GetClassObject)(REFCLSID, REFIID, void **);

static bool breaks(const char *name)
{
    const char *given = getenv("FOREIGN_BREAKS");
    return given && strcmp(given, name) == 0;
}

// What every object here does.
template <class Interface>
class Wrapper : public Interface
{
public:
    explicit Wrapper(Interface *wrapped) : inner(wrapped), count(1)
    {
    }
    virtual ~Wrapper()
    {
        inner->Release();
    }
    HRESULT STDMETHODCALLTYPE QueryInterface(REFIID, void **object)
    {
        *object = NULL;
        return E_NOINTERFACE;
    }
    ULONG STDMETHODCALLTYPE AddRef()
    {
        return InterlockedIncrement(&count);
    }
    ULONG STDMETHODCALLTYPE Release()
    {
        LONG left = InterlockedDecrement(&count);
        if (left == 0)
            delete this;
        return left;
    }

protected:
    Interface *const inner;

private:
    LONG count;
};

class ClientSet : public Wrapper<IClientVirtualDeviceSet2>
{
public:
    explicit ClientSet(IClientVirtualDeviceSet2 *wrapped) : Wrapper(wrapped)
    {
    }
    HRESULT STDMETHODCALLTYPE Create(LPCWSTR name, VDConfig *config)
    {
        return inner->Create(name, config);
    }
    HRESULT STDMETHODCALLTYPE GetConfiguration(DWORD timeout, VDConfig *config)
    {
        return inner->GetConfiguration(timeout, config);
    }
    HRESULT STDMETHODCALLTYPE OpenDevice(LPCWSTR name, IClientVirtualDevice **device)
    {
        return inner->OpenDevice(name, device);
    }
    HRESULT STDMETHODCALLTYPE Close()
    {
        if (breaks("crashes"))
            RaiseException(EXCEPTION_ACCESS_VIOLATION, 0, 0, NULL);
        return inner->Close();
    }
    HRESULT STDMETHODCALLTYPE SignalAbort()
    {
        return inner->SignalAbort();
    }
    HRESULT STDMETHODCALLTYPE OpenInSecondary(LPCWSTR name)
    {
        return inner->OpenInSecondary(name);
    }
    HRESULT STDMETHODCALLTYPE GetBufferHandle(BYTE *buffer, DWORD *handle)
    {
        return inner->GetBufferHandle(buffer, handle);
    }
    HRESULT STDMETHODCALLTYPE MapBufferHandle(DWORD handle, BYTE **buffer)
    {
        static BYTE none[65536];
        if (handle == 0 && breaks("maps-zero")) {
            *buffer = none;
            return NOERROR;
        }
        return inner->MapBufferHandle(handle, buffer);
    }
    HRESULT STDMETHODCALLTYPE CreateEx(LPCWSTR instance, LPCWSTR name, VDConfig *config)
    {
        return inner->CreateEx(instance, name, config);
    }
    HRESULT STDMETHODCALLTYPE OpenInSecondaryEx(LPCWSTR instance, LPCWSTR name)
    {
        return inner->OpenInSecondaryEx(instance, name);
    }
};

class ServerDevice : public Wrapper<IServerVirtualDevice>
{
public:
    explicit ServerDevice(IServerVirtualDevice *wrapped) : Wrapper(wrapped)
    {
    }
    HRESULT STDMETHODCALLTYPE SendCommand(VDS_Command *command)
    {
        return breaks("sends-nothing") ? VD_E_PROTOCOL : inner->SendCommand(command);
    }
    HRESULT STDMETHODCALLTYPE CloseDevice()
    {
        return inner->CloseDevice();
    }
};

class ServerSet : public Wrapper<IServerVirtualDeviceSet2>
{
public:
    explicit ServerSet(IServerVirtualDeviceSet2 *wrapped) : Wrapper(wrapped)
    {
    }
    HRESULT STDMETHODCALLTYPE Open(LPCWSTR instance, LPCWSTR name)
    {
        return inner->Open(instance, name);
    }
    HRESULT STDMETHODCALLTYPE GetConfiguration(VDConfig *config)
    {
        return inner->GetConfiguration(config);
    }
    HRESULT STDMETHODCALLTYPE BeginConfiguration(DWORD features, DWORD block, DWORD alignment,
                                                 DWORD transfer, DWORD timeout)
    {
        return inner->BeginConfiguration(features, block, alignment, transfer, timeout);
    }
    HRESULT STDMETHODCALLTYPE EndConfiguration()
    {
        return inner->EndConfiguration();
    }
    HRESULT STDMETHODCALLTYPE RequestBuffers(DWORD size, DWORD alignment, DWORD count)
    {
        return inner->RequestBuffers(size, alignment, count);
    }
    HRESULT STDMETHODCALLTYPE QueryAvailableBuffers(DWORD size, DWORD alignment, DWORD *count)
    {
        return inner->QueryAvailableBuffers(size, alignment, count);
    }
    HRESULT STDMETHODCALLTYPE ExecuteCompletionAgent()
    {
        return inner->ExecuteCompletionAgent();
    }
    HRESULT STDMETHODCALLTYPE OpenDevice(LPCWSTR name, IServerVirtualDevice **device)
    {
        HRESULT status = inner->OpenDevice(name, device);
        if (SUCCEEDED(status))
            *device = new ServerDevice(*device);
        return status;
    }
    HRESULT STDMETHODCALLTYPE AllocateBuffer(BYTE **buffer, DWORD size, DWORD alignment)
    {
        return inner->AllocateBuffer(buffer, size, alignment);
    }
    HRESULT STDMETHODCALLTYPE FreeBuffer(BYTE *buffer, DWORD size)
    {
        return inner->FreeBuffer(buffer, size);
    }
    BOOL STDMETHODCALLTYPE IsSharedBuffer(BYTE *buffer)
    {
        return inner->IsSharedBuffer(buffer);
    }
    HRESULT STDMETHODCALLTYPE SignalAbort()
    {
        return inner->SignalAbort();
    }
    HRESULT STDMETHODCALLTYPE Close()
    {
        return inner->Close();
    }
};

// Wraps what the other factory makes.
class Factory : public Wrapper<IClassFactory>
{
public:
    Factory(IClassFactory *wrapped, bool client) : Wrapper(wrapped), is_client(client)
    {
    }
    HRESULT STDMETHODCALLTYPE CreateInstance(IUnknown *outer, REFIID iid, void **object)
    {
        HRESULT status = inner->CreateInstance(outer, iid, object);
        if (FAILED(status))
            return status;
        if (is_client)
            *object = new ClientSet((IClientVirtualDeviceSet2 *)*object);
        else
            *object = new ServerSet((IServerVirtualDeviceSet2 *)*object);
        return status;
    }
    HRESULT STDMETHODCALLTYPE LockServer(BOOL lock)
    {
        return inner->LockServer(lock);
    }

private:
    const bool is_client;
};

// Ends the process with the exception's code, before anybody starts a debugger.
static LONG WINAPI end(EXCEPTION_POINTERS *)
{
    return EXCEPTION_EXECUTE_HANDLER;
}

STDAPI DllGetClassObject(REFCLSID clsid, REFIID iid, void **object)
{
    SetUnhandledExceptionFilter(end);
    const bool is_client = clsid == CLSID_MSSQL_ClientVirtualDeviceSet;
    if (!is_client && breaks("serves-not"))
        return CLASS_E_CLASSNOTAVAILABLE;
    const char *path = getenv("FOREIGN_WRAPS");
    HMODULE dll = path ? LoadLibraryA(path) : NULL;
    if (!dll)
        return E_UNEXPECTED;
    GetClassObject get;
    FARPROC found = GetProcAddress(dll, "DllGetClassObject");
    memcpy(&get, &found, sizeof get);
    IClassFactory *factory = NULL;
    HRESULT status = get(clsid, iid, (void **)&factory);
    if (FAILED(status))
        return status;
    *object = new Factory(factory, is_client);
    return status;
}
