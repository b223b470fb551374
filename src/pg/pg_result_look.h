#ifndef PG_RESULT_LOOK_H
#define PG_RESULT_LOOK_H

#include <stdbool.h>

#include "model/fits.h"
#include "pg/pg_conn.h"

/* What a result says about whether the database fits. */

/* True for an error of the check; @ret_why says what does not fit and what to do. */
bool pg_result_unfit(const struct pg_result *res, char ret_why[FITS_TEXT_BYTES]);

/* True for an error that tables that do not fit may have caused. False for errors that also occur with
 * tables that fit: stored rows, missing objects, locks, and trouble of the server itself. */
bool pg_result_doubtful(const struct pg_result *res);

/* Why the check itself failed. */
void pg_result_describe_look(const struct pg_result *res, char ret_why[FITS_TEXT_BYTES]);

#endif
