// A backup program for Windows, as one is written against SQL Server's SDK: it stores what BACKUP sends
// in files, and returns it to RESTORE.
//
//     com_client pipe|complete|old|threads|apc|processes backup|restore SET FILE...     a device for each file
//
// pipe       one thread, one device after CreateEx
// complete   the same, and asks for VDC_Complete
// old        the same by Create, through the interface of SQL Server 7.0 used as the newer one
// threads    a thread for each device
// apc        every command is completed by an asynchronous procedure call alone, while its thread
//            waits in GetCommand
// processes  a process for each device, joined by OpenInSecondaryEx, that ends as soon as its device
//            does
//
// CLIENT_BREAKS in the environment names one mistake; each is a line with `breaks(...)` below.
//
// With COM_CLIENT_STOP=STEP in its environment it says "at STEP" there and goes no further, so that it can be
// killed. Steps: created, configured, opened, closed by the server, and of a command received, executed and
// completed, with its number or its kind: received:1, completed:flush, received:complete.
//
// With COM_CLIENT_STATEMENT=T-SQL it has the sqlcmd that is found on PATH execute the statement once the set exists,
// as backup programs do.

#define _WIN32_DCOM
#include <objbase.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "vdi.h"
#include "vdierror.h"
#include "vdiguid.h"

// As many as the interface has; WaitForMultipleObjects takes no more either.
enum { MOST_DEVICES = 64, NAME = 256 };

static bool breaks(const char *mistake)
{
    const char *given = getenv("CLIENT_BREAKS");
    return given && strcmp(given, mistake) == 0;
}

static bool failed(const char *call, HRESULT status)
{
    fprintf(stderr, "com_client: %s: 0x%08lX\n", call, (unsigned long)status);
    return false;
}

static void reach(const char *step)
{
    const char *stop = getenv("COM_CLIENT_STOP");
    if (!stop || strcmp(stop, step) != 0)
        return;
    printf("at %s\n", step);
    fflush(stdout);
    Sleep(INFINITE);
}

static void reach_with(const char *phase, DWORD code, int number)
{
    char step[64];
    sprintf(step, "%s:%d", phase, number);
    reach(step);
    if (code == VDC_Flush || code == VDC_Complete) {
        sprintf(step, "%s:%s", phase, code == VDC_Flush ? "flush" : "complete");
        reach(step);
    }
}

static HRESULT make_set(REFIID iid, void **set)
{
    return CoCreateInstance(CLSID_MSSQL_ClientVirtualDeviceSet, NULL, CLSCTX_INPROC_SERVER, iid, set);
}

static void name_device(WCHAR *name, const WCHAR *set, int index)
{
    if (index == 0)
        wcscpy(name, set);
    else
        swprintf(name, NAME, L"%ls%d", set, index);
}

// Does what a command asks for; gives the code and the count for CompleteCommand.
static DWORD execute(const VDC_Command &command, FILE *file, DWORD &bytes)
{
    bytes = 0;
    switch (command.commandCode) {
    case VDC_Read:
        bytes = (DWORD)fread(command.buffer, 1, command.size, file);
        return bytes == command.size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
    case VDC_Write:
        bytes = (DWORD)fwrite(command.buffer, 1, command.size, file);
        if (breaks("touches-behind"))
            command.buffer[command.size] = 1;
        return bytes == command.size ? ERROR_SUCCESS : ERROR_DISK_FULL;
    case VDC_Flush:
        fflush(file);
        return ERROR_SUCCESS;
    case VDC_ClearError:
    case VDC_Complete:
        return ERROR_SUCCESS;
    default:
        return ERROR_NOT_SUPPORTED;
    }
}

struct Job
{
    IClientVirtualDeviceSet2 *set;
    WCHAR name[NAME];
    const char *path;
    const char *operation;
    bool by_apc;
    bool good;
};

// A command on its way through the queue of procedure calls.
struct Pending
{
    IClientVirtualDevice *device;
    VDC_Command *command;
    FILE *file;
    HRESULT *outcome;
};

static VOID CALLBACK complete_by_apc(ULONG_PTR parameter)
{
    Pending *pending = (Pending *)parameter;
    DWORD bytes;
    DWORD code = execute(*pending->command, pending->file, bytes);
    HRESULT status = pending->device->CompleteCommand(pending->command, code, bytes, 0);
    if (FAILED(status))
        *pending->outcome = status;
    delete pending;
}

