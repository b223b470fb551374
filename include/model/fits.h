#ifndef MODEL_FITS_H
#define MODEL_FITS_H

#include <stdbool.h>
#include <stddef.h>

#include "model/db.h"

/* The one definition of "the database fits": what an ack rests on. It covers the server (versions, encoding,
 * writable), the session (isolation, replication role, durable commits, no restore), the tables (kind, columns,
 * types, keys, the hypertable, rules, row security, enum labels) and this role's rights. Whatever else an
 * operator adds, triggers, indexes or columns that may be left out, fits.
 *
 * The daemon, `check` and `migrate` use the same query. The daemon runs it as a prepared statement that raises
 * an error unless all fits, once for each connection. Each transaction that writes asks whether anything changed since,
 * behind the table's lock, so that no change of the tables can come in between. */

enum { FITS_TEXT_BYTES = 512 };

/* Oldest versions that the daemon's and the commands' statements run on. */
#define FITS_POSTGRESQL_MIN  "16"
#define FITS_TIMESCALEDB_MIN "2.13"

/* Both raise an error, which fits_read_error reads: unless all fits, or where something changed since the session's first look
 * (the error's text is then FITS_CHANGED). They need fits_prepare_sql in the same session. */
#define FITS_LOOK_SQL "EXECUTE boris_ingestd_fits"
#define FITS_SAME_SQL "EXECUTE boris_ingestd_same"

#define FITS_CHANGED  "the tables changed"

/* To stand first in a transaction that writes to spending, or to the hierarchy. Changes of what the look reads
 * take a lock that conflicts with these. */
#define FITS_HOLD_SPENDING_SQL "LOCK TABLE ONLY public.spending IN ROW EXCLUSIVE MODE; " FITS_SAME_SQL "; "
#define FITS_HOLD_HIERARCHY_SQL                                                                              \
        "LOCK TABLE ONLY public.ad_accounts, ONLY public.ad_objects IN ACCESS SHARE MODE; " FITS_SAME_SQL "; "

/* Prepares the look, and looks. */
extern const char fits_prepare_sql[];

/* True where an error of the look, with this primary message, says that something does not fit; @ret then names it, and what
 * to do. */
bool fits_read_error(const char *sqlstate, const char *message, char ret[FITS_TEXT_BYTES]);

enum fits_subject {
        FITS_SERVER = 1, /* encoding, read-only */
        FITS_VERSION,
        FITS_SESSION,
        FITS_MISSING, /* there are tables missing */
        FITS_TABLES,
        FITS_RIGHTS,
};

/* Told of each thing that does not fit: @difference says what, @remedy what to do, a statement where one will
 * do. */
typedef void fits_difference_cb(void *ctx, enum fits_subject subject, const char *difference,
                                const char *remedy);

/* Tells all that does not fit, for a session that is set up (session.h). 0 or a code of enum err, with the
 * reason in @db. */
int fits_compare(struct db *db, fits_difference_cb *told, void *ctx);

#endif
