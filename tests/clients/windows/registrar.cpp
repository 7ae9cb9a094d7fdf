// What regsvr32 calls, so that its answer can be seen.
//
//     registrar DLL DllRegisterServer|DllUnregisterServer
//     registrar DLL DllInstall yes|no [WORDS]
//
// Prints the HRESULT as 0x%08X; 0 if it is S_OK, else 1.

#include <stdio.h>
#include <string.h>
#include <windows.h>

static int failed(const char *call)
{
    fprintf(stderr, "registrar: %s: %lu\n", call, (unsigned long)GetLastError());
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    HMODULE library = LoadLibraryA(argv[1]);
    if (!library)
        return failed("LoadLibrary");
    // By way of a function's type without arguments: GetProcAddress has no other.
    void (*found)(void) = (void (*)(void))GetProcAddress(library, argv[2]);
    if (!found)
        return failed("GetProcAddress");
    HRESULT status;
    if (argc > 3) {
        WCHAR words[200];
        MultiByteToWideChar(CP_UTF8, 0, argc > 4 ? argv[4] : "", -1, words, 200);
        BOOL install = strcmp(argv[3], "yes") == 0;
        status = ((HRESULT(WINAPI *)(BOOL, LPCWSTR))found)(install, argc > 4 ? words : NULL);
    } else {
        status = ((HRESULT(WINAPI *)(void))found)();
    }
    printf("0x%08lX\n", (unsigned long)status);
    FreeLibrary(library);
    return status != S_OK;
}
