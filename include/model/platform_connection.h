#ifndef MODEL_PLATFORM_CONNECTION_H
#define MODEL_PLATFORM_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

#include "model/db.h"
#include "model/platform.h"
#include "slice.h"
#include "uuid.h"

/* A login at an ad platform. Functions return 0 or a code of enum err, with the reason in @db. */

/* A row of platform_connections; owns its strings. Times are microseconds since the Unix epoch. */
struct platform_connection {
        struct uuid id;
        enum platform platform;
        char *credentials; /* JSON; a secret: never to be printed or logged */
        int64_t created_at;
        int64_t updated_at;
};

/* A row to be inserted; borrows everything. */
struct platform_connection_new {
        const struct uuid *id; /* NULL: the database makes one */
        enum platform platform;
        struct slice credentials; /* JSON */
};

/* ERR_EXISTS where the id is taken, ERR_INVALID where the credentials are no JSON that jsonb can hold. */
int platform_connection_insert(struct db *db, const struct platform_connection_new *row, struct uuid *ret_id);

/* ERR_NOT_FOUND where there is none. On success *ret is to be freed with platform_connection_deinit. */
int platform_connection_find(struct db *db, const struct uuid *id, struct platform_connection *ret);

void platform_connection_deinit(struct platform_connection *c);

/* What may be shown of a connection. */
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
