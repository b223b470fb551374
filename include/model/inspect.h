#ifndef MODEL_INSPECT_H
#define MODEL_INSPECT_H

#include <stdbool.h>

#include "model/db.h"

/* Facts about a database that `check` prints; fits.h decides whether the database fits. Functions change
 * nothing and return 0 or a code of enum err, with the reason in @db. */

struct server_facts {
        char version[64];
        bool standby;
        bool read_only;
        char encoding[32];
        char timescaledb[32];           /* version of the extension; "" if this database does not have it */
        char timescaledb_available[32]; /* version that can be installed; "" for none */
};

int inspect_server(struct db *db, struct server_facts *ret);

/* How many connections there may be; -1 for no limit. */
struct connection_limits {
        int64_t role;
        int64_t database;
        int64_t server; /* for ordinary roles */
};

int inspect_connections(struct db *db, struct connection_limits *ret);

struct hypertable_facts {
        bool exists;
        char column[64];   /* partitioning column of spending */
        char interval[64]; /* chunk interval, as text */
        bool fits;         /* partitioned by collected_at with an interval of 1 week */
};

/* Requires the extension. */
int inspect_hypertable(struct db *db, struct hypertable_facts *ret);

#endif
