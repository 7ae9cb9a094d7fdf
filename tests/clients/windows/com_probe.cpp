// Every method, return code and rule of the COM classes that one process can see, with both halves in it.
//
//     com_probe SET [MANIFEST]    0 and "ok" if all is right, else a line for each thing that is not
//
// With a manifest the classes come from there, and need no registration.
//
// The table `codes` below lists what each method may return; a code that no check has seen is an error.

#define _WIN32_DCOM
#include <ctype.h>
#include <objbase.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "vdi.h"
#include "vdierror.h"
#include "vdiguid.h"

#include "codes.hpp"

static int wrong = 0;

static void check(bool good, const char *what, int line)
{
    if (!good) {
        printf("com_probe.cpp:%d: %s\n", line, what);
        wrong++;
    }
}

static void expect(HRESULT got, HRESULT wanted, const char *what, int line)
{
    saw(what, got);
    if (got != wanted) {
        printf("com_probe.cpp:%d: %s is 0x%08lX, not 0x%08lX\n", line, what, (unsigned long)got,
               (unsigned long)wanted);
        wrong++;
    }
}

#define CHECK(what) check(what, #what, __LINE__)
#define EXPECT(wanted, call) expect(call, wanted, #call, __LINE__)

static WCHAR name[200];

// What a program that writes __uuidof instead of the constants gets.
static void identities()
{
    CHECK(IsEqualIID(__uuidof(IClientVirtualDevice), IID_IClientVirtualDevice));
    CHECK(IsEqualIID(__uuidof(IClientVirtualDeviceSet), IID_IClientVirtualDeviceSet));
    CHECK(IsEqualIID(__uuidof(IClientVirtualDeviceSet2), IID_IClientVirtualDeviceSet2));
    CHECK(IsEqualIID(__uuidof(IServerVirtualDevice), IID_IServerVirtualDevice));
    CHECK(IsEqualIID(__uuidof(IServerVirtualDeviceSet2), IID_IServerVirtualDeviceSet2));
}

static IClientVirtualDeviceSet2 *new_client()
{
    IClientVirtualDeviceSet2 *set = NULL;
    EXPECT(S_OK, CoCreateInstance(CLSID_MSSQL_ClientVirtualDeviceSet, NULL, CLSCTX_INPROC_SERVER,
                                  IID_IClientVirtualDeviceSet2, (void **)&set));
    return set;
}

static IServerVirtualDeviceSet2 *new_server()
{
    IServerVirtualDeviceSet2 *set = NULL;
    EXPECT(S_OK, CoCreateInstance(CLSID_MSSQL_ServerVirtualDeviceSet, NULL, CLSCTX_INPROC_SERVER,
                                  IID_IServerVirtualDeviceSet2, (void **)&set));
    return set;
}

// What the DLL answers to COM, which asks before it lets go of it.
static HRESULT can_unload()
{
    HRESULT(WINAPI * ask)(void);
    // By way of a function's type without arguments: GetProcAddress has no other.
    ask = (HRESULT(WINAPI *)(void))(void (*)(void))GetProcAddress(GetModuleHandleA("sqlvdi.dll"), "DllCanUnloadNow");
    return ask();
}

static VDConfig asked_for(DWORD devices)
{
    VDConfig config;
    memset(&config, 0, sizeof config);
    config.deviceCount = devices;
    return config;
}

// Identity, counts, aggregation.
static void objects()
{
    IClientVirtualDeviceSet2 *set = new_client();
    IUnknown *first = NULL, *second = NULL;
    IClientVirtualDeviceSet *older = NULL;
    EXPECT(S_OK, set->QueryInterface(IID_IUnknown, (void **)&first));
    EXPECT(S_OK, set->QueryInterface(IID_IClientVirtualDeviceSet, (void **)&older));
    EXPECT(S_OK, older->QueryInterface(IID_IUnknown, (void **)&second));
    CHECK(first == second);
    // The older identity leads to the newer vtable.
    EXPECT(VD_E_INVALID, ((IClientVirtualDeviceSet2 *)older)->CreateEx(NULL, NULL, NULL));
    void *none = &none;
    EXPECT(E_NOINTERFACE, set->QueryInterface(IID_IServerVirtualDeviceSet2, &none));
    CHECK(none == NULL);
    EXPECT(S_FALSE, can_unload());
    CHECK(set->AddRef() == 5);
    CHECK(set->Release() == 4);
    second->Release();
    first->Release();
    older->Release();
    CHECK(set->Release() == 0);
    EXPECT(S_OK, can_unload());

    IClassFactory *factory = NULL;
    EXPECT(S_OK, CoGetClassObject(CLSID_MSSQL_ClientVirtualDeviceSet, CLSCTX_INPROC_SERVER, NULL,
                                  IID_IClassFactory, (void **)&factory));
    IUnknown *object = NULL;
    EXPECT(CLASS_E_NOAGGREGATION,
           factory->CreateInstance(factory, IID_IUnknown, (void **)&object));
    CHECK(object == NULL);
    EXPECT(E_NOINTERFACE, factory->CreateInstance(NULL, IID_IServerVirtualDevice, (void **)&object));
    EXPECT(S_OK, factory->LockServer(TRUE));
    factory->Release();
    EXPECT(S_FALSE, can_unload());
    EXPECT(S_OK, CoGetClassObject(CLSID_MSSQL_ClientVirtualDeviceSet, CLSCTX_INPROC_SERVER, NULL,
                                  IID_IClassFactory, (void **)&factory));
    EXPECT(S_OK, factory->LockServer(FALSE));
    EXPECT(S_FALSE, can_unload());
    factory->Release();
    EXPECT(S_OK, can_unload());
}

