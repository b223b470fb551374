/* One table names every setting with its type, range and default; defaults, file and --set all go through it.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

#include "err.h"

enum setting_type {
        TYPE_STRING,
        TYPE_ADDRESS, /* "", host:port or [v6]:port */
        TYPE_UINT,
        TYPE_SIZE,
        TYPE_MODE,
        TYPE_LEVEL,
        TYPE_FORMAT,
        TYPE_OFF,     /* of a feature to come: only its "off" value is taken */
        TYPE_IGNORED, /* likewise, a size that means nothing while the feature is off */
};

struct setting {
        const char *section;
        const char *key;
        const char *def;
        enum setting_type type;
        size_t offset;
        uint64_t min;
        uint64_t max;
};

#define AT(member) offsetof(struct config, member)
#define KB         UINT64_C(1024)
#define MB         (KB * KB)
#define GB         (MB * KB)

static const struct setting settings[] = {
        {"database", "url", "", TYPE_STRING, AT(database.url), 0, 0},
        {"database", "writers", "2", TYPE_UINT, AT(database.writers), 1, 64},
        {"listen", "unix", "/run/boris-ingestd/ingest.sock", TYPE_STRING, AT(listen.unix_path), 0, 0},
        {"listen", "unix_mode", "0660", TYPE_MODE, AT(listen.unix_mode), 0, 0777},
        {"listen", "tcp", "", TYPE_ADDRESS, AT(listen.tcp), 0, 0},
        {"limits", "max_line_bytes", "1048576", TYPE_SIZE, AT(limits.max_line_bytes), KB, 64 * MB},
        {"limits", "max_connections", "1024", TYPE_UINT, AT(limits.max_connections), 1, 65536},
        {"limits", "memory_bytes", "256M", TYPE_SIZE, AT(limits.memory_bytes), 16 * MB, 1024 * GB},
        {"batch", "rows", "10000", TYPE_UINT, AT(batch.rows), 1, 1000000},
        {"batch", "bytes", "8M", TYPE_SIZE, AT(batch.bytes), 64 * KB, GB / 2},
        {"batch", "linger_ms", "50", TYPE_UINT, AT(batch.linger_ms), 0, 60000},
        {"resolve", "cache_objects", "1000000", TYPE_SIZE, AT(resolve.cache_objects), 0, 100000000},
        {"resolve", "unknown_grace_ms", "0", TYPE_OFF, 0, 0, 0},
        {"spool", "dir", "", TYPE_OFF, 0, 0, 0},
        {"spool", "max_bytes", "4G", TYPE_IGNORED, 0, 1, 1024 * 1024 * GB},
        {"rejects", "file", "", TYPE_OFF, 0, 0, 0},
        {"http", "listen", "", TYPE_OFF, 0, 0, 0},
        {"shutdown", "timeout_ms", "25000", TYPE_UINT, AT(shutdown.timeout_ms), 0, 600000},
        {"log", "level", "info", TYPE_LEVEL, AT(log.level), 0, 0},
        {"log", "format", "auto", TYPE_FORMAT, AT(log.format), 0, 0},
};

enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

static void *field(struct config *config, const struct setting *s)
{
        return (char *)config + s->offset;
}

/* --- values: each reader returns NULL, or the rule that the value breaks --- */

/* A whole number with an optional K, M, G or T. False for anything else, and for overflow. */
static bool parse_number(const char *value, bool suffixes, uint64_t *ret)
{
        static const char letters[] = "KMGT";
        char *end;
        const char *letter;

        if (*value < '0' || *value > '9')
                return false;
        errno = 0;
        *ret = strtoull(value, &end, 10);
        if (errno)
                return false;
        if (suffixes && *end && (letter = strchr(letters, *end))) {
                unsigned shift = 10 * (unsigned)(letter - letters + 1);

                if (*ret > UINT64_MAX >> shift)
                        return false;
                *ret <<= shift;
                end++;
        }
        return *end == '\0';
}

static const char *range_rule(const struct setting *s)
{
        static char rule[128];

        snprintf(rule, sizeof(rule), "must be a whole number from %" PRIu64 " to %" PRIu64 "%s", s->min,
                 s->max, s->type == TYPE_UINT ? "" : " (suffixes K, M, G, T)");
        return rule;
}

