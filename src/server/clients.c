#include "server/clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "server/peers.h"

int clients_read(struct clients *c, const struct config *config, char ret_error[CONFIG_ERROR_BYTES])
{
        int err = 0;

        *c = (struct clients){0};
        if (config->clients_len == 0)
                return 0;
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        c->items = calloc(config->clients_len, sizeof(*c->items));
        c->peers = calloc(config->clients_len, sizeof(*c->peers));
        if (!c->items || !c->peers)
                abort();
        for (; c->len < config->clients_len && err == 0; c->len++) {
                c->items[c->len] = rules_new(&config->clients[c->len], ret_error);
                err = peers_read(&c->peers[c->len], &config->clients[c->len], ret_error);
                if (!c->items[c->len])
                        err = ERR_CONFIG;
        }
        return err;
}

void clients_deinit(struct clients *c)
{
        for (size_t i = 0; i < c->len; i++) {
                if (c->items[i])
                        c->items[i]->retired = true;
                rules_unref(c->items[i]);
                peers_deinit(&c->peers[i]);
        }
        free(c->items);
        free(c->peers);
        *c = (struct clients){0};
}

struct rules *clients_match(const struct clients *c, const struct peer *peer)
{
        for (size_t i = 0; i < c->len; i++) {
                if (peers_have(&c->peers[i], peer))
                        return c->items[i];
        }
        return NULL;
}

struct rules *clients_find(const struct clients *c, const char *name)
{
        for (size_t i = 0; i < c->len; i++) {
                if (strcmp(c->items[i]->name, name) == 0)
                        return c->items[i];
        }
        return NULL;
}

struct rules *clients_rules_of(const struct clients *c, const char *origin)
{
        struct rules *all = NULL;
        size_t len;

        for (const char *p = origin; *p; p += len + (p[len] == '+')) {
                char name[CLIENT_ORIGIN_BYTES];
                struct rules *one;
                struct rules *before = all;

                len = strcspn(p, "+");
                snprintf(name, sizeof(name), "%.*s", (int)len, p);
                one = rules_ref(clients_find(c, name));
                if (!one)
                        one = rules_new_gone(name);
                if (!before) {
                        all = one;
                        continue;
                }
                all = rules_new_for(before, one);
                rules_unref(before);
                rules_unref(one);
        }
        return all ? all : rules_new_gone(origin);
}

/* --- sections that nobody matches --- */

/* True if earlier sections name all peers of section @i. Members of groups are not looked up. */
static bool is_hidden(const struct clients *c, size_t i)
{
        const struct peers *p = &c->peers[i];
        size_t hidden = 0;

        for (size_t k = 0; k < p->users_len + p->groups_len + p->names_len; k++) {
                struct peer one = {0};
                gid_t group;

                if (k < p->users_len) {
                        one.has_user = true;
                        one.user = p->users[k];
                } else if (k < p->users_len + p->groups_len) {
                        group = p->groups[k - p->users_len];
                        one.groups = &group;
                        one.groups_len = 1;
                } else {
                        one.names = p->names[k - p->users_len - p->groups_len];
                        one.names_len = strlen(one.names) + 1;
                }
                for (size_t earlier = 0; earlier < i; earlier++) {
                        if (peers_have(&c->peers[earlier], &one)) {
                                hidden++;
                                break;
                        }
                }
        }
        return hidden == p->users_len + p->groups_len + p->names_len;
}

const char *clients_unmatched(const struct clients *c, size_t i, const struct config *config)
{
        const struct peers *p = &c->peers[i];
        bool by_socket = p->users_len + p->groups_len > 0;

        if (!by_socket && p->names_len == 0)
                return p->unknown > 0
                               ? "its users and groups do not exist on this system (correct peer)"
                               : "it has no peer (add peer = user:NAME, group:NAME or certificate:NAME)";
        if (is_hidden(c, i))
                return "earlier sections name all its peers, and the first match applies (move it up, or remove it)";
        if (!config->listen.tls_cert[0] && !by_socket)
                return "without TLS no client shows a certificate (set listen.tls_cert, tls_key and tls_client_ca)";
        return NULL;
}

void clients_warn_unmatched(const struct config *config)
{
        char error[CONFIG_ERROR_BYTES];
        struct clients c;

        if (clients_read(&c, config, error) == 0) {
                for (size_t i = 0; i < c.len; i++) {
                        const char *why = clients_unmatched(&c, i, config);

                        if (why)
                                log_warn("no client can match [client %s]: %s", c.items[i]->name, why);
                }
        }
        clients_deinit(&c);
}
