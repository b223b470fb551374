#ifndef MODEL_INSPECT_H
#define MODEL_INSPECT_H

#include <stdbool.h>

#include "model/db.h"

/* What `check` tells of a database; whether it fits is fits.h's. Functions change nothing and return 0 or a code of enum err, with the
 * reason in
 * @db. */

struct server_facts {
        char version[64];
        bool standby;
        bool read_only;
        char encoding[32];
        char timescaledb[32];           /* the extension's version, "" where this database does not have it */
        char timescaledb_available[32]; /* the version that could be created, "" for none */
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
        char column[64];   /* what spending is partitioned by */
        char interval[64]; /* of one chunk, in words */
        bool fits;         /* by collected_at, and 1 week */
};

/* The extension must be there. */
int inspect_hypertable(struct db *db, struct hypertable_facts *ret);

#endif
