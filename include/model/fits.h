#ifndef MODEL_FITS_H
#define MODEL_FITS_H

#include <stdbool.h>
#include <stddef.h>

#include "model/db.h"

/* The single definition of "the database fits", on which every ack relies. It covers the server (versions,
 * encoding, writable), the session (isolation, replication role, durable commits, no restore), the tables
 * (kind, columns, types, keys, the hypertable, rules, row security, enum labels) and this role's privileges.
 * Whatever else an operator adds (triggers, indexes, optional columns) fits.
 *
 * The daemon, `check` and `migrate` use the same query. The daemon runs it once per database connection, as
 * a prepared statement that raises an error unless everything fits. Each writing transaction then checks,
 * while it holds the table's lock, that nothing changed since; so no change of the tables can come in
 * between. */

enum { FITS_TEXT_BYTES = 512 };

/* Oldest versions that support the statements of the daemon and the commands. */
#define FITS_POSTGRESQL_MIN  "16"
#define FITS_TIMESCALEDB_MIN "2.13"

/* Each raises an error, which fits_read_error decodes: the first if something does not fit, the second if
 * something changed since the session's first check (the error's text is then FITS_CHANGED). Both need
 * fits_prepare_sql in the same session. */
#define FITS_LOOK_SQL "EXECUTE boris_ingestd_fits"
#define FITS_SAME_SQL "EXECUTE boris_ingestd_same"

#define FITS_CHANGED  "the tables changed"

/* Must come first in a transaction that writes to spending, or to the hierarchy. Changes of what the check
 * reads take a conflicting lock. */
#define FITS_HOLD_SPENDING_SQL "LOCK TABLE ONLY public.spending IN ROW EXCLUSIVE MODE; " FITS_SAME_SQL "; "
#define FITS_HOLD_HIERARCHY_SQL                                                                              \
        "LOCK TABLE ONLY public.ad_accounts, ONLY public.ad_objects IN ACCESS SHARE MODE; " FITS_SAME_SQL "; "

/* Prepares the check and runs it. */
extern const char fits_prepare_sql[];

/* Returns true if an error with this primary message comes from the check; @ret then holds what does not fit
 * and what to do. */
bool fits_read_error(const char *sqlstate, const char *message, char ret[FITS_TEXT_BYTES]);

enum fits_subject {
        FITS_SERVER = 1, /* encoding, read-only */
        FITS_VERSION,
        FITS_SESSION,
        FITS_MISSING, /* tables are missing */
        FITS_TABLES,
        FITS_RIGHTS,
};

/* Called for each thing that does not fit: @difference describes it; @remedy says what to do, as a statement
 * if one is enough. */
typedef void fits_difference_cb(void *ctx, enum fits_subject subject, const char *difference,
                                const char *remedy);

/* Reports everything that does not fit, for a session that is set up (session.h). Returns 0 or a code of
 * enum err, with the reason in @db. */
int fits_compare(struct db *db, fits_difference_cb *told, void *ctx);

#endif
