#include "seen_states.h"

#include "base/state_machine.h"
#include "test.h"

enum { MACHINES = 8, STATES = 32 };

static struct seen {
        const struct state_machine *machine;
        unsigned steps[STATES]; /* from each state: bits of the states that followed */
} all[MACHINES];

static struct seen *find(const struct state_machine *m)
{
        for (size_t i = 0; i < MACHINES; i++) {
                if (!all[i].machine)
                        all[i].machine = m;
                if (all[i].machine == m)
                        return &all[i];
        }
        fail_msg("more than %d state machines", MACHINES);
        return NULL;
}

void state_machine_check(const struct state_machine *m, unsigned from, unsigned to)
{
        if (!(m->states[from].next & STATE_BIT(to)))
                fail_msg("%s steps from %s to %s, which its table does not allow", m->name,
                         m->states[from].name, m->states[to].name);
        find(m)->steps[from] |= STATE_BIT(to);
}

static size_t print_missed(const struct seen *seen)
{
        const struct state_machine *m = seen->machine;
        size_t missed = 0;

        for (size_t from = 0; from < m->len; from++) {
                for (size_t to = 0; to < m->len; to++) {
                        if (!(m->states[from].next & ~seen->steps[from] & STATE_BIT(to)))
                                continue;
                        print_message("%s: not reached: %s -> %s\n", m->name, m->states[from].name,
                                      m->states[to].name);
                        missed++;
                }
        }
        return missed;
}

size_t seen_states_print_missed(const char *name)
{
        for (size_t i = 0; i < MACHINES && all[i].machine; i++) {
                if (strcmp(all[i].machine->name, name) == 0)
                        return print_missed(&all[i]);
        }
        fail_msg("no step of a %s was seen", name);
        return 1;
}
