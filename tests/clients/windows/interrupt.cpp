// Starts a program as a console does, and presses Ctrl-C when it has printed its first line.
//
//     interrupt PROGRAM ARGUMENTS...     prints what the program prints; its exit code, or 99 if it does not end

#include <stdio.h>
#include <windows.h>

static int failed(const char *call)
{
    fprintf(stderr, "interrupt: %s: %lu\n", call, (unsigned long)GetLastError());
    return 98;
}

static BOOL WINAPI ignore(DWORD)
{
    return TRUE;
}

int main()
{
    // The key goes to all programs of the console, this one among them.
    SetConsoleCtrlHandler(ignore, TRUE);
    // What follows the first word of the command line is the command.
    char *line = GetCommandLineA();
    for (bool quoted = false; *line && (quoted || *line != ' '); line++)
        quoted = quoted != (*line == '"');
    while (*line == ' ')
        line++;

    // Without a console there is nothing that the key could be pressed on.
    if (!GetConsoleCP())
        AllocConsole();
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    HANDLE out, in;
    if (!CreatePipe(&out, &in, &inherited, 0))
        return failed("CreatePipe");
    STARTUPINFOA start = {};
    start.cb = sizeof start;
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdOutput = in;
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    PROCESS_INFORMATION started;
    if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &started))
        return failed("CreateProcess");
    CloseHandle(in);
    bool pressed = false;
    char byte;
    DWORD got;
    while (ReadFile(out, &byte, 1, &got, NULL) && got == 1) {
        putchar(byte);
        if (byte == '\n' && !pressed) {
            pressed = true;
            if (!GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0))
                failed("GenerateConsoleCtrlEvent");
        }
    }
    if (WaitForSingleObject(started.hProcess, 30000) != WAIT_OBJECT_0) {
        TerminateProcess(started.hProcess, 99);
        WaitForSingleObject(started.hProcess, INFINITE);
    }
    DWORD code;
    GetExitCodeProcess(started.hProcess, &code);
    return (int)code;
}
