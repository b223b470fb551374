#ifndef FITS_STATE_H
#define FITS_STATE_H

#include "model/fits.h"

/* Whether anything changed since the session's first check (fits.h).
 *
 * The full check takes half a millisecond. A writing transaction and a look-up only check that the catalogue's
 * rows are the same as at the connection's first check. A row's xmin is the transaction that wrote the row. The
 * first chunk rewrites rows of pg_class, so these are compared by column. Names are looked up through the search
 * path, as COPY does. */
#define FITS_OIDS                                                                                            \
        "ANY (ARRAY[to_regclass('spending'), to_regclass('ad_objects'), to_regclass('ad_accounts'), to_regclass('platform_connections')]::oid[])"

#define FITS_STATE_SQL                                                                                         \
        "concat_ws(' ', "                                                                                      \
        "(SELECT string_agg(concat_ws(',', c.oid, c.relkind, c.relpersistence, c.relowner, c.relacl, "         \
        "row_security_active(c.oid)), ';') FROM pg_class c WHERE c.oid = " FITS_OIDS "), "                     \
        "(SELECT string_agg(a.xmin::text, ',') FROM pg_attribute a WHERE a.attrelid = " FITS_OIDS              \
        " AND a.attnum > 0), "                                                                                 \
        "(SELECT string_agg(concat_ws('.', i.indexrelid, i.xmin), ',') FROM pg_index i "                       \
        "WHERE i.indrelid = " FITS_OIDS "), "                                                                  \
        "(SELECT string_agg(w.xmin::text, ',') FROM pg_rewrite w WHERE w.ev_class = " FITS_OIDS "), "          \
        "(SELECT string_agg(concat_ws(',', h.id, d.column_name), ';') FROM _timescaledb_catalog.hypertable h " \
        "JOIN _timescaledb_catalog.dimension d ON d.hypertable_id = h.id "                                     \
        "WHERE h.schema_name = 'public' AND h.table_name = 'spending'), "                                      \
        "(SELECT s.setconfig::text FROM pg_db_role_setting s WHERE s.setrole = 0 AND s.setdatabase = "         \
        "(SELECT d.oid FROM pg_database d WHERE d.datname = current_database())))"

/* The session setting that holds the state. */
#define FITS_SEEN "'boris_ingestd.seen'"

/* Prefix of the error that the check raises. Reading a setting that does not exist is the only error whose
 * text SQL can choose without a procedure: the setting's name is the text. */
#define FITS_MARK              "boris_ingestd: "
#define FITS_UNDEFINED_SETTING "42704"

/* Raises the error if something changed, else selects no row. */
#define FITS_CHANGED_SQL                                                                                     \
        "SELECT current_setting('" FITS_MARK FITS_CHANGED "') WHERE current_setting(" FITS_SEEN              \
        ") <> " FITS_STATE_SQL

#endif
