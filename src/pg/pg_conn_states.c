/* Which state of a database connection may follow which. */
#include "pg/pg_conn_states.h"

#include "base/state_machine.h"

#define BIT(name) STATE_BIT(PG_CONN_##name)
#define ENDS      (BIT(WAITING) | BIT(CLOSING))

static const struct state states[PG_CONN_STATES] = {
        [PG_CONN_CLOSED] = {"CLOSED", BIT(CONNECTING)},
        [PG_CONN_CONNECTING] = {"CONNECTING", ENDS | BIT(SETUP)},
        [PG_CONN_SETUP] = {"SETUP", ENDS | BIT(READY)},
        [PG_CONN_WAITING] = {"WAITING", BIT(CONNECTING) | BIT(CLOSING)},
        [PG_CONN_READY] = {"READY", ENDS | BIT(BUSY)},
        [PG_CONN_BUSY] = {"BUSY", ENDS | BIT(COPY) | BIT(VERIFY) | BIT(READY)},
        [PG_CONN_COPY] = {"COPY", ENDS | BIT(BUSY)},
        [PG_CONN_VERIFY] = {"VERIFY", ENDS | BIT(READY)},
        [PG_CONN_CLOSING] = {"CLOSING", BIT(CLOSED)},
};

static const struct state_machine machine = {"pg_conn", states, PG_CONN_STATES};

void pg_conn_enter(struct pg_conn *c, enum pg_conn_state state)
{
        state_machine_check(&machine, c->state, state);
        c->state = state;
}
