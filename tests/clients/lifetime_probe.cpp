// What clients do with the two objects besides calling them: delete them early, late, twice or
// never, copy them, fork, exit in the middle.
//
//     lifetime_probe MODE SET        the modes are at the end; those that need a server print
//                                    "created" and expect one device, a Write on it, and no more

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <string>

#include "checks.hpp"

namespace {

char *text(std::string &name)
{
    return &name[0];
}

void create(ClientVirtualDeviceSet &set, std::string &name)
{
    VDConfig config = VDConfig();
    config.deviceCount = 1;
    GIVES(set.Create(text(name), &config), 0);
}

ClientVirtualDevice *open(ClientVirtualDeviceSet &set, std::string &name)
{
    VDConfig config;
    ClientVirtualDevice *device = NULL;
    create(set, name);
    std::printf("created\n");
    std::fflush(stdout);
    GIVES(set.GetConfiguration(30000, &config), 0);
    GIVES(set.OpenDevice(text(name), &device), 0);
    HOLDS(device != NULL);
    return device;
}

// Deleted while the set is open and a command is in hand.
void delete_before_close(std::string name)
{
    ClientVirtualDeviceSet set;
    VDC_Command *command;
    ClientVirtualDevice *device = open(set, name);
    GIVES(device->GetCommand(10000, &command), 0);
    delete device;
    HOLDS(command->buffer[0] == 0xA5);
    GIVES(set.Close(), VD_E_OPEN);
    GIVES(set.Close(), VD_E_PROTOCOL);
}

// Deleted after the set and its object are gone; used in between.
void delete_after_set(std::string name)
{
    VDC_Command *command = NULL;
    ClientVirtualDeviceSet *set = new ClientVirtualDeviceSet();
    ClientVirtualDevice *device = open(*set, name);
    GIVES(device->GetCommand(10000, &command), 0);
    GIVES(set->Close(), VD_E_OPEN);
    GIVES(device->GetCommand(0, &command), VD_E_PROTOCOL);
    delete set;
    GIVES(device->GetCommand(-1, &command), VD_E_PROTOCOL);
    GIVES(device->CompleteCommand(command, 0, 0, 0), VD_E_PROTOCOL);
    delete device;
}

// The set's object is destroyed without Close: that aborts the set.
void destroy_without_close(std::string name)
{
    VDC_Command *command;
    ClientVirtualDeviceSet *set = new ClientVirtualDeviceSet();
    ClientVirtualDevice *device = open(*set, name);
    GIVES(device->GetCommand(10000, &command), 0);
    delete set;
    GIVES(device->GetCommand(-1, &command), VD_E_PROTOCOL);
    delete device;
}

// Objects copied by value, and destroyed twice.
void copy_and_destroy_twice(std::string name)
{
    ClientVirtualDeviceSet set;
    ClientVirtualDevice *device = open(set, name);
    ClientVirtualDevice last(*device);
    VDC_Command *command;
    {
        ClientVirtualDevice copy(*device);
        ClientVirtualDeviceSet other;
        ClientVirtualDeviceSet second(other);
        GIVES(copy.GetCommand(10000, &command), 0);
        GIVES(second.Close(), VD_E_PROTOCOL);
    }
    delete device;
    GIVES(last.GetCommand(0, &command), VD_E_TIMEOUT);
    GIVES(set.Close(), VD_E_OPEN);

    void *memory = std::malloc(sizeof(ClientVirtualDeviceSet));
    ClientVirtualDeviceSet *twice = new (memory) ClientVirtualDeviceSet();
    twice->~ClientVirtualDeviceSet();
    GIVES(twice->Close(), VD_E_PROTOCOL);
    twice->~ClientVirtualDeviceSet();
    std::free(memory);
}

// A child made by fork has the objects but not the set.
void fork_in_the_middle(std::string name)
{
    ClientVirtualDeviceSet *set = new ClientVirtualDeviceSet();
    ClientVirtualDevice *device = open(*set, name);
    VDC_Command *command;
    std::fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        unsigned int handle;
        VDConfig config;
        GIVES(device->GetCommand(-1, &command), VD_E_PROTOCOL);
        GIVES(set->GetConfiguration(-1, &config), VD_E_PROTOCOL);
        GIVES(set->GetBufferHandle(reinterpret_cast<uint8_t *>(&handle), &handle), VD_E_PROTOCOL);
        GIVES(set->SignalAbort(), VD_E_PROTOCOL);
        GIVES(set->Close(), VD_E_PROTOCOL);
        delete device;
        delete set;
        // Sets of its own are a child's good right.
        ClientVirtualDeviceSet own;
        std::string own_name = name + "-child";
        create(own, own_name);
        GIVES(own.Close(), 0);
        std::exit(report()); // with every destructor and exit hook
    }
    int how = 0;
    HOLDS(waitpid(child, &how, 0) == child && WIFEXITED(how) && WEXITSTATUS(how) == 0);
    // Nothing of that reached the parent's set.
    GIVES(device->GetCommand(10000, &command), 0);
    GIVES(device->CompleteCommand(command, ERROR_SUCCESS, command->size, 0), 0);
    GIVES(set->Close(), VD_E_OPEN);
    delete device;
    delete set;
}

// The server's buffers cannot be mapped: GetConfiguration succeeds, OpenDevice tells.
void unmappable(std::string name)
{
    ClientVirtualDeviceSet set;
    VDConfig config = VDConfig();
    ClientVirtualDevice *device;
    create(set, name);
    std::printf("created\n");
    std::fflush(stdout);
    std::getchar();
    GIVES(set.GetConfiguration(30000, &config), 0);
    HOLDS(config.features == VDF_WriteMedia);
    GIVES(set.OpenDevice(text(name), &device), VD_E_ABORT);
    HOLDS(device == NULL);
    GIVES(set.Close(), 0);
}

// Waits one unit of time, whatever that is.
void wait_one(std::string name)
{
    ClientVirtualDeviceSet set;
    VDConfig config;
    create(set, name);
    GIVES(set.GetConfiguration(1, &config), VD_E_TIMEOUT);
    GIVES(set.Close(), 0);
}

// The process ends with the set open; what it named must not stay behind.
void exit_without_close(std::string name)
{
    VDC_Command *command;
    ClientVirtualDeviceSet *set = new ClientVirtualDeviceSet();
    GIVES(open(*set, name)->GetCommand(10000, &command), 0);
    std::exit(report());
}

// As before, before any server came.
void exit_before_server(std::string name)
{
    ClientVirtualDeviceSet *set = new ClientVirtualDeviceSet();
    create(*set, name);
    std::exit(report());
}

} // namespace

int main(int argc, char **argv)
{
    umask(0);
    const struct
    {
        const char *name;
        void (*run)(std::string set);
    } modes[] = {
        {"delete-before-close", delete_before_close},
        {"delete-after-set", delete_after_set},
        {"destroy-without-close", destroy_without_close},
        {"copy-and-destroy-twice", copy_and_destroy_twice},
        {"fork", fork_in_the_middle},
        {"exit-without-close", exit_without_close},
        {"exit-before-server", exit_before_server},
        {"unmappable", unmappable},
        {"wait-one", wait_one},
    };
    for (size_t i = 0; argc == 3 && i < sizeof modes / sizeof *modes; i++) {
        if (std::string(argv[1]) == modes[i].name) {
            modes[i].run(argv[2]);
            return report();
        }
    }
    std::fprintf(stderr, "usage: lifetime_probe MODE SET\n");
    return 2;
}
