#include "server/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sys/socket.h>

#include "base/err.h"
#include "server/ids.h"

/* --- a peer --- */

static void *grow(void *items, size_t len, size_t bytes)
{
        void *more = realloc(items, (len + 1) * bytes);

        if (!more)
                abort();
        return more;
}

static void add_group(struct peer *p, gid_t group)
{
        p->groups = grow(p->groups, p->groups_len, sizeof(*p->groups));
        p->groups[p->groups_len++] = group;
}

void peer_of_socket(struct peer *p, int fd)
{
        struct ucred who;
        socklen_t bytes = sizeof(who);

        *p = (struct peer){0};
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0 || who.uid == (uid_t)-1)
                return;
        p->has_user = true;
        p->user = who.uid;
        bytes = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) != 0 && errno == ERANGE) {
                p->groups = calloc(1, bytes);
                if (!p->groups)
                        abort();
                if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->groups, &bytes) == 0)
                        p->groups_len = bytes / sizeof(*p->groups);
        }
        add_group(p, who.gid);
}

/* A NUL in a name would make it look like another one. */
void peer_add_name(struct peer *p, const char *name, size_t len)
{
        if (len == 0 || memchr(name, '\0', len))
                return;
        p->names = realloc(p->names, p->names_len + len + 1);
        if (!p->names)
                abort();
        memcpy(p->names + p->names_len, name, len);
        p->names[p->names_len + len] = '\0';
        p->names_len += len + 1;
}

void peer_deinit(struct peer *p)
{
        free(p->groups);
        free(p->names);
        *p = (struct peer){0};
}

/* --- a list --- */

static bool strip(const char **word, size_t *len, const char *prefix)
{
        size_t n = strlen(prefix);

        if (*len <= n || strncmp(*word, prefix, n) != 0)
                return false;
        *word += n;
        *len -= n;
        return true;
}

static bool add(struct peers *p, const char *word, size_t len)
{
        char *name;
        unsigned id;

        if (strip(&word, &len, "certificate:")) {
                name = strndup(word, len);
                p->names = grow(p->names, p->names_len, sizeof(*p->names));
                if (!name)
                        abort();
                p->names[p->names_len++] = name;
        } else if (strip(&word, &len, "user:")) {
                if (!ids_find_user((struct slice){word, len}, &id)) {
                        p->unknown++;
                        return true;
                }
                p->users = grow(p->users, p->users_len, sizeof(*p->users));
                p->users[p->users_len++] = id;
        } else if (strip(&word, &len, "group:")) {
                if (!ids_find_group((struct slice){word, len}, &id)) {
                        p->unknown++;
                        return true;
                }
                p->groups = grow(p->groups, p->groups_len, sizeof(*p->groups));
                p->groups[p->groups_len++] = id;
        } else {
                return false;
        }
        return true;
}

int peers_read(struct peers *p, const struct client_section *section, char ret_error[CONFIG_ERROR_BYTES])
{
        const char *text = section->peer.text;
        const char *word;
        size_t len;

        *p = (struct peers){0};
        while ((len = client_words_next(&text, &word)) > 0) {
                if (add(p, word, len))
                        continue;
                snprintf(ret_error, CONFIG_ERROR_BYTES,
                         "%s: peer of [client %s] must be user:NAME, group:NAME or certificate:NAME",
                         section->peer.where, section->name);
                return ERR_CONFIG;
        }
        return 0;
}

void peers_deinit(struct peers *p)
{
        for (size_t i = 0; i < p->names_len; i++)
                free(p->names[i]);
        free(p->names);
        free(p->users);
        free(p->groups);
        *p = (struct peers){0};
}

static bool has_user(const struct peers *list, uid_t user)
{
        for (size_t i = 0; i < list->users_len; i++) {
                if (list->users[i] == user)
                        return true;
        }
        return false;
}

static bool has_group(const struct peers *list, gid_t group)
{
        for (size_t i = 0; i < list->groups_len; i++) {
                if (list->groups[i] == group)
                        return true;
        }
        return false;
}

/* Names of hosts: upper and lower case are the same. */
static bool has_name(const struct peers *list, const char *name)
{
        for (size_t i = 0; i < list->names_len; i++) {
                if (strcasecmp(list->names[i], name) == 0)
                        return true;
        }
        return false;
}

bool peers_have(const struct peers *list, const struct peer *peer)
{
        if (peer->has_user && has_user(list, peer->user))
                return true;
        for (size_t i = 0; i < peer->groups_len; i++) {
                if (has_group(list, peer->groups[i]))
                        return true;
        }
        for (size_t at = 0; at < peer->names_len; at += strlen(peer->names + at) + 1) {
                if (has_name(list, peer->names + at))
                        return true;
        }
        return false;
}
