// A client that keeps every rule, in every mode, and breaks one of them on demand: the harness's own
// test subject.
//
//     good_client backup|restore pipe|tape|disk SET FILE [DEVICE FILE]...
//
// VDISIM_NEEDS with the line "snapshot" makes it a client for snapshots. CLIENT_BREAKS names one
// mistake, such as "deaf" or "answer=12:50"; each is a line with `breaks(...)` below.

#include <fcntl.h>

#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "../media.hpp"

// The one mistake that this process makes: its name, and its numbers if it has any.
struct Mistake
{
    std::string name;
    long first = 0, second = 0;

    Mistake()
    {
        const char *given = std::getenv("CLIENT_BREAKS");
        std::string text = given ? given : "";
        name = text.substr(0, text.find('='));
        if (text.size() > name.size())
            std::sscanf(text.c_str() + name.size() + 1, "%ld:%ld", &first, &second);
    }
};
static const Mistake MISTAKE;

static bool breaks(const char *name)
{
    return MISTAKE.name == name;
}

static bool wants_snapshots()
{
    const char *needs = std::getenv("VDISIM_NEEDS");
    return needs && std::strstr(needs, "snapshot");
}

[[noreturn]] static void hang()
{
    for (;;)
        pause();
}

const int READ_FAULT = 30, WRITE_FAULT = 29, FILEMARK = 1101;

struct Answer
{
    int code;
    unsigned long bytes;
    int64_t position;
};

// The medium of one device: a file, and for a tape the places of its filemarks in FILE.marks.
class Medium
{
public:
    Medium(const std::string &path, bool backup, const std::string &mode)
        : path_(path), tape_(mode == "tape"), disk_(mode == "disk")
    {
        int truncate = backup && !disk_ ? O_TRUNC : 0;
        file_ = open(path.c_str(), backup ? O_RDWR | O_CREAT | truncate : O_RDONLY, 0666);
        if (file_ < 0)
            std::perror(path.c_str());
        if (tape_ && !backup)
            read_marks();
    }
    ~Medium()
    {
        if (breaks("lazy"))
            write_out(held_.data(), held_.size());
        close(file_);
    }
    bool is_open() const
    {
        return file_ >= 0;
    }
    bool flushed = false, ended = false, refused = false;

    Answer execute(const VDC_Command &command)
    {
        Answer answer = good(command);
        int code = command.commandCode;
        bool unknown = code > VDC_Complete;
        if (breaks("answer") && (MISTAKE.first == code || (MISTAKE.first == 99 && unknown)))
            answer.code = static_cast<int>(MISTAKE.second);
        if (breaks("count") && MISTAKE.first == code)
            answer.bytes += MISTAKE.second;
        return answer;
    }

private:
    Answer good(const VDC_Command &command)
    {
        switch (command.commandCode) {
        case VDC_Write:
            return write(command);
        case VDC_Read:
            return read(command);
        case VDC_Flush:
            return flush();
        case VDC_Complete:
            if (breaks("complete-truncates") && ftruncate(file_, 0) != 0)
                return {WRITE_FAULT, 0, 0};
            return {ERROR_SUCCESS, 0, 0};
        case VDC_ClearError:
            if (breaks("rewinds-on-error"))
                at_ = 0;
            return {ERROR_SUCCESS, 0, 0};
        case VDC_PrepareToFreeze:
        case VDC_Snapshot:
        case VDC_MountSnapshot:
            return {wants_snapshots() ? ERROR_SUCCESS : ERROR_NOT_SUPPORTED, 0, 0};
        case VDC_GetPosition:
            return {tape_ || disk_ ? ERROR_SUCCESS : ERROR_NOT_SUPPORTED, 0, at_};
        case VDC_SetPosition:
            if (!tape_ && !disk_)
                return {ERROR_NOT_SUPPORTED, 0, 0};
            at_ = command.position;
            return {ERROR_SUCCESS, 0, at_};
        default:
            return tape_ ? wind(command) : Answer{ERROR_NOT_SUPPORTED, 0, 0};
        }
    }

