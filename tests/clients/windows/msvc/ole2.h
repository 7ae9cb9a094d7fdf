/* The rest of the words are in windows.h. */
#include "windows.h"
