/* What a running daemon takes over from a configuration that was read again. */
#include <stdio.h>
#include <string.h>

#include "base/client_section.h"
#include "base/config_settings.h"

static bool is_same(const struct setting *s, const struct config *a, const struct config *b)
{
        const void *x = (const char *)a + s->offset;
        const void *y = (const char *)b + s->offset;

        switch (s->type) {
        case TYPE_STRING:
        case TYPE_PATH:
        case TYPE_FILE:
        case TYPE_ADDRESS:
                return strcmp(*(char *const *)x, *(char *const *)y) == 0;
        case TYPE_SIZE:
                return *(const size_t *)x == *(const size_t *)y;
        case TYPE_UINT:
        case TYPE_MS:
        case TYPE_MODE:
                return *(const unsigned *)x == *(const unsigned *)y;
        case TYPE_LEVEL:
                return *(const enum log_level *)x == *(const enum log_level *)y;
        case TYPE_FORMAT:
                return *(const enum log_format *)x == *(const enum log_format *)y;
        case TYPE_FK_CHECK:
                return *(const enum fk_check *)x == *(const enum fk_check *)y;
        case TYPE_SWITCH:
                return *(const bool *)x == *(const bool *)y;
        }
        return true;
}

static bool is_tls(const struct setting *s)
{
        return s->offset == AT(listen.tls_cert) || s->offset == AT(listen.tls_key) ||
               s->offset == AT(listen.tls_client_ca) || s->offset == AT(listen.tls_client_crl);
}

/* What a running daemon takes over. */
static const size_t any_time[] = {
        AT(listen.tls_client_crl),
        AT(listen.allow_users),
        AT(listen.allow_groups),
        AT(listen.tls_cert),
        AT(listen.tls_key),
        AT(listen.tls_client_ca),
        AT(limits.max_connections),
        AT(limits.idle_ms),
        AT(limits.memory_bytes),
        AT(batch.rows),
        AT(batch.bytes),
        AT(batch.linger_ms),
        AT(shutdown.timeout_ms),
        AT(log.level),
};

static bool is_any_time(const struct setting *s)
{
        for (size_t i = 0; i < sizeof(any_time) / sizeof(any_time[0]); i++) {
                if (any_time[i] == s->offset)
                        return true;
        }
        return false;
}

/* Certificates can be changed, but not that there are any: without them, TCP may be bound to loopback only.
 */
static bool is_taken_over(const struct setting *s, const struct config *running, const struct config *fresh)
{
        if (is_tls(s) && !running->listen.tls_cert[0] != !fresh->listen.tls_cert[0])
                return false;
        if (s->offset == AT(limits.memory_bytes) &&
            fresh->limits.memory_bytes / 4 / running->daemon.workers < running->limits.max_line_bytes)
                return false;
        return is_any_time(s);
}

/* The daemon itself never uses these. */
static bool is_of_commands(const struct setting *s)
{
        return strcmp(s->section, "credentials") == 0;
}

static bool is_changed(const struct setting *s, const struct config *running, const struct config *fresh)
{
        bool same_secret = s->offset != AT(database.password_file) ||
                           strcmp(running->database.password, fresh->database.password) == 0;

        return !is_same(s, running, fresh) || !same_secret;
}

static void put_name(char ret[CONFIG_NAMES_BYTES], const struct setting *s)
{
        size_t len = strlen(ret);

        snprintf(ret + len, CONFIG_NAMES_BYTES - len, "%s%s.%s", len > 0 ? ", " : "", s->section, s->key);
}

static void take_over_clients(struct config *running, struct config *fresh,
                              char ret_applied[CONFIG_NAMES_BYTES])
{
        struct client_section *clients = running->clients;
        size_t clients_len = running->clients_len;
        size_t len = strlen(ret_applied);

        if (client_sections_equal(running, fresh))
                return;
        snprintf(ret_applied + len, CONFIG_NAMES_BYTES - len, "%s[client] sections", len > 0 ? ", " : "");
        running->clients = fresh->clients;
        running->clients_len = fresh->clients_len;
        fresh->clients = clients;
        fresh->clients_len = clients_len;
}

/* Strings change places: each config frees what it holds then. */
static void take_over(const struct setting *s, struct config *running, struct config *fresh)
{
        char *mine = config_field(running, s);
        char *theirs = config_field(fresh, s);
        size_t bytes = s->type == TYPE_UINT || s->type == TYPE_MS || s->type == TYPE_MODE ? sizeof(unsigned)
                       : s->type == TYPE_SWITCH                                           ? sizeof(bool)
                       : s->type == TYPE_SIZE                                             ? sizeof(size_t)
                       : s->type == TYPE_LEVEL ? sizeof(enum log_level)
                                               : sizeof(char *);

        for (size_t i = 0; i < bytes; i++) {
                char byte = mine[i];

                mine[i] = theirs[i];
                theirs[i] = byte;
        }
}

/* The file is read again for each connection. */
static void take_password(struct config *running, struct config *fresh, char ret_applied[CONFIG_NAMES_BYTES])
{
        char *mine = running->database.password;

        if (strcmp(running->database.password_file, fresh->database.password_file) != 0 ||
            strcmp(mine, fresh->database.password) == 0)
                return;
        snprintf(ret_applied, CONFIG_NAMES_BYTES, "database.password_file");
        running->database.password = fresh->database.password;
        fresh->database.password = mine;
}

void config_take_over(struct config *running, struct config *fresh, char ret_applied[CONFIG_NAMES_BYTES],
                      char ret_restart[CONFIG_NAMES_BYTES])
{
        bool taken[CONFIG_SETTINGS_MAX];

        ret_applied[0] = '\0';
        ret_restart[0] = '\0';
        take_password(running, fresh, ret_applied);
        for (size_t i = 0; i < config_settings_len; i++)
                taken[i] = is_taken_over(&config_settings[i], running, fresh);
        for (size_t i = 0; i < config_settings_len; i++) {
                if (!is_changed(&config_settings[i], running, fresh) || is_of_commands(&config_settings[i]))
                        continue;
                put_name(taken[i] ? ret_applied : ret_restart, &config_settings[i]);
                if (taken[i])
                        take_over(&config_settings[i], running, fresh);
        }
        take_over_clients(running, fresh, ret_applied);
}
