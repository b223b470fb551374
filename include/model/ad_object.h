#ifndef MODEL_AD_OBJECT_H
#define MODEL_AD_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"

/* Ad objects: campaigns, ad sets, ads. Functions return 0 or a code of enum err, with the reason in @db. */

/* The database's enum type "ad_object_type", from the highest level down. */
#define AD_OBJECT_TYPE_MAP(X)                                                                                \
        X(CAMPAIGN)                                                                                          \
        X(AD_SET)                                                                                            \
        X(AD)

enum ad_object_type {
#define X(name) AD_OBJECT_TYPE_##name,
        AD_OBJECT_TYPE_MAP(X)
#undef X
};

/* The database's enum type "ad_object_status". */
#define AD_OBJECT_STATUS_MAP(X)                                                                              \
        X(ACTIVE)                                                                                            \
        X(PAUSED)                                                                                            \
        X(ARCHIVED)                                                                                          \
        X(DELETED)

enum ad_object_status {
#define X(name) AD_OBJECT_STATUS_##name,
        AD_OBJECT_STATUS_MAP(X)
#undef X
};

/* Returns false, with *ret unchanged, if @text is not a type. */
bool ad_object_type_parse(struct slice text, enum ad_object_type *ret);
const char *ad_object_type_name(enum ad_object_type type);
bool ad_object_status_parse(struct slice text, enum ad_object_status *ret);
const char *ad_object_status_name(enum ad_object_status status);

/* An object with its position in the tree. Owns its strings. */
struct ad_object_node {
        int64_t depth; /* 0: the highest in the list */
        char *external_id;
        enum ad_object_type type;
        enum ad_object_status status;
        char *name;      /* may be NULL */
        int64_t records; /* number of rows in spending */
        /* of these rows, in microseconds since the Unix epoch; 0 if there are none */
        int64_t last_collected_at;
};

struct ad_object_list {
        struct ad_object_node *rows;
        size_t len;
};

/* Returns ERR_NOT_FOUND if the account has no object with that external id. */
int ad_object_find_external(struct db *db, const struct uuid *ad_account_id, struct slice external_id,
                            struct uuid *ret_id);

/* Lists an account's hierarchy, parents before children; or, for one object, its ancestors from the highest
 * down and all its descendants. On success the caller frees *ret with ad_object_list_deinit. */
int ad_object_tree(struct db *db, const struct uuid *ad_account_id, struct ad_object_list *ret);
int ad_object_lineage(struct db *db, const struct uuid *id, struct ad_object_list *ret);

void ad_object_list_deinit(struct ad_object_list *list);

/* --- for pg_conn --- */

/* Ad objects by their external ids, many at once. Parameters:
 * $1 text[], $2 uuid[], $3 text[], $4 int4[] each place of an account that is asked for: platform, connection (NULL: any),
 * external id, and the account's number, from 1 without a gap; an account that may be reached through some connections only
 * has a place for each. $5 int4[], $6 text[] each key: the number of its account, from 1, and the object's external id. One row
 * a key, in any order: the key's number from 1 (int4), how many accounts match (int8),
 * and the ad object's id, NULL if there is no such object or not exactly one account matches. */
extern const char ad_object_lookup_sql[];

/* Maximum of places for which the prepared statements are used: each place may cost a pass over the index of accounts.
 * For more places the server joins them with all accounts, by a plan for the current number of accounts. */
enum { AD_OBJECT_PLACES_PREPARED = 8 };

/* The same for the daemon; raises an error, which fits_read_error reads, if something changed since the
 * session's first check (fits.h): the answer would mean nothing. The first is for any number of places. The
 * second prepares AD_OBJECT_LOOKUP. */
#define AD_OBJECT_LOOKUP "boris_ingestd_lookup"
extern const char ad_object_lookup_many_sql[];
extern const char ad_object_lookup_prepare_sql[];

/* Names of ad objects. Parameter: $1 uuid[]. One result row per existing object, in any order: its number
 * from 1 (int4), platform (text), connection (uuid), external ids of account and object (text). */
extern const char ad_object_names_sql[];

/* What an upsert of ad objects needs to know first. Parameters as for ad_object_lookup_sql, then what the objects
 * are to have: $7 text[] types, $8 text[] the external ids of their parents (NULL: none), $9 text[] names, $10 text[]
 * statuses, $11 jsonb[] platform data; and $12 int4[] numbers of the keys. One row a key, in any order: its number; how
 * many accounts match; the account's id (all zeros unless exactly one matches); the object's id and type (text), NULL
 * if it is new; the number of its children, 0 if its type stays; its stored parent; the new parent and its type, NULL
 * if there is none; whether anything of $6, $7, $9 to $11 differs from the object, NULL if it is new. */
extern const char ad_object_resolve_sql[];

/* Inserts objects, or updates those that differ, by (account, external id). Parameters: $1 uuid[] ids for
 * new ones, $2 uuid[] accounts, $3 text[] external ids, $4 text[] types, $5 text[] names, $6 text[]
 * statuses, $7 uuid[] parents (ids of $1 allowed), $8 jsonb[] platform data; names, parents and data may be
 * NULL; each key once. One result row per object, in order: its number from 1 (int4) and its enum db_write.
 * Objects that the database wrote under another key come last, without a number. */
extern const char ad_object_upsert_sql[];

/* Prepares the two above: AD_OBJECT_RESOLVE, for few places, and AD_OBJECT_UPSERT. */
#define AD_OBJECT_RESOLVE "boris_ingestd_resolve"
#define AD_OBJECT_UPSERT  "boris_ingestd_upsert_objects"
extern const char ad_object_write_prepare_sql[];

/* Parameter: $1 uuid[]. Result: those ids, each once, that are not the id of an ad object. */
extern const char ad_object_missing_sql[];

/* Parameter: $1 uuid[]. Result: those ids, each once, of objects that another transaction has locked, so
 * that a row that refers to them would wait. */
extern const char ad_object_locked_sql[];

/* For pg_conn: a probe that inserts an ordinary object, updates it, and rolls back. The object is made up;
 * if that fails, it is a copy of a stored object under a new id and name. If a row fails and the probe
 * succeeds, the row is at fault. */
extern const char ad_object_probe_sql[];

/* For pg_conn: succeeds unless another transaction holds a lock on the whole table that keeps objects from
 * being written. If a row times out on a lock and this succeeds, the row itself is locked. */
extern const char ad_object_unlocked_sql[];

#endif
