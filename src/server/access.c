#include "server/access.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>

#include "base/err.h"
#include "base/memory.h"

enum { NAME_BYTES = 256 };

/* A plain decimal number. */
static bool read_number(const char *text, unsigned *ret)
{
        char *end;
        unsigned long n;

        if (!isdigit((unsigned char)text[0]))
                return false;
        errno = 0;
        n = strtoul(text, &end, 10);
        *ret = (unsigned)n;
        return errno == 0 && *end == '\0' && n < UINT32_MAX; /* the last one means nobody (chown(2)) */
}

static bool find_user(const char *name, unsigned *ret)
{
        const struct passwd *entry = getpwnam(name);

        if (entry)
                *ret = entry->pw_uid;
        return entry != NULL;
}

static bool find_group(const char *name, unsigned *ret)
{
        const struct group *entry = getgrnam(name);

        if (entry)
                *ret = entry->gr_gid;
        return entry != NULL;
}

/* Both kinds of ids are unsigned. */
static int read_list(const char *list, const char *setting, bool (*find)(const char *name, unsigned *ret),
                     unsigned **ret_ids, size_t *ret_len, char ret_error[ACCESS_ERROR_BYTES])
{
        static const char separators[] = ", \t";

        for (const char *p = list + strspn(list, separators); *p; p += strspn(p, separators)) {
                size_t len = strcspn(p, separators);
                char name[NAME_BYTES];
                unsigned id;

                snprintf(name, sizeof(name), "%.*s", (int)(len < NAME_BYTES ? len : NAME_BYTES), p);
                if (!read_number(name, &id) && !find(name, &id)) {
                        snprintf(ret_error, ACCESS_ERROR_BYTES, "%s: this system does not know %.100s",
                                 setting, name);
                        return ERR_CONFIG;
                }
                *ret_ids = must_realloc(*ret_ids, (*ret_len + 1) * sizeof(**ret_ids));
                (*ret_ids)[(*ret_len)++] = id;
                p += len;
        }
        return 0;
}

int access_init(struct access *a, const char *users, const char *groups, char ret_error[ACCESS_ERROR_BYTES])
{
        int err;

        *a = (struct access){0};
        err = read_list(users, "listen.allow_users", find_user, &a->users, &a->users_len, ret_error);
        if (err == 0)
                err = read_list(groups, "listen.allow_groups", find_group, &a->groups, &a->groups_len,
                                ret_error);
        return err;
}

void access_deinit(struct access *a)
{
        free(a->users);
        free(a->groups);
        *a = (struct access){0};
}

static bool has_group(const struct access *a, gid_t gid)
{
        for (size_t i = 0; i < a->groups_len; i++) {
                if (a->groups[i] == gid)
                        return true;
        }
        return false;
}

/* The supplementary groups that the peer had when it connected. */
static bool has_peer_group(const struct access *a, int fd)
{
        socklen_t bytes = 0;
        gid_t *groups;
        bool found = false;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) == 0 || errno != ERANGE)
                return false; /* it has none */
        groups = must_malloc(bytes);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0) {
                for (size_t i = 0; i < bytes / sizeof(*groups) && !found; i++)
                        found = has_group(a, groups[i]);
        }
        free(groups);
        return found;
}

bool access_allows(const struct access *a, int fd)
{
        struct ucred peer;
        socklen_t len = sizeof(peer);

        if (a->users_len == 0 && a->groups_len == 0)
                return true;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
                return false;
        if (peer.uid == 0)
                return true;
        for (size_t i = 0; i < a->users_len; i++) {
                if (a->users[i] == peer.uid)
                        return true;
        }
        return has_group(a, peer.gid) || has_peer_group(a, fd);
}
