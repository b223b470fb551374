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
        char sqlstate[6]; /* "" for none */
        char message[256];
};

/* Rows that failed for a reason that nobody foresaw (SQLSTATE_SUSPECT); zeroed at first. */
struct suspicion {
        unsigned failures;
        bool server_works; /* an ordinary row was inserted since the last failure */
};

enum suspect_step {
        SUSPECT_PAUSE,  /* give the connection up, try again */
        SUSPECT_HALVE,  /* it goes on: look for a row that is to blame */
        SUSPECT_PROBE,  /* it is this row or the server: try to insert an ordinary one */
        SUSPECT_REFUSE, /* it is this row: it failed before and behind an ordinary one */
};

/* These @rows failed once more: what to do. */
enum suspect_step suspect_next(struct suspicion *s, size_t rows);

/* The probe ended with @sqlstate, NULL for success. True: the server writes rows, or judges them, after all;
 * the suspect is to be tried again at once. False: after a pause. */
bool suspect_probed(struct suspicion *s, const char *sqlstate);

#endif
