// A device whose bytes another process moves: it is given the handle of each buffer.
#ifndef BY_HANDLE_HPP
#define BY_HANDLE_HPP

#include <sys/wait.h>
#include <unistd.h>

#include "medium.hpp"

// Both messages are shorter than PIPE_BUF, so they arrive whole or not at all.
struct Order
{
    int command, size;
    int64_t position;
    unsigned handle;
};
struct Report
{
    Answer answer;
    bool flushed, completed, ended, refused;
};

template <typename T>
static bool send(int pipe, const T &message)
{
    return write(pipe, &message, sizeof message) == static_cast<ssize_t>(sizeof message);
}

template <typename T>
static bool receive(int pipe, T &message)
{
    return read(pipe, &message, sizeof message) == static_cast<ssize_t>(sizeof message);
}

// What the process that moves the bytes does: good_client mover OPERATION MODE SET FILE IN OUT.
static int move_bytes(char **arguments)
{
    Medium medium(arguments[3], std::strcmp(arguments[0], "backup") == 0, arguments[1]);
    std::string name = arguments[2];
    int in = std::atoi(arguments[4]), out = std::atoi(arguments[5]);
    ClientVirtualDeviceSet set;
    int status = set.OpenInSecondary(text(name));
    if (status != 0 || !medium.is_open())
        return failed("OpenInSecondary", status) ? 0 : 1;
    Order order;
    uint8_t *buffer = nullptr;
    while (receive(in, order)) {
        uint8_t *other;
        if (breaks("cuts-handles"))
            set.MapBufferHandle(order.handle & 0xFFFF, &other);
        bool cached = breaks("maps-once") && buffer;
        if (order.handle != 0 && !cached)
            status = set.MapBufferHandle(static_cast<int>(order.handle), &buffer);
        if (status != 0)
            return failed("MapBufferHandle", status) ? 0 : 1;
        VDC_Command command = VDC_Command();
        command.commandCode = order.command, command.size = order.size;
        command.position = order.position, command.buffer = order.handle ? buffer : nullptr;
        Answer answer = medium.execute(command);
        Report report = {answer, medium.flushed, medium.completed, medium.ended, medium.refused};
        if (!send(out, report))
            break;
    }
    if (!breaks("never-closes"))
        set.Close();
    return 0;
}

class Mover : public Store
{
public:
    Mover(ClientVirtualDeviceSet &set, char **words, std::string &name, std::string &file)
        : set_(set)
    {
        int to[2], from[2];
        if (pipe(to) != 0 || pipe(from) != 0)
            return;
        std::string in = std::to_string(to[0]), out = std::to_string(from[1]);
        char role[] = "mover";
        char *all[] = {words[0],   role,      words[1],  words[2], text(name),
                       text(file), text(in), text(out), nullptr};
        process_ = fork();
        if (process_ == 0) {
            close(to[1]), close(from[0]);
            execv("/proc/self/exe", all);
            _exit(127);
        }
        close(to[0]), close(from[1]);
        to_ = to[1], from_ = from[0];
    }
    ~Mover() override
    {
        close(to_), close(from_);
        waitpid(process_, nullptr, 0);
    }

    Answer execute(const VDC_Command &command) override
    {
        Order order = {command.commandCode, command.size, command.position, 0};
        int status = command.buffer ? set_.GetBufferHandle(command.buffer, &order.handle) : 0;
        Report report;
        if (status != 0 || !send(to_, order) || !receive(from_, report))
            return {ERROR_OPERATION_ABORTED, 0, 0};
        flushed = report.flushed, completed = report.completed;
        ended = report.ended, refused = report.refused;
        return report.answer;
    }

private:
    ClientVirtualDeviceSet &set_;
    pid_t process_ = 0;
    int to_ = -1, from_ = -1;
};

#endif
