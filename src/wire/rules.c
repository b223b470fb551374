#include "wire/rules.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/ini_file.h"
#include "base/wildcard.h"
#include "wire/fields.h"

enum {
        PLATFORMS_ALL = (1 << PLATFORMS) - 1,
        BURST_MS = 100, /* a client that was silent may send this much time's lines in one burst */
        CHUNKS_PER_S = 100,
};

/* --- from a section --- */

static int read_platforms(struct rules *c, const struct client_section *s, char *ret_error)
{
        const char *text = s->platforms.text;
        const char *word;
        size_t len;

        while ((len = client_words_next(&text, &word)) > 0) {
                enum platform platform;

                if (!platform_parse((struct slice){word, len}, &platform))
                        return ini_file_fail(
                                ret_error, "%s: platforms of [client %s] must be META, GOOGLE_ADS or TIKTOK",
                                s->platforms.where, s->name);
                c->platforms |= 1U << platform;
        }
        if (c->platforms == 0)
                c->platforms = PLATFORMS_ALL;
        return 0;
}

static bool has_connection(const struct rules *c, const struct uuid *connection)
{
        for (size_t i = 0; i < c->connections_len; i++) {
                if (uuid_eq(&c->connections[i], connection))
                        return true;
        }
        return false;
}

/* Adds each connection once, since a look-up asks about every element. */
static void add_connection(struct rules *c, const struct uuid *connection)
{
        if (has_connection(c, connection))
                return;
        c->connections = realloc(c->connections, (c->connections_len + 1) * sizeof(*c->connections));
        if (!c->connections)
                abort();
        c->connections[c->connections_len++] = *connection;
}

static int read_connections(struct rules *c, const struct client_section *s, char *ret_error)
{
        const char *text = s->connections.text;
        const char *word;
        size_t len;

        c->any_connection = true;
        while ((len = client_words_next(&text, &word)) > 0) {
                struct uuid uuid;

                if (!uuid_parse((struct slice){word, len}, &uuid))
                        return ini_file_fail(ret_error, "%s: connections of [client %s] must be UUIDs",
                                             s->connections.where, s->name);
                c->any_connection = false;
                add_connection(c, &uuid);
        }
        return 0;
}

static void add_account(struct rules *c, const char *pattern, size_t len)
{
        c->accounts = realloc(c->accounts, (c->accounts_len + 1) * sizeof(*c->accounts));
        if (!c->accounts || !(c->accounts[c->accounts_len] = strndup(pattern, len)))
                abort();
        c->accounts_len++;
}

static void read_accounts(struct rules *c, const struct client_section *s)
{
        const char *text = s->accounts.text;
        const char *word;
        size_t len;

        while ((len = client_words_next(&text, &word)) > 0)
                add_account(c, word, len);
}

static void draw_mark(struct rules *c)
{
        if (getrandom(&c->mark, sizeof(c->mark), 0) != (ssize_t)sizeof(c->mark))
                abort(); /* fewer than 256 bytes always come at once (getrandom(2)) */
}

static struct rules *new_rules(const char *name)
{
        struct rules *c = calloc(1, sizeof(*c));

        if (!c)
                abort();
        c->refs = 1;
        c->memory_percent = 100;
        snprintf(c->name, sizeof(c->name), "%.*s", (int)strcspn(name, "+"), name);
        snprintf(c->origin, sizeof(c->origin), "%s", name);
        return c;
}

struct rules *rules_new(const struct client_section *section, char ret_error[CONFIG_ERROR_BYTES])
{
        struct rules *c = new_rules(section->name);

        if (read_platforms(c, section, ret_error) != 0 || read_connections(c, section, ret_error) != 0) {
                rules_unref(c);
                return NULL;
        }
        read_accounts(c, section);
        c->lines_per_second = section->max_lines_per_second;
        c->max_connections = section->max_connections;
        c->memory_percent = section->memory_percent;
        if (!rules_any_platform(c) || !c->any_connection || c->accounts_len > 0)
                draw_mark(c);
        return c;
}

struct rules *rules_new_gone(const char *origin)
{
        struct rules *c = new_rules(origin);

        c->gone = true;
        c->retired = true;
        draw_mark(c);
        return c;
}

