// Which codes each method can return: the table that com_probe.cpp ticks off.
#ifndef CODES_HPP
#define CODES_HPP

// The interface names them, and no header has them; the values are vdisim's.
static const HRESULT VD_E_QUEUE_FULL = (HRESULT)0x80770010;
static const HRESULT VD_E_IO_ERROR = (HRESULT)0x80770011;

struct Code
{
    const char *object; // by the variables of com_probe.cpp: what a call's text has before the arrow
    const char *method;
    HRESULT status;
    bool seen;
};

// Source: VDI, the pages of the methods and the tables of transitions. tests/com/codes.rs holds the table against those of
// sim/protocol: what they have has a row here, or one in `unreached` below. VD_E_UNEXPECTED takes a damaged segment, which
// sim/device's own tests make.
static Code codes[] = {
    {"set", "Create", NOERROR, false},
    {"set", "Create", VD_E_PROTOCOL, false},
    {"set", "Create", VD_E_NOTSUPPORTED, false},
    {"set", "Create", VD_E_INVALID, false},
    {"set", "Create", VD_E_INSTANCE_NAME, false},
    {"set", "Create", VD_E_MEMORY, false},
    {"set", "Create", VD_E_SECURITY, false},
    {"set", "CreateEx", NOERROR, false},
    {"set", "CreateEx", VD_E_PROTOCOL, false},
    {"set", "CreateEx", VD_E_NOTSUPPORTED, false},
    {"set", "CreateEx", VD_E_INVALID, false},
    {"set", "CreateEx", VD_E_INSTANCE_NAME, false},
    {"set", "CreateEx", VD_E_MEMORY, false},
    {"set", "CreateEx", VD_E_SECURITY, false},
    {"set", "GetConfiguration", NOERROR, false},
    {"set", "GetConfiguration", VD_E_TIMEOUT, false},
    {"set", "GetConfiguration", VD_E_ABORT, false},
    {"set", "GetConfiguration", VD_E_PROTOCOL, false},
    {"set", "GetConfiguration", VD_E_INVALID, false},
    {"set", "OpenDevice", NOERROR, false},
    {"set", "OpenDevice", VD_E_OPEN, false},
    {"set", "OpenDevice", VD_E_ABORT, false},
    {"set", "OpenDevice", VD_E_PROTOCOL, false},
    {"set", "OpenDevice", VD_E_INVALID, false},
    {"set", "Close", NOERROR, false},
    {"set", "Close", VD_E_OPEN, false},
    {"set", "Close", VD_E_PROTOCOL, false},
    {"set", "SignalAbort", NOERROR, false},
    {"set", "SignalAbort", VD_E_PROTOCOL, false},
    {"set", "OpenInSecondary", NOERROR, false},
    {"set", "OpenInSecondary", VD_E_PROTOCOL, false},
    {"set", "OpenInSecondary", VD_E_ABORT, false},
    {"set", "OpenInSecondary", VD_E_INVALID, false},
    {"set", "OpenInSecondary", VD_E_INSTANCE_NAME, false},
    {"set", "OpenInSecondaryEx", NOERROR, false},
    {"set", "OpenInSecondaryEx", VD_E_PROTOCOL, false},
    {"set", "OpenInSecondaryEx", VD_E_ABORT, false},
    {"set", "OpenInSecondaryEx", VD_E_INVALID, false},
    {"set", "OpenInSecondaryEx", VD_E_INSTANCE_NAME, false},
    {"set", "GetBufferHandle", NOERROR, false},
    {"set", "GetBufferHandle", VD_E_PROTOCOL, false},
    {"set", "GetBufferHandle", VD_E_INVALID, false},
    {"set", "MapBufferHandle", NOERROR, false},
    {"set", "MapBufferHandle", VD_E_PROTOCOL, false},
    {"set", "MapBufferHandle", VD_E_INVALID, false},
    {"theirs", "GetCommand", NOERROR, false},
    {"theirs", "GetCommand", VD_E_CLOSE, false},
    {"theirs", "GetCommand", VD_E_TIMEOUT, false},
    {"theirs", "GetCommand", VD_E_ABORT, false},
    {"theirs", "GetCommand", VD_E_PROTOCOL, false},
    {"theirs", "GetCommand", VD_E_INVALID, false},
    {"theirs", "CompleteCommand", NOERROR, false},
    {"theirs", "CompleteCommand", VD_E_INVALID, false},
    {"theirs", "CompleteCommand", VD_E_ABORT, false},
    {"theirs", "CompleteCommand", VD_E_PROTOCOL, false},
    {"server", "Open", NOERROR, false},
    {"server", "Open", VD_E_INVALID, false},
    {"server", "Open", VD_E_PROTOCOL, false},
    {"server", "Open", VD_E_INSTANCE_NAME, false},
    {"server", "GetConfiguration", NOERROR, false},
    {"server", "GetConfiguration", VD_E_ABORT, false},
    {"server", "GetConfiguration", VD_E_PROTOCOL, false},
    {"server", "GetConfiguration", VD_E_INVALID, false},
    {"server", "BeginConfiguration", NOERROR, false},
    {"server", "BeginConfiguration", VD_E_PROTOCOL, false},
    {"server", "BeginConfiguration", VD_E_INVALID, false},
    {"server", "RequestBuffers", NOERROR, false},
    {"server", "RequestBuffers", VD_E_PROTOCOL, false},
    {"server", "RequestBuffers", VD_E_MEMORY, false},
    {"server", "QueryAvailableBuffers", NOERROR, false},
    {"server", "QueryAvailableBuffers", VD_E_PROTOCOL, false},
    {"server", "QueryAvailableBuffers", VD_E_INVALID, false},
    {"server", "EndConfiguration", NOERROR, false},
    {"server", "EndConfiguration", VD_E_ABORT, false},
    {"server", "EndConfiguration", VD_E_PROTOCOL, false},
    {"server", "EndConfiguration", VD_E_MEMORY, false},
    {"server", "ExecuteCompletionAgent", NOERROR, false},
    {"server", "ExecuteCompletionAgent", VD_E_ABORT, false},
    {"server", "ExecuteCompletionAgent", VD_E_PROTOCOL, false},
    {"server", "OpenDevice", NOERROR, false},
    {"server", "OpenDevice", VD_E_OPEN, false},
    {"server", "OpenDevice", VD_E_PROTOCOL, false},
    {"server", "OpenDevice", VD_E_INVALID, false},
    {"server", "OpenDevice", VD_E_ABORT, false},
    {"server", "AllocateBuffer", NOERROR, false},
    {"server", "AllocateBuffer", VD_E_MEMORY, false},
    {"server", "AllocateBuffer", VD_E_INVALID, false},
    {"server", "AllocateBuffer", VD_E_PROTOCOL, false},
    {"server", "AllocateBuffer", VD_E_ABORT, false},
    {"server", "FreeBuffer", NOERROR, false},
    {"server", "FreeBuffer", VD_E_INVALID, false},
    {"server", "FreeBuffer", VD_E_PROTOCOL, false},
    {"server", "SignalAbort", NOERROR, false},
    {"server", "SignalAbort", VD_E_PROTOCOL, false},
    {"server", "Close", NOERROR, false},
    {"server", "Close", VD_E_PROTOCOL, false},
    {"ours", "SendCommand", NOERROR, false},
    {"ours", "SendCommand", VD_E_QUEUE_FULL, false},
    {"ours", "SendCommand", VD_E_IO_ERROR, false},
    {"ours", "SendCommand", VD_E_PROTOCOL, false},
    {"ours", "SendCommand", VD_E_ABORT, false},
    {"ours", "SendCommand", VD_E_INVALID, false},
    {"ours", "CloseDevice", NOERROR, false},
    {"ours", "CloseDevice", VD_E_CLOSE, false},
    {"ours", "CloseDevice", VD_E_ABORT, false},
    {"ours", "CloseDevice", VD_E_PROTOCOL, false},
};