// Failures of the system at Create, which vdisim plays on demand.
static void refused_by_the_system(IClientVirtualDeviceSet2 *set, VDConfig &config)
{
    SetEnvironmentVariableW(L"VDISIM_CREATE_FAULT", L"memory");
    EXPECT(VD_E_MEMORY, set->Create(L"another", &config));
    EXPECT(VD_E_MEMORY, set->CreateEx(NULL, L"another", &config));
    SetEnvironmentVariableW(L"VDISIM_CREATE_FAULT", L"permission");
    EXPECT(VD_E_SECURITY, set->Create(L"another", &config));
    EXPECT(VD_E_SECURITY, set->CreateEx(NULL, L"another", &config));
    SetEnvironmentVariableW(L"VDISIM_CREATE_FAULT", NULL);
}

// What is refused before there is a set.
static void arguments()
{
    IClientVirtualDeviceSet2 *set = new_client();
    VDConfig config = asked_for(1), bad = asked_for(65);
    IClientVirtualDevice *device = (IClientVirtualDevice *)set;
    DWORD handle;
    BYTE byte, *buffer;
    EXPECT(VD_E_PROTOCOL, set->GetConfiguration(0, &config));
    EXPECT(VD_E_PROTOCOL, set->OpenDevice(name, &device));
    CHECK(device == NULL);
    EXPECT(VD_E_PROTOCOL, set->Close());
    EXPECT(VD_E_PROTOCOL, set->SignalAbort());
    EXPECT(VD_E_PROTOCOL, set->GetBufferHandle(&byte, &handle));
    EXPECT(VD_E_PROTOCOL, set->MapBufferHandle(1, &buffer));
    EXPECT(VD_E_INVALID, set->CreateEx(NULL, NULL, &config));
    EXPECT(VD_E_INVALID, set->CreateEx(NULL, L"", &config));
    EXPECT(VD_E_INVALID, set->CreateEx(NULL, L"a\\b", &config));
    EXPECT(VD_E_INVALID, set->CreateEx(NULL, name, NULL));
    EXPECT(VD_E_INVALID, set->GetConfiguration(0, NULL));
    EXPECT(VD_E_INVALID, set->OpenDevice(name, NULL));
    EXPECT(VD_E_NOTSUPPORTED, set->CreateEx(NULL, name, &bad));
    EXPECT(VD_E_INSTANCE_NAME, set->CreateEx(L"MACHINE\\SQLEXPRESS", name, &config));
    EXPECT(VD_E_INSTANCE_NAME, set->OpenInSecondaryEx(L"MACHINE\\SQLEXPRESS", name));
    EXPECT(VD_E_PROTOCOL, set->OpenInSecondaryEx(NULL, name));
    SetEnvironmentVariableW(L"_VIRTUAL_SERVER_NAME_", L"MACHINE\\X");
    EXPECT(VD_E_INSTANCE_NAME, set->Create(name, &config));
    EXPECT(VD_E_INSTANCE_NAME, set->OpenInSecondary(name));
    SetEnvironmentVariableW(L"_VIRTUAL_SERVER_NAME_", L"SQLEXPRESS");
    EXPECT(NOERROR, set->Create(name, &config));
    SetEnvironmentVariableW(L"_VIRTUAL_SERVER_NAME_", NULL);
    IClientVirtualDeviceSet2 *other = new_client();
    refused_by_the_system(other, config);
    EXPECT(VD_E_PROTOCOL, set->CreateEx(NULL, name, &config));
    EXPECT(VD_E_PROTOCOL, other->CreateEx(NULL, name, &config));
    EXPECT(VD_E_TIMEOUT, set->GetConfiguration(1, &config));
    EXPECT(NOERROR, set->Close());
    EXPECT(NOERROR, other->CreateEx(L"", name, &config));
    // No Close: the last Release ends the set.
    other->Release();
    EXPECT(NOERROR, set->CreateEx(L"SQLEXPRESS", name, &config));
    EXPECT(NOERROR, set->Close());
    set->Release();
}

