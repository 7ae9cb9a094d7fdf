// One device, two processes: the first gets and completes the commands, the second moves the bytes.
// Only the handle of a buffer and its size pass between them.
//
//     handle_client backup|restore SET FILE

#include <sys/wait.h>

#include "media.hpp"

namespace {

struct Order
{
    int command;
    int size;
    unsigned int handle;
};

struct Answer
{
    int code;
    unsigned long moved;
};

// Both ends write less than PIPE_BUF at a time, so a message arrives whole or not at all.
template <typename T>
bool send(int pipe, const T &message)
{
    return write(pipe, &message, sizeof message) == static_cast<ssize_t>(sizeof message);
}

template <typename T>
bool receive(int pipe, T &message)
{
    return read(pipe, &message, sizeof message) == static_cast<ssize_t>(sizeof message);
}

// The second process: maps what it is told to map and moves the bytes.
bool move_bytes(Operation operation, std::string set, const char *path, int orders, int answers)
{
    Media media(path, operation);
    if (!media.is_open())
        return false;

    ClientVirtualDeviceSet devices;
    int status = devices.OpenInSecondary(text(set));
    if (status != 0)
        return failed("OpenInSecondary", status);

    bool good = true;
    Order order;
    while (good && receive(orders, order)) {
        uint8_t *buffer = NULL;
        Answer answer = Answer();
        if (order.handle != 0) {
            status = devices.MapBufferHandle(static_cast<int>(order.handle), &buffer);
            if (status != 0) {
                good = failed("MapBufferHandle", status);
                break;
            }
        }
        answer.code = media.execute(order.command, order.size, buffer, answer.moved);
        good = send(answers, answer);
    }

    status = devices.Close();
    return good && (status == 0 || failed("Close of the second process", status));
}

// The first process: everything but the bytes.
bool serve_by_handle(ClientVirtualDeviceSet &devices, ClientVirtualDevice &device, int orders,
                     int answers)
{
    for (;;) {
        VDC_Command *command;
        int status = device.GetCommand(FOR_EVER, &command);
        if (status == VD_E_CLOSE)
            return true;
        if (status != 0)
            return failed("GetCommand", status);

        Order order = {command->commandCode, command->size, 0};
        if (command->buffer) {
            status = devices.GetBufferHandle(command->buffer, &order.handle);
            if (status != 0)
                return failed("GetBufferHandle", status);
        }
        Answer answer;
        if (!send(orders, order) || !receive(answers, answer))
            return failed("the second process", 0);
        status = device.CompleteCommand(command, answer.code, answer.moved, 0);
        if (status != 0)
            return failed("CompleteCommand", status);
    }
}

pid_t start_second(char *self, char *word, char *set, char *path, int orders[2], int answers[2])
{
    char read_end[16], write_end[16], second[] = "second";
    std::snprintf(read_end, sizeof read_end, "%d", orders[0]);
    std::snprintf(write_end, sizeof write_end, "%d", answers[1]);
    char *arguments[] = {self, second, word, set, path, read_end, write_end, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        close(orders[1]);
        close(answers[0]);
        execv("/proc/self/exe", arguments);
        _exit(127);
    }
    close(orders[0]);
    close(answers[1]);
    return pid;
}

bool run(char *self, char *word, char *set, char *path)
{
    VDConfig config = VDConfig();
    config.deviceCount = 1;

    ClientVirtualDeviceSet devices;
    int status = devices.Create(set, &config);
    if (status != 0)
        return failed("Create", status);

    bool good = false;
    int orders[2], answers[2];
    ClientVirtualDevice *device = NULL;
    if ((status = devices.GetConfiguration(FOR_EVER, &config)) != 0)
        failed("GetConfiguration", status);
    else if ((status = devices.OpenDevice(set, &device)) != 0)
        failed("OpenDevice", status);
    else if (pipe(orders) == 0 && pipe(answers) == 0) {
        pid_t second = start_second(self, word, set, path, orders, answers);
        good = serve_by_handle(devices, *device, orders[1], answers[0]);
        close(orders[1]); // ends the second process's loop
        int how;
        good = waitpid(second, &how, 0) == second && WIFEXITED(how) && WEXITSTATUS(how) == 0 && good;
    }

    status = devices.Close();
    delete device;
    return good && (status == 0 || failed("Close", status));
}

} // namespace

int main(int argc, char **argv)
{
    Operation operation;
    umask(0);
    if (argc == 7 && std::strcmp(argv[1], "second") == 0 && parse_operation(argv[2], operation))
        return move_bytes(operation, argv[3], argv[4], std::atoi(argv[5]), std::atoi(argv[6])) ? 0 : 1;
    if (argc != 4 || !parse_operation(argv[1], operation)) {
        std::fprintf(stderr, "usage: handle_client backup|restore SET FILE\n");
        return 2;
    }
    return run(argv[0], argv[1], argv[2], argv[3]) ? 0 : 1;
}
