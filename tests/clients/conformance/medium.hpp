// The medium of a device: what each command does to it.
#ifndef MEDIUM_HPP
#define MEDIUM_HPP

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <set>
#include <vector>

#include "../media.hpp"
#include "mistake.hpp"

const int NOT_READY = 21, WRITE_FAULT = 29, READ_FAULT = 30, FILEMARK = 1101;

struct Answer
{
    int code;
    unsigned long bytes;
    int64_t position;
};

// What carries out commands: a medium, or another process that has it.
class Store
{
public:
    virtual ~Store() {}
    virtual Answer execute(const VDC_Command &command) = 0;
    // What has come to pass: a Flush that succeeded, the end of the medium, a Write refused.
    bool flushed = false, completed = false, ended = false, refused = false;
};

// The medium of one device: a file, and for a tape the places of its filemarks in FILE.marks.
class Medium : public Store
{
public:
    Medium(const std::string &path, bool backup, const std::string &mode)
        : path_(path), backup_(backup), tape_(mode == "tape"), disk_(mode == "disk")
    {
        int truncate = backup && !disk_ && !breaks("overwrites") ? O_TRUNC : 0;
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
        if (breaks("uses-up") && !backup_)
            unlink(path_.c_str());
        close(file_);
    }
    bool is_open() const
    {
        return file_ >= 0;
    }

    Answer execute(const VDC_Command &command) override
    {
        Answer answer = good(command);
        int code = command.commandCode;
        bool unknown = code > VDC_Complete;
        if (breaks("answer") && (MISTAKE.first == code || (MISTAKE.first == 99 && unknown)))
            answer.code = static_cast<int>(MISTAKE.second);
        if (breaks("count") && MISTAKE.first == code)
            answer.bytes += MISTAKE.second;
        if (breaks("refuses-on-restore") && !backup_ && (code == VDC_Flush || code == VDC_Complete))
            answer.code = ERROR_NOT_SUPPORTED;
        if (breaks("dawdles") && code == VDC_Flush)
            usleep(400000);
        if (breaks("holds-flush") && code == VDC_Flush)
            usleep(1000 * static_cast<useconds_t>(MISTAKE.first));
        if (breaks("walks-out") && MISTAKE.first == code)
            _exit(1);
        completed = completed || code == VDC_Complete;
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
            return {wants("snapshot") ? ERROR_SUCCESS : ERROR_NOT_SUPPORTED, 0, 0};
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
        case VDC_Load:
            return {NOT_READY, 0, 0};
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
        if (breaks("one-area") && is_elsewhere(command.buffer))
            bytes.assign(bytes.size(), 0x55);
        if (breaks("touches-behind"))
            command.buffer[command.size] = 0;
        if (breaks("lazy"))
            held_.insert(held_.end(), bytes.begin(), bytes.end());
        else if (!write_out(bytes.data(), bytes.size()) && !breaks("ignores-errors"))
            return refuse();
        if (breaks("scribbles"))
            std::memset(command.buffer, 0, command.size);
        int64_t position = breaks("writes-position") ? at_ : 0;
        return {ERROR_SUCCESS, static_cast<unsigned long>(command.size), position};
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
        if (breaks("short-reads") && wanted > 512)
            wanted = wanted / 1024 * 512;
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
        return {ended && !breaks("zero-end") ? ERROR_HANDLE_EOF : ERROR_SUCCESS, bytes, 0};
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
        return {breaks("refuses-vaguely") ? ERROR_ARENA_TRASHED : ERROR_DISK_FULL, 0, 0};
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
    bool backup_, tape_, disk_;
    int file_;
    int64_t at_ = 0, end_ = 0, passed_ = 0;
    std::set<int64_t> marks_;
    std::vector<uint8_t> held_;
    const uint8_t *first_ = nullptr;
};

#endif
