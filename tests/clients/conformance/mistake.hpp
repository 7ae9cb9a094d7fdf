// The one mistake that a process makes on demand, and what it was told to be.
#ifndef MISTAKE_HPP
#define MISTAKE_HPP

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

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

// Whether the case is for clients that can do this.
static bool wants(const char *need)
{
    const char *needs = std::getenv("VDISIM_NEEDS");
    return needs && std::strstr(needs, need);
}

[[noreturn]] static void hang()
{
    for (;;)
        pause();
}

#endif