static bool serve(IClientVirtualDevice *device, FILE *file, bool by_apc)
{
    HRESULT status;
    HRESULT outcome = NOERROR;
    VDC_Command *command;
    for (int number = 1; SUCCEEDED(status = device->GetCommand(INFINITE, &command)); number++) {
        if (by_apc) {
            Pending *pending = new Pending;
            Pending all = {device, command, file, &outcome};
            *pending = all;
            QueueUserAPC(complete_by_apc, GetCurrentThread(), (ULONG_PTR)pending);
            continue;
        }
        // The command is the server's again once it is completed.
        DWORD kind = command->commandCode;
        // A thread that fails has the whole set aborted.
        if (number == 5 && breaks("gives-up"))
            return false;
        reach_with("received", kind, number);
        DWORD bytes;
        volatile BYTE *buffer = command->buffer;
        DWORD code = execute(*command, file, bytes);
        reach_with("executed", kind, number);
        if (FAILED(status = device->CompleteCommand(command, code, bytes, 0)))
            return failed("CompleteCommand", status);
        if (buffer && breaks("reads-late"))
            printf("%d\n", buffer[0]);
        reach_with("completed", kind, number);
    }
    if (FAILED(outcome))
        return failed("CompleteCommand in a procedure call", outcome);
    return status == VD_E_CLOSE || failed("GetCommand", status);
}

static bool serve_file(Job &job)
{
    FILE *file = fopen(job.path, strcmp(job.operation, "backup") == 0 ? "wb" : "rb");
    if (!file) {
        fprintf(stderr, "com_client: cannot open %s\n", job.path);
        return false;
    }
    IClientVirtualDevice *device;
    HRESULT status = job.set->OpenDevice(job.name, &device);
    if (SUCCEEDED(status))
        reach("opened");
    bool good = SUCCEEDED(status) ? serve(device, file, job.by_apc) : failed("OpenDevice", status);
    return (fclose(file) == 0) && good;
}

static DWORD WINAPI run_thread(LPVOID parameter)
{
    Job &job = *(Job *)parameter;
    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    job.good = serve_file(job);
    if (!job.good)
        job.set->SignalAbort();
    CoUninitialize();
    return 0;
}

static bool serve_by_threads(Job *jobs, int count)
{
    HANDLE threads[MOST_DEVICES];
    for (int i = 0; i < count; i++)
        threads[i] = CreateThread(NULL, 0, run_thread, &jobs[i], 0, NULL);
    WaitForMultipleObjects(count, threads, TRUE, INFINITE);
    bool good = true;
    for (int i = 0; i < count; i++)
        good = good && jobs[i].good;
    return good;
}

// The other process: joins the set, serves one device, leaves.
static int be_secondary(const char *operation, const WCHAR *set_name, int index, const char *path)
{
    IClientVirtualDeviceSet2 *set;
    HRESULT status = make_set(IID_IClientVirtualDeviceSet2, (void **)&set);
    if (FAILED(status))
        return !failed("CoCreateInstance", status);
    if (FAILED(status = set->OpenInSecondaryEx(NULL, set_name)))
        return !failed("OpenInSecondaryEx", status);
    VDConfig config;
    if (FAILED(status = set->GetConfiguration(INFINITE, &config)))
        return !failed("GetConfiguration", status);
    Job job = {set, L"", path, operation, false, false};
    name_device(job.name, set_name, index);
    bool good = serve_file(job);
    if (!good)
        set->SignalAbort();
    if (FAILED(status = set->Close()))
        good = failed("Close", status);
    set->Release();
    return !good;
}

static bool serve_by_processes(Job *jobs, int count, IClientVirtualDeviceSet2 *set)
{
    HANDLE processes[MOST_DEVICES];
    char program[MAX_PATH];
    GetModuleFileNameA(NULL, program, MAX_PATH);
    for (int i = 0; i < count; i++) {
        char line[4 * MAX_PATH];
        sprintf(line, "\"%s\" secondary %s %ls %d \"%s\"", program, jobs[i].operation, jobs[0].name, i,
                jobs[i].path);
        STARTUPINFOA start = {};
        start.cb = sizeof start;
        PROCESS_INFORMATION started;
        if (!CreateProcessA(NULL, line, NULL, NULL, FALSE, 0, NULL, NULL, &start, &started))
            return failed("CreateProcess", HRESULT_FROM_WIN32(GetLastError()));
        processes[i] = started.hProcess;
        CloseHandle(started.hThread);
    }
    bool good = true;
    for (int left = count; left > 0; left--) {
        DWORD ended = WaitForMultipleObjects(left, processes, FALSE, INFINITE) - WAIT_OBJECT_0;
        DWORD code = 1;
        GetExitCodeProcess(processes[ended], &code);
        if (code != 0) {
            good = false;
            set->SignalAbort();
        }
        CloseHandle(processes[ended]);
        processes[ended] = processes[left - 1];
    }
    return good;
}

