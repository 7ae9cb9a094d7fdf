// A backup program for Windows whose device is served by more than the thread that gets its commands.
//
//     workers_client handles|pool backup|restore SET FILE
//
// handles  another process, which has joined the set, maps each buffer by its handle and does what the command asks
//          for; this one never opens the file
// pool     threads that take the commands from a queue execute them and complete them, in whatever order

#define _WIN32_DCOM
#include <objbase.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "vdi.h"
#include "vdierror.h"
#include "vdiguid.h"

enum { WORKERS = 3, QUEUE = 256, NAME = 256 };

static bool failed(const char *call, HRESULT status)
{
    fprintf(stderr, "workers_client: %s: 0x%08lX\n", call, (unsigned long)status);
    return false;
}

// What one process has another do, and what comes back.
struct Order
{
    DWORD code, handle, size;
};
struct Report
{
    DWORD code, bytes;
};

static Report execute(DWORD code, BYTE *buffer, DWORD size, FILE *file)
{
    Report report = {ERROR_SUCCESS, 0};
    if (code == VDC_Read) {
        report.bytes = (DWORD)fread(buffer, 1, size, file);
        report.code = report.bytes == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
    } else if (code == VDC_Write) {
        report.bytes = (DWORD)fwrite(buffer, 1, size, file);
        report.code = report.bytes == size ? ERROR_SUCCESS : ERROR_DISK_FULL;
    } else if (code == VDC_Flush) {
        fflush(file);
    } else if (code != VDC_ClearError) {
        report.code = ERROR_NOT_SUPPORTED;
    }
    return report;
}

static FILE *open_file(const char *operation, const char *path)
{
    FILE *file = fopen(path, strcmp(operation, "backup") == 0 ? "wb" : "rb");
    if (!file)
        fprintf(stderr, "workers_client: cannot open %s\n", path);
    return file;
}

static bool transfer(HANDLE pipe, void *what, DWORD size, bool out)
{
    DWORD moved = 0;
    BOOL done = out ? WriteFile(pipe, what, size, &moved, NULL) : ReadFile(pipe, what, size, &moved, NULL);
    return done && moved == size;
}

static HRESULT make_set(IClientVirtualDeviceSet2 **set)
{
    return CoCreateInstance(CLSID_MSSQL_ClientVirtualDeviceSet, NULL, CLSCTX_INPROC_SERVER,
                            IID_IClientVirtualDeviceSet2, (void **)set);
}

// The other process: executes what it reads until nothing more comes.
static bool be_mapper(const char *operation, const WCHAR *set_name, const char *path)
{
    IClientVirtualDeviceSet2 *set;
    HRESULT status = make_set(&set);
    if (FAILED(status))
        return failed("CoCreateInstance", status);
    if (FAILED(status = set->OpenInSecondaryEx(NULL, set_name)))
        return failed("OpenInSecondaryEx", status);
    FILE *file = open_file(operation, path);
    if (!file)
        return false;
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE), out = GetStdHandle(STD_OUTPUT_HANDLE);
    Order order;
    bool good = true;
    while (good && transfer(in, &order, sizeof order, false)) {
        BYTE *buffer = NULL;
        if (order.handle != 0 && FAILED(status = set->MapBufferHandle(order.handle, &buffer)))
            good = failed("MapBufferHandle", status);
        Report report = execute(order.code, buffer, order.size, file);
        good = good && transfer(out, &report, sizeof report, true);
    }
    good = (fclose(file) == 0) && good;
    if (FAILED(status = set->Close()))
        good = failed("Close", status);
    set->Release();
    return good;
}

struct Mapper
{
    HANDLE process, orders, reports;
};

static bool start_mapper(Mapper &mapper, const char *operation, const WCHAR *set_name, const char *path)
{
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    HANDLE in, out;
    if (!CreatePipe(&in, &mapper.orders, &inherited, 0) || !CreatePipe(&mapper.reports, &out, &inherited, 0))
        return failed("CreatePipe", HRESULT_FROM_WIN32(GetLastError()));
    SetHandleInformation(mapper.orders, HANDLE_FLAG_INHERIT, 0);
    SetHandleInformation(mapper.reports, HANDLE_FLAG_INHERIT, 0);
    char program[MAX_PATH], line[4 * MAX_PATH];
    GetModuleFileNameA(NULL, program, MAX_PATH);
    sprintf(line, "\"%s\" mapper %s %ls \"%s\"", program, operation, set_name, path);
    STARTUPINFOA start = {};
    start.cb = sizeof start;
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdInput = in;
    start.hStdOutput = out;
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    PROCESS_INFORMATION started;
    if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &started))
        return failed("CreateProcess", HRESULT_FROM_WIN32(GetLastError()));
    CloseHandle(started.hThread);
    CloseHandle(in);
    CloseHandle(out);
    mapper.process = started.hProcess;
    return true;
}

// No more orders: the mapper ends, and says whether all went well.
static bool end_mapper(Mapper &mapper)
{
    DWORD code = 1;
    CloseHandle(mapper.orders);
    WaitForSingleObject(mapper.process, INFINITE);
    GetExitCodeProcess(mapper.process, &code);
    CloseHandle(mapper.process);
    CloseHandle(mapper.reports);
    return code == 0;
}

