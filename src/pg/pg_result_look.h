#ifndef PG_RESULT_LOOK_H
#define PG_RESULT_LOOK_H

#include <stdbool.h>

#include "model/fits.h"
#include "pg/pg_conn.h"

/* What a result tells of the question whether the database fits. */

/* True for an error that says that something does not: what, and what to do. */
bool pg_result_unfit(const struct pg_result *res, char ret_why[FITS_TEXT_BYTES]);

/* True for an error that may come from tables that do not fit. False for what happens with tables that do: rows that are there
 * already, objects that are gone, locks, and the server's own troubles. */
bool pg_result_doubtful(const struct pg_result *res);

#endif