    Answer wind(const VDC_Command &command)
    {
        switch (command.commandCode) {
        case VDC_Rewind:
            at_ = 0;
            break;
        case VDC_WriteMark:
            marks_.insert(at_);
            write_marks();
            break;
        case VDC_SkipMarks:
            for (int n = 0; n < command.size; n++) {
                std::set<int64_t>::iterator next = marks_.upper_bound(passed_);
                if (next == marks_.end())
                    return {FILEMARK, 0, 0};
                at_ = passed_ = *next;
            }
            break;
        case VDC_SkipBlocks:
            at_ += 512 * int64_t(command.size);
            break;
        default:
            return {ERROR_NOT_SUPPORTED, 0, 0};
        }
        return {ERROR_SUCCESS, 0, 0};
    }

    Answer write(const VDC_Command &command)
    {
        std::vector<uint8_t> bytes(command.buffer, command.buffer + command.size);
        if (disk_ && !breaks("never-seeks"))
            at_ = command.position;
        end_ = at_ + command.size;
        if (breaks("corrupts-size") && MISTAKE.first == command.size)
            bytes.back() ^= 1;
        if (breaks("skips-byte") && uniform(bytes, static_cast<uint8_t>(MISTAKE.first)))
            bytes.clear();
        if (breaks("stores-most") && at_ >= MISTAKE.first)
            bytes.clear();
        if (breaks("flush-ends") && flushed)
            bytes.clear();
        if (breaks("one-area") && is_elsewhere(command.buffer))
            bytes.assign(bytes.size(), 0x55);
        if (breaks("touches-behind"))
            command.buffer[command.size] = 0;
        if (breaks("lazy"))
            held_.insert(held_.end(), bytes.begin(), bytes.end());
        else if (!write_out(bytes.data(), bytes.size()) && !breaks("ignores-errors"))
            return refuse();
        return {ERROR_SUCCESS, static_cast<unsigned long>(command.size), 0};
    }

    bool write_out(const uint8_t *bytes, size_t size)
    {
        while (size > 0) {
            ssize_t written = pwrite(file_, bytes, size, at_);
            if (written <= 0)
                return false;
            bytes += written, at_ += written, size -= written;
        }
        return true;
    }

    Answer read(const VDC_Command &command)
    {
        unsigned long wanted = command.size, bytes = 0;
        if (breaks("fixed-reads"))
            wanted = wanted < 65536 ? wanted : 65536;
        if (breaks("half-reads") && wanted >= 65536)
            wanted /= 2;
        if (disk_ && !breaks("never-seeks"))
            at_ = command.position;
        std::set<int64_t>::iterator mark = marks_.upper_bound(passed_);
        bool marked = mark != marks_.end() && !breaks("misses-filemarks");
        if (marked && at_ + int64_t(wanted) > *mark)
            wanted = *mark > at_ ? *mark - at_ : 0;
        else
            marked = false;
        while (bytes < wanted) {
            ssize_t got = pread(file_, command.buffer + bytes, wanted - bytes, at_);
            if (got < 0)
                return {READ_FAULT, 0, 0};
            if (got == 0 && breaks("endless") && at_ > 0)
                at_ = 0;
            else if (got == 0)
                break;
            bytes += got, at_ += got;
        }
        if (breaks("fixed-reads"))
            at_ += (65536 - at_ % 65536) % 65536 + (command.size > 65536 ? command.size - 65536 : 0);
        if (breaks("one-area") && is_elsewhere(command.buffer) && bytes > 0)
            command.buffer[0] ^= 1;
        if (breaks("touches-behind"))
            command.buffer[command.size] = 0;
        if (breaks("half-reads") && bytes > 0)
            return {ERROR_SUCCESS, static_cast<unsigned long>(command.size), 0};
        if (marked) {
            passed_ = at_;
            return {FILEMARK, bytes, 0};
        }
        ended = bytes < wanted;
        return {ended ? ERROR_HANDLE_EOF : ERROR_SUCCESS, bytes, 0};
    }