// A thread that sends procedure calls to another, more often than its waits are long, until it is told to stop.
struct Caller
{
    HANDLE target;
    HANDLE stop;
    LONG ran;
};

static VOID CALLBACK count_call(ULONG_PTR caller)
{
    InterlockedIncrement(&((Caller *)caller)->ran);
}

static DWORD WINAPI call_often(LPVOID parameter)
{
    Caller *caller = (Caller *)parameter;
    while (WaitForSingleObject(caller->stop, 20) == WAIT_TIMEOUT)
        QueueUserAPC(count_call, caller->target, (ULONG_PTR)caller);
    return 0;
}

// Waits with a time-out while procedure calls come in: they run, and the wait ends all the same. One that began anew behind
// each would never end, which the watchdog of who started this process sees; one that a call ends would be too short.
static void waits_between_calls()
{
    Caller caller = {NULL, CreateEventW(NULL, TRUE, FALSE, NULL), 0};
    DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &caller.target, 0, FALSE,
                    DUPLICATE_SAME_ACCESS);
    IClientVirtualDeviceSet2 *set = new_client();
    VDConfig config = asked_for(1);
    EXPECT(NOERROR, set->CreateEx(NULL, name, &config));
    HANDLE thread = CreateThread(NULL, 0, call_often, &caller, 0, NULL);
    DWORD begun = GetTickCount();
    EXPECT(VD_E_TIMEOUT, set->GetConfiguration(300, &config));
    // A tick of the clock is 16 ms.
    CHECK(GetTickCount() - begun >= 280);
    CHECK(caller.ran > 0);
    SetEvent(caller.stop);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    EXPECT(NOERROR, set->Close());
    CHECK(set->Release() == 0);
    // Those that are still queued are about this frame.
    SleepEx(0, TRUE);
    CloseHandle(caller.target);
    CloseHandle(caller.stop);
}

static HANDLE completed;

static void routine(VDS_Command *)
{
    SetEvent(completed);
}

static DWORD WINAPI agent(LPVOID set)
{
    return (DWORD)((IServerVirtualDeviceSet2 *)set)->ExecuteCompletionAgent();
}

struct Scene
{
    IClientVirtualDeviceSet2 *client;
    IServerVirtualDeviceSet2 *server;
    IClientVirtualDevice *theirs;
    IServerVirtualDevice *ours;
    HANDLE agent;
    BYTE *buffer;
    VDS_Command sent;
    VDC_Command *got;
};

static void begin(Scene &scene)
{
    VDConfig config = asked_for(1);
    scene.client = new_client();
    EXPECT(NOERROR, scene.client->CreateEx(NULL, name, &config));
    scene.server = new_server();
    EXPECT(VD_E_INVALID, scene.server->Open(NULL, L"no such set"));
    EXPECT(VD_E_PROTOCOL, scene.server->EndConfiguration());
    EXPECT(NOERROR, scene.server->Open(NULL, name));
    EXPECT(NOERROR, scene.server->GetConfiguration(&config));
    CHECK(config.deviceCount == 1);
    // Block size before alignment.
    EXPECT(NOERROR, scene.server->BeginConfiguration(VDF_WriteMedia, 512, 4096, 65536, 0));
    EXPECT(NOERROR, scene.server->RequestBuffers(65536, 0, 2));
    EXPECT(NOERROR, scene.server->EndConfiguration());
    EXPECT(NOERROR, scene.client->GetConfiguration(INFINITE, &config));
    CHECK(config.features == VDF_WriteMedia && config.blockSize == 512 && config.alignment == 4096);
    CHECK(config.maxTransferSize == 65536 && config.maxIODepth == 4);
    EXPECT(NOERROR, scene.server->OpenDevice(name, &scene.ours));
    IServerVirtualDevice *none;
    EXPECT(VD_E_OPEN, scene.server->OpenDevice(L"another", &none));
    EXPECT(VD_E_INVALID, scene.client->OpenDevice(L"wrong", &scene.theirs));
    EXPECT(NOERROR, scene.client->OpenDevice(name, &scene.theirs));
    EXPECT(VD_E_OPEN, scene.client->OpenDevice(name, (IClientVirtualDevice **)&none));
    scene.agent = CreateThread(NULL, 0, agent, scene.server, 0, NULL);
}

