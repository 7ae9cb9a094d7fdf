// Walks the return codes of every method through the states of a set.
//
//     api_probe alone SET        the states that need no server
//     api_probe served SET       all states, with the server of the test: it waits for the line
//                                "created", serves two devices, sends a Write and a Flush to the
//                                first and closes both
//     api_probe aborted SET      Abort, brought about by this client
//     api_probe names SET        names of every kind

#include <sys/stat.h>

#include <string>

#include "checks.hpp"

namespace {

// The interface takes names as `char *`, though it only reads them.
char *text(std::string &name)
{
    return &name[0];
}

VDConfig two_devices()
{
    VDConfig config = VDConfig();
    config.deviceCount = 2;
    return config;
}

// Every method of an object that holds no set: never opened, closed, or refused.
void check_not_open(ClientVirtualDeviceSet &set, std::string &name)
{
    VDConfig config = two_devices();
    uint8_t byte = 0, *buffer = NULL;
    unsigned int handle = 4711;
    ClientVirtualDevice *device = reinterpret_cast<ClientVirtualDevice *>(&byte);

    GIVES(set.GetConfiguration(0, &config), VD_E_PROTOCOL);
    GIVES(set.OpenDevice(text(name), &device), VD_E_PROTOCOL);
    HOLDS(device == NULL);
    GIVES(set.SignalAbort(), VD_E_PROTOCOL);
    GIVES(set.Close(), VD_E_PROTOCOL);
    GIVES(set.GetBufferHandle(&byte, &handle), VD_E_PROTOCOL);
    HOLDS(handle == 4711);
    GIVES(set.MapBufferHandle(1, &buffer), VD_E_PROTOCOL);
    HOLDS(buffer == NULL);
    set.RegisterDeviceClosed();
}

// Null pointers, whatever the state is.
void check_nulls(ClientVirtualDeviceSet &set, std::string &name)
{
    VDConfig config = two_devices();
    uint8_t byte = 0;
    ClientVirtualDevice *device;
    ClientVirtualDeviceSet *no_set = NULL;

    GIVES(set.Create(NULL, &config), VD_E_INVALID);
    GIVES(set.Create(text(name), NULL), VD_E_INVALID);
    GIVES(set.GetConfiguration(0, NULL), VD_E_INVALID);
    GIVES(set.OpenDevice(NULL, &device), VD_E_INVALID);
    HOLDS(device == NULL);
    GIVES(set.OpenDevice(text(name), NULL), VD_E_INVALID);
    GIVES(set.OpenInSecondary(NULL), VD_E_INVALID);
    GIVES(set.GetBufferHandle(&byte, NULL), VD_E_INVALID);
    GIVES(set.GetBufferHandle(NULL, NULL), VD_E_INVALID);
    GIVES(set.MapBufferHandle(1, NULL), VD_E_INVALID);
    GIVES(no_set->Close(), VD_E_INVALID);
    GIVES(no_set->SignalAbort(), VD_E_INVALID);
    GIVES(no_set->GetConfiguration(0, &config), VD_E_INVALID);
}

// A device object that OpenDevice did not make.
void check_device_of_its_own()
{
    ClientVirtualDevice device, *no_device = NULL;
    VDC_Command command, *next = NULL;
    GIVES(device.GetCommand(0, &next), VD_E_PROTOCOL);
    GIVES(device.CompleteCommand(&command, 0, 0, 0), VD_E_PROTOCOL);
    GIVES(device.GetCommand(0, NULL), VD_E_INVALID);
    GIVES(device.CompleteCommand(NULL, 0, 0, 0), VD_E_INVALID);
    GIVES(no_device->GetCommand(0, &next), VD_E_INVALID);
    GIVES(no_device->CompleteCommand(&command, 0, 0, 0), VD_E_INVALID);
}

// After Create and before the server: only waiting and ending make sense.
void check_configurable(ClientVirtualDeviceSet &set, std::string &name)
{
    VDConfig config = two_devices();
    ClientVirtualDeviceSet other;
    ClientVirtualDevice *device;
    uint8_t byte, *buffer = NULL;
    unsigned int handle;

    GIVES(set.Create(text(name), &config), VD_E_PROTOCOL);
    GIVES(set.OpenInSecondary(text(name)), VD_E_PROTOCOL);
    GIVES(other.Create(text(name), &config), VD_E_PROTOCOL);
    GIVES(other.OpenInSecondary(text(name)), VD_E_PROTOCOL);
    check_not_open(other, name);
    GIVES(set.GetConfiguration(0, &config), VD_E_TIMEOUT);
    GIVES(set.GetConfiguration(20, &config), VD_E_TIMEOUT);
    GIVES(set.OpenDevice(text(name), &device), VD_E_PROTOCOL);
    GIVES(set.GetBufferHandle(&byte, &handle), VD_E_INVALID);
    GIVES(set.MapBufferHandle(0, &buffer), VD_E_INVALID);
    GIVES(set.MapBufferHandle(-1, &buffer), VD_E_INVALID);
    GIVES(set.MapBufferHandle(0x00800000, &buffer), VD_E_INVALID);
    check_nulls(set, name);
}

void probe_alone(std::string name)
{
    ClientVirtualDeviceSet set;
    VDConfig config = two_devices();
    std::string nowhere = name + "-nowhere";

    check_not_open(set, name);
    check_nulls(set, name);
    check_device_of_its_own();
    GIVES(set.OpenInSecondary(text(nowhere)), VD_E_PROTOCOL);

    VDConfig bad = VDConfig();
    GIVES(set.Create(text(name), &bad), VD_E_NOTSUPPORTED);
    bad.deviceCount = 65;
    GIVES(set.Create(text(name), &bad), VD_E_NOTSUPPORTED);
    bad = config;
    bad.alignment = 3;
    GIVES(set.Create(text(name), &bad), VD_E_NOTSUPPORTED);
    check_not_open(set, name);

    GIVES(set.Create(text(name), &config), 0);
    check_configurable(set, name);
    GIVES(set.Close(), 0);
    check_not_open(set, name);

    // The same object again, and the fields that the server fills hold anything.
    config.blockSize = config.maxIODepth = config.maxTransferSize = config.bufferAreaSize = 12345;
    GIVES(set.Create(text(name), &config), 0);
    check_configurable(set, name);
    GIVES(set.Close(), 0);
}

void probe_aborted(std::string name)
{
    ClientVirtualDeviceSet set, other;
    VDConfig config = two_devices();
    ClientVirtualDevice *device;

    GIVES(set.Create(text(name), &config), 0);
    GIVES(set.SignalAbort(), 0);
    GIVES(set.SignalAbort(), 0);
    GIVES(set.GetConfiguration(-1, &config), VD_E_ABORT);
    GIVES(set.OpenDevice(text(name), &device), VD_E_ABORT);
    HOLDS(device == NULL);
    GIVES(set.Create(text(name), &config), VD_E_PROTOCOL);
    GIVES(other.OpenInSecondary(text(name)), VD_E_ABORT);
    check_nulls(set, name);
    GIVES(set.Close(), 0);
    check_not_open(set, name);
}

// OpenDevice in Initializing and Active.
void open_both(ClientVirtualDeviceSet &set, std::string &first, std::string &second,
               ClientVirtualDevice *devices[2])
{
    ClientVirtualDevice *none;
    std::string unknown = first + "-unknown";

    GIVES(set.OpenDevice(text(unknown), &none), VD_E_INVALID);
    HOLDS(none == NULL);
    GIVES(set.OpenDevice(text(first), &devices[0]), 0);
    HOLDS(devices[0] != NULL);
    GIVES(set.OpenDevice(text(first), &none), VD_E_PROTOCOL);
    HOLDS(none == NULL);
    GIVES(set.OpenDevice(text(second), &devices[1]), 0);
    HOLDS(devices[1] != NULL && devices[1] != devices[0]);
    GIVES(set.OpenDevice(text(first), &none), VD_E_OPEN);
    GIVES(set.OpenDevice(text(unknown), &none), VD_E_OPEN);
}

// Handles of a buffer that the client has in its hands.
void check_handles(ClientVirtualDeviceSet &set, uint8_t *buffer)
{
    ClientVirtualDeviceSet other;
    uint8_t byte, *mapped = NULL;
    unsigned int handle = 0, again = 0;

    GIVES(set.GetBufferHandle(buffer, &handle), 0);
    HOLDS(handle != 0 && handle < 0x80000000u);
    GIVES(set.GetBufferHandle(buffer, &again), 0);
    HOLDS(again == handle);
    GIVES(set.GetBufferHandle(buffer + 1, &again), VD_E_INVALID);
    GIVES(set.GetBufferHandle(&byte, &again), VD_E_INVALID);
    GIVES(set.GetBufferHandle(NULL, &again), VD_E_INVALID);
    HOLDS(again == handle);

    GIVES(set.MapBufferHandle(static_cast<int>(handle), &mapped), 0);
    HOLDS(mapped == buffer);
    const unsigned int wrong[] = {0, 0xFFFFFFFFu, 0x7FFFFFFFu, handle | 0x80000000u, handle ^ 0x8000u,
                                  handle ^ 0x00010000u};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        GIVES(set.MapBufferHandle(static_cast<int>(wrong[i]), &mapped), VD_E_INVALID);
    HOLDS(mapped == buffer);
    GIVES(other.GetBufferHandle(buffer, &again), VD_E_PROTOCOL);
    GIVES(other.MapBufferHandle(static_cast<int>(handle), &mapped), VD_E_PROTOCOL);
}

// The first command, a Write of 0xA5 bytes.
void check_write(ClientVirtualDeviceSet &set, ClientVirtualDevice &device, ClientVirtualDevice &other)
{
    VDC_Command *command = NULL, *none = NULL, elsewhere;

    GIVES(device.GetCommand(-1, NULL), VD_E_INVALID);
    GIVES(device.GetCommand(10000, &command), 0);
    HOLDS(command != NULL && command->commandCode == VDC_Write && command->size == 65536);
    HOLDS(command->buffer[0] == 0xA5 && command->buffer[65535] == 0xA5);
    check_handles(set, command->buffer);

    GIVES(device.CompleteCommand(NULL, 0, 0, 0), VD_E_INVALID);
    GIVES(device.CompleteCommand(&elsewhere, 0, 0, 0), VD_E_INVALID);
    GIVES(device.CompleteCommand(command + 1, 0, 0, 0), VD_E_INVALID);
    char *inside = reinterpret_cast<char *>(command) + 8;
    GIVES(device.CompleteCommand(reinterpret_cast<VDC_Command *>(inside), 0, 0, 0), VD_E_INVALID);
    GIVES(other.CompleteCommand(command, 0, 65536, 0), VD_E_INVALID);
    GIVES(other.GetCommand(0, &none), VD_E_TIMEOUT);
    GIVES(device.GetCommand(20, &none), VD_E_TIMEOUT);
    HOLDS(none == NULL);

    GIVES(device.CompleteCommand(command, ERROR_SUCCESS, 65536, 0), 0);
    GIVES(device.CompleteCommand(command, ERROR_SUCCESS, 65536, 0), VD_E_INVALID);
}

void probe_served(std::string name)
{
    std::string second = name + "1";
    ClientVirtualDeviceSet set;
    VDConfig config = two_devices();
    ClientVirtualDevice *devices[2];
    VDC_Command *command;
    uint8_t byte;
    unsigned int handle;

    GIVES(set.Create(text(name), &config), 0);
    check_configurable(set, name);
    std::printf("created\n");
    std::fflush(stdout);

    GIVES(set.GetConfiguration(30000, &config), 0);
    HOLDS(config.deviceCount == 2 && config.features == VDF_WriteMedia && config.maxIODepth == 4);
    HOLDS(config.maxTransferSize == 65536 && config.blockSize == 512);
    GIVES(set.GetConfiguration(0, &config), 0);
    GIVES(set.Create(text(name), &config), VD_E_PROTOCOL);
    check_nulls(set, name);
    open_both(set, name, second, devices);
    check_write(set, *devices[0], *devices[1]);

    // A command is for reading only; a client that writes to it is told on stderr, and served.
    GIVES(devices[0]->GetCommand(10000, &command), 0);
    HOLDS(command->commandCode == VDC_Flush);
    command->size = 4711;
    GIVES(devices[0]->CompleteCommand(command, ERROR_SUCCESS, 0, 0), 0);

    GIVES(devices[0]->GetCommand(10000, &command), VD_E_CLOSE);
    GIVES(devices[0]->GetCommand(0, &command), VD_E_CLOSE);
    GIVES(devices[1]->GetCommand(10000, &command), VD_E_CLOSE);
    GIVES(devices[0]->GetCommand(0, &command), VD_E_PROTOCOL);
    GIVES(devices[0]->CompleteCommand(command, 0, 0, 0), VD_E_PROTOCOL);
    GIVES(set.GetConfiguration(0, &config), 0);
    GIVES(set.Close(), 0);

    check_not_open(set, name);
    GIVES(set.GetBufferHandle(&byte, &handle), VD_E_PROTOCOL);
    GIVES(devices[0]->GetCommand(-1, &command), VD_E_PROTOCOL);
    GIVES(devices[1]->CompleteCommand(command, 0, 0, 0), VD_E_PROTOCOL);
    delete devices[0];
    delete devices[1];
}

void create_and_close(std::string name, int status)
{
    ClientVirtualDeviceSet set;
    VDConfig config = two_devices();
    GIVES(set.Create(text(name), &config), status);
    if (status == 0)
        GIVES(set.Close(), 0);
    else
        check_not_open(set, name);
}

void probe_names(const std::string &name)
{
    create_and_close("", VD_E_INVALID);
    create_and_close(name + "\\x", VD_E_INVALID);
    create_and_close(name + "/../x", 0);
    create_and_close("../" + name, 0);
    create_and_close("{" + name + "}", 0);
    create_and_close(name + "\xF0\x9F\x92\xBE", 0); // U+1F4BE
    create_and_close(name + "\xFF\xFE", 0);        // not UTF-8
    create_and_close(name + std::string(200, 'x'), 0);
    create_and_close(name + std::string(10000, 'x'), 0);
    create_and_close(name + std::string(1000000, 'x'), VD_E_INVALID);

    // Names that differ only in case, or only behind many characters, are different sets.
    VDConfig config = two_devices();
    std::string lower = name + "a", upper = name + "A";
    std::string long_b = name + std::string(300, 'x') + "b", long_c = name + std::string(300, 'x') + "c";
    ClientVirtualDeviceSet sets[4];
    GIVES(sets[0].Create(text(lower), &config), 0);
    GIVES(sets[1].Create(text(upper), &config), 0);
    GIVES(sets[2].Create(text(long_b), &config), 0);
    GIVES(sets[3].Create(text(long_c), &config), 0);
    for (int i = 0; i < 4; i++)
        GIVES(sets[i].Close(), 0);
}

} // namespace

int main(int argc, char **argv)
{
    umask(0);
    std::string mode = argc == 3 ? argv[1] : "";
    if (mode == "alone")
        probe_alone(argv[2]);
    else if (mode == "served")
        probe_served(argv[2]);
    else if (mode == "aborted")
        probe_aborted(argv[2]);
    else if (mode == "names")
        probe_names(argv[2]);
    else {
        std::fprintf(stderr, "usage: api_probe alone|served|aborted|names SET\n");
        return 2;
    }
    return report();
}
