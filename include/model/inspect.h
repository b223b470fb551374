#ifndef MODEL_INSPECT_H
#define MODEL_INSPECT_H

#include <stdbool.h>

#include "model/db.h"

/* What the daemon needs of a database. Functions change nothing and return 0 or a code of enum err, with the
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

struct schema_facts {
        bool complete;     /* all tables are there, else nothing below is set */
        bool on_path;      /* their names, not qualified, mean those of schema public */
        char missing[256]; /* rights that the daemon needs and this role lacks: "INSERT on spending, ..." */
        char key[128];     /* the primary key of spending: "PRIMARY KEY (id, collected_at)" */
};

int inspect_schema(struct db *db, struct schema_facts *ret);

/* The same for who has a connection of another kind: the query, and its one row of binary values. */
extern const char inspect_schema_sql[];
struct schema_facts inspect_schema_read(const struct pg_result *res);

struct hypertable_facts {
        bool exists;
        char column[64];   /* what spending is partitioned by */
        char interval[64]; /* of one chunk, in words */
        bool fits;         /* by collected_at, and 1 week */
};

/* The extension must be there. */
int inspect_hypertable(struct db *db, struct hypertable_facts *ret);

#endif
