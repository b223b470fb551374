#include "base/hide_memory.h"

#include <sys/prctl.h>

void hide_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}