static void send(Scene &scene)
{
    DWORD count = 0;
    EXPECT(NOERROR, scene.server->QueryAvailableBuffers(65536, 0, &count));
    CHECK(count == 2);
    EXPECT(NOERROR, scene.server->AllocateBuffer(&scene.buffer, 65536, 0));
    CHECK(scene.server->IsSharedBuffer(scene.buffer) == TRUE);
    CHECK(scene.server->IsSharedBuffer((BYTE *)&scene) == FALSE);
    memset(scene.buffer, 'x', 65536);
    memset(&scene.sent, 0, sizeof scene.sent);
    ResetEvent(completed);
    scene.sent.commandCode = VDC_Write;
    scene.sent.size = 4096;
    scene.sent.inPosition = 0x123456789AULL;
    scene.sent.buffer = scene.buffer;
    EXPECT(VD_E_INVALID, scene.ours->SendCommand(&scene.sent));
    scene.sent.completionRoutine = (BYTE *)routine;
    EXPECT(VD_E_TIMEOUT, scene.theirs->GetCommand(0, &scene.got));
    EXPECT(NOERROR, scene.ours->SendCommand(&scene.sent));
    // It is under way, so it can be neither sent again nor freed.
    EXPECT(VD_E_INVALID, scene.ours->SendCommand(&scene.sent));
    EXPECT(VD_E_INVALID, scene.server->FreeBuffer(scene.buffer, 65536));
    EXPECT(NOERROR, scene.theirs->GetCommand(INFINITE, &scene.got));
    CHECK(scene.got->commandCode == VDC_Write && scene.got->size == 4096);
    CHECK(scene.got->buffer[0] == 'x' && scene.got->buffer[4095] == 'x');
}

// A command there and back, a buffer by its handle, and an orderly end.
static void transfer()
{
    Scene scene;
    begin(scene);
    send(scene);
    DWORD handle;
    BYTE *mapped;
    EXPECT(VD_E_INVALID, scene.client->GetBufferHandle(scene.got->buffer + 1, &handle));
    EXPECT(NOERROR, scene.client->GetBufferHandle(scene.got->buffer, &handle));
    EXPECT(NOERROR, scene.client->MapBufferHandle(handle, &mapped));
    CHECK(mapped == scene.got->buffer);
    EXPECT(VD_E_INVALID, scene.client->MapBufferHandle(0, &mapped));
    EXPECT(VD_E_INVALID, scene.theirs->CompleteCommand(scene.got + 100, ERROR_SUCCESS, 0, 0));
    EXPECT(VD_E_INVALID, scene.theirs->CompleteCommand(NULL, ERROR_SUCCESS, 0, 0));
    EXPECT(NOERROR, scene.theirs->CompleteCommand(scene.got, ERROR_DISK_FULL, 1234, 77));
    EXPECT(VD_E_INVALID, scene.theirs->CompleteCommand(scene.got, ERROR_SUCCESS, 0, 0));
    CHECK(WaitForSingleObject(completed, 60000) == WAIT_OBJECT_0);
    CHECK(scene.sent.completionCode == ERROR_DISK_FULL && scene.sent.bytesTransferred == 1234);
    CHECK(scene.sent.outPosition == 77);
    EXPECT(NOERROR, scene.server->FreeBuffer(scene.buffer, 65536));
    EXPECT(VD_E_INVALID, scene.server->FreeBuffer(scene.buffer, 65536));
    EXPECT(NOERROR, scene.ours->CloseDevice());
    EXPECT(VD_E_CLOSE, scene.ours->CloseDevice());
    EXPECT(VD_E_CLOSE, scene.theirs->GetCommand(INFINITE, &scene.got));
    CHECK(WaitForSingleObject(scene.agent, 60000) == WAIT_OBJECT_0);
    DWORD ended;
    GetExitCodeThread(scene.agent, &ended);
    expect((HRESULT)ended, NOERROR, "server->ExecuteCompletionAgent(", __LINE__);
    scene.sent.buffer = NULL;
    EXPECT(VD_E_PROTOCOL, scene.ours->SendCommand(&scene.sent));
    CHECK(scene.sent.completionCode == ERROR_INVALID_HANDLE);
    CHECK(scene.theirs->Release() == 0);
    EXPECT(NOERROR, scene.client->Close());
    EXPECT(NOERROR, scene.server->Close());
    EXPECT(VD_E_PROTOCOL, scene.ours->CloseDevice());
    scene.ours->Release();
    CHECK(scene.client->Release() == 0);
    CHECK(scene.server->Release() == 0);
}

