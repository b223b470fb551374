#ifndef ACCESS_H
#define ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

/* Who may connect to the Unix socket, by the credentials that the kernel has of the peer (unix(7),
 * SO_PEERCRED). */

enum { ACCESS_ERROR_BYTES = 256 };

struct access {
        uid_t *users;
        size_t users_len;
        gid_t *groups;
        size_t groups_len;
};

/* Reads two lists of names or numbers with commas or spaces between them; where both are empty everybody may
 * connect whom the socket's mode lets. Asks the system for names, which may take its time. 0, or ERR_CONFIG
 * with one line in
 * @ret_error; @a is to be deinitialised in either case. */
int access_init(struct access *a, const char *users, const char *groups, char ret_error[ACCESS_ERROR_BYTES]);

void access_deinit(struct access *a);

/* Whether the peer of the connected socket @fd is one of the users, is in one of the groups, or is root, who
 * could become any of them. */
bool access_allows(const struct access *a, int fd);

#endif
