/* Which state of a writer may follow which. A batch ends in IDLE; every state in which the connection can be lost, in DOWN. */
#include "base/state_machine.h"
#include "spending/writer_internal.h"

#define BIT(name) STATE_BIT(WRITER_##name)

/* An attempt to write a batch begins in one of these states. */
#define TRIES (BIT(COPY) | BIT(OPEN_COPY) | BIT(BEGIN))

/* What may be done about a failed batch: retry it, query, or end. */
#define REMEDIES (BIT(BEGIN) | BIT(MISSING) | BIT(LOCKED) | BIT(CANDIDATES) | BIT(IDLE))

static const struct state states[WRITER_STATES] = {
        [WRITER_DOWN] = {"DOWN", BIT(DOWN) | BIT(IDLE) | BIT(OBSTACLE)},
        [WRITER_IDLE] = {"IDLE", BIT(DOWN) | BIT(TAKING)},
        [WRITER_TAKING] = {"TAKING", TRIES | BIT(LOCKED) | BIT(CANDIDATES)},
        [WRITER_OBSTACLE] = {"OBSTACLE", BIT(DOWN) | BIT(IDLE)},
        [WRITER_COPY] = {"COPY", BIT(DOWN) | BIT(OPEN_COPY) | REMEDIES},
        [WRITER_OPEN_COPY] = {"OPEN_COPY", BIT(DOWN) | BIT(COMPARE) | BIT(ROLLBACK)},
        [WRITER_BEGIN] = {"BEGIN", BIT(DOWN) | BIT(KNOWN) | BIT(MERGE) | BIT(ROLLBACK)},
        [WRITER_KNOWN] = {"KNOWN", BIT(DOWN) | BIT(MERGE) | BIT(COMMIT) | BIT(ROLLBACK)},
        [WRITER_MERGE] = {"MERGE", BIT(DOWN) | BIT(COMPARE) | BIT(COMMIT) | BIT(ROLLBACK)},
        [WRITER_COMPARE] = {"COMPARE", BIT(DOWN) | BIT(MERGE) | BIT(ELSEWHERE) | BIT(COMMIT) | BIT(ROLLBACK)},
        [WRITER_ELSEWHERE] = {"ELSEWHERE", BIT(DOWN) | BIT(COMMIT) | BIT(ROLLBACK)},
        [WRITER_COMMIT] = {"COMMIT", BIT(DOWN) | REMEDIES},
        [WRITER_ROLLBACK] = {"ROLLBACK", BIT(DOWN) | REMEDIES},
        [WRITER_LOCKED] = {"LOCKED", BIT(DOWN) | BIT(BEGIN) | BIT(CANDIDATES) | BIT(IDLE)},
        [WRITER_MISSING] = {"MISSING", BIT(DOWN) | TRIES | BIT(CANDIDATES) | BIT(IDLE)},
        [WRITER_CANDIDATES] = {"CANDIDATES", BIT(DOWN) | BIT(CANDIDATES) | BIT(PROBE) | BIT(IDLE)},
        [WRITER_PROBE] = {"PROBE", BIT(DOWN) | BIT(CANDIDATES) | BIT(PROBE) | BIT(BEGIN) | BIT(IDLE)},
};

static const struct state_machine machine = {"writer", states, WRITER_STATES};

void writer_enter(struct writer *w, enum writer_state state)
{
        state_machine_check(&machine, w->state, state);
        w->state = state;
}