// Calls in states that do not allow them, and with what they do not take.
static void states()
{
    IServerVirtualDeviceSet2 *server = new_server();
    IServerVirtualDevice *device;
    VDConfig config = asked_for(1);
    DWORD count;
    BYTE *buffer;
    EXPECT(VD_E_PROTOCOL, server->GetConfiguration(&config));
    EXPECT(VD_E_INVALID, server->GetConfiguration(NULL));
    EXPECT(VD_E_PROTOCOL, server->BeginConfiguration(VDF_WriteMedia, 512, 0, 65536, 0));
    EXPECT(VD_E_PROTOCOL, server->RequestBuffers(65536, 0, 1));
    EXPECT(VD_E_PROTOCOL, server->QueryAvailableBuffers(65536, 0, &count));
    EXPECT(VD_E_INVALID, server->QueryAvailableBuffers(65536, 0, NULL));
    EXPECT(VD_E_PROTOCOL, server->EndConfiguration());
    EXPECT(VD_E_PROTOCOL, server->ExecuteCompletionAgent());
    EXPECT(VD_E_PROTOCOL, server->OpenDevice(name, &device));
    CHECK(device == NULL);
    EXPECT(VD_E_INVALID, server->OpenDevice(name, NULL));
    EXPECT(VD_E_PROTOCOL, server->AllocateBuffer(&buffer, 512, 0));
    EXPECT(VD_E_INVALID, server->AllocateBuffer(NULL, 512, 0));
    EXPECT(VD_E_PROTOCOL, server->FreeBuffer((BYTE *)&config, 512));
    CHECK(server->IsSharedBuffer((BYTE *)&config) == FALSE);
    EXPECT(VD_E_PROTOCOL, server->SignalAbort());
    EXPECT(VD_E_PROTOCOL, server->Close());
    EXPECT(VD_E_INVALID, server->Open(NULL, NULL));
    EXPECT(VD_E_INSTANCE_NAME, server->Open(L"MACHINE\\SQLEXPRESS", name));

    IClientVirtualDeviceSet2 *set = new_client();
    EXPECT(VD_E_INVALID, set->Create(NULL, &config));
    VDConfig bad = asked_for(0);
    EXPECT(VD_E_NOTSUPPORTED, set->Create(name, &bad));
    EXPECT(NOERROR, set->CreateEx(NULL, name, &config));
    EXPECT(VD_E_PROTOCOL, set->Create(name, &config));
    EXPECT(NOERROR, server->Open(NULL, name));
    EXPECT(VD_E_PROTOCOL, server->Open(NULL, name));
    EXPECT(VD_E_PROTOCOL, server->EndConfiguration());
    EXPECT(VD_E_PROTOCOL, server->FreeBuffer((BYTE *)&config, 512));
    EXPECT(VD_E_INVALID, server->BeginConfiguration(VDF_WriteMedia, 513, 0, 65536, 0));
    EXPECT(NOERROR, server->BeginConfiguration(VDF_WriteMedia, 512, 0, 65536, 0));
    EXPECT(VD_E_PROTOCOL, server->BeginConfiguration(VDF_WriteMedia, 512, 0, 65536, 0));
    // Far more than any machine has.
    EXPECT(NOERROR, server->RequestBuffers(0x400000, 0, 0xFFFF));
    EXPECT(VD_E_MEMORY, server->EndConfiguration());
    EXPECT(VD_E_PROTOCOL, server->FreeBuffer((BYTE *)&config, 512));
    EXPECT(NOERROR, set->SignalAbort());
    EXPECT(VD_E_INVALID, server->FreeBuffer((BYTE *)&config, 512));
    EXPECT(VD_E_ABORT, server->GetConfiguration(&config));
    EXPECT(VD_E_PROTOCOL, server->RequestBuffers(65536, 0, 1));
    EXPECT(VD_E_ABORT, server->EndConfiguration());
    EXPECT(NOERROR, server->Close());
    EXPECT(NOERROR, set->Close());

    // An abort between Open and BeginConfiguration.
    EXPECT(NOERROR, set->CreateEx(NULL, name, &config));
    EXPECT(NOERROR, server->Open(NULL, name));
    EXPECT(NOERROR, server->SignalAbort());
    EXPECT(VD_E_PROTOCOL, server->BeginConfiguration(VDF_WriteMedia, 512, 0, 65536, 0));
    EXPECT(NOERROR, server->Close());
    EXPECT(NOERROR, set->Close());
    CHECK(server->Release() == 0);
    CHECK(set->Release() == 0);
}

// A second completion agent is refused at once, while the first goes on.
static void one_agent_alone(Scene &scene)
{
    // What the first has completed shows that it runs.
    memset(&scene.sent, 0, sizeof scene.sent);
    scene.sent.commandCode = VDC_Flush;
    scene.sent.completionRoutine = (BYTE *)routine;
    ResetEvent(completed);
    EXPECT(NOERROR, scene.ours->SendCommand(&scene.sent));
    EXPECT(NOERROR, scene.theirs->GetCommand(INFINITE, &scene.got));
    EXPECT(NOERROR, scene.theirs->CompleteCommand(scene.got, ERROR_SUCCESS, 0, 0));
    CHECK(WaitForSingleObject(completed, 60000) == WAIT_OBJECT_0);
    EXPECT(VD_E_PROTOCOL, scene.server->ExecuteCompletionAgent());
    CHECK(WaitForSingleObject(scene.agent, 0) == WAIT_TIMEOUT);
}

