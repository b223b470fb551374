#ifndef SQLSTATE_H
#define SQLSTATE_H

/* What to do about an error of the database, by its SQLSTATE (PostgreSQL documentation, appendix A). */
enum sqlstate_action {
        SQLSTATE_MERGE,   /* a row is stored already: insert the batch around such rows */
        SQLSTATE_MISSING, /* a foreign key: an ad object is gone; find out which */
        SQLSTATE_RETRY,   /* nobody's fault and soon over: the same once more */
        SQLSTATE_ISOLATE, /* a data error: the row is refused, if an ordinary one can be written (suspect.h) */
        SQLSTATE_SERVER,  /* the server's or the operator's matter: it never costs a row */
        SQLSTATE_SUSPECT, /* nobody foresaw it: the row that stands alone is refused on evidence only */
};

#define SQLSTATE_LOCK_TIMEOUT                                                                                \
        "55P03" /* lock_not_available: somebody holds a lock for longer than lock_timeout */
#define SQLSTATE_TRIGGER_PROTOCOL                                                                            \
        "39P01" /* trigger_protocol_violated; ours: a trigger changes what is stored */

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

/* An error in words of our own, the same for the log and for the client. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a literal in parentheses initialises no array */
#define PG_ERROR(state, text) ((struct pg_error){.sqlstate = state, .message = text, .told = text})

#endif
