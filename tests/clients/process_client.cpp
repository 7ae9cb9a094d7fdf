// A set of several devices, each served by a secondary process of its own.
//
//     process_client backup|restore SET FILE...        one device for each file

#include <sys/wait.h>

#include <vector>

#include "media.hpp"

namespace {

// What a secondary does: joins the set, serves its device, leaves.
bool serve_as_secondary(Operation operation, std::string set, std::string name, const char *path)
{
    Media media(path, operation);
    if (!media.is_open())
        return false;

    ClientVirtualDeviceSet devices;
    int status = devices.OpenInSecondary(text(set));
    if (status != 0)
        return failed("OpenInSecondary", status);

    bool good = false;
    ClientVirtualDevice *device = NULL;
    status = devices.OpenDevice(text(name), &device);
    if (status != 0)
        failed("OpenDevice " + name, status);
    else
        good = serve(*device, media);
    if (!good)
        devices.SignalAbort();

    status = devices.Close();
    delete device;
    return good && (status == 0 || failed("Close of " + name, status));
}

// The interface does not watch over secondaries: that is this process's work.
bool watch(ClientVirtualDeviceSet &devices, std::vector<pid_t> secondaries)
{
    bool good = true;
    for (size_t left = secondaries.size(); left > 0; left--) {
        int how;
        if (wait(&how) < 0)
            return false;
        if (!WIFEXITED(how) || WEXITSTATUS(how) != 0) {
            good = false;
            devices.SignalAbort();
        }
    }
    return good;
}

bool run(char *self, char *word, std::string set, const std::vector<char *> &paths)
{
    VDConfig config = VDConfig();
    config.deviceCount = static_cast<uint32_t>(paths.size());

    ClientVirtualDeviceSet devices;
    int status = devices.Create(text(set), &config);
    if (status != 0)
        return failed("Create", status);

    bool good = true;
    std::vector<pid_t> secondaries;
    status = devices.GetConfiguration(FOR_EVER, &config);
    if (status != 0)
        good = failed("GetConfiguration", status);
    for (unsigned i = 0; good && i < paths.size(); i++) {
        std::string name = device_name(set, i);
        char secondary[] = "secondary";
        char *arguments[] = {self, secondary, word, text(set), text(name), paths[i], NULL};
        pid_t pid = fork();
        if (pid == 0) {
            execv("/proc/self/exe", arguments);
            _exit(127);
        }
        secondaries.push_back(pid);
    }
    good = good && watch(devices, secondaries);

    status = devices.Close();
    return good && (status == 0 || failed("Close", status));
}

} // namespace

int main(int argc, char **argv)
{
    Operation operation;
    umask(0);
    if (argc == 6 && std::strcmp(argv[1], "secondary") == 0 && parse_operation(argv[2], operation))
        return serve_as_secondary(operation, argv[3], argv[4], argv[5]) ? 0 : 1;
    if (argc < 4 || !parse_operation(argv[1], operation)) {
        std::fprintf(stderr, "usage: process_client backup|restore SET FILE...\n");
        return 2;
    }
    return run(argv[0], argv[1], argv[2], std::vector<char *>(argv + 3, argv + argc)) ? 0 : 1;
}