// What buffers and commands are refused, and the error state of a device.
static void refusals()
{
    Scene scene;
    begin(scene);
    IServerVirtualDevice *none;
    EXPECT(VD_E_INVALID, scene.server->OpenDevice(NULL, &none));
    one_agent_alone(scene);
    BYTE *first, *second, *third;
    EXPECT(VD_E_INVALID, scene.server->AllocateBuffer(&first, 512, 3));
    EXPECT(NOERROR, scene.server->AllocateBuffer(&first, 65536, 0));
    EXPECT(NOERROR, scene.server->AllocateBuffer(&second, 65536, 0));
    EXPECT(VD_E_MEMORY, scene.server->AllocateBuffer(&third, 65536, 0));
    EXPECT(NOERROR, scene.server->FreeBuffer(second, 65536));
    EXPECT(NOERROR, scene.server->FreeBuffer(first, 65536));
    // Far more than any machine has.
    EXPECT(VD_E_MEMORY, scene.server->RequestBuffers(0x400000, 0, 0xFFFF));

    EXPECT(VD_E_INVALID, scene.ours->SendCommand(NULL));
    enum { MANY = 4096 };
    static VDS_Command sent[MANY];
    int queued = 0;
    HRESULT status = NOERROR;
    while (queued < MANY) {
        memset(&sent[queued], 0, sizeof sent[queued]);
        sent[queued].commandCode = VDC_Flush;
        sent[queued].completionRoutine = (BYTE *)routine;
        status = scene.ours->SendCommand(&sent[queued]);
        if (status != NOERROR)
            break;
        queued++;
    }
    EXPECT(VD_E_QUEUE_FULL, scene.ours->SendCommand(&sent[queued]));
    CHECK(queued >= 4 && sent[queued].completionCode == ERROR_NO_SYSTEM_RESOURCES);
    ResetEvent(completed);

    EXPECT(VD_E_INVALID, scene.theirs->GetCommand(0, NULL));
    EXPECT(NOERROR, scene.theirs->GetCommand(INFINITE, &scene.got));
    EXPECT(NOERROR, scene.theirs->CompleteCommand(scene.got, ERROR_WRITE_FAULT, 0, 0));
    // Those that were queued never reach the client.
    while (sent[queued - 1].completionCode == 0 && WaitForSingleObject(completed, 60000) == WAIT_OBJECT_0)
        ;
    CHECK(sent[0].completionCode == ERROR_WRITE_FAULT);
    CHECK(sent[queued - 1].completionCode == ERROR_IO_DEVICE);
    EXPECT(VD_E_TIMEOUT, scene.theirs->GetCommand(0, &scene.got));
    EXPECT(VD_E_IO_ERROR, scene.ours->SendCommand(&sent[0]));
    CHECK(sent[0].completionCode == ERROR_IO_DEVICE);
    VDS_Command clear;
    memset(&clear, 0, sizeof clear);
    clear.commandCode = VDC_ClearError;
    clear.completionRoutine = (BYTE *)routine;
    ResetEvent(completed);
    EXPECT(NOERROR, scene.ours->SendCommand(&clear));
    EXPECT(NOERROR, scene.theirs->GetCommand(INFINITE, &scene.got));
    CHECK(scene.got->commandCode == VDC_ClearError);
    EXPECT(NOERROR, scene.theirs->CompleteCommand(scene.got, ERROR_SUCCESS, 0, 0));
    CHECK(WaitForSingleObject(completed, 60000) == WAIT_OBJECT_0);

    // A server that leaves its devices open.
    EXPECT(VD_E_PROTOCOL, scene.server->Close());
    EXPECT(VD_E_ABORT, scene.theirs->GetCommand(INFINITE, &scene.got));
    EXPECT(VD_E_ABORT, scene.theirs->CompleteCommand(scene.got, ERROR_SUCCESS, 0, 0));
    IClientVirtualDevice *device;
    EXPECT(VD_E_ABORT, scene.client->OpenDevice(name, &device));
    CHECK(WaitForSingleObject(scene.agent, 60000) == WAIT_OBJECT_0);
    EXPECT(NOERROR, scene.client->Close());
    EXPECT(VD_E_PROTOCOL, scene.theirs->CompleteCommand(scene.got, ERROR_SUCCESS, 0, 0));
    CHECK(scene.theirs->Release() == 0);
    CHECK(scene.ours->Release() == 0);
    CHECK(scene.client->Release() == 0);
    CHECK(scene.server->Release() == 0);
}

