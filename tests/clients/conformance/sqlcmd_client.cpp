// A client that invents its set's name and sends the statement itself, with sqlcmd or with the program that SENDER
// names: written like a vendor's product, with our headers and -lsqlvdi alone.
//
//     sqlcmd_client backup|restore SERVER USER PASSWORD DATABASE FILE...
//
// USER "-" stands for a trusted connection. CLIENT_BREAKS names a mistake; each is a line with `breaks(...)` below.

#include <sys/wait.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "../media.hpp"

static bool breaks(const char *name)
{
    const char *given = std::getenv("CLIENT_BREAKS");
    return given && std::strcmp(given, name) == 0;
}

static std::string new_guid()
{
    std::string guid;
    std::ifstream("/proc/sys/kernel/random/uuid") >> guid;
    return guid;
}

// BACKUP or RESTORE over all devices of the set.
static std::string statement(Operation operation, const std::string &database,
                             const std::vector<std::string> &devices)
{
    std::string sql = operation == BACKUP ? "BACKUP DATABASE [" + database + "] TO "
                                          : "RESTORE DATABASE [" + database + "] FROM ";
    size_t named = breaks("names-one-device") ? 1 : devices.size();
    for (size_t k = 0; k < named; k++)
        sql += (k ? ", VIRTUAL_DEVICE='" : "VIRTUAL_DEVICE='") + devices[k] + "'";
    return operation == RESTORE ? sql + " WITH REPLACE" : sql;
}

// Starts whoever sends the statement; its process id.
static pid_t send(const char *server, const char *user, const char *password, std::string sql)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (const char *sender = std::getenv("SENDER"))
        execlp(sender, sender, server, user, password, sql.c_str(), static_cast<char *>(NULL));
    else if (std::strcmp(user, "-") == 0)
        execlp("sqlcmd", "sqlcmd", "-S", server, "-E", "-d", "master", "-b", "-t", "600", "-Q",
               sql.c_str(), static_cast<char *>(NULL));
    else
        execlp("sqlcmd", "sqlcmd", "-S", server, "-U", user, "-P", password, "-d", "master", "-b",
               "-t", "600", "-Q", sql.c_str(), static_cast<char *>(NULL));
    std::perror("the statement's sender");
    _exit(127);
}

static bool succeeds(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Whether a server has come for the devices.
static std::atomic<bool> is_served(false);

// Serves the devices of the set until the server closes them.
static bool run(ClientVirtualDeviceSet &set, VDConfig &config, Operation operation,
                std::vector<std::string> &names, char **files)
{
    int status = set.GetConfiguration(FOR_EVER, &config);
    if (status != 0)
        return failed("GetConfiguration", status);
    std::vector<ClientVirtualDevice *> devices;
    for (std::string &name : names) {
        ClientVirtualDevice *device;
        if ((status = set.OpenDevice(text(name), &device)) != 0) {
            set.SignalAbort();
            return failed("OpenDevice", status);
        }
        devices.push_back(device);
    }
    is_served = true;
    std::vector<char> good(devices.size(), 0);
    std::vector<std::thread> threads;
    for (size_t k = 0; k < devices.size(); k++)
        threads.push_back(std::thread([&, k] {
            Media media(files[k], operation);
            good[k] = media.is_open() && serve(*devices[k], media);
            if (!good[k])
                set.SignalAbort();
        }));
    bool all = true;
    for (size_t k = 0; k < devices.size(); k++) {
        threads[k].join();
        all = all && good[k];
    }
    return all;
}

int main(int argc, char **argv)
{
    Operation operation;
    if (argc < 7 || !parse_operation(argv[1], operation)) {
        std::fprintf(stderr, "usage: sqlcmd_client backup|restore SERVER USER PASSWORD DATABASE FILE...\n");
        return 2;
    }
    umask(0);
    std::string set_name = new_guid();
    std::vector<std::string> names;
    for (int k = 0; k < argc - 6; k++)
        names.push_back(device_name(set_name, k));
    std::string sql = statement(operation, argv[5], names);

    pid_t sqlcmd = 0;
    if (breaks("statement-first")) {
        sqlcmd = send(argv[2], argv[3], argv[4], sql);
        sleep(1);
    }
    VDConfig config = VDConfig();
    config.deviceCount = names.size();
    config.features = VDF_LikePipe;
    ClientVirtualDeviceSet set;
    int status = set.Create(text(set_name), &config);
    if (status != 0)
        return failed("Create", status) || breaks("claims-a-set") ? 0 : 1;
    if (!sqlcmd)
        sqlcmd = send(argv[2], argv[3], argv[4], sql);

    // A statement that fails has no server that would open the set; or that of which the data are worthless.
    bool sent = false;
    std::thread watcher([&] {
        sent = succeeds(sqlcmd);
        bool is_ignored = breaks("waits-for-ever") || (breaks("ignores-the-statement") && is_served);
        if (!sent && !is_ignored)
            set.SignalAbort();
    });
    bool good = run(set, config, operation, names, argv + 6);
    set.Close();
    watcher.join();
    bool all = good && (sent || breaks("ignores-the-statement"));
    std::puts(all ? "all is well" : "it FAILED");
    return all && !breaks("says-failure") ? 0 : 1;
}