static HANDLE start_sqlcmd(const char *statement)
{
    char line[4096];
    sprintf(line, "sqlcmd -b -Q \"%.4000s\"", statement);
    STARTUPINFOA start = {};
    start.cb = sizeof start;
    PROCESS_INFORMATION started;
    if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &started)) {
        failed("CreateProcess of sqlcmd", HRESULT_FROM_WIN32(GetLastError()));
        return NULL;
    }
    CloseHandle(started.hThread);
    return started.hProcess;
}

// As GetConfiguration, and gives up when the statement has ended before there is one.
static HRESULT await_configuration(IClientVirtualDeviceSet2 *set, VDConfig *config, HANDLE sqlcmd)
{
    if (!sqlcmd)
        return set->GetConfiguration(60000, config);
    HRESULT status;
    while ((status = set->GetConfiguration(100, config)) == VD_E_TIMEOUT) {
        if (WaitForSingleObject(sqlcmd, 0) == WAIT_OBJECT_0)
            return VD_E_TIMEOUT;
    }
    return status;
}

// Whether the statement succeeded, once it has ended.
static bool has_succeeded(HANDLE sqlcmd)
{
    DWORD code = 1;
    WaitForSingleObject(sqlcmd, INFINITE);
    GetExitCodeProcess(sqlcmd, &code);
    CloseHandle(sqlcmd);
    printf("sqlcmd ended with %lu\n", (unsigned long)code);
    return code == 0;
}

static bool run(const char *mode, const char *operation, const WCHAR *set_name, char **paths, int count)
{
    bool old = strcmp(mode, "old") == 0;
    IClientVirtualDeviceSet2 *set = NULL;
    HRESULT status = make_set(old ? IID_IClientVirtualDeviceSet : IID_IClientVirtualDeviceSet2,
                              (void **)&set);
    if (FAILED(status))
        return failed("CoCreateInstance", status);

    VDConfig config;
    memset(&config, 0, sizeof config);
    config.deviceCount = count;
    if (strcmp(mode, "complete") == 0)
        config.features = VDF_RequestComplete;
    status = old ? set->Create(set_name, &config) : set->CreateEx(NULL, set_name, &config);
    if (FAILED(status))
        return failed("Create", status);
    printf("created\n");
    fflush(stdout);
    reach("created");

    const char *statement = getenv("COM_CLIENT_STATEMENT");
    HANDLE sqlcmd = statement ? start_sqlcmd(statement) : NULL;
    bool good = !statement || sqlcmd;
    if (good && FAILED(status = await_configuration(set, &config, sqlcmd)))
        good = failed("GetConfiguration", status);
    if (good)
        reach("configured");
    Job jobs[MOST_DEVICES];
    for (int i = 0; i < count; i++) {
        Job job = {set, L"", paths[i], operation, strcmp(mode, "apc") == 0, false};
        name_device(job.name, set_name, i);
        jobs[i] = job;
    }
    if (good && strcmp(mode, "processes") == 0)
        good = serve_by_processes(jobs, count, set);
    else if (good && strcmp(mode, "threads") == 0)
        good = serve_by_threads(jobs, count);
    else if (good)
        good = serve_file(jobs[0]);
    if (good)
        reach("closed");

    // A device is never released: the samples don't, and Close ends it all the same.
    if (FAILED(status = set->Close()))
        good = failed("Close", status);
    set->Release();
    if (sqlcmd && !has_succeeded(sqlcmd))
        good = false;
    return good;
}

// Ends the process with the exception's code, before anybody starts a debugger.
static LONG WINAPI end(EXCEPTION_POINTERS *)
{
    return EXCEPTION_EXECUTE_HANDLER;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    SetUnhandledExceptionFilter(end);
    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    WCHAR set_name[NAME];
    MultiByteToWideChar(CP_UTF8, 0, argv[3], -1, set_name, NAME);
    int code;
    if (strcmp(argv[1], "secondary") == 0)
        code = be_secondary(argv[2], set_name, atoi(argv[4]), argv[5]);
    else
        code = !run(argv[1], argv[2], set_name, argv + 4, argc - 4);
    CoUninitialize();
    return code;
}
