/* One table lists every setting with type, range and default; defaults, file and --set all use it. */
#include "base/config_settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/un.h>

#include "base/client_section.h"
#include "base/err.h"
#include "base/ini_file.h"
#include "base/units.h"

#define KB              UINT64_C(1024)
#define MB              (KB * KB)
#define GB              (MB * KB)
#define FILE_PATH_BYTES 4000 /* leaves room for a suffix ".1000" */
#define CREDENTIAL      "credential:"
#define PASSWORD_FILE   CREDENTIAL "boris-ingestd.password"
#define PATH_BYTES      (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

const struct setting config_settings[] = {
        {"daemon", "workers", "1", TYPE_UINT, AT(daemon.workers), 1, 64},
        {"database", "url", "", TYPE_STRING, AT(database.url), 0, 0},
        {"database", "password_file", PASSWORD_FILE, TYPE_FILE, AT(database.password_file), 0,
         FILE_PATH_BYTES},
        {"database", "writers", "2", TYPE_UINT, AT(database.writers), 1, 64},
        {"database", "fk_check", "row", TYPE_FK_CHECK, AT(database.fk_check), 0, 0},
        {"listen", "unix", "/run/boris-ingestd/ingest.sock", TYPE_PATH, AT(listen.unix_path), 0, PATH_BYTES},
        {"listen", "unix_mode", "0660", TYPE_MODE, AT(listen.unix_mode), 0, 0777},
        {"listen", "allow_users", "", TYPE_STRING, AT(listen.allow_users), 0, 0},
        {"listen", "allow_groups", "", TYPE_STRING, AT(listen.allow_groups), 0, 0},
        {"listen", "tcp", "", TYPE_ADDRESS, AT(listen.tcp), 0, 0},
        {"listen", "tls_cert", "", TYPE_FILE, AT(listen.tls_cert), 0, FILE_PATH_BYTES},
        {"listen", "tls_key", "", TYPE_FILE, AT(listen.tls_key), 0, FILE_PATH_BYTES},
        {"listen", "tls_client_ca", "", TYPE_FILE, AT(listen.tls_client_ca), 0, FILE_PATH_BYTES},
        {"listen", "tls_client_crl", "", TYPE_FILE, AT(listen.tls_client_crl), 0, FILE_PATH_BYTES},
        {"limits", "max_line_bytes", "1048576", TYPE_SIZE, AT(limits.max_line_bytes), KB, 64 * MB},
        {"limits", "max_connections", "1024", TYPE_UINT, AT(limits.max_connections), 1, 65536},
        {"limits", "idle_ms", "3600000", TYPE_MS, AT(limits.idle_ms), 0, 604800000},
        {"limits", "memory_bytes", "256M", TYPE_SIZE, AT(limits.memory_bytes), 16 * MB, 1024 * GB},
        {"batch", "rows", "10000", TYPE_UINT, AT(batch.rows), 1, 1000000},
        {"batch", "bytes", "8M", TYPE_SIZE, AT(batch.bytes), 64 * KB, GB / 2},
        {"batch", "linger_ms", "50", TYPE_MS, AT(batch.linger_ms), 0, 60000},
        {"resolve", "cache_objects", "1000000", TYPE_SIZE, AT(resolve.cache_objects), 0, 100000000},
        {"resolve", "unknown_grace_ms", "0", TYPE_MS, AT(resolve.unknown_grace_ms), 0, 86400000},
        {"resolve", "recheck_ms", "20000", TYPE_MS, AT(resolve.recheck_ms), 1000, 3600000},
        {"spool", "dir", "", TYPE_PATH, AT(spool.dir), 0, FILE_PATH_BYTES},
        {"spool", "max_bytes", "4G", TYPE_SIZE, AT(spool.max_bytes), MB, 1024 * GB},
        {"rejects", "file", "", TYPE_PATH, AT(rejects.file), 0, FILE_PATH_BYTES},
        {"rejects", "max_bytes", "64M", TYPE_SIZE, AT(rejects.max_bytes), 64 * KB, 1024 * GB},
        {"rejects", "keep", "4", TYPE_UINT, AT(rejects.keep), 0, 1000},
        {"rejects", "replay_unknown", "off", TYPE_SWITCH, AT(rejects.replay_unknown), 0, 0},
        {"http", "listen", "127.0.0.1:9464", TYPE_ADDRESS, AT(http.listen), 0, 0},
        {"shutdown", "timeout_ms", "25000", TYPE_MS, AT(shutdown.timeout_ms), 0, 600000},
        {"relay", "servers", "nats://127.0.0.1:4222", TYPE_STRING, AT(relay.servers), 0, 0},
        {"relay", "stream", "BORIS", TYPE_STRING, AT(relay.stream), 0, 0},
        {"relay", "subject", "boris.p", TYPE_STRING, AT(relay.subject), 0, 0},
        {"relay", "partitions", "0-3", TYPE_STRING, AT(relay.partitions), 0, 0},
        {"relay", "window_bytes", "16M", TYPE_SIZE, AT(relay.window_bytes), 64 * KB, GB},
        {"relay", "rejects_subject", "boris.rejects", TYPE_STRING, AT(relay.rejects_subject), 0, 0},
        {"relay", "lease_ms", "3000", TYPE_MS, AT(relay.lease_ms), 2000, 60000},
        {"relay", "credentials_file", "", TYPE_FILE, AT(relay.credentials_file), 0, FILE_PATH_BYTES},
        {"relay", "tls_ca", "", TYPE_FILE, AT(relay.tls_ca), 0, FILE_PATH_BYTES},
        {"relay", "tls_cert", "", TYPE_FILE, AT(relay.tls_cert), 0, FILE_PATH_BYTES},
        {"relay", "tls_key", "", TYPE_FILE, AT(relay.tls_key), 0, FILE_PATH_BYTES},
        {"relay", "http_listen", "127.0.0.1:9465", TYPE_ADDRESS, AT(relay.http_listen), 0, 0},
        {"log", "level", "info", TYPE_LEVEL, AT(log.level), 0, 0},
        {"log", "format", "auto", TYPE_FORMAT, AT(log.format), 0, 0},
        {"credentials", "key_file", "", TYPE_FILE, AT(credentials.key_file), 0, FILE_PATH_BYTES},
        {"credentials", "require", "off", TYPE_SWITCH, AT(credentials.require), 0, 0},
};

