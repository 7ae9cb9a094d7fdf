// A client that keeps notes of its own in the prefix zones: before each buffer's data it writes a
// serial number over the whole zone, and finds it there when the buffer comes back.
//
//     zone_client SET FILE ZONE
//
// It stores a backup and prints how many buffers came back.

#include <map>

#include "checks.hpp"
#include "media.hpp"

typedef std::map<uint8_t *, unsigned char> Marks;

// A zone is new (zeros, for an object in shared memory begins as zeros) or has its last mark.
static void look(Marks &marks, uint8_t *data, int zone)
{
    static unsigned char serial = 0;
    Marks::iterator known = marks.find(data);
    unsigned char wanted = known == marks.end() ? 0 : known->second;
    for (int before = 1; before <= zone; before++)
        HOLDS(data[-before] == wanted);
    std::memset(data - zone, ++serial, zone);
    marks[data] = serial;
}

static bool serve_with_marks(ClientVirtualDevice &device, Media &media, int zone)
{
    Marks marks;
    unsigned again = 0;
    for (;;) {
        VDC_Command *command;
        int status = device.GetCommand(FOR_EVER, &command);
        if (status == VD_E_CLOSE) {
            std::printf("%u came back\n", again);
            HOLDS(again > 0);
            return true;
        }
        if (status != 0)
            return failed("GetCommand", status);
        if (command->commandCode == VDC_Write) {
            again += marks.count(command->buffer);
            look(marks, command->buffer, zone);
        }
        unsigned long moved;
        int code = media.execute(command->commandCode, command->size, command->buffer, moved);
        if ((status = device.CompleteCommand(command, code, moved, 0)) != 0)
            return failed("CompleteCommand", status);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: zone_client SET FILE ZONE\n");
        return 2;
    }
    std::string set = argv[1];
    Media media(argv[2], BACKUP);
    VDConfig config = VDConfig();
    config.deviceCount = 1;
    config.features = VDF_LikePipe;
    config.prefixZoneSize = std::atoi(argv[3]);

    ClientVirtualDeviceSet devices;
    ClientVirtualDevice *device = NULL;
    GIVES(devices.Create(text(set), &config), 0);
    GIVES(devices.GetConfiguration(FOR_EVER, &config), 0);
    GIVES(devices.OpenDevice(text(set), &device), 0);
    if (checks_failed == 0)
        HOLDS(media.is_open() && serve_with_marks(*device, media, config.prefixZoneSize));
    GIVES(devices.Close(), 0);
    delete device;
    return report();
}