    Answer flush()
    {
        bool cut = !disk_ || breaks("never-cuts") || ftruncate(file_, end_) == 0;
        if (!breaks("lazy") && !breaks("never-syncs") && (!cut || fsync(file_) != 0))
            return refuse();
        flushed = true;
        return {ERROR_SUCCESS, 0, 0};
    }

    Answer refuse()
    {
        refused = true;
        return {ERROR_DISK_FULL, 0, 0};
    }

    static bool uniform(const std::vector<uint8_t> &bytes, uint8_t value)
    {
        for (uint8_t byte : bytes)
            if (byte != value)
                return false;
        return true;
    }

    // Whether a buffer lies in another area than the first one that was seen.
    bool is_elsewhere(const uint8_t *buffer)
    {
        if (!first_)
            first_ = buffer;
        ptrdiff_t far = buffer > first_ ? buffer - first_ : first_ - buffer;
        return far >= 3 * 65536;
    }

    void read_marks()
    {
        std::FILE *file = std::fopen((path_ + ".marks").c_str(), "r");
        long long mark;
        while (file && std::fscanf(file, "%lld", &mark) == 1)
            marks_.insert(mark);
        if (file)
            std::fclose(file);
    }

    void write_marks() const
    {
        if (std::FILE *file = std::fopen((path_ + ".marks").c_str(), "w")) {
            for (int64_t mark : marks_)
                std::fprintf(file, "%lld\n", static_cast<long long>(mark));
            std::fclose(file);
        }
    }

    std::string path_;
    bool tape_, disk_;
    int file_;
    int64_t at_ = 0, end_ = 0, passed_ = 0;
    std::set<int64_t> marks_;
    std::vector<uint8_t> held_;
    const uint8_t *first_ = nullptr;
};

// Whether the loop over commands goes on.
static bool answer(ClientVirtualDevice &device, VDC_Command *command, Medium &medium, int &status)
{
    Answer answer = medium.execute(*command);
    if (breaks("forgets") && command->commandCode == MISTAKE.first)
        return true;
    if (breaks("changes-command"))
        command->size = 0;
    if (breaks("touches-before") && command->buffer)
        command->buffer[-MISTAKE.first - 1] = 0;
    uint8_t *buffer = command->buffer;
    bool flush = command->commandCode == VDC_Flush;
    status = device.CompleteCommand(command, answer.code, answer.bytes, answer.position);
    if ((breaks("touches-late") || breaks("reads-late")) && buffer) {
        // Late enough for the server to have had the buffer.
        usleep(10000);
        volatile uint8_t *late = buffer;
        uint8_t byte = *late;
        if (breaks("touches-late"))
            *late = static_cast<uint8_t>(~byte);
    }
    if (breaks("completes-twice") && flush)
        device.CompleteCommand(command, answer.code, answer.bytes, answer.position);
    if (breaks("flush-is-end") && flush)
        return false;
    if (status == static_cast<int>(VD_E_ABORT) && breaks("deaf"))
        hang();
    return status == 0;
}

// Fetches what there is and answers it backwards.
static bool answer_backwards(ClientVirtualDevice &device, VDC_Command *first, Medium &medium,
                             int &status)
{
    std::vector<VDC_Command *> all(1, first);
    VDC_Command *next;
    usleep(20000);
    while (all.size() < 8 && device.GetCommand(0, &next) == 0)
        all.push_back(next);
    for (size_t i = all.size(); i-- > 0;)
        if (!answer(device, all[i], medium, status))
            return false;
    return true;
}