enum {
        SETTINGS = sizeof(config_settings) / sizeof(config_settings[0]),
        NAME_BYTES = INI_FILE_SECTION_BYTES, /* longest section or key, with its NUL */
};

const size_t config_settings_len = SETTINGS;

_Static_assert((int)SETTINGS <= (int)CONFIG_SETTINGS_MAX &&
                       (int)INI_FILE_ERROR_BYTES == (int)CONFIG_ERROR_BYTES,
               "room for all");

#define fail ini_file_fail

/* --- values: each reader returns whether the value keeps to the setting's rule --- */

static bool read_number(const struct setting *s, const char *value, uint64_t *ret)
{
        const char *end;
        bool ok;

        switch (s->type) {
        case TYPE_SIZE:
                ok = units_size(value, ret);
                break;
        case TYPE_MS:
                ok = units_duration(value, 1, ret);
                break;
        default:
                end = units_number(value, ret);
                ok = end && *end == '\0';
        }
        return ok && *ret >= s->min && *ret <= s->max;
}

static bool read_mode(const struct setting *s, const char *value, unsigned *ret)
{
        char *end;
        unsigned long mode = strtoul(value, &end, 8);

        if (*value < '0' || *value > '7' || *end || mode > s->max)
                return false;
        *ret = (unsigned)mode;
        return true;
}

/* Returns the index of @value in @words, which ends with NULL; -1 if it is not there. */
static int read_word(const char *const *words, const char *value)
{
        for (int i = 0; words[i]; i++) {
                if (strcmp(words[i], value) == 0)
                        return i;
        }
        return -1;
}

static bool read_level(const char *value, enum log_level *ret)
{
        static const char *const words[] = {"error", "warn", "info", "debug", NULL};
        int found = read_word(words, value);

        if (found >= 0)
                *ret = (enum log_level)found;
        return found >= 0;
}

static bool read_format(const char *value, enum log_format *ret)
{
        static const char *const words[] = {"auto", "plain", "journal", NULL};
        int found = read_word(words, value);

        if (found >= 0)
                *ret = (enum log_format)found;
        return found >= 0;
}

static bool read_switch(const char *value, bool *ret)
{
        static const char *const words[] = {"off", "on", NULL};
        int found = read_word(words, value);

        if (found >= 0)
                *ret = found > 0;
        return found >= 0;
}

static bool read_fk_check(const char *value, enum fk_check *ret)
{
        static const char *const words[] = {"row", "batch", NULL};
        int found = read_word(words, value);

        if (found >= 0)
                *ret = (enum fk_check)found;
        return found >= 0;
}

static bool read_string(const char *value, char **ret)
{
        char *copy = strdup(value);

        if (!copy)
                abort();
        free(*ret);
        *ret = copy;
        return true;
}

