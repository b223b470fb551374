#ifndef STATE_MACHINE_H
#define STATE_MACHINE_H

#include <stddef.h>

/* A state machine says in a table which states may follow each of its states. Debug and sanitizer builds check every step
 * against the table, so that a callback that comes in a state where nobody expects it ends the process there, not later. */

struct state {
        const char *name;
        unsigned next; /* bits of the states that may follow, by STATE_BIT */
};

struct state_machine {
        const char *name;
        const struct state *states;
        size_t len;
};

#define STATE_BIT(state) (1U << (state))

/* @m steps from state @from to @to. */
void state_machine_check(const struct state_machine *m, unsigned from, unsigned to);

#endif
