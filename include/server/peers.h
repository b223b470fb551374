#ifndef PEERS_H
#define PEERS_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

#include "base/client_section.h"

/* Finds a client's section: "user:NAME" and "group:NAME" match the credentials that the kernel reports for a Unix socket's peer,
 * "certificate:NAME" matches the names in a TLS client's certificate. */

/* What is known of a peer. */
struct peer {
        bool has_user; /* of a Unix socket */
        uid_t user;
        gid_t *groups; /* the peer's own and its supplementary ones, when it connected */
        size_t groups_len;
        char *names; /* in its certificate, each followed by a NUL */
        size_t names_len;
};

/* Reads the peer of a connected Unix socket. The caller deinitialises @p. */
void peer_of_socket(struct peer *p, int fd);

/* One more name. */
void peer_add_name(struct peer *p, const char *name, size_t len);

void peer_deinit(struct peer *p);

struct peers {
        uid_t *users;
        size_t users_len;
        gid_t *groups;
        size_t groups_len;
        char **names;
        size_t names_len;
        size_t unknown; /* users and groups that this system does not know */
};

/* Looks names up in the system. Returns 0, or ERR_CONFIG with one line in @ret_error; the caller deinitialises @p in
 * either case. */
int peers_read(struct peers *p, const struct client_section *section, char ret_error[CONFIG_ERROR_BYTES]);

void peers_deinit(struct peers *p);

bool peers_have(const struct peers *list, const struct peer *peer);

#endif
