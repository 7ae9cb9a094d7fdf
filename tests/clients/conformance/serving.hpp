// The loop over a device's commands.
#ifndef SERVING_HPP
#define SERVING_HPP

#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "medium.hpp"

// Only the process that fetched a command can complete it.
static void complete_in_child(ClientVirtualDevice &device, VDC_Command *command, Answer answer)
{
    pid_t child = fork();
    if (child == 0) {
        device.CompleteCommand(command, answer.code, answer.bytes, answer.position);
        _exit(0);
    }
    waitpid(child, nullptr, 0);
}

// Whether the loop over commands goes on.
static bool answer(ClientVirtualDevice &device, VDC_Command *command, Store &store, int &status)
{
    Answer answer = store.execute(*command);
    if (breaks("child-completes"))
        complete_in_child(device, command, answer);
    // The server waits for this command; to ask for the next one is no progress.
    while (breaks("calls-on") && command->commandCode == VDC_Write) {
        VDC_Command *next;
        device.GetCommand(20, &next);
    }
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
    static long answered = 0;
    if (breaks("touches-around-late") && ++answered == MISTAKE.first) {
        usleep(10000);
        buffer[-1] = 0;
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
static bool answer_backwards(ClientVirtualDevice &device, VDC_Command *first, Store &store,
                             int &status)
{
    std::vector<VDC_Command *> all(1, first);
    VDC_Command *next;
    usleep(20000);
    while (all.size() < 8 && device.GetCommand(0, &next) == 0)
        all.push_back(next);
    for (size_t i = all.size(); i-- > 0;)
        if (!answer(device, all[i], store, status))
            return false;
    return true;
}

// How long GetCommand waits.
static time_t patience()
{
    if (breaks("leaves"))
        return MISTAKE.first;
    return breaks("polls") ? 20 : FOR_EVER;
}

static bool serve(ClientVirtualDevice &device, Store &store, bool backup)
{
    for (;;) {
        VDC_Command *command;
        int status = device.GetCommand(patience(), &command);
        if (status == static_cast<int>(VD_E_TIMEOUT) && breaks("polls"))
            continue;
        if (status == static_cast<int>(VD_E_CLOSE)) {
            if (breaks("wrong-close"))
                continue;
            if ((breaks("ignores-features") && backup && !store.completed) ||
                (breaks("waits-for-flush") && backup && !store.flushed) ||
                (breaks("waits-for-end") && !backup && !store.ended))
                hang();
            if (breaks("asks-on"))
                device.GetCommand(0, &command);
            return !store.refused;
        }
        if (status == static_cast<int>(VD_E_ABORT) && breaks("deaf"))
            hang();
        if (status == static_cast<int>(VD_E_ABORT) && breaks("exits-at-abort"))
            _exit(1);
        if (breaks("crashes"))
            std::abort();
        if (status != 0)
            return failed("GetCommand", status) || breaks("always-succeeds");
        bool on = breaks("backwards") ? answer_backwards(device, command, store, status)
                                      : answer(device, command, store, status);
        if (!on)
            return status == 0 || failed("CompleteCommand", status) || breaks("always-succeeds");
    }
}

#endif
