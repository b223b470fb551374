#ifndef SUSPECT_H
#define SUSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which is at fault when rows cannot be written: these rows, or the server?
 *
 * An error's SQLSTATE is not enough: "permission denied" may concern the role, or a trigger that only some rows fire;
 * "out of shared memory" may concern the server, or one transaction that creates 2,000 chunks. Proof is an ordinary
 * row that could be written while these could not: any committed row, or a probe row (made up, or a copy of a stored
 * row), which is written in the same way and rolled back.
 *
 * - Without proof no row is rejected, whatever the error: the rows stay together and wait, as while the database is
 *   unavailable.
 * - With proof, several rows are divided. Each part starts anew: only its own failures count.
 * - With proof, a single row is rejected if its SQLSTATE is a data error (immediately) or unexpected (after
 *   SUSPECT_FAILURES_MAX failures with pauses between them). With any other SQLSTATE it is never rejected: it waits
 *   with growing pauses while other rows proceed.
 *
 * A row that crashes or ends its backend has no SQLSTATE; lost connections are counted for the rows in flight. From
 * SUSPECT_LOST_MAX losses on, proof is needed before these rows are tried again.
 *
 * Each writer keeps a struct suspicion for each set of rows that it tries together. It is zeroed at first, when rows
 * leave the set, and when the set is divided (suspect_divide). */

enum {
        SUSPECT_FAILURES_MAX = 4, /* of a single row, before an unexpected error rejects it */
        SUSPECT_LOST_MAX = 2,     /* a single lost connection may be chance */
        /* of loop time: how old proof may be for dividing rows or making one wait */
        SUSPECT_PROOF_MS = 100,
};

struct suspicion {
        unsigned failures; /* of a single row, each with proof */
        unsigned lost;     /* connections lost with these rows in flight */
};

enum suspect_step {
        SUSPECT_PROBE,  /* no proof yet: write a probe row and roll it back */
        SUSPECT_WAIT,   /* the server or table is at fault: all rows wait */
        SUSPECT_DIVIDE, /* one of these rows is at fault: divide them */
        SUSPECT_PAUSE,  /* this row is at fault: it waits for suspect_pause_ms, others proceed */
        SUSPECT_REFUSE, /* this row is at fault: reject it */
};

/* True if an ordinary row written at @proven_ms (0: never) is proof against rows whose attempt began at
 * @started_ms. Proof may be slightly older than the attempt, but a row is rejected only directly after a
 * probe. Both are loop times of one connection: a new connection needs new proof. */
static inline bool suspect_proven(uint64_t started_ms, uint64_t proven_ms)
{
        return proven_ms > 0 && started_ms <= proven_ms + SUSPECT_PROOF_MS;
}

/* Handles the failure of @rows rows with @sqlstate. Returns any step but SUSPECT_WAIT and SUSPECT_REFUSE. */
enum suspect_step suspect_failed(struct suspicion *s, const char *sqlstate, size_t rows, bool proven);

/* Handles the result of the probe that suspect_failed asked for: @written if it succeeded; the other
 * arguments are those of suspect_failed. Returns any step but SUSPECT_PROBE. */
enum suspect_step suspect_probed(struct suspicion *s, const char *sqlstate, size_t rows, bool written);

/* Counts a connection that was lost with these rows in flight. */
static inline void suspect_lost(struct suspicion *s)
{
        s->lost++;
}

/* True if proof is needed before these rows are tried again. */
static inline bool suspect_needs_proof(const struct suspicion *s)
{
        return s->lost >= SUSPECT_LOST_MAX;
}

/* Suspicion against a part of the rows: no failure is carried over, but if the rows cost several
 * connections, each part becomes suspect after one more. */
static inline struct suspicion suspect_divide(const struct suspicion *s)
{
        return (struct suspicion){.lost = s->lost > 0 ? 1 : 0};
}

/* Milliseconds until these rows are tried again: 100, doubled each time up to 6,400; if they cost
 * connections, 1,000 to 64,000, since each loss may have been a crash of the server. */
unsigned suspect_pause_ms(const struct suspicion *s);

#endif