// A second object joins the set, and the first closes over an open device.
static void joining()
{
    Scene scene;
    IClientVirtualDeviceSet2 *other = new_client();
    EXPECT(VD_E_INVALID, other->OpenInSecondary(NULL));
    EXPECT(VD_E_INVALID, other->OpenInSecondaryEx(NULL, NULL));
    EXPECT(VD_E_PROTOCOL, other->OpenInSecondary(name));
    begin(scene);
    EXPECT(NOERROR, other->OpenInSecondary(name));
    EXPECT(VD_E_PROTOCOL, other->OpenInSecondaryEx(NULL, name));
    VDConfig config;
    EXPECT(NOERROR, other->GetConfiguration(INFINITE, &config));
    IClientVirtualDevice *device;
    EXPECT(VD_E_OPEN, other->OpenDevice(name, &device));
    // It has no device of its own, so that its Close ends nothing.
    EXPECT(NOERROR, other->Close());
    EXPECT(NOERROR, other->OpenInSecondaryEx(NULL, name));
    EXPECT(NOERROR, other->Close());
    EXPECT(NOERROR, scene.client->GetConfiguration(INFINITE, &config));
    DWORD handle;
    EXPECT(VD_E_INVALID, scene.client->GetBufferHandle(NULL, &handle));
    EXPECT(VD_E_INVALID, scene.client->MapBufferHandle(0x12345678, NULL));
    EXPECT(NOERROR, scene.server->SignalAbort());
    EXPECT(VD_E_ABORT, other->OpenInSecondary(name));
    EXPECT(VD_E_ABORT, other->OpenInSecondaryEx(NULL, name));
    EXPECT(VD_E_ABORT, scene.ours->CloseDevice());
    IServerVirtualDevice *none;
    EXPECT(VD_E_ABORT, scene.server->OpenDevice(L"another", &none));
    BYTE *buffer;
    EXPECT(VD_E_ABORT, scene.server->AllocateBuffer(&buffer, 512, 0));
    VDS_Command late;
    memset(&late, 0, sizeof late);
    late.commandCode = VDC_Flush;
    late.completionRoutine = (BYTE *)routine;
    EXPECT(VD_E_ABORT, scene.ours->SendCommand(&late));
    CHECK(late.completionCode == ERROR_OPERATION_ABORTED);
    EXPECT(NOERROR, scene.client->SignalAbort());
    CHECK(WaitForSingleObject(scene.agent, 60000) == WAIT_OBJECT_0);
    EXPECT(VD_E_ABORT, scene.server->ExecuteCompletionAgent());
    EXPECT(NOERROR, scene.client->Close());
    EXPECT(VD_E_PROTOCOL, scene.client->SignalAbort());
    CHECK(scene.client->Release() == 0);
    CHECK(scene.theirs->Release() == 0);
    CHECK(scene.ours->Release() == 0);
    scene.server->Close();
    CHECK(scene.server->Release() == 0);

    begin(scene);
    EXPECT(VD_E_OPEN, scene.client->Close());
    CHECK(WaitForSingleObject(scene.agent, 60000) == WAIT_OBJECT_0);
    CHECK(scene.theirs->Release() == 0);
    CHECK(scene.ours->Release() == 0);
    CHECK(scene.client->Release() == 0);
    scene.server->Close();
    CHECK(scene.server->Release() == 0);
    CHECK(other->Release() == 0);
}

// An abort while a command is open.
static void abortion()
{
    Scene scene;
    begin(scene);
    send(scene);
    EXPECT(NOERROR, scene.client->SignalAbort());
    EXPECT(VD_E_ABORT, scene.theirs->GetCommand(INFINITE, &scene.got));
    CHECK(WaitForSingleObject(completed, 60000) == WAIT_OBJECT_0);
    CHECK(scene.sent.completionCode == ERROR_OPERATION_ABORTED);
    CHECK(WaitForSingleObject(scene.agent, 60000) == WAIT_OBJECT_0);
    VDConfig config;
    EXPECT(VD_E_ABORT, scene.client->GetConfiguration(0, &config));
    EXPECT(NOERROR, scene.client->Close());
    EXPECT(VD_E_PROTOCOL, scene.theirs->GetCommand(0, &scene.got));
    EXPECT(VD_E_PROTOCOL, scene.client->Close());
    CHECK(scene.theirs->Release() == 0);
    CHECK(scene.client->Release() == 0);
    CHECK(scene.ours->Release() == 0);
    scene.server->Close();
    CHECK(scene.server->Release() == 0);
}

// Release without Close while a device is open: the server learns of it.
static void disappearance()
{
    Scene scene;
    begin(scene);
    CHECK(scene.client->Release() == 0);
    CHECK(WaitForSingleObject(scene.agent, 60000) == WAIT_OBJECT_0);
    DWORD ended;
    GetExitCodeThread(scene.agent, &ended);
    expect((HRESULT)ended, VD_E_ABORT, "server->ExecuteCompletionAgent(", __LINE__);
    EXPECT(VD_E_PROTOCOL, scene.theirs->GetCommand(0, &scene.got));
    CHECK(scene.theirs->Release() == 0);
    CHECK(scene.ours->Release() == 0);
    scene.server->Close();
    CHECK(scene.server->Release() == 0);
}

// Ends a scene in the middle.
static void abandon(Scene &scene)
{
    EXPECT(NOERROR, scene.client->SignalAbort());
    CHECK(WaitForSingleObject(scene.agent, 60000) == WAIT_OBJECT_0);
    EXPECT(NOERROR, scene.client->Close());
    scene.theirs->Release();
    scene.client->Release();
    scene.ours->Release();
    scene.server->Close();
    scene.server->Release();
}