/* systemd makes credentials readable by the daemon alone (systemd.exec(5), LoadCredential=). Other
 * processes, including those of ExecReload=, may not enter the directory or do not know it: for them the
 * value stays as it is. */
static bool read_file_path(const struct setting *s, const char *value, char **ret)
{
        const char *dir = getenv("CREDENTIALS_DIRECTORY");
        char path[FILE_PATH_BYTES + 1];
        int len;

        if (strncmp(value, CREDENTIAL, strlen(CREDENTIAL)) != 0 || !dir || access(dir, X_OK) != 0)
                return strlen(value) <= s->max && read_string(value, ret);
        len = snprintf(path, sizeof(path), "%s/%s", dir, value + strlen(CREDENTIAL));
        return (size_t)len <= s->max && read_string(path, ret);
}

/* @host: the @len bytes before the port's colon. */
static bool is_host(const char *host, size_t len)
{
        char v6[INET6_ADDRSTRLEN];
        struct in6_addr addr;

        if (host[0] != '[')
                return len > 0 && strcspn(host, ":[] \t") == len;
        if (len < 2 || len - 2 >= sizeof(v6) || host[len - 1] != ']')
                return false;
        memcpy(v6, host + 1, len - 2);
        v6[len - 2] = '\0';
        return inet_pton(AF_INET6, v6, &addr) == 1;
}

/* Does not require a loopback address; binding checks that. */
static bool is_address(const char *value)
{
        const char *colon = strrchr(value, ':');
        const char *end = NULL;
        uint64_t port = 0;

        if (colon && is_host(value, (size_t)(colon - value)))
                end = units_number(colon + 1, &port);
        return end && *end == '\0' && port <= UINT16_MAX;
}

/* Returns false and leaves the setting unchanged if @value breaks its rule. */
static bool set(struct config *config, const struct setting *s, const char *value)
{
        uint64_t number = 0;

        switch (s->type) {
        case TYPE_STRING:
                return read_string(value, config_field(config, s));
        case TYPE_PATH:
                return strlen(value) <= s->max && read_string(value, config_field(config, s));
        case TYPE_FILE:
                return read_file_path(s, value, config_field(config, s));
        case TYPE_ADDRESS:
                return (!*value || is_address(value)) && read_string(value, config_field(config, s));
        case TYPE_UINT:
        case TYPE_MS:
                if (!read_number(s, value, &number))
                        return false;
                *(unsigned *)config_field(config, s) = (unsigned)number;
                return true;
        case TYPE_SIZE:
                if (!read_number(s, value, &number))
                        return false;
                *(size_t *)config_field(config, s) = (size_t)number;
                return true;
        case TYPE_MODE:
                return read_mode(s, value, config_field(config, s));
        case TYPE_LEVEL:
                return read_level(value, config_field(config, s));
        case TYPE_FORMAT:
                return read_format(value, config_field(config, s));
        case TYPE_FK_CHECK:
                return read_fk_check(value, config_field(config, s));
        case TYPE_SWITCH:
                return read_switch(value, config_field(config, s));
        }
        return false; /* all types are handled above */
}

/* --- errors: the value is never told, it may be a secret --- */

/* Reports that the @value found at @where was refused, and the setting's rule. */
static int fail_rule(const struct setting *s, const char *where, char *ret_error)
{
        const char *rule = "";

        switch (s->type) {
        case TYPE_UINT:
        case TYPE_MS:
        case TYPE_SIZE:
                return fail(ret_error, "%s: %s.%s must be a whole number from %" PRIu64 " to %" PRIu64 "%s",
                            where, s->section, s->key, s->min, s->max,
                            s->type == TYPE_UINT ? ""
                            : s->type == TYPE_MS ? " (suffixes ms, s, m, h, d)"
                                                 : " (suffixes K, M, G, T)");
        case TYPE_PATH:
        case TYPE_FILE:
                return fail(ret_error, "%s: %s.%s must be a path of at most %" PRIu64 " bytes", where,
                            s->section, s->key, s->max);
        case TYPE_ADDRESS:
                rule = "must be host:port or [v6]:port, the port from 0 to 65535";
                break;
        case TYPE_MODE:
                rule = "must be an octal file mode from 0000 to 0777";
                break;
        case TYPE_LEVEL:
                rule = "must be error, warn, info or debug";
                break;
        case TYPE_FORMAT:
                rule = "must be auto, plain or journal";
                break;
        case TYPE_FK_CHECK:
                rule = "must be row or batch";
                break;
        case TYPE_SWITCH:
                rule = "must be on or off";
                break;
        case TYPE_STRING:
                break;
        }
        return fail(ret_error, "%s: %s.%s %s", where, s->section, s->key, rule);
}

