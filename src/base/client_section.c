#include "base/client_section.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/ini_file.h"

static const char prefix[] = "client";
static const char separators[] = ", \t";

enum { CONNECTIONS_MAX = 65536, LINES_PER_SECOND_MAX = 100000000 };

/* --- words --- */

size_t client_words_next(const char **text, const char **ret_word)
{
        size_t len;

        *text += strspn(*text, separators);
        len = strcspn(*text, separators);
        *ret_word = *text;
        *text += len;
        return len;
}

static void add_words(struct client_words *words, const char *where, const char *value)
{
        size_t len = words->text ? strlen(words->text) : 0;

        words->text = realloc(words->text, len + strlen(value) + 2);
        if (!words->text)
                abort();
        sprintf(words->text + len, "%s%s", len > 0 ? " " : "", value);
        snprintf(words->where, sizeof(words->where), "%s", where);
}

/* --- sections --- */

bool client_section_is(const char *section)
{
        size_t len = strlen(prefix);

        return strncmp(section, prefix, len) == 0 &&
               (section[len] == '\0' || isspace((unsigned char)section[len]));
}

/* Returns the name in "client NAME"; NULL if it is not valid. */
static const char *name_of(const char *section)
{
        const char *name = section + strlen(prefix);

        name += strspn(name, " \t");
        for (const char *p = name; *p; p++) {
                if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
                        return NULL;
        }
        return *name && strlen(name) < CLIENT_NAME_BYTES ? name : NULL;
}

static struct client_section *find(const struct config *config, const char *name)
{
        for (size_t i = 0; i < config->clients_len; i++) {
                if (strcmp(config->clients[i].name, name) == 0)
                        return &config->clients[i];
        }
        return NULL;
}

int client_section_begin(struct config *config, const char *where, const char *section,
                         char ret_error[CONFIG_ERROR_BYTES])
{
        const char *name = name_of(section);
        struct client_section *s;

        if (!name)
                return ini_file_fail(
                        ret_error,
                        "%s: a section [client NAME] must have a name of 1 to %d letters, digits, -, _ or .",
                        where, CLIENT_NAME_BYTES - 1);
        if (find(config, name))
                return ini_file_fail(ret_error, "%s: section [client %s] appears twice", where, name);
        config->clients = realloc(config->clients, (config->clients_len + 1) * sizeof(*config->clients));
        if (!config->clients)
                abort();
        s = &config->clients[config->clients_len++];
        *s = (struct client_section){.memory_percent = 100};
        snprintf(s->name, sizeof(s->name), "%s", name);
        add_words(&s->peer, where, "");
        add_words(&s->platforms, where, "");
        add_words(&s->connections, where, "");
        add_words(&s->accounts, where, "");
        return 0;
}

/* --- keys --- */

static struct client_words *words_of(struct client_section *s, const char *key)
{
        if (strcmp(key, "peer") == 0)
                return &s->peer;
        if (strcmp(key, "platforms") == 0)
                return &s->platforms;
        if (strcmp(key, "connections") == 0)
                return &s->connections;
        return strcmp(key, "accounts") == 0 ? &s->accounts : NULL;
}

struct number_key {
        const char *name;
        size_t offset;
        unsigned min;
        unsigned max;
};

static const struct number_key number_keys[] = {
        {"max_lines_per_second", offsetof(struct client_section, max_lines_per_second), 0,
         LINES_PER_SECOND_MAX},
        {"max_connections", offsetof(struct client_section, max_connections), 0, CONNECTIONS_MAX},
        {"memory_percent", offsetof(struct client_section, memory_percent), 1, 100},
};

enum { NUMBER_KEYS = sizeof(number_keys) / sizeof(number_keys[0]) };

static bool read_number(const struct number_key *key, const char *value, unsigned *ret)
{
        size_t digits = strspn(value, "0123456789");
        unsigned long n = strtoul(value, NULL, 10);

        if (digits == 0 || digits > 9 || value[digits] || n < key->min || n > key->max)
                return false;
        *ret = (unsigned)n;
        return true;
}

int client_section_set(struct config *config, const char *where, const char *section, const char *key,
                       const char *value, char ret_error[CONFIG_ERROR_BYTES])
{
        const char *name = name_of(section);
        struct client_section *s = name ? find(config, name) : NULL;
        struct client_words *words = s ? words_of(s, key) : NULL;

        if (words) {
                add_words(words, where, value);
                return 0;
        }
        for (size_t i = 0; s && i < NUMBER_KEYS; i++) {
                const struct number_key *k = &number_keys[i];

                if (strcmp(key, k->name) != 0)
                        continue;
                if (s->seen >> i & 1)
                        return ini_file_fail(ret_error, "%s: %s of [client %s] is set twice", where, key,
                                             name);
                s->seen |= 1U << i;
                if (!read_number(k, value, (unsigned *)((char *)s + k->offset)))
                        return ini_file_fail(ret_error,
                                             "%s: %s of [client %s] must be a whole number from %u to %u",
                                             where, key, name, k->min, k->max);
                return 0;
        }
        if (!ini_file_is_name(key))
                return ini_file_fail(ret_error, "%s: unknown key in [client %s]", where, name ? name : "");
        return ini_file_fail(ret_error, "%s: unknown key %s in [client %s]", where, key, name ? name : "");
}

/* --- all --- */

static bool is_equal(const struct client_section *a, const struct client_section *b)
{
        return strcmp(a->name, b->name) == 0 && strcmp(a->peer.text, b->peer.text) == 0 &&
               strcmp(a->platforms.text, b->platforms.text) == 0 &&
               strcmp(a->connections.text, b->connections.text) == 0 &&
               strcmp(a->accounts.text, b->accounts.text) == 0 &&
               a->max_lines_per_second == b->max_lines_per_second &&
               a->max_connections == b->max_connections && a->memory_percent == b->memory_percent;
}

bool client_sections_equal(const struct config *a, const struct config *b)
{
        if (a->clients_len != b->clients_len)
                return false;
        for (size_t i = 0; i < a->clients_len; i++) {
                if (!is_equal(&a->clients[i], &b->clients[i]))
                        return false;
        }
        return true;
}

void client_sections_deinit(struct config *config)
{
        for (size_t i = 0; i < config->clients_len; i++) {
                free(config->clients[i].peer.text);
                free(config->clients[i].platforms.text);
                free(config->clients[i].connections.text);
                free(config->clients[i].accounts.text);
        }
        free(config->clients);
        config->clients = NULL;
        config->clients_len = 0;
}
