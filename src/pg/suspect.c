#include "pg/suspect.h"

#include "pg/sqlstate.h"

enum {
        PAUSE_MS = 100,
        LOST_PAUSE_MS = 1000,
        DOUBLINGS_MAX = 6,
};

/* True if a single row is to be rejected after @failures failures with @sqlstate. */
static bool is_refused(unsigned failures, const char *sqlstate)
{
        switch (sqlstate_action(sqlstate)) {
        case SQLSTATE_ISOLATE:
        case SQLSTATE_MERGE: /* a unique index that the operator added */
                return true;
        case SQLSTATE_MISSING: /* a foreign key that the operator added, or an object that exists again */
        case SQLSTATE_SUSPECT:
                return failures >= SUSPECT_FAILURES_MAX;
        case SQLSTATE_RETRY:
        case SQLSTATE_SERVER:
                return false;
        }
        return false;
}

enum suspect_step suspect_failed(struct suspicion *s, const char *sqlstate, size_t rows, bool proven)
{
        if (!proven || (rows == 1 && is_refused(s->failures + 1, sqlstate)))
                return SUSPECT_PROBE;
        return suspect_probed(s, sqlstate, rows, true);
}

enum suspect_step suspect_probed(struct suspicion *s, const char *sqlstate, size_t rows, bool written)
{
        if (!written)
                return SUSPECT_WAIT;
        if (rows > 1)
                return SUSPECT_DIVIDE;
        s->failures++;
        return is_refused(s->failures, sqlstate) ? SUSPECT_REFUSE : SUSPECT_PAUSE;
}

static unsigned doubled(unsigned ms, unsigned times)
{
        return ms << (times < DOUBLINGS_MAX ? times : DOUBLINGS_MAX);
}

unsigned suspect_pause_ms(const struct suspicion *s)
{
        if (suspect_needs_proof(s))
                return doubled(LOST_PAUSE_MS, s->lost - SUSPECT_LOST_MAX);
        return doubled(PAUSE_MS, s->failures > 0 ? s->failures - 1 : 0);
}
