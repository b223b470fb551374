#ifndef SQLSTATE_H
#define SQLSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What to do about an error of the database, by its SQLSTATE (PostgreSQL documentation, appendix A). */
enum sqlstate_action {
        SQLSTATE_MERGE,     /* a row is stored already: insert the batch around such rows */
        SQLSTATE_MISSING,   /* a foreign key: an ad object is gone; find out which */
        SQLSTATE_RETRY,     /* nobody's fault and soon over: the same once more */
        SQLSTATE_ISOLATE,   /* a row's fault: halve the batch until it stands alone */
        SQLSTATE_RECONNECT, /* the server's or the operator's matter: no row is to blame; pause, try again */
        SQLSTATE_SUSPECT,   /* nobody foresaw it: pause, try again; a row is to blame only if an ordinary one
                               passes */
};

/* @sqlstate is five letters. A pause costs time, a wrong refusal costs a record: so what nobody foresaw is
 * taken for a row's fault on evidence only, but not retried for ever, either. */
enum sqlstate_action sqlstate_action(const char *sqlstate);

/* What an operator can do about it, NULL where that is not plain from the error's own text. */
const char *sqlstate_advice(const char *sqlstate);

/* The server's word on a statement, kept while its transaction is ended. */
struct pg_error {
        char sqlstate[6];  /* "" for none */
        char message[256]; /* for operators: without what may quote a line */
        char told[256];    /* for the client whose line it is about: the server's own words */
};

/* Rows that failed for a reason that nobody foresaw (SQLSTATE_SUSPECT), or that does not pass as it should;
 * zeroed at first. */
struct suspicion {
        unsigned failures;      /* while the server worked */
        unsigned probes_judged; /* in a row: the server refused the ordinary row itself, by some rule */
};

/* Loop time in ms for which an ordinary row's success speaks for what is tried next on its connection. */
enum { SUSPECT_PROOF_MS = 100 };

enum suspect_step {
        SUSPECT_PROBE,   /* it is these rows or the server: try to insert an ordinary one */
        SUSPECT_GIVE_UP, /* it is the server: give the connection up, try again after its pause */
        SUSPECT_PAUSE,   /* it is these rows, but may pass: try them again a little later */
        SUSPECT_HALVE,   /* it goes on: look for the row that is to blame */
        SUSPECT_RETRY,   /* it is this row or chance: try it once more, at once */
        SUSPECT_REFUSE,  /* it is this row: it failed before and behind an ordinary one */
};

/* These @rows failed once more with @sqlstate, @proven: SUSPECT_PROOF_MS or less behind an ordinary one that
 * did not. What passes by itself (SQLSTATE_RETRY) and was retried in vain costs no row: the one that is left
 * is paused for. */
enum suspect_step suspect_failed(struct suspicion *s, const char *sqlstate, size_t rows, bool proven);

/* The probe ended with @sqlstate, NULL for success: SUSPECT_GIVE_UP, or else SUSPECT_PAUSE or SUSPECT_RETRY.
 */
enum suspect_step suspect_probed(struct suspicion *s, const char *sqlstate);

#endif
