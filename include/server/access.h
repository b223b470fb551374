#ifndef ACCESS_H
#define ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

/* Decides who may connect to the Unix socket, by the peer's credentials as the kernel reports them (unix(7),
 * SO_PEERCRED). */

enum { ACCESS_ERROR_BYTES = 256 };

struct access {
        uid_t *users;
        size_t users_len;
        gid_t *groups;
        size_t groups_len;
};

/* Reads two lists of names or numbers separated by commas or blanks. If both are empty, the socket's mode
 * alone decides. Looks names up in the system, which may block. Returns 0, or ERR_CONFIG with one line in
 * @ret_error; the caller deinitialises @a in either case. */
int access_init(struct access *a, const char *users, const char *groups, char ret_error[ACCESS_ERROR_BYTES]);

void access_deinit(struct access *a);

/* True if the peer of the connected socket @fd is one of the users, a member of one of the groups, or root,
 * who could become any of them. */
bool access_allows(const struct access *a, int fd);

#endif
