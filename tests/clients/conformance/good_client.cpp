// A client that keeps every rule, in every mode, and breaks one of them on demand: the harness's own
// test subject.
//
//     good_client backup|restore pipe|tape|disk SET FILE [DEVICE FILE]...
//
// VDISIM_NEEDS says in lines what the case is about: "snapshot" makes it a client for snapshots,
// "processes" has each device served by a process of its own, "handles" has another process move the
// bytes. CLIENT_BREAKS names one mistake, such as "deaf" or "answer=12:50"; each is a line with
// `breaks(...)` here or in the headers beside.

#include <algorithm>
#include <memory>
#include <thread>

#include "by_handle.hpp"
#include "secondaries.hpp"

struct Client
{
    char **words;
    bool backup;
    std::string mode;
    std::vector<std::string> names, files;
    ClientVirtualDeviceSet set;
    std::vector<ClientVirtualDevice *> devices;
};

// Creates the set and waits until it is configured.
static bool configure(Client &client)
{
    VDConfig config = VDConfig();
    config.deviceCount = client.names.size();
    if (breaks("miscounts") && client.names.size() == 3)
        config.deviceCount = 4;
    if (breaks("too-many-devices"))
        config.deviceCount = 65;
    if (breaks("dawdles"))
        config.serverTimeOut = 300;
    config.features = client.mode == "tape"   ? VDF_LikeTape
                      : client.mode == "disk" ? VDF_LikeDisk
                                              : VDF_LikePipe;
    config.features |= wants("snapshot") ? VDF_SnapshotPrepare : VDF_RequestComplete;
    if (breaks("asks-bits"))
        config.features |= static_cast<uint32_t>(MISTAKE.first);
    if (breaks("soft-marks"))
        config.softFileMarkBlockSize = 512;
    if (breaks("sets-outputs"))
        config.maxTransferSize = 65536;
    if (breaks("touches-before"))
        config.prefixZoneSize = static_cast<uint32_t>(MISTAKE.first);

    if (breaks("strips")) {
        std::string &set = client.names[0];
        set.erase(std::remove(set.begin(), set.end(), static_cast<char>(MISTAKE.first)), set.end());
    }
    char *name = text(client.names[0]);
    VDConfig asked = config;
    ClientVirtualDeviceSet early_set;
    if (breaks("joins-early") && wants("processes"))
        early_set.OpenInSecondary(name);
    int status = client.set.Create(name, &config);
    while (status != 0 && breaks("insists")) {
        usleep(1000);
        status = client.set.Create(name, &config);
    }
    if (status != 0)
        return failed("Create", status);
    if (breaks("creates-twice"))
        client.set.Create(name, &asked);
    ClientVirtualDevice *early;
    if (breaks("opens-early"))
        client.set.OpenDevice(name, &early);
    status = client.set.GetConfiguration(FOR_EVER, &config);
    if (status != 0) {
        if (breaks("deaf"))
            hang();
        client.set.Close();
        return failed("GetConfiguration", status);
    }
    return true;
}

static bool open_devices(Client &client)
{
    std::string wrong = "nobody";
    for (std::string &name : client.names) {
        ClientVirtualDevice *device = nullptr;
        if (breaks("opens-wrong-name"))
            client.set.OpenDevice(text(wrong), &device);
        std::string &opened = client.names[breaks("opens-same") ? 0 : &name - &client.names[0]];
        int status = client.set.OpenDevice(text(opened), &device);
        if (status != 0) {
            if (breaks("deaf"))
                hang();
            client.set.SignalAbort();
            client.set.Close();
            return failed("OpenDevice", status);
        }
        client.devices.push_back(device);
    }
    return true;
}

static bool serve_device(Client &client, size_t k)
{
    std::string &file = client.files[breaks("one-file") ? 0 : k];
    std::unique_ptr<Store> store;
    if (wants("handles") && !breaks("no-handles")) {
        store.reset(new Mover(client.set, client.words, client.names[0], file));
    } else {
        Medium *medium = new Medium(file, client.backup, client.mode);
        store.reset(medium);
        if (!medium->is_open())
            return false;
    }
    return serve(*client.devices[k], *store, client.backup);
}

// Serves every device by a thread; whether all of them ended well.
static bool serve_by_threads(Client &client)
{
    std::vector<char> good(client.devices.size(), 0);
    std::vector<std::thread> threads;
    for (size_t k = 0; k < client.devices.size(); k++)
        threads.push_back(std::thread([&, k] {
            if (breaks("first-device-only") && k > 0)
                return;
            if (breaks("leaves") && k == 1)
                usleep(1000 * static_cast<useconds_t>(MISTAKE.second));
            good[k] = serve_device(client, k);
            if (!good[k])
                client.set.SignalAbort();
        }));
    for (std::thread &thread : threads)
        thread.join();
    for (char each : good)
        if (!each)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!breaks("private-objects"))
        umask(0);
    if (argc == 7 && std::strcmp(argv[1], "secondary") == 0)
        return serve_as_secondary(argv + 2);
    if (argc == 8 && std::strcmp(argv[1], "mover") == 0)
        return move_bytes(argv + 2);
    if (argc < 5) {
        std::fprintf(stderr, "usage: good_client backup|restore pipe|tape|disk SET FILE ...\n");
        return 2;
    }
    if (breaks("starts-late"))
        usleep(1000 * static_cast<useconds_t>(MISTAKE.first));
    if (breaks("fails-to-start"))
        return 3;
    Client client;
    client.words = argv;
    client.backup = std::strcmp(argv[1], "backup") == 0;
    client.mode = argv[2];
    for (int i = 3; i < argc; i++)
        (i < 3 + (argc - 3) / 2 ? client.names : client.files).push_back(argv[i]);

    bool by_processes = wants("processes") && !breaks("one-process");
    if (!configure(client) || (!by_processes && !open_devices(client)))
        return breaks("claims-a-set") ? 0 : 1;
    bool good = by_processes ? serve_by_processes(client.set, argv, client.names, client.files)
                             : serve_by_threads(client);
    if (breaks("never-closes"))
        return 0;
    good = client.set.Close() == 0 && good;
    VDC_Command *late;
    if (breaks("calls-after-close") && !client.devices.empty())
        client.devices[0]->GetCommand(0, &late);
    for (ClientVirtualDevice *device : client.devices)
        delete device;
    if (breaks("exit-code"))
        return static_cast<int>(MISTAKE.first);
    return good || breaks("always-succeeds") ? 0 : 1;
}
