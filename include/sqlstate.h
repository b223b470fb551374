#ifndef SQLSTATE_H
#define SQLSTATE_H

/* What to do about an error of the database, by its SQLSTATE (PostgreSQL documentation, appendix A). */
enum sqlstate_action {
        SQLSTATE_MERGE,     /* a row is stored already: insert the batch around such rows */
        SQLSTATE_MISSING,   /* a foreign key: an ad object is gone; find out which */
        SQLSTATE_RETRY,     /* nobody's fault and soon over: the same once more */
        SQLSTATE_ISOLATE,   /* a row's fault: halve the batch until it stands alone */
        SQLSTATE_RECONNECT, /* the server's or the operator's matter: no row is to blame; pause, try again */
};

/* @sqlstate is five letters. Codes that nobody foresaw are never taken for a row's fault: a pause costs time,
 * a wrong refusal costs a record. */
enum sqlstate_action sqlstate_action(const char *sqlstate);

/* What an operator can do about it, NULL where that is not plain from the error's own text. */
const char *sqlstate_advice(const char *sqlstate);

#endif