static int check_section(const char *where, const char *section, char *ret_error)
{
        if (!section[0])
                return fail(ret_error, "%s: a [section] must come first", where);
        if (!ini_file_is_name(section))
                return fail(ret_error, "%s: unknown section", where);
        for (size_t i = 0; i < SETTINGS; i++) {
                if (strcmp(config_settings[i].section, section) == 0)
                        return 0;
        }
        return fail(ret_error, "%s: unknown section [%s]", where, section);
}

/* Sets section.key, found at @where ("FILE:LINE" or "--set"). With @seen, rejects a second assignment. */
static int assign(struct config *config, const char *where, const char *section, const char *key,
                  const char *value, bool seen[SETTINGS], char *ret_error)
{
        int err = check_section(where, section, ret_error);

        for (size_t i = 0; i < SETTINGS && err == 0; i++) {
                const struct setting *s = &config_settings[i];

                if (strcmp(s->section, section) != 0 || strcmp(s->key, key) != 0)
                        continue;
                if (seen && seen[i])
                        return fail(ret_error, "%s: %s.%s is set twice", where, section, key);
                if (seen)
                        seen[i] = true;
                return set(config, s, value) ? 0 : fail_rule(s, where, ret_error);
        }
        if (err)
                return err;
        if (!ini_file_is_name(key))
                return fail(ret_error, "%s: unknown key in [%s]", where, section);
        return fail(ret_error, "%s: unknown key %s.%s", where, section, key);
}

/* --- the file --- */

struct loading {
        struct config *config;
        bool seen[SETTINGS];
};

static int on_section(void *ctx, const char *where, const char *section, char *ret_error)
{
        struct loading *l = ctx;

        return client_section_is(section) ? client_section_begin(l->config, where, section, ret_error)
                                          : check_section(where, section, ret_error);
}

static int on_setting(void *ctx, const char *where, const char *section, const char *key, const char *value,
                      char *ret_error)
{
        struct loading *l = ctx;

        return client_section_is(section)
                       ? client_section_set(l->config, where, section, key, value, ret_error)
                       : assign(l->config, where, section, key, value, l->seen, ret_error);
}

static int load_file(struct config *config, const char *path, bool optional, char *ret_error)
{
        static const struct ini_file_ops ops = {on_section, on_setting};
        struct loading l = {.config = config};

        return ini_file_read(path, optional, &ops, &l, ret_error);
}

/* --- all together --- */

struct override {
        char section[NAME_BYTES];
        char key[NAME_BYTES];
        const char *value;
};

static bool read_override(const char *text, struct override *ret)
{
        const char *dot = strchr(text, '.');
        const char *equals = strchr(text, '=');

        if (!dot || !equals || dot > equals || (size_t)(dot - text) >= sizeof(ret->section) ||
            (size_t)(equals - dot - 1) >= sizeof(ret->key))
                return false;
        snprintf(ret->section, sizeof(ret->section), "%.*s", (int)(dot - text), text);
        snprintf(ret->key, sizeof(ret->key), "%.*s", (int)(equals - dot - 1), dot + 1);
        ret->value = equals + 1;
        return ini_file_is_name(ret->section) && ini_file_is_name(ret->key);
}

bool config_is_override(const char *text)
{
        struct override o;

        return read_override(text, &o);
}

static int load_override(struct config *config, const char *text, char *ret_error)
{
        struct override o;

        if (!read_override(text, &o))
                return fail(ret_error, "--set: must be section.key=value");
        return assign(config, "--set", o.section, o.key, o.value, NULL, ret_error);
}

bool config_credential_absent(const char *path)
{
        return strncmp(path, CREDENTIAL, strlen(CREDENTIAL)) == 0;
}

/* The default's file may be missing. */
static bool may_miss_password(const char *path)
{
        static const struct setting setting = {.max = FILE_PATH_BYTES};
        char *def = NULL;
        bool is_default = read_file_path(&setting, PASSWORD_FILE, &def) && strcmp(def, path) == 0;

        free(def);
        return is_default;
}

/* libpq's passfile cannot be used for a credential: it must not be readable by a group, as systemd's files
 * may be. */
int config_read_password(struct config *config, char ret_error[CONFIG_ERROR_BYTES])
{
        const char *path = config->database.password_file;
        bool may_miss = may_miss_password(path);
        char line[1024] = "";
        FILE *f = path[0] ? fopen(path, "re") : NULL;
        int error = errno;

        read_string("", &config->database.password);
        if (!path[0] || (!f && error == ENOENT && may_miss))
                return 0;
        if (!f)
                return fail(ret_error, "database.password_file %.200s: %s", path, strerror(error));
        if (!fgets(line, sizeof(line), f))
                line[0] = '\0';
        fclose(f);
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0])
                return fail(ret_error, "database.password_file %.200s: its first line must be the password",
                            path);
        read_string(line, &config->database.password);
        return 0;
}

