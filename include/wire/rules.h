#ifndef RULES_H
#define RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "base/client_section.h"
#include "base/json.h"
#include "base/uuid.h"
#include "model/platform.h"
#include "wire/acks.h"
#include "wire/reject.h"

/* What the client of a section [client NAME] may write. A line keeps the rules that its sender had when the line was
 * received. Without sections it has none, and everything is permitted.
 *
 * The reply to a line that is not permitted does not depend on the database. The worker judges the record's own names before it
 * looks anything up. It looks for the account's platform connection among the client's own platform connections only. */

/* The part of a client that all workers share, found by its name. Kept until the daemon ends, even if its section is removed. */
struct rules_quota {
        struct rules_quota *next;
        char name[CLIENT_NAME_BYTES];
        _Atomic uint64_t due_ns; /* clock_monotonic_us * 1000 at which all lines taken so far would be due */
        _Atomic unsigned connections;
};

/* What a worker counts for a client section; kept as long as its rules. */
struct rules_tally {
        struct rules_tally *next;
        char name[CLIENT_NAME_BYTES];
        unsigned connections;
        uint64_t lines;                 /* that its connections sent, without empty ones */
        uint64_t counts[LINE_OUTCOMES]; /* of these, and of its replayed spool lines */
        size_t held_bytes;              /* of those that are not settled */
};

/* A worker's. */
struct rules {
        unsigned refs;
        char name[CLIENT_NAME_BYTES];
        /* What the spool and the reject file record: the name; or, joined by '+', the names of all clients whose rules
         * must permit the line, the original sender first. */
        char origin[CLIENT_ORIGIN_BYTES];
        struct rules *owner; /* if both must permit a line (rules_new_for); else both are NULL */
        struct rules *sender;
        bool retired;       /* its section was read again: caches must keep nothing for it */
        bool gone;          /* its section was removed: nothing is permitted */
        unsigned platforms; /* bit per enum platform */
        bool any_connection;
        struct uuid *connections; /* unless any_connection */
        size_t connections_len;
        char **accounts; /* patterns; none: any */
        size_t accounts_len;
        unsigned lines_per_second; /* 0: no limit */
        unsigned max_connections;  /* 0: no limit */
        unsigned memory_percent;
        XXH128_hash_t mark; /* random: enters the cache keys of this client; 0 if it may write everything */
        struct rules_quota *quota; /* both are NULL if gone */
        struct rules_tally *tally;
        unsigned allowance; /* lines taken from the quota that may still be sent */
};

/* Reads platforms, connections and accounts of @section. Returns one reference; NULL, with one line in @ret_error, if they
 * are wrong. */
struct rules *rules_new(const struct client_section *section, char ret_error[CONFIG_ERROR_BYTES]);

/* A client that may write nothing. */
struct rules *rules_new_gone(const char *origin);

/* Returns one reference to rules for lines of @owner that @sender resends: both must permit them. */
struct rules *rules_new_for(struct rules *owner, struct rules *sender);

/* Both take NULL. */
struct rules *rules_ref(struct rules *c);
void rules_unref(struct rules *c);

/* True if the names in the record are permitted; if not, fills *ret_reject. @c may be NULL. @connection is NULL if the
 * record names none. */
bool rules_permits(const struct rules *c, enum platform platform, const struct uuid *connection,
                   struct json_string account, struct reject *ret_reject);

/* The same for an account to be written, whose platform only the database knows: see rules_any_platform. */
bool rules_permits_account(const struct rules *c, const struct uuid *connection, struct json_string account,
                           struct reject *ret_reject);

/* True if the record names no platform connection and must be looked up among c->connections only. @c may be NULL. */
static inline bool rules_is_scoped(const struct rules *c, bool has_connection)
{
        return c && !c->any_connection && !has_connection;
}

bool rules_any_platform(const struct rules *c);

/* The platforms, with spaces between them. */
enum { RULES_PLATFORMS_BYTES = 64 };
void rules_list_platforms(const struct rules *c, char ret[RULES_PLATFORMS_BYTES]);

/* Rejects a record whose account or connection was not found among what the client may write, without telling whether it
 * exists elsewhere. */
void rules_refuse_account(const struct rules *c, const char *account, struct reject *ret);
void rules_refuse_connection(const struct rules *c, const struct uuid *connection, struct reject *ret);

/* Returns @hash combined with the client's mark, as a cache key. @c may be NULL. */
static inline XXH128_hash_t rules_mark(const struct rules *c, XXH128_hash_t hash)
{
        if (c) {
                hash.low64 ^= c->mark.low64;
                hash.high64 ^= c->mark.high64;
        }
        return hash;
}

/* --- counts --- */

/* Returns the element of this name; adds one to the front of the list if it is missing. */
struct rules_quota *rules_quota_of(struct rules_quota **list, const char *name);
struct rules_tally *rules_tally_of(struct rules_tally **list, const char *name);

void rules_quotas_free(struct rules_quota *list);
void rules_tallies_free(struct rules_tally *list);

/* --- limits --- */

/* True if one more line may be taken now, by the rate limit and by the client's share of @memory_limit. */
bool rules_may_send(struct rules *c, size_t memory_limit);

/* A line is taken. */
static inline void rules_take_line(struct rules *c, size_t bytes)
{
        if (c->tally) {
                c->tally->lines++;
                c->tally->held_bytes += bytes;
        }
        c->allowance -= c->allowance > 0;
}

/* A line is settled, or given up. */
static inline void rules_drop_line(struct rules *c, size_t bytes)
{
        if (c->tally)
                c->tally->held_bytes -= bytes;
}

/* Counts one more connection. Returns false, and counts nothing, if there are too many. */
bool rules_connect(struct rules *c);

/* Counts an open connection that gets these rules by a reload, even beyond the limit. */
void rules_connect_again(struct rules *c);
void rules_disconnect(struct rules *c);

#endif