static void intersect_connections(struct rules *c, const struct rules *a, const struct rules *b)
{
        const struct rules *listed = a->any_connection ? b : a;
        const struct rules *other = a->any_connection ? a : b;

        c->any_connection = listed->any_connection;
        for (size_t i = 0; i < listed->connections_len; i++) {
                if (other->any_connection || has_connection(other, &listed->connections[i]))
                        add_connection(c, &listed->connections[i]);
        }
}

/* False for a client that may write everything: combined with it, other rules stay as they are. */
static bool is_restricted(const struct rules *c)
{
        return c->gone || c->owner || c->mark.low64 != 0 || c->mark.high64 != 0;
}

struct rules *rules_new_for(struct rules *owner, struct rules *sender)
{
        struct rules *c = new_rules(owner->origin);
        size_t len = strlen(c->origin);

        snprintf(c->name, sizeof(c->name), "%s", owner->name);
        c->gone = owner->gone || sender->gone;
        if (is_restricted(sender) && strcmp(owner->origin, sender->origin) != 0) {
                snprintf(c->origin + len, sizeof(c->origin) - len, "+%s", sender->origin);
                c->gone |= len + 1 + strlen(sender->origin) >=
                           sizeof(c->origin); /* a cut origin would name too few clients */
        }
        c->retired = true; /* not in the set of clients, so caches keep nothing for it */
        c->platforms = owner->platforms & sender->platforms;
        intersect_connections(c, owner, sender);
        c->owner = rules_ref(owner);
        c->sender = rules_ref(sender);
        c->lines_per_second = sender->lines_per_second;
        c->max_connections = sender->max_connections;
        c->memory_percent = sender->memory_percent;
        c->quota = sender->quota;
        c->tally = sender->tally;
        draw_mark(c);
        return c;
}

struct rules *rules_ref(struct rules *c)
{
        if (c)
                c->refs++;
        return c;
}

void rules_unref(struct rules *c)
{
        if (!c || --c->refs > 0)
                return;
        for (size_t i = 0; i < c->accounts_len; i++)
                free(c->accounts[i]);
        rules_unref(c->owner);
        rules_unref(c->sender);
        free(c->accounts);
        free(c->connections);
        free(c);
}

/* --- judging --- */

bool rules_any_platform(const struct rules *c)
{
        return c->platforms == PLATFORMS_ALL;
}

void rules_list_platforms(const struct rules *c, char ret[RULES_PLATFORMS_BYTES])
{
        size_t len = 0;

        ret[0] = '\0';
        for (enum platform p = 0; c->platforms >> p; p++) {
                if (c->platforms >> p & 1)
                        len += (size_t)snprintf(ret + len, RULES_PLATFORMS_BYTES - len, "%s%s",
                                                len > 0 ? " " : "", platform_name(p));
        }
}

static bool refuse_gone(const struct rules *c, struct reject *ret)
{
        reject_set(ret, REJECT_NOT_PERMITTED, NULL,
                   "section [client %s] no longer exists, so its client may write nothing", c->name);
        return false;
}

void rules_refuse_connection(const struct rules *c, const struct uuid *connection, struct reject *ret)
{
        char text[UUID_TEXT_LEN + 1];

        uuid_format(connection, text);
        reject_set(ret, REJECT_NOT_PERMITTED, "connectionId",
                   "client %s may not write platform connection %s", c->name, text);
}

void rules_refuse_account(const struct rules *c, const char *account, struct reject *ret)
{
        reject_set(ret, REJECT_NOT_PERMITTED, "accountExternalId", "client %s may not write ad account %s",
                   c->name, account);
}

static bool permits_account(const struct rules *c, const char *account)
{
        bool found = c->accounts_len == 0;

        if (c->owner)
                return permits_account(c->owner, account) && permits_account(c->sender, account);
        for (size_t i = 0; i < c->accounts_len && !found; i++)
                found = wildcard_matches(c->accounts[i], account);
        return found;
}

