#ifndef SUSPECT_H
#define SUSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who is to blame when rows cannot be written: these rows, or the server?
 *
 * An error's SQLSTATE alone does not tell: "permission denied" may be the role's, or a trigger's that only some
 * rows fire; "out of shared memory" may be the server's, or one transaction's that creates 2,000 chunks. What tells
 * is proof: an ordinary row that could be written while these could not. It is either a row of somebody's that was
 * committed, or a probe, a made-up row that is written in the same way and rolled back.
 *
 * - Without proof no row is to blame, whatever the error: the rows stay together and wait, as while the database is
 *   unavailable.
 * - With proof, several rows are divided. Each part begins anew: what is held against it is what it did alone.
 * - With proof, a row that stands alone is refused if its SQLSTATE is a data error (at once), or one that nobody
 *   foresaw (after SUSPECT_FAILURES_MAX failures with pauses between them). With every other SQLSTATE it is never
 *   refused: it waits with growing pauses, and others proceed.
 *
 * A row that crashes or ends its backend has no SQLSTATE: lost connections are counted for the rows that were in
 * hand. From SUSPECT_LOST_MAX on, proof is looked for before these rows are tried again.
 *
 * Each writer keeps a struct suspicion for each set of rows that it tries together, zeroed at first and where rows
 * leave the set or the set is divided (suspect_divide). */

enum {
        SUSPECT_FAILURES_MAX = 4, /* of a row alone, before it is refused for a reason that nobody foresaw */
        SUSPECT_LOST_MAX = 2,     /* lost connections: one may be chance */
        SUSPECT_PROOF_MS =
                100, /* of loop time, for which proof is good enough to divide rows, or set one aside */
};

struct suspicion {
        unsigned failures; /* of a row alone, each with proof */
        unsigned lost;     /* connections lost with these rows in hand */
};

enum suspect_step {
        SUSPECT_PROBE,  /* there is no proof: write an ordinary row and roll it back */
        SUSPECT_WAIT,   /* it is the server, or the table: no row is to blame, all wait */
        SUSPECT_DIVIDE, /* it is one of these rows: divide them, each part begins anew */
        SUSPECT_PAUSE,  /* it is this row: it waits for suspect_pause_ms, others proceed */
        SUSPECT_REFUSE, /* it is this row, for good */
};

/* True where an ordinary row that was written at @proven_ms (0: never) is proof against rows whose try began at
 * @started_ms. It may be a little older than the try: a row is refused only right behind a probe. Loop times of one
 * connection: proof does not outlive the connection. */
static inline bool suspect_proven(uint64_t started_ms, uint64_t proven_ms)
{
        return proven_ms > 0 && started_ms <= proven_ms + SUSPECT_PROOF_MS;
}

/* These @rows failed with @sqlstate: any step but SUSPECT_WAIT and SUSPECT_REFUSE. */
enum suspect_step suspect_failed(struct suspicion *s, const char *sqlstate, size_t rows, bool proven);

/* The probe that suspect_failed asked for succeeded (@written) or failed; the other arguments are those that
 * suspect_failed got. Any step but SUSPECT_PROBE. */
enum suspect_step suspect_probed(struct suspicion *s, const char *sqlstate, size_t rows, bool written);

/* The connection was lost with these rows in hand. */
static inline void suspect_lost(struct suspicion *s)
{
        s->lost++;
}

/* Whether proof is needed before these rows are tried again. */
static inline bool suspect_needs_proof(const struct suspicion *s)
{
        return s->lost >= SUSPECT_LOST_MAX;
}

/* What is held against a part of the rows: nothing that could cost a row, but a part of rows that cost several
 * connections is suspected after one more. */
static inline struct suspicion suspect_divide(const struct suspicion *s)
{
        return (struct suspicion){.lost = s->lost > 0 ? 1 : 0};
}

/* How long these rows wait before they are tried again: 100 ms, and twice as long each time, up to 6.4 s; where they
 * cost connections, 1 s up to 64 s, as each may have been a crash of the server. */
unsigned suspect_pause_ms(const struct suspicion *s);

#endif
