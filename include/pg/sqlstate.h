#ifndef SQLSTATE_H
#define SQLSTATE_H

/* What to do after an error of the database, by SQLSTATE (PostgreSQL documentation, appendix A). */
enum sqlstate_action {
        SQLSTATE_MERGE,   /* a row is already stored: merge the batch */
        SQLSTATE_MISSING, /* foreign key: an ad object is gone; find out which one */
        SQLSTATE_RETRY,   /* transient and no row's fault: retry */
        SQLSTATE_ISOLATE, /* a data error: reject the row if the probe row succeeds (suspect.h) */
        SQLSTATE_SERVER,  /* for the server's operator: never rejects a row */
        SQLSTATE_SUSPECT, /* unexpected: rejects a single row only with proof (suspect.h) */
};

#define SQLSTATE_NO_RESOURCES   "53000" /* insufficient_resources */
#define SQLSTATE_SYSTEM_ERROR   "58000" /* system_error */
#define SQLSTATE_INTERNAL_ERROR "XX000" /* internal_error */
#define SQLSTATE_LOCK_TIMEOUT   "55P03" /* lock_not_available: a lock was held for longer than lock_timeout */
#define SQLSTATE_TRIGGER_PROTOCOL                                                                            \
        "39P01" /* trigger_protocol_violated; our SQL raises it: a trigger changed a row */

/* @sqlstate is five letters. A pause costs time, a wrong reject costs a record. So an unexpected error
 * rejects a row only with proof, but is not retried forever. */
enum sqlstate_action sqlstate_action(const char *sqlstate);

/* Returns what an operator can do about it; NULL if the error's own text is clear enough. */
const char *sqlstate_advice(const char *sqlstate);

/* An error of a statement, kept while its transaction is rolled back. */
struct pg_error {
        char sqlstate[6];  /* "" for no error */
        char message[256]; /* for operators: nothing that may quote a line */
        char told[256];    /* for the client that sent the line: the server's own message */
};

/* An error with our own text, for both log and client. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a literal in parentheses initialises no array */
#define PG_ERROR(state, text) ((struct pg_error){.sqlstate = state, .message = text, .told = text})

#endif