static const char *read_number(const struct setting *s, const char *value, uint64_t *ret)
{
        if (!parse_number(value, s->type != TYPE_UINT, ret) || *ret < s->min || *ret > s->max)
                return range_rule(s);
        return NULL;
}

static const char *read_mode(const struct setting *s, const char *value, unsigned *ret)
{
        char *end;
        unsigned long mode = strtoul(value, &end, 8);

        if (*value < '0' || *value > '7' || *end || mode > s->max)
                return "must be an octal file mode from 0000 to 0777";
        *ret = (unsigned)mode;
        return NULL;
}

static const char *read_word(const char *const *words, int len, const char *value, const char *rule, int *ret)
{
        for (int i = 0; i < len; i++) {
                if (strcmp(words[i], value) == 0) {
                        *ret = i;
                        return NULL;
                }
        }
        return rule;
}

static const char *read_level(const char *value, enum log_level *ret)
{
        static const char *const words[] = {"error", "warn", "info", "debug"};
        int found = 0;
        const char *rule = read_word(words, 4, value, "must be error, warn, info or debug", &found);

        if (!rule)
                *ret = (enum log_level)found;
        return rule;
}

static const char *read_format(const char *value, enum log_format *ret)
{
        static const char *const words[] = {"auto", "plain", "journal"};
        int found = 0;
        const char *rule = read_word(words, 3, value, "must be auto, plain or journal", &found);

        if (!rule)
                *ret = (enum log_format)found;
        return rule;
}

/* Whether it is a loopback address is found out when it is bound. */
static const char *check_address(const char *value)
{
        const char *colon = strrchr(value, ':');
        uint64_t port;

        if (value[0] == '\0')
                return NULL;
        if (!colon || colon == value || !parse_number(colon + 1, false, &port) || port > 65535 ||
            (value[0] == '[') != (colon[-1] == ']') || (value[0] != '[' && strchr(value, ':') != colon))
                return "must be host:port or [v6]:port";
        return NULL;
}

static const char *read_string(const char *value, char **ret)
{
        char *copy = strdup(value);

        if (!copy)
                abort();
        free(*ret);
        *ret = copy;
        return NULL;
}

static const char *set(struct config *config, const struct setting *s, const char *value)
{
        const char *rule;
        uint64_t number = 0;

        switch (s->type) {
        case TYPE_ADDRESS:
                rule = check_address(value);
                if (rule)
                        return rule;
                return read_string(value, field(config, s));
        case TYPE_STRING:
                return read_string(value, field(config, s));
        case TYPE_UINT:
                rule = read_number(s, value, &number);
                if (!rule)
                        *(unsigned *)field(config, s) = (unsigned)number;
                return rule;
        case TYPE_SIZE:
                rule = read_number(s, value, &number);
                if (!rule)
                        *(size_t *)field(config, s) = (size_t)number;
                return rule;
        case TYPE_IGNORED:
                return read_number(s, value, &number);
        case TYPE_MODE:
                return read_mode(s, value, field(config, s));
        case TYPE_LEVEL:
                return read_level(value, field(config, s));
        case TYPE_FORMAT:
                return read_format(value, field(config, s));
        case TYPE_OFF:
                break;
        }
        return strcmp(value, s->def) == 0 ? NULL : "is not available in this version: leave it out";
}

/* --- errors --- */

static int __attribute__((format(printf, 2, 3))) fail(char *ret_error, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        vsnprintf(ret_error, CONFIG_ERROR_BYTES, fmt, args);
        va_end(args);
        return ERR_CONFIG;
}

/* Sets section.key, found at @where ("FILE:LINE" or "--set"). The value is not told: it may be a secret. */
static int assign(struct config *config, const char *where, const char *section, const char *key,
                  const char *value, bool seen[SETTINGS], char *ret_error)
{
        bool section_known = false;

        for (size_t i = 0; i < SETTINGS; i++) {
                const char *rule;

                if (strcmp(settings[i].section, section) != 0)
                        continue;
                section_known = true;
                if (strcmp(settings[i].key, key) != 0)
                        continue;
                if (seen && seen[i])
                        return fail(ret_error, "%s: %s.%s is set twice", where, section, key);
                if (seen)
                        seen[i] = true;
                rule = set(config, &settings[i], value);
                return rule ? fail(ret_error, "%s: %s.%s %s", where, section, key, rule) : 0;
        }
        if (section_known)
                return fail(ret_error, "%s: unknown key %s.%s", where, section, key);
        return fail(ret_error, "%s: unknown section [%s]", where, section);
}

