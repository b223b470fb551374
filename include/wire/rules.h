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

/* What the client of a section [client NAME] may write. A line has the client that its sender was when it was received;
 * where there are no sections it has none, and everything is permitted.
 *
 * The reply to a line that is not permitted does not depend on the database. The worker judges the record's own names before it
 * looks anything up. It looks for the account's platform connection among the client's own platform connections only. */

/* What all workers share of a client. It stays until the daemon ends, by its name, whatever becomes of its section. */
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
        uint64_t counts[LINE_OUTCOMES]; /* of these, and of its lines that came out of the spool */
        size_t held_bytes;              /* of those that are not settled */
};

/* A worker's. */
struct rules {
        unsigned refs;
        char name[CLIENT_NAME_BYTES];
        /* What the spool and the reject file keep: the name, or with '+' between them the names of all whose rules hold
         * together, the first sender's in front. */
        char origin[CLIENT_ORIGIN_BYTES];
        struct rules *owner; /* where two hold together: see rules_new_for; else NULL, both */
        struct rules *sender;
        bool retired;       /* its section was read again: nothing may be remembered for it */
        bool gone;          /* there is no such section any more: nothing is permitted */
        unsigned platforms; /* bit per enum platform */
        bool any_connection;
        struct uuid *connections; /* where not any */
        size_t connections_len;
        char **accounts; /* patterns; none: any */
        size_t accounts_len;
        unsigned lines_per_second; /* 0: no limit */
        unsigned max_connections;  /* 0: no limit */
        unsigned memory_percent;
        XXH128_hash_t
                mark; /* random: what is remembered for this client bears it; 0 where it may write everything */
        struct rules_quota *quota; /* both NULL of one that is gone */
        struct rules_tally *tally;
        unsigned allowance; /* lines taken from the quota that may still be sent */
};

/* One reference. Reads platforms, connections and accounts of @section. NULL, with one line in @ret_error, where they
 * are wrong. */
struct rules *rules_new(const struct client_section *section, char ret_error[CONFIG_ERROR_BYTES]);

/* A client that may write nothing. */
struct rules *rules_new_gone(const char *origin);

/* @sender sends lines of @owner again: both must permit them. One reference. */
struct rules *rules_new_for(struct rules *owner, struct rules *sender);

/* Both take NULL. */
struct rules *rules_ref(struct rules *c);
void rules_unref(struct rules *c);

/* Whether the record's own words are permitted; where not, *ret_reject says so. @c may be NULL. @connection is NULL
 * where the record names none. */
bool rules_permits(const struct rules *c, enum platform platform, const struct uuid *connection,
                   struct json_string account, struct reject *ret_reject);

/* The same for an account to be written, whose platform only the database knows: see rules_any_platform. */
bool rules_permits_account(const struct rules *c, const struct uuid *connection, struct json_string account,
                           struct reject *ret_reject);

/* Whether a record that names no platform connection is looked up among c->connections only. @c may be NULL. */
static inline bool rules_is_scoped(const struct rules *c, bool has_connection)
{
        return c && !c->any_connection && !has_connection;
}

bool rules_any_platform(const struct rules *c);

/* The platforms, with spaces between them. */
enum { RULES_PLATFORMS_BYTES = 64 };
void rules_list_platforms(const struct rules *c, char ret[RULES_PLATFORMS_BYTES]);

/* Nothing was found where the client may write: whether there is anything elsewhere is unknown. */
void rules_refuse_account(const struct rules *c, const char *account, struct reject *ret);
void rules_refuse_connection(const struct rules *c, const struct uuid *connection, struct reject *ret);

/* @hash with the client's mark, for what is remembered. @c may be NULL. */
static inline XXH128_hash_t rules_mark(const struct rules *c, XXH128_hash_t hash)
{
        if (c) {
                hash.low64 ^= c->mark.low64;
                hash.high64 ^= c->mark.high64;
        }
        return hash;
}

/* --- counts --- */

/* The one of this name in a list, to whose front it is added where it is missing. */
struct rules_quota *rules_quota_of(struct rules_quota **list, const char *name);
struct rules_tally *rules_tally_of(struct rules_tally **list, const char *name);

void rules_quotas_free(struct rules_quota *list);
void rules_tallies_free(struct rules_tally *list);

/* --- limits --- */

/* Whether a line may be taken now; of @memory_limit the client has its share. */
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

/* It is settled, or given up. */
static inline void rules_drop_line(struct rules *c, size_t bytes)
{
        if (c->tally)
                c->tally->held_bytes -= bytes;
}

/* One more connection; false, and nothing is counted, where there are too many. */
bool rules_connect(struct rules *c);

/* The same for one that is there already, under other rules. */
void rules_connect_again(struct rules *c);
void rules_disconnect(struct rules *c);

#endif
