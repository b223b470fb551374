#include "base/state_machine.h"

#include <stdlib.h>

#include "base/log.h"

void state_machine_check(const struct state_machine *m, unsigned from, unsigned to)
{
#ifndef NDEBUG
        if (m->states[from].next & STATE_BIT(to))
                return;
        log_error("%s steps from %s to %s, which its table does not allow", m->name, m->states[from].name,
                  m->states[to].name);
        abort();
#else
        (void)m;
        (void)from;
        (void)to;
#endif
}
