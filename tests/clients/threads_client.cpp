// A set of several devices, each served by a thread of its own.
//
//     threads_client backup|restore SET FILE...        one device for each file

#include <pthread.h>

#include <vector>

#include "media.hpp"

namespace {

struct Worker
{
    ClientVirtualDeviceSet *devices;
    std::string name;
    std::string path;
    Operation operation;
    bool good;
    pthread_t thread;
};

bool serve_one(Worker &worker)
{
    Media media(worker.path, worker.operation);
    if (!media.is_open())
        return false;

    // Every thread opens its own device, so they race for the set here.
    ClientVirtualDevice *device;
    int status = worker.devices->OpenDevice(text(worker.name), &device);
    if (status != 0)
        return failed("OpenDevice " + worker.name, status);
    bool good = serve(*device, media);
    delete device;
    return good;
}

void *start(void *argument)
{
    Worker &worker = *static_cast<Worker *>(argument);
    worker.good = serve_one(worker);
    if (!worker.good)
        worker.devices->SignalAbort(); // so that the other threads stop too
    return NULL;
}

bool run(Operation operation, std::string set, const std::vector<std::string> &paths)
{
    VDConfig config = VDConfig();
    config.deviceCount = static_cast<uint32_t>(paths.size());

    // On the heap here, on the stack in pipe_client: both are in use.
    ClientVirtualDeviceSet *devices = new ClientVirtualDeviceSet();
    int status = devices->Create(text(set), &config);
    if (status != 0)
        return failed("Create", status);

    bool good = true;
    std::vector<Worker> workers(paths.size());
    status = devices->GetConfiguration(FOR_EVER, &config);
    if (status != 0)
        good = failed("GetConfiguration", status);
    for (unsigned i = 0; good && i < workers.size(); i++) {
        Worker worker = {devices, device_name(set, i), paths[i], operation, false, pthread_t()};
        workers[i] = worker;
        pthread_create(&workers[i].thread, NULL, start, &workers[i]);
    }
    for (unsigned i = 0; i < workers.size() && workers[i].devices; i++) {
        pthread_join(workers[i].thread, NULL);
        good = good && workers[i].good;
    }

    status = devices->Close();
    delete devices;
    return good && (status == 0 || failed("Close", status));
}

} // namespace

int main(int argc, char **argv)
{
    Operation operation;
    if (argc < 4 || !parse_operation(argv[1], operation)) {
        std::fprintf(stderr, "usage: threads_client backup|restore SET FILE...\n");
        return 2;
    }
    umask(0);
    return run(operation, argv[2], std::vector<std::string>(argv + 3, argv + argc)) ? 0 : 1;
}
