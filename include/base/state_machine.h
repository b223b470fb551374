#ifndef STATE_MACHINE_H
#define STATE_MACHINE_H

#include <stddef.h>

/* A table that lists for each state the states that may follow it. Debug and sanitizer builds check every
 * step against the table, so an unexpected callback ends the process where it happens, not later. */

struct state {
        const char *name;
        unsigned next; /* the states that may follow, as bits (STATE_BIT) */
};

struct state_machine {
        const char *name;
        const struct state *states;
        size_t len;
};

#define STATE_BIT(state) (1U << (state))

/* Checks that @m may step from state @from to @to. */
void state_machine_check(const struct state_machine *m, unsigned from, unsigned to);

#endif
