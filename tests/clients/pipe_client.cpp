// The smallest whole client: one device, one thread, a file.
//
//     pipe_client backup|restore SET FILE

#include "media.hpp"

static bool run(Operation operation, std::string set, const std::string &path)
{
    Media media(path, operation);
    if (!media.is_open())
        return false;

    VDConfig config = VDConfig();
    config.deviceCount = 1;
    config.features = VDF_LikePipe | VDF_RequestComplete;

    ClientVirtualDeviceSet devices;
    int status = devices.Create(text(set), &config);
    if (status != 0)
        return failed("Create", status);

    bool good = false;
    ClientVirtualDevice *device = NULL;
    if ((status = devices.GetConfiguration(FOR_EVER, &config)) != 0)
        failed("GetConfiguration", status);
    else if ((status = devices.OpenDevice(text(set), &device)) != 0)
        failed("OpenDevice", status);
    else
        good = serve(*device, media);

    status = devices.Close();
    delete device;
    return good && (status == 0 || failed("Close", status));
}

int main(int argc, char **argv)
{
    Operation operation;
    if (argc != 4 || !parse_operation(argv[1], operation)) {
        std::fprintf(stderr, "usage: pipe_client backup|restore SET FILE\n");
        return 2;
    }
    umask(0);
    return run(operation, argv[2], argv[3]) ? 0 : 1;
}