static bool serve_by_handles(IClientVirtualDeviceSet2 *set, IClientVirtualDevice *device, const char *operation,
                             const WCHAR *set_name, const char *path)
{
    Mapper mapper;
    if (!start_mapper(mapper, operation, set_name, path))
        return false;
    HRESULT status;
    VDC_Command *command;
    unsigned mapped = 0;
    bool good = true;
    while (good && SUCCEEDED(status = device->GetCommand(INFINITE, &command))) {
        Order order = {command->commandCode, 0, command->size};
        if (command->buffer) {
            if (FAILED(status = set->GetBufferHandle(command->buffer, &order.handle)))
                good = failed("GetBufferHandle", status);
            mapped++;
        }
        Report report = {ERROR_OPERATION_ABORTED, 0};
        good = good && transfer(mapper.orders, &order, sizeof order, true)
            && transfer(mapper.reports, &report, sizeof report, false);
        if (FAILED(status = device->CompleteCommand(command, report.code, report.bytes, 0)))
            good = failed("CompleteCommand", status);
    }
    if (good && status != VD_E_CLOSE)
        good = failed("GetCommand", status);
    good = end_mapper(mapper) && good;
    printf("%u buffers by handle\n", mapped);
    return good;
}

// Commands on their way from one thread to the others.
struct Pool
{
    IClientVirtualDevice *device;
    FILE *file;
    CRITICAL_SECTION lock;
    HANDLE commands;
    struct
    {
        VDC_Command *command;
        long offset;
    } queue[QUEUE];
    unsigned put, taken;
    volatile LONG outstanding;
    bool good;
};

static DWORD WINAPI work(LPVOID parameter)
{
    Pool &pool = *(Pool *)parameter;
    for (;;) {
        WaitForSingleObject(pool.commands, INFINITE);
        EnterCriticalSection(&pool.lock);
        VDC_Command *command = pool.queue[pool.taken % QUEUE].command;
        long offset = pool.queue[pool.taken++ % QUEUE].offset;
        Report report = {ERROR_SUCCESS, 0};
        if (command) {
            fseek(pool.file, offset, SEEK_SET);
            report = execute(command->commandCode, command->buffer, command->size, pool.file);
        }
        LeaveCriticalSection(&pool.lock);
        if (!command)
            return 0;
        HRESULT status = pool.device->CompleteCommand(command, report.code, report.bytes, 0);
        if (FAILED(status))
            pool.good = failed("CompleteCommand", status);
        InterlockedDecrement(&pool.outstanding);
    }
}

static void put(Pool &pool, VDC_Command *command, long offset)
{
    InterlockedIncrement(&pool.outstanding);
    EnterCriticalSection(&pool.lock);
    pool.queue[pool.put % QUEUE].command = command;
    pool.queue[pool.put++ % QUEUE].offset = offset;
    LeaveCriticalSection(&pool.lock);
    ReleaseSemaphore(pool.commands, 1, NULL);
}

static bool serve_by_pool(IClientVirtualDevice *device, const char *operation, const char *path)
{
    FILE *file = open_file(operation, path);
    if (!file)
        return false;
    Pool pool = {};
    pool.device = device;
    pool.file = file;
    pool.good = true;
    InitializeCriticalSection(&pool.lock);
    pool.commands = CreateSemaphore(NULL, 0, QUEUE, NULL);
    HANDLE workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        workers[i] = CreateThread(NULL, 0, work, &pool, 0, NULL);
    HRESULT status;
    VDC_Command *command;
    long offset = 0;
    while (SUCCEEDED(status = device->GetCommand(INFINITE, &command))) {
        // What is not a transfer is for everything before it.
        bool moves = command->commandCode == VDC_Read || command->commandCode == VDC_Write;
        while (!moves && pool.outstanding != 0)
            Sleep(1);
        DWORD size = moves ? command->size : 0;
        put(pool, command, offset);
        offset += size;
    }
    for (int i = 0; i < WORKERS; i++)
        put(pool, NULL, 0);
    WaitForMultipleObjects(WORKERS, workers, TRUE, INFINITE);
    bool good = pool.good && (status == VD_E_CLOSE || failed("GetCommand", status));
    return (fclose(file) == 0) && good;
}

static bool run(const char *mode, const char *operation, const WCHAR *set_name, const char *path)
{
    IClientVirtualDeviceSet2 *set;
    HRESULT status = make_set(&set);
    if (FAILED(status))
        return failed("CoCreateInstance", status);
    VDConfig config;
    memset(&config, 0, sizeof config);
    config.deviceCount = 1;
    if (FAILED(status = set->CreateEx(NULL, set_name, &config)))
        return failed("CreateEx", status);
    IClientVirtualDevice *device;
    bool good = true;
    if (FAILED(status = set->GetConfiguration(60000, &config)))
        good = failed("GetConfiguration", status);
    else if (FAILED(status = set->OpenDevice(set_name, &device)))
        good = failed("OpenDevice", status);
    else if (strcmp(mode, "handles") == 0)
        good = serve_by_handles(set, device, operation, set_name, path);
    else
        good = serve_by_pool(device, operation, path);
    if (!good)
        set->SignalAbort();
    if (FAILED(status = set->Close()))
        good = failed("Close", status);
    set->Release();
    return good;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    WCHAR set_name[NAME];
    MultiByteToWideChar(CP_UTF8, 0, argv[3], -1, set_name, NAME);
    bool good = strcmp(argv[1], "mapper") == 0 ? be_mapper(argv[2], set_name, argv[4])
                                               : run(argv[1], argv[2], set_name, argv[4]);
    CoUninitialize();
    return !good;
}