// What is no handle of a set, and no start of a buffer of it: numbers nobody gave, another living set's, and one of a
// set that is gone.
static void strangers()
{
    Scene scene, other;
    begin(scene);
    send(scene);
    size_t length = wcslen(name);
    wcscat(name, L" too");
    begin(other);
    send(other);
    name[length] = 0;
    DWORD handle, theirs;
    EXPECT(NOERROR, scene.client->GetBufferHandle(scene.got->buffer, &handle));
    EXPECT(NOERROR, other.client->GetBufferHandle(other.got->buffer, &theirs));
    CHECK(handle != theirs && (handle | theirs) < 0x80000000);
    BYTE *mapped;
    // Its own number with one part of it made up: tag, area, slot.
    const DWORD strange[] = {0,      0xFFFFFFFF,           1,
                             theirs, handle ^ 0x80000000,  handle ^ 0x01000000,
                             0x12345678, handle ^ 0x00400000, handle ^ 0x00008000};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        mapped = (BYTE *)&scene;
        EXPECT(VD_E_INVALID, scene.client->MapBufferHandle(strange[i], &mapped));
        CHECK(mapped == (BYTE *)&scene);
    }
    EXPECT(VD_E_INVALID, other.client->MapBufferHandle(handle, &mapped));
    EXPECT(VD_E_INVALID, scene.client->MapBufferHandle(handle, NULL));
    BYTE *const no_starts[] = {NULL,
                               (BYTE *)&scene,
                               scene.got->buffer - 1,
                               scene.got->buffer + 1,
                               scene.got->buffer + 4096,
                               other.got->buffer};
    for (size_t i = 0; i < sizeof no_starts / sizeof no_starts[0]; i++) {
        DWORD answer = 7;
        EXPECT(VD_E_INVALID, scene.client->GetBufferHandle(no_starts[i], &answer));
        CHECK(answer == 7);
    }
    EXPECT(VD_E_INVALID, scene.client->GetBufferHandle(scene.got->buffer, NULL));
    CHECK(scene.server->IsSharedBuffer(NULL) == FALSE);
    CHECK(scene.server->IsSharedBuffer(other.buffer) == FALSE);
    EXPECT(VD_E_INVALID, scene.server->FreeBuffer(NULL, 65536));
    abandon(other);
    EXPECT(VD_E_INVALID, scene.client->MapBufferHandle(theirs, &mapped));
    // None of it did any harm.
    EXPECT(NOERROR, scene.client->MapBufferHandle(handle, &mapped));
    CHECK(mapped == scene.got->buffer && mapped[4095] == 'x');
    EXPECT(NOERROR, scene.theirs->CompleteCommand(scene.got, ERROR_SUCCESS, 4096, 0));
    IClientVirtualDeviceSet2 *closed = scene.client;
    closed->AddRef();
    abandon(scene);
    EXPECT(VD_E_PROTOCOL, closed->MapBufferHandle(handle, &mapped));
    EXPECT(VD_E_PROTOCOL, closed->GetBufferHandle((BYTE *)&scene, &handle));
    closed->Release();
}

static void take_classes_from(const char *manifest)
{
    ACTCTXA source;
    memset(&source, 0, sizeof source);
    source.cbSize = sizeof source;
    source.lpSource = manifest;
    HANDLE context = CreateActCtxA(&source);
    ULONG_PTR cookie;
    CHECK(context != INVALID_HANDLE_VALUE);
    CHECK(ActivateActCtx(context, &cookie));
}

int main(int argc, char **argv)
{
    if (argc > 2)
        take_classes_from(argv[2]);
    MultiByteToWideChar(CP_UTF8, 0, argv[1], -1, name, 200);
    completed = CreateEventW(NULL, FALSE, FALSE, NULL);
    EXPECT(S_OK, CoInitializeEx(NULL, COINIT_MULTITHREADED));
    identities();
    objects();
    arguments();
    waits_between_calls();
    transfer();
    states();
    refusals();
    joining();
    abortion();
    disappearance();
    strangers();
    wrong += report_unseen();
    // Nothing is in use, so that COM may let go of the DLL.
    CHECK(GetModuleHandleA("sqlvdi.dll") != NULL);
    CoFreeUnusedLibrariesEx(0, 0);
    CoFreeUnusedLibrariesEx(0, 0);
    CHECK(GetModuleHandleA("sqlvdi.dll") == NULL);
    CoUninitialize();
    // The same from a single-threaded apartment.
    EXPECT(S_OK, CoInitializeEx(NULL, COINIT_APARTMENTTHREADED));
    transfer();
    CoUninitialize();
    if (wrong == 0)
        printf("ok\n");
    return wrong != 0;
}
