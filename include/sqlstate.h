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
        SQLSTATE_SUSPECT,   /* nobody foresaw it: pause, try again; a row is to blame only if others pass */
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
        uint64_t written_before; /* rows that had been written by then, when they first failed */
};

/* They have failed once more, when @written rows had been written in all. True where one of them is to be
 * found, or, of a single one, to be refused: it was tried a few times, and a single row is to blame only
 * where others were written meanwhile. False: pause, and try again. */
bool suspicion_blames_a_row(struct suspicion *s, size_t rows, uint64_t written);

#endif
