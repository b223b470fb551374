#ifndef CLIENTS_H
#define CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "wire/rules.h"

/* The clients of all sections [client NAME], in their order, and who they are. */

struct peer;
struct peers;

struct clients {
        struct rules **items;
        struct peers *peers; /* of each */
        size_t len;          /* 0: everybody may write everything */
};

/* Reads the sections of @config. 0, or ERR_CONFIG with one line in @ret_error; to be deinitialised in either case. */
int clients_read(struct clients *c, const struct config *config, char ret_error[CONFIG_ERROR_BYTES]);

/* Its clients are retired: what lines still hold of them is not remembered. */
void clients_deinit(struct clients *c);

/* The first one whose section names the peer; NULL where none does. */
struct rules *clients_match(const struct clients *c, const struct peer *peer);

/* The section of this name; NULL if there is no such section. */
struct rules *clients_find(const struct clients *c, const char *name);

/* Those of a line's origin (rules.h): of a name without a section nothing is permitted. One reference. */
struct rules *clients_rules_of(const struct clients *c, const char *origin);

/* Why no client can match section number @i, in words that follow "no client can match [client NAME]: "; NULL where one can. */
const char *clients_unmatched(const struct clients *c, size_t i, const struct config *config);

/* Logs these. Such a section is no error: a configuration may be for several machines. */
void clients_warn_unmatched(const struct config *config);

#endif
