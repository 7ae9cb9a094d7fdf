// A resident agent, and the command that gives it work: the harness's own daemon.
//
//     agent serve SOCKET [MISTAKE]                     stays; backs up and restores when it is told to
//     agent do SOCKET backup|restore SET FILE          tells it, and ends as that ends
//
// The agent heeds no variable of a case: it was started before.

#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>

#include "../media.hpp"

static std::string mistake;

static int at(const char *path, bool listens)
{
    int handle = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = sockaddr_un();
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    const sockaddr *name = reinterpret_cast<sockaddr *>(&address);
    if (listens ? bind(handle, name, sizeof address) != 0 || listen(handle, 8) != 0
                : connect(handle, name, sizeof address) != 0) {
        std::perror(path);
        std::exit(2);
    }
    return handle;
}

static bool move(Operation operation, std::string set_name, const std::string &path)
{
    Media media(path, operation);
    if (!media.is_open())
        return false;
    VDConfig config = VDConfig();
    config.deviceCount = 1;
    config.features = VDF_LikePipe | VDF_RequestComplete;
    ClientVirtualDeviceSet set;
    int status = set.Create(text(set_name), &config);
    if (status != 0)
        return failed("Create", status);
    bool good = false;
    ClientVirtualDevice *device = NULL;
    if ((status = set.GetConfiguration(FOR_EVER, &config)) != 0)
        failed("GetConfiguration", status);
    else if ((status = set.OpenDevice(text(set_name), &device)) != 0)
        failed("OpenDevice", status);
    else
        good = serve(*device, media);
    status = set.Close();
    delete device;
    return good && status == 0;
}

// One job: a line "operation\tset\tfile", answered by one byte.
static void work(int job)
{
    std::string line;
    char byte;
    while (recv(job, &byte, 1, 0) == 1 && byte != '\n')
        line += byte;
    size_t first = line.find('\t'), second = line.find('\t', first + 1);
    Operation operation;
    if (second == std::string::npos || !parse_operation(line.substr(0, first).c_str(), operation))
        return;
    if (mistake == "crashes")
        std::abort();
    bool good = move(operation, line.substr(first + 1, second - first - 1), line.substr(second + 1));
    byte = good || mistake == "always-succeeds" ? 'y' : 'n';
    send(job, &byte, 1, MSG_NOSIGNAL);
}

static int stay(const char *path)
{
    umask(0);
    int jobs = at(path, true);
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
        int job = accept(jobs, NULL, NULL);
        work(job);
        close(job);
    }
}

static int tell(char **words)
{
    int agent = at(words[2], false);
    std::string line = std::string(words[3]) + '\t' + words[4] + '\t' + words[5] + '\n';
    send(agent, line.data(), line.size(), MSG_NOSIGNAL);
    char answer = 'n';
    return recv(agent, &answer, 1, 0) == 1 && answer == 'y' ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && std::strcmp(argv[1], "serve") == 0) {
        mistake = argc > 3 ? argv[3] : "";
        unlink(argv[2]);
        return stay(argv[2]);
    }
    if (argc == 6 && std::strcmp(argv[1], "do") == 0)
        return tell(argv);
    std::fprintf(stderr, "usage: agent serve SOCKET | agent do SOCKET backup|restore SET FILE\n");
    return 2;
}
