// Checks of return codes: prints each one that does not hold, and counts them.
#ifndef CHECKS_HPP
#define CHECKS_HPP

#include <cstdio>

#include "vdi.h"
#include "vdierror.h"

static int checks_failed = 0;
static int checks_made = 0;

inline void check_status(int line, const char *call, int got, int wanted)
{
    checks_made++;
    if (got != wanted) {
        checks_failed++;
        std::printf("line %d: %s gave 0x%08X instead of 0x%08X\n", line, call,
                    static_cast<unsigned>(got), static_cast<unsigned>(wanted));
    }
}

inline void check_that(int line, const char *what, bool holds)
{
    checks_made++;
    if (!holds) {
        checks_failed++;
        std::printf("line %d: not so: %s\n", line, what);
    }
}

// What the call returns, and what holds after it.
#define GIVES(call, status) check_status(__LINE__, #call, (call), (status))
#define HOLDS(what) check_that(__LINE__, #what, (what))

// The verdict, as the exit code of the program.
inline int report()
{
    std::printf("%d checks, %d failed\n", checks_made, checks_failed);
    return checks_failed == 0 && checks_made > 0 ? 0 : 1;
}

#endif
