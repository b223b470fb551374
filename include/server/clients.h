#ifndef CLIENTS_H
#define CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "wire/rules.h"

/* The clients of all sections [client NAME], in the order of the file, and the peers that belong to each. */

struct peer;
struct peers;

struct clients {
        struct rules **items;
        struct peers *peers; /* of each */
        size_t len;          /* 0: everybody may write everything */
};

/* Reads the sections of @config. Returns 0, or ERR_CONFIG with one line in @ret_error; the caller deinitialises @c in
 * either case. */
int clients_read(struct clients *c, const struct config *config, char ret_error[CONFIG_ERROR_BYTES]);

/* Retires the clients: lines in flight still refer to their rules, but the caches keep nothing for them. */
void clients_deinit(struct clients *c);

/* Returns the first client whose section names the peer; NULL if there is none. */
struct rules *clients_match(const struct clients *c, const struct peer *peer);

/* The section of this name; NULL if there is no such section. */
struct rules *clients_find(const struct clients *c, const char *name);

/* Returns a reference to the rules for a line's origin (rules.h). A name without a section gets rules that permit nothing. */
struct rules *clients_rules_of(const struct clients *c, const char *origin);

/* Returns why no client can match section number @i, as text to follow "no client can match [client NAME]: "; NULL if one
 * can. */
const char *clients_unmatched(const struct clients *c, size_t i, const struct config *config);

/* Logs each section that no client can match. That is not an error: several machines may share one configuration. */
void clients_warn_unmatched(const struct config *config);

#endif