enum { CODES = sizeof codes / sizeof codes[0] };

// What a table or a page of VDI has and one process cannot bring about, with the reason. A row that is met all the same is
// an error, too: it belongs above.
struct Unreached
{
    const char *object;
    const char *method;
    HRESULT status;
    const char *reason;
    bool seen;
};

static Unreached unreached[] = {
    {"set", "OpenInSecondary", VD_E_MEMORY, "a process without room for one segment more", false},
    {"set", "OpenInSecondaryEx", VD_E_MEMORY, "a process without room for one segment more", false},
    {"server", "BeginConfiguration", VD_E_ABORT, "an abort between two steps of the call; before it is VD_E_PROTOCOL", false},
    {"server", "RequestBuffers", VD_E_ABORT, "an abort during the call is told by the next; before it is VD_E_PROTOCOL", false},
    {"server", "EndConfiguration", VD_E_TIMEOUT, "clients declare no buffer areas here, so that it waits for nobody", false},
};

enum { UNREACHED = sizeof unreached / sizeof unreached[0] };

// Whether a row is about the method that the text before and behind an arrow names.
template <class Row>
static bool is_of(const Row &row, const char *object, size_t length, const char *method, size_t method_length)
{
    return strlen(row.object) == length && !strncmp(row.object, object, length) &&
           strlen(row.method) == method_length && !strncmp(row.method, method, method_length);
}

// Ticks off what a call returned; `call` is its text: `scene.server->Close()`.
static void saw(const char *call, HRESULT status)
{
    const char *arrow = strstr(call, "->");
    const char *end = arrow ? strchr(arrow, '(') : NULL;
    if (!end)
        return;
    const char *start = arrow;
    while (start > call && (isalnum((unsigned char)start[-1]) || start[-1] == '_'))
        start--;
    size_t length = arrow - start;
    const char *object = start;
    // The client's sets have several names.
    if (!strncmp(start, "client", length) || !strncmp(start, "other", length)) {
        object = "set";
        length = 3;
    }
    const char *method = arrow + 2;
    for (int i = 0; i < CODES; i++) {
        if (codes[i].status == status && is_of(codes[i], object, length, method, end - method))
            codes[i].seen = true;
    }
    for (int i = 0; i < UNREACHED; i++) {
        if (unreached[i].status == status && is_of(unreached[i], object, length, method, end - method))
            unreached[i].seen = true;
    }
}

// How many rows nobody ticked off, and how many that should stay without a tick were; a line for each.
static int report_unseen()
{
    int mistakes = 0;
    for (int i = 0; i < CODES; i++) {
        if (!codes[i].seen) {
            printf("%s->%s never returned 0x%08lX\n", codes[i].object, codes[i].method, (unsigned long)codes[i].status);
            mistakes++;
        }
    }
    for (int i = 0; i < UNREACHED; i++) {
        if (unreached[i].seen) {
            printf("%s->%s did return 0x%08lX, though it takes %s\n", unreached[i].object, unreached[i].method,
                   (unsigned long)unreached[i].status, unreached[i].reason);
            mistakes++;
        }
    }
    return mistakes;
}

#endif