bool config_check_password_file(const struct config *config, char ret_why[CONFIG_ERROR_BYTES])
{
        const char *path = config->database.password_file;
        struct stat st;

        if (!config->database.password[0] || stat(path, &st) != 0 || (st.st_mode & 0027) == 0)
                return false;
        snprintf(
                ret_why, CONFIG_ERROR_BYTES,
                "database.password_file %.200s: its mode %04o lets others read or change it (chmod 600, or 640)",
                path, st.st_mode & 07777);
        return true;
}

unsigned config_database_connections(const struct config *config)
{
        unsigned workers = config->daemon.workers;
        unsigned writers = config->database.writers > workers ? config->database.writers : workers;

        return writers + 2 * workers + 1 + config->rejects.replay_unknown;
}

bool config_restricts_users(const struct config *config)
{
        return config->listen.allow_users[0] || config->listen.allow_groups[0];
}

/* Checks rules that involve several settings. */
static int check_together(const struct config *config, char *ret_error)
{
        if (config->limits.memory_bytes / config->daemon.workers / 4 < config->limits.max_line_bytes)
                return fail(ret_error,
                            "limits.memory_bytes must be at least 4 times limits.max_line_bytes for each of "
                            "daemon.workers");
        if (config->daemon.workers > 1 && config->spool.dir[0])
                return fail(
                        ret_error,
                        "spool.dir requires daemon.workers = 1: several workers have no common order of arrival");
        if (config->listen.tcp[0] && !config->listen.tls_cert[0] && config_restricts_users(config))
                return fail(
                        ret_error,
                        "listen.tcp without TLS lets every local user in, whatever listen.allow_users and "
                        "listen.allow_groups say: set listen.tls_cert, tls_key and tls_client_ca, or leave "
                        "listen.tcp empty");
        if (config->rejects.replay_unknown && !config->rejects.file[0])
                return fail(ret_error,
                            "rejects.replay_unknown requires rejects.file: the lines are kept beside it");
        if (!config->listen.tls_cert[0] != !config->listen.tls_key[0] ||
            !config->listen.tls_cert[0] != !config->listen.tls_client_ca[0])
                return fail(ret_error,
                            "listen.tls_cert, listen.tls_key and listen.tls_client_ca must be set together");
        if (config->listen.tls_client_crl[0] && !config->listen.tls_cert[0])
                return fail(ret_error,
                            "listen.tls_client_crl needs listen.tls_cert, tls_key and tls_client_ca");
        return 0;
}

int config_load(struct config *config, const char *path, const char *const *overrides, size_t overrides_len,
                char ret_error[CONFIG_ERROR_BYTES])
{
        int err = 0;

        *config = (struct config){0};
        read_string("", &config->database.password);
        for (size_t i = 0; i < SETTINGS && err == 0; i++)
                err = assign(config, "default", config_settings[i].section, config_settings[i].key,
                             config_settings[i].def, NULL, ret_error);
        if (err == 0)
                err = load_file(config, path ? path : CONFIG_DEFAULT_PATH, !path, ret_error);
        for (size_t i = 0; i < overrides_len && err == 0; i++)
                err = load_override(config, overrides[i], ret_error);
        if (err == 0 && !config->database.url[0] && getenv("DATABASE_URL"))
                read_string(getenv("DATABASE_URL"), &config->database.url);
        return err ? err : check_together(config, ret_error);
}

void config_deinit(struct config *config)
{
        free(config->database.url);
        free(config->database.password_file);
        free(config->database.password);
        free(config->listen.unix_path);
        free(config->listen.allow_users);
        free(config->listen.allow_groups);
        free(config->listen.tcp);
        free(config->listen.tls_cert);
        free(config->listen.tls_key);
        free(config->listen.tls_client_ca);
        free(config->listen.tls_client_crl);
        free(config->spool.dir);
        free(config->rejects.file);
        free(config->http.listen);
        free(config->credentials.key_file);
        free(config->relay.servers);
        free(config->relay.stream);
        free(config->relay.subject);
        free(config->relay.partitions);
        free(config->relay.rejects_subject);
        free(config->relay.credentials_file);
        free(config->relay.tls_ca);
        free(config->relay.tls_cert);
        free(config->relay.tls_key);
        free(config->relay.http_listen);
        client_sections_deinit(config);
        *config = (struct config){0};
}
