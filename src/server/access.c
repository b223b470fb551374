#include "server/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/memory.h"
#include "server/ids.h"
#include "server/peers.h"

/* User and group ids are both unsigned. */
static int read_list(const char *list, const char *setting, bool (*find)(struct slice name, unsigned *ret),
                     unsigned **ret_ids, size_t *ret_len, char ret_error[ACCESS_ERROR_BYTES])
{
        const char *word;
        size_t len;

        while ((len = client_words_next(&list, &word)) > 0) {
                unsigned id;

                if (!find((struct slice){word, len}, &id)) {
                        snprintf(ret_error, ACCESS_ERROR_BYTES, "%s: this system does not know %.*s", setting,
                                 (int)(len < 100 ? len : 100), word);
                        return ERR_CONFIG;
                }
                *ret_ids = must_realloc(*ret_ids, (*ret_len + 1) * sizeof(**ret_ids));
                (*ret_ids)[(*ret_len)++] = id;
        }
        return 0;
}

int access_init(struct access *a, const char *users, const char *groups, char ret_error[ACCESS_ERROR_BYTES])
{
        int err;

        *a = (struct access){0};
        err = read_list(users, "listen.allow_users", ids_find_user, &a->users, &a->users_len, ret_error);
        if (err == 0)
                err = read_list(groups, "listen.allow_groups", ids_find_group, &a->groups, &a->groups_len,
                                ret_error);
        return err;
}

void access_deinit(struct access *a)
{
        free(a->users);
        free(a->groups);
        *a = (struct access){0};
}

bool access_allows(const struct access *a, int fd)
{
        const struct peers admitted = {.users = a->users,
                                       .users_len = a->users_len,
                                       .groups = a->groups,
                                       .groups_len = a->groups_len};
        struct peer peer;
        bool allowed;

        if (a->users_len == 0 && a->groups_len == 0)
                return true;
        peer_of_socket(&peer, fd);
        allowed = peer.has_user && (peer.user == 0 || peers_have(&admitted, &peer));
        peer_deinit(&peer);
        return allowed;
}
