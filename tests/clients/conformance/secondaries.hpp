// Devices that are served by processes of their own.
#ifndef SECONDARIES_HPP
#define SECONDARIES_HPP

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "serving.hpp"

// What a secondary does: good_client secondary OPERATION MODE SET DEVICE FILE.
static int serve_as_secondary(char **arguments)
{
    bool backup = std::strcmp(arguments[0], "backup") == 0;
    std::string name = arguments[2], device_name = arguments[3];
    ClientVirtualDeviceSet set;
    ClientVirtualDevice *device = nullptr;
    int status = set.OpenInSecondary(text(name));
    if (status != 0)
        return failed("OpenInSecondary", status) ? 0 : 1;
    Medium medium(arguments[4], backup, arguments[1]);
    status = set.OpenDevice(text(device_name), &device);
    bool good = status == 0 ? medium.is_open() && serve(*device, medium, backup)
                            : failed("OpenDevice", status);
    if (!good)
        set.SignalAbort();
    if (breaks("never-closes"))
        return 0;
    good = set.Close() == 0 && good;
    VDC_Command *late;
    if (breaks("calls-after-close"))
        device->GetCommand(0, &late);
    delete device;
    return good || breaks("always-succeeds") ? 0 : 1;
}

static pid_t start_secondary(char **words, std::string &name, std::string &file)
{
    char role[] = "secondary";
    char *all[] = {words[0],   role,       words[1], words[2], words[3],
                   text(name), text(file), nullptr};
    pid_t process = fork();
    if (process == 0) {
        execv("/proc/self/exe", all);
        _exit(127);
    }
    return process;
}

// Serves every device by a process; whether all of them ended well. The interface does not watch over
// secondaries, so this does.
static bool serve_by_processes(ClientVirtualDeviceSet &set, char **words,
                               std::vector<std::string> &names, std::vector<std::string> &files)
{
    size_t left = 0;
    for (size_t k = 0; k < names.size(); k++)
        if (!breaks("first-device-only") || k == 0) {
            start_secondary(words, names[k], files[breaks("one-file") ? 0 : k]);
            left++;
        }
    bool good = true;
    for (; left > 0; left--) {
        int how = 0;
        bool ended_well = wait(&how) > 0 && WIFEXITED(how) && WEXITSTATUS(how) == 0;
        if (!ended_well && !breaks("ignores-deaths"))
            set.SignalAbort();
        good = good && ended_well;
    }
    return good;
}

#endif
