// What the clients here share: the file behind a device, the loop that serves a device's commands,
// and the names of the devices of a set.
#ifndef MEDIA_HPP
#define MEDIA_HPP

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

#include "vdi.h"
#include "vdierror.h"

const time_t FOR_EVER = -1;

enum Operation
{
    BACKUP,
    RESTORE
};

inline bool parse_operation(const char *word, Operation &operation)
{
    if (std::strcmp(word, "backup") == 0)
        operation = BACKUP;
    else if (std::strcmp(word, "restore") == 0)
        operation = RESTORE;
    else
        return false;
    return true;
}

// Says what failed, with the status as the documentation spells it. Gives false, to be returned.
inline bool failed(const std::string &what, int status)
{
    std::fprintf(stderr, "%s: 0x%08X\n", what.c_str(), static_cast<unsigned>(status));
    return false;
}

// The first device is named as the set, the ones behind it <set>1, <set>2, and so on.
inline std::string device_name(const std::string &set, unsigned device)
{
    if (device == 0)
        return set;
    std::ostringstream name;
    name << set << device;
    return name.str();
}

// The interface takes names as `char *`, though it only reads them.
inline char *text(std::string &name)
{
    return &name[0];
}

// The file of one device: written by a backup, read by a restore.
class Media
{
public:
    Media(const std::string &path, Operation operation)
        : file_(std::fopen(path.c_str(), operation == BACKUP ? "wb" : "rb"))
    {
        if (!file_)
            std::perror(path.c_str());
    }
    ~Media()
    {
        if (file_)
            std::fclose(file_);
    }
    bool is_open() const
    {
        return file_ != NULL;
    }

    // Carries out one command on the bytes at `buffer`; gives the completion code and the bytes
    // moved.
    int execute(int command, int size, uint8_t *buffer, unsigned long &moved)
    {
        moved = 0;
        switch (command) {
        case VDC_Write:
            moved = std::fwrite(buffer, 1, size, file_);
            return moved == static_cast<unsigned long>(size) ? ERROR_SUCCESS : ERROR_DISK_FULL;
        case VDC_Read:
            moved = std::fread(buffer, 1, size, file_);
            if (std::ferror(file_))
                return 30; // ERROR_READ_FAULT of the Win32 numbering
            return moved == static_cast<unsigned long>(size) ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
        case VDC_Flush:
        case VDC_Complete:
            // A backup counts as taken once this is answered, so it has to be on the disk.
            if (std::fflush(file_) != 0 || (fsync(fileno(file_)) != 0 && errno != EINVAL))
                return ERROR_DISK_FULL; // EINVAL: a pipe or the like, which has no disk
            return ERROR_SUCCESS;
        case VDC_ClearError:
            return ERROR_SUCCESS;
        default:
            return ERROR_NOT_SUPPORTED;
        }
    }

private:
    Media(const Media &);
    Media &operator=(const Media &);

    std::FILE *file_;
};

// Serves a device until the server closes it. False if it ended in any other way.
inline bool serve(ClientVirtualDevice &device, Media &media)
{
    for (;;) {
        VDC_Command *command;
        int status = device.GetCommand(FOR_EVER, &command);
        if (status == VD_E_CLOSE)
            return true;
        if (status != 0)
            return failed("GetCommand", status);

        unsigned long moved;
        int code = media.execute(command->commandCode, command->size, command->buffer, moved);
        status = device.CompleteCommand(command, code, moved, 0);
        if (status != 0)
            return failed("CompleteCommand", status);
    }
}

#endif