/* --- the file --- */

/* inih parses; it does not tell its handler the line, and cuts lines that are longer than its buffer, so both
 * are looked after here, where it gets its lines from. */
struct file {
        FILE *stream;
        const char *path;
        unsigned line;
        bool seen[SETTINGS];
        struct config *config;
        char *ret_error;
        int err;
};

static char *next_line(char *buf, int size, void *arg)
{
        struct file *f = arg;
        size_t len;

        if (f->err || !fgets(buf, size, f->stream))
                return NULL;
        f->line++;
        len = strlen(buf);
        if (len == (size_t)size - 1 && buf[len - 1] != '\n') {
                f->err = fail(f->ret_error, "%s:%u: the line is longer than %d bytes%s", f->path, f->line,
                              size - 2, "; a long database.url may stand in $DATABASE_URL instead");
                return NULL;
        }
        return buf;
}

static int on_setting(void *arg, const char *section, const char *key, const char *value)
{
        struct file *f = arg;
        char where[CONFIG_ERROR_BYTES / 2];

        if (f->err)
                return 1;
        snprintf(where, sizeof(where), "%s:%u", f->path, f->line);
        f->err = assign(f->config, where, section, key, value, f->seen, f->ret_error);
        return 1;
}

static int load_file(struct config *config, const char *path, char *ret_error)
{
        struct file f = {.path = path, .config = config, .ret_error = ret_error};
        int bad_line;

        f.stream = fopen(path, "re");
        if (!f.stream)
                return fail(ret_error, "%s: %s", path, strerror(errno));
        bad_line = ini_parse_stream(next_line, &f, on_setting, &f);
        if (!f.err && ferror(f.stream))
                f.err = fail(ret_error, "%s: %s", path, strerror(errno));
        if (bad_line > 0 && (!f.err || (unsigned)bad_line < f.line)) /* the first fault is told */
                f.err = fail(ret_error, "%s:%d: neither [section] nor key = value nor a comment", path,
                             bad_line);
        fclose(f.stream);
        return f.err;
}

/* --- all together --- */

static int load_override(struct config *config, const char *text, char *ret_error)
{
        const char *dot = strchr(text, '.');
        const char *equals = strchr(text, '=');
        char section[64];
        char key[64];

        if (!dot || !equals || dot > equals || (size_t)(dot - text) >= sizeof(section) ||
            (size_t)(equals - dot - 1) >= sizeof(key))
                return fail(ret_error, "--set: must be section.key=value");
        snprintf(section, sizeof(section), "%.*s", (int)(dot - text), text);
        snprintf(key, sizeof(key), "%.*s", (int)(equals - dot - 1), dot + 1);
        return assign(config, "--set", section, key, equals + 1, NULL, ret_error);
}

/* Rules between settings. */
static int check_together(const struct config *config, char *ret_error)
{
        if (config->limits.memory_bytes / 4 < config->limits.max_line_bytes)
                return fail(ret_error, "limits.memory_bytes must be at least 4 times limits.max_line_bytes");
        return 0;
}

int config_load(struct config *config, const char *path, const char *const *overrides, size_t overrides_len,
                char ret_error[CONFIG_ERROR_BYTES])
{
        int err = 0;

        *config = (struct config){0};
        for (size_t i = 0; i < SETTINGS && err == 0; i++)
                err = assign(config, "default", settings[i].section, settings[i].key, settings[i].def, NULL,
                             ret_error);
        if (!path && access(CONFIG_DEFAULT_PATH, F_OK) == 0)
                path = CONFIG_DEFAULT_PATH;
        if (err == 0 && path)
                err = load_file(config, path, ret_error);
        for (size_t i = 0; i < overrides_len && err == 0; i++)
                err = load_override(config, overrides[i], ret_error);
        if (err == 0 && !config->database.url[0] && getenv("DATABASE_URL"))
                read_string(getenv("DATABASE_URL"), &config->database.url);
        if (err == 0)
                err = check_together(config, ret_error);
        return err;
}

void config_deinit(struct config *config)
{
        free(config->database.url);
        free(config->listen.unix_path);
        free(config->listen.tcp);
        *config = (struct config){0};
}
