#ifndef MODEL_PLATFORM_CONNECTION_H
#define MODEL_PLATFORM_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"
#include "model/platform.h"

/* A login at an ad platform. Functions return 0 or a code of enum err, with the reason in @db. */

/* A row to be inserted; borrows everything. */
struct platform_connection_new {
        const struct uuid *id; /* NULL: the database makes one */
        enum platform platform;
        struct slice credentials; /* JSON */
};

/* ERR_EXISTS where the id is taken, ERR_INVALID where the credentials are no JSON that jsonb can hold. */
int platform_connection_insert(struct db *db, const struct platform_connection_new *row, struct uuid *ret_id);

/* A connection's platform, and what belongs to it and goes with it. */
struct platform_connection_extent {
        enum platform platform;
        int64_t accounts;
        int64_t objects;
        int64_t records; /* of spending */
};

/* Both: ERR_NOT_FOUND where there is no such connection. */
int platform_connection_extent(struct db *db, const struct uuid *id, struct platform_connection_extent *ret);
int platform_connection_delete(struct db *db, const struct uuid *id);

/* What may be shown of a connection: never its credentials. */
struct platform_connection_summary {
        struct uuid id;
        enum platform platform;
        int64_t created_at;
        int64_t accounts; /* how many ad accounts it reaches */
};

/* All connections, oldest first. On success *ret, an array of *ret_len elements, is to be freed with free().
 */
int platform_connection_list(struct db *db, struct platform_connection_summary **ret, size_t *ret_len);

#endif
