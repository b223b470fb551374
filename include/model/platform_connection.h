#ifndef MODEL_PLATFORM_CONNECTION_H
#define MODEL_PLATFORM_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"
#include "model/platform.h"

/* Platform connections: logins at an ad platform. Functions return 0 or a code of enum err, with the reason
 * in @db. */

/* A row to insert; borrows everything. */
struct platform_connection_new {
        const struct uuid *id; /* NULL: the database generates one */
        enum platform platform;
        struct slice credentials; /* JSON */
};

/* Returns ERR_EXISTS if the id is taken, ERR_INVALID if the credentials are not JSON that jsonb can hold. */
int platform_connection_insert(struct db *db, const struct platform_connection_new *row, struct uuid *ret_id);

/* A connection's platform, and the rows that belong to it and are deleted with it. */
struct platform_connection_extent {
        enum platform platform;
        int64_t accounts;
        int64_t objects;
        int64_t records; /* rows in spending */
};

/* Both return ERR_NOT_FOUND if the connection does not exist. */
int platform_connection_extent(struct db *db, const struct uuid *id, struct platform_connection_extent *ret);
int platform_connection_delete(struct db *db, const struct uuid *id);

/* The public part of a connection: never its credentials. */
struct platform_connection_summary {
        struct uuid id;
        enum platform platform;
        int64_t created_at;
        int64_t accounts; /* number of ad accounts that it reaches */
};

/* Lists all connections, oldest first. On success the caller frees *ret, an array of *ret_len elements, with
 * free(). */
int platform_connection_list(struct db *db, struct platform_connection_summary **ret, size_t *ret_len);

/* --- credentials --- */

/* A random id, for a row whose credentials are bound to it. */
int platform_connection_new_id(struct db *db, struct uuid *ret);

/* Returns ERR_NOT_FOUND if there is no such connection, ERR_INVALID if the credentials are not JSON that jsonb can hold. */
int platform_connection_update(struct db *db, const struct uuid *id, struct slice credentials);

/* A row's credentials as jsonb prints them; the holder must wipe them. */
struct platform_connection_secret {
        struct uuid id;
        struct slice credentials; /* writable */
};

struct platform_connection_secrets {
        struct platform_connection_secret *rows;
        size_t len;
        struct pg_result *result; /* which holds them */
};

/* Reads the credentials of connection @id, or of all (NULL), oldest first. With @lock, other sessions cannot change them
 * before the transaction ends. On success the caller frees *ret with platform_connection_secrets_wipe. */
int platform_connection_secrets(struct db *db, const struct uuid *id, bool lock,
                                struct platform_connection_secrets *ret);
void platform_connection_secrets_wipe(struct platform_connection_secrets *s);

/* How a row's credentials are stored: plain or encrypted. */
struct platform_connection_keeping {
        struct uuid id;
        char *header; /* the protected header of the JWE; NULL if they are plain */
};

struct platform_connection_keepings {
        bool permitted; /* this role may read the column; if not, there are no rows */
        struct platform_connection_keeping *rows;
        size_t len;
};

/* Reads how all rows are stored, but no plain credentials. On success the caller frees *ret. */
int platform_connection_keepings(struct db *db, struct platform_connection_keepings *ret);
void platform_connection_keepings_deinit(struct platform_connection_keepings *k);

#endif