static bool serve(ClientVirtualDevice &device, Medium &medium, bool backup)
{
    for (;;) {
        VDC_Command *command;
        int status = device.GetCommand(FOR_EVER, &command);
        if (status == static_cast<int>(VD_E_CLOSE)) {
            if ((breaks("waits-for-flush") && backup && !medium.flushed) ||
                (breaks("waits-for-end") && !backup && !medium.ended))
                hang();
            if (breaks("asks-on"))
                device.GetCommand(0, &command);
            return !medium.refused;
        }
        if (status == static_cast<int>(VD_E_ABORT) && breaks("deaf"))
            hang();
        if (breaks("crashes"))
            std::abort();
        if (status != 0)
            return failed("GetCommand", status) || breaks("always-succeeds");
        bool on = breaks("backwards") ? answer_backwards(device, command, medium, status)
                                      : answer(device, command, medium, status);
        if (!on)
            return status == 0 || failed("CompleteCommand", status) || breaks("always-succeeds");
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        std::fprintf(stderr, "usage: good_client backup|restore pipe|tape|disk SET FILE ...\n");
        return 2;
    }
    bool backup = std::strcmp(argv[1], "backup") == 0;
    std::string mode = argv[2];
    if (breaks("fails-to-start"))
        return 3;
    if (!breaks("private-objects"))
        umask(0);
    std::vector<std::string> names, files;
    for (int i = 3; i < argc; i++)
        (i < 3 + (argc - 3) / 2 ? names : files).push_back(argv[i]);

    VDConfig config = VDConfig();
    config.deviceCount = names.size();
    config.features = mode == "tape" ? VDF_LikeTape : mode == "disk" ? VDF_LikeDisk : VDF_LikePipe;
    config.features |= wants_snapshots() ? VDF_SnapshotPrepare : VDF_RequestComplete;

    if (breaks("touches-before"))
        config.prefixZoneSize = static_cast<uint32_t>(MISTAKE.first);

    ClientVirtualDeviceSet set;
    VDConfig asked = config;
    int status = set.Create(text(names[0]), &config);
    if (status != 0)
        return failed("Create", status) ? 0 : 1;
    if (breaks("creates-twice"))
        set.Create(text(names[0]), &asked);
    ClientVirtualDevice *early;
    if (breaks("opens-early"))
        set.OpenDevice(text(names[0]), &early);
    while ((status = set.GetConfiguration(FOR_EVER, &config)) != 0) {
        if (breaks("deaf"))
            hang();
        set.Close();
        return failed("GetConfiguration", status) ? 0 : 1;
    }

    std::vector<ClientVirtualDevice *> devices;
    std::string wrong = "nobody";
    for (std::string &name : names) {
        ClientVirtualDevice *device = NULL;
        if (breaks("opens-wrong-name"))
            set.OpenDevice(text(wrong), &device);
        if ((status = set.OpenDevice(text(name), &device)) != 0) {
            if (breaks("deaf"))
                hang();
            set.SignalAbort();
            set.Close();
            return failed("OpenDevice", status) ? 0 : 1;
        }
        devices.push_back(device);
    }

    std::vector<char> good(devices.size(), 0);
    std::vector<std::thread> threads;
    for (size_t k = 0; k < devices.size(); k++)
        threads.push_back(std::thread([&, k] {
            if (breaks("first-device-only") && k > 0)
                return;
            Medium medium(breaks("one-file") ? files[0] : files[k], backup, mode);
            good[k] = medium.is_open() && serve(*devices[k], medium, backup);
            if (!good[k])
                set.SignalAbort();
        }));
    for (std::thread &thread : threads)
        thread.join();

    if (breaks("never-closes"))
        return 0;
    status = set.Close();
    VDC_Command *late;
    if (breaks("calls-after-close"))
        devices[0]->GetCommand(0, &late);
    bool all = status == 0;
    for (size_t k = 0; k < devices.size(); k++) {
        all = all && good[k];
        delete devices[k];
    }
    return all || breaks("always-succeeds") ? 0 : 1;
}
