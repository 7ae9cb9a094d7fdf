// Takes the name of a set before its client does, until it is killed.
//
//     squatter denied|event NAME     a section to which nobody has access, or an event; NAME without its folder

#include <stdio.h>
#include <string.h>
#include <windows.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    char name[MAX_PATH];
    snprintf(name, sizeof name, "Global\\%s", argv[2]);
    // A list without entries: nobody may open it, not even who made it.
    union {
        ACL list;
        BYTE room[64];
    } nobody;
    SECURITY_DESCRIPTOR descriptor;
    InitializeAcl(&nobody.list, sizeof nobody, ACL_REVISION);
    InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION);
    SetSecurityDescriptorDacl(&descriptor, TRUE, &nobody.list, FALSE);
    SECURITY_ATTRIBUTES denied = {sizeof denied, &descriptor, FALSE};
    HANDLE made = strcmp(argv[1], "denied") == 0
                      ? CreateFileMappingA(INVALID_HANDLE_VALUE, &denied, PAGE_READWRITE, 0, 4096, name)
                      : CreateEventA(NULL, TRUE, FALSE, name);
    if (!made || GetLastError() == ERROR_ALREADY_EXISTS) {
        fprintf(stderr, "squatter: %lu\n", (unsigned long)GetLastError());
        return 1;
    }
    printf("made\n");
    fflush(stdout);
    Sleep(INFINITE);
    return 0;
}