static bool permits(const struct rules *c, const struct uuid *connection, struct json_string account,
                    const char *account_field, struct reject *ret)
{
        char text[EXTERNAL_ID_MAX + 1];

        if (connection && !c->any_connection && !has_connection(c, connection)) {
                rules_refuse_connection(c, connection, ret);
                return false;
        }
        if (c->accounts_len == 0 && !c->owner)
                return true;
        external_id_decode(account, text);
        if (permits_account(c, text))
                return true;
        rules_refuse_account(c, text, ret);
        snprintf(ret->field, sizeof(ret->field), "%s", account_field);
        return false;
}

bool rules_permits(const struct rules *c, enum platform platform, const struct uuid *connection,
                   struct json_string account, struct reject *ret_reject)
{
        if (!c)
                return true;
        if (c->gone)
                return refuse_gone(c, ret_reject);
        if (!(c->platforms >> platform & 1)) {
                reject_set(ret_reject, REJECT_NOT_PERMITTED, "platform",
                           "client %s may not write platform %s", c->name, platform_name(platform));
                return false;
        }
        return permits(c, connection, account, "accountExternalId", ret_reject);
}

bool rules_permits_account(const struct rules *c, const struct uuid *connection, struct json_string account,
                           struct reject *ret_reject)
{
        if (!c)
                return true;
        if (c->gone)
                return refuse_gone(c, ret_reject);
        return permits(c, connection, account, "externalId", ret_reject);
}

/* --- limits --- */

/* Takes the lines of a hundredth of a second, at least one, from the shared quota. due_ns advances by the time that each
 * line is due for, and may be at most a burst ahead. */
static bool refill(struct rules *c)
{
        uint64_t now_ns = clock_monotonic_us() * 1000;
        uint64_t line_ns = UINT64_C(1000000000) / c->lines_per_second;
        unsigned lines = c->lines_per_second / CHUNKS_PER_S;
        uint64_t due = c->quota->due_ns;
        uint64_t next;

        lines = lines > 0 ? lines : 1;
        line_ns = line_ns > 0 ? line_ns : 1;
        do {
                uint64_t burst_ns = BURST_MS * UINT64_C(1000000);

                next = due + burst_ns > now_ns ? due : now_ns - burst_ns;
                if (next > now_ns)
                        return false;
                next += lines * line_ns;
        } while (!atomic_compare_exchange_weak(&c->quota->due_ns, &due, next));
        c->allowance = lines;
        return true;
}

bool rules_may_send(struct rules *c, size_t memory_limit)
{
        if (c->memory_percent < 100 && c->tally->held_bytes >= memory_limit / 100 * c->memory_percent)
                return false;
        return c->lines_per_second == 0 || c->allowance > 0 || refill(c);
}

bool rules_connect(struct rules *c)
{
        unsigned before = c->quota->connections++;

        if (c->max_connections > 0 && before >= c->max_connections) {
                c->quota->connections--;
                return false;
        }
        c->tally->connections++;
        return true;
}

void rules_connect_again(struct rules *c)
{
        if (!c->quota)
                return;
        c->quota->connections++;
        c->tally->connections++;
}

void rules_disconnect(struct rules *c)
{
        if (!c->quota)
                return;
        c->quota->connections--;
        c->tally->connections--;
}

/* --- counts --- */

struct rules_quota *rules_quota_of(struct rules_quota **list, const char *name)
{
        struct rules_quota *q = *list;

        while (q && strcmp(q->name, name) != 0)
                q = q->next;
        if (q)
                return q;
        q = calloc(1, sizeof(*q));
        if (!q)
                abort();
        snprintf(q->name, sizeof(q->name), "%s", name);
        q->next = *list;
        *list = q;
        return q;
}

struct rules_tally *rules_tally_of(struct rules_tally **list, const char *name)
{
        struct rules_tally *t = *list;

        while (t && strcmp(t->name, name) != 0)
                t = t->next;
        if (t)
                return t;
        t = calloc(1, sizeof(*t));
        if (!t)
                abort();
        snprintf(t->name, sizeof(t->name), "%s", name);
        t->next = *list;
        *list = t;
        return t;
}

void rules_quotas_free(struct rules_quota *list)
{
        while (list) {
                struct rules_quota *next = list->next;

                free(list);
                list = next;
        }
}

void rules_tallies_free(struct rules_tally *list)
{
        while (list) {
                struct rules_tally *next = list->next;

                free(list);
                list = next;
        }
}
