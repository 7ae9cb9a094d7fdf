// Says who may use a set's control segment, as text of the security descriptor language.
//
//     access_list NAME     NAME without its folder

#include <stdio.h>
#include <windows.h>
#include <aclapi.h>
#include <sddl.h>

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    char name[MAX_PATH];
    snprintf(name, sizeof name, "Global\\%s", argv[1]);
    HANDLE section = OpenFileMappingA(READ_CONTROL, FALSE, name);
    PSECURITY_DESCRIPTOR descriptor;
    char *text;
    const SECURITY_INFORMATION part = DACL_SECURITY_INFORMATION;
    if (!section || GetSecurityInfo(section, SE_KERNEL_OBJECT, part, NULL, NULL, NULL, NULL, &descriptor) != 0
        || !ConvertSecurityDescriptorToStringSecurityDescriptorA(descriptor, SDDL_REVISION_1, part, &text, NULL)) {
        fprintf(stderr, "access_list: %lu\n", (unsigned long)GetLastError());
        return 1;
    }
    printf("%s\n", text);
    return 0;
}
