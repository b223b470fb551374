#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

/* The build defines CONFIG_DIR: /etc/boris-ingestd in the package. */
#define CONFIG_DEFAULT_PATH CONFIG_DIR "/boris-ingestd.ini"

enum {
        CONFIG_ERROR_BYTES = 512,
        CONFIG_NAMES_BYTES = 1024, /* room for the names of all settings */
};

/* When to check that the ad objects of rows exist. */
enum fk_check {
        FK_CHECK_ROW,   /* for each row, by the foreign key's trigger */
        FK_CHECK_BATCH, /* once for all objects of a batch */
};

struct client_section;

/* All settings of the INI file. config/boris-ingestd.ini documents each one and its default. The struct owns
 * its strings; an unset string is "", never NULL. */
struct config {
        struct {
                unsigned workers; /* event loops, 1..64 */
        } daemon;
        struct {
                char *url;           /* libpq conninfo or URL; "" means libpq's own defaults (PGHOST, ...) */
                char *password_file; /* path, at most 4000 bytes; "" for none */
                char *password;      /* the first line of password_file; "" for none */
                unsigned writers;    /* database connections for COPY, 1..64 */
                enum fk_check fk_check;
        } database;
        struct {
                char *unix_path;    /* socket path, at most 107 bytes; "" for none */
                unsigned unix_mode; /* 0..0777 */
                char *allow_users;  /* names or numbers, separated by commas or blanks; "" for no list */
                char *allow_groups; /* as allow_users */
                char *tcp;          /* "host:port" or "[v6]:port", "" for none */
                char *tls_cert;     /* PEM files for listen.tcp; all "" for no TLS */
                char *tls_key;
                char *tls_client_ca;
                char *tls_client_crl; /* "" for none */
        } listen;
        struct {
                size_t max_line_bytes;    /* 1024..67108864, without the line feed */
                unsigned max_connections; /* 1..65536 */
                unsigned idle_ms;         /* 0..604800000; 0: no limit */
                /* 16M..1T: limit of all memory held for clients (lines, rows, replies) */
                size_t memory_bytes;
        } limits;
        struct {
                unsigned rows;      /* 1..1000000 */
                size_t bytes;       /* 64K..512M */
                unsigned linger_ms; /* 0..60000 */
        } batch;
        struct {
                size_t cache_objects; /* 0..100000000 */
                /* 0..86400000: how long a record waits for its unknown ad object */
                unsigned unknown_grace_ms;
                /* 1000..3600000: interval at which cached objects are compared with the database */
                unsigned recheck_ms;
        } resolve;
        struct {
                char *dir; /* directory, at most 4000 bytes; "" for none */
                /* 1M..1T: limit of the spool's file, not counting SQLite's write-ahead log */
                size_t max_bytes;
        } spool;
        struct {
                char *file;       /* path, at most 4000 bytes; "" for none */
                size_t max_bytes; /* 64K..1T: size at which the file is rotated */
                unsigned keep;    /* rotated files to keep, 0..1000 */
                bool replay_unknown;
        } rejects;
        struct {
                char *listen; /* "host:port" or "[v6]:port", "" for none */
        } http;
        struct {
                unsigned timeout_ms; /* 0..600000 */
        } shutdown;
        struct {               /* for boris-ingestd-relay, which also reads the other sections */
                char *servers; /* URLs, separated by commas or blanks; may contain passwords */
                char *stream;
                char *subject;       /* messages have subjects SUBJECT.PARTITION.> */
                char *partitions;    /* "0-3,7" */
                size_t window_bytes; /* 64K..1G: limit of unsettled messages per partition */
                char *rejects_subject;
                unsigned lease_ms;      /* 2000..60000 */
                char *credentials_file; /* "" for none, as the next three */
                char *tls_ca;
                char *tls_cert;
                char *tls_key;
                char *http_listen; /* as http.listen */
        } relay;
        struct {
                enum log_level level;
                enum log_format format;
        } log;
        struct {
                char *key_file; /* "" for none */
                bool require;   /* no plain credentials */
        } credentials;
        struct client_section *clients; /* in the file's order; see client_section.h */
        size_t clients_len;
};

/* True if @text has the form section.key=value, which config_load requires of its overrides. */
bool config_is_override(const char *text);

/* Fills @config with the defaults, then with @path (NULL: CONFIG_DEFAULT_PATH where it exists), then with
 * the @overrides, each "section.key=value", in their order; database.url falls back to $DATABASE_URL.
 * Files named "credential:NAME" are those of $CREDENTIALS_DIRECTORY, where this process may enter it. Sizes and durations take units (units.h);
 * unix_mode is octal. On failure returns a code of enum err and writes to @ret_error one line without a line
 * end that names file and line (or "--set"), section.key, and the rule that was broken; neither a value of
 * database.url nor the password is ever in it.
 * @config is to be freed with config_deinit in either case. */
int config_load(struct config *config, const char *path, const char *const *overrides, size_t overrides_len,
                char ret_error[CONFIG_ERROR_BYTES]);

/* Reads the password file; a missing one is an error unless its name is the default. Returns 0, or a code of
 * enum err with one line in @ret_error, which never contains the password. */
int config_read_password(struct config *config, char ret_error[CONFIG_ERROR_BYTES]);

/* True if @path, the value of a setting, names a credential that systemd gave to another process only. */
bool config_credential_absent(const char *path);

/* Where to read the running settings again; borrows everything. */
struct config_source {
        const char *path; /* NULL: as for config_load */
        const char *const *overrides;
        size_t overrides_len;
};

/* Moves from @fresh to @running the settings that a running daemon can change; the old values go to @fresh.
 * Returns the names of the changed settings, "section.key, section.key": those applied, and those that need
 * a restart. */
void config_take_over(struct config *running, struct config *fresh, char ret_applied[CONFIG_NAMES_BYTES],
                      char ret_restart[CONFIG_NAMES_BYTES]);

/* How many connections to the database a daemon has at most: for writing, look-ups and hierarchy in each worker, one that watches the
 * tables, and one now and then for rejects.replay_unknown. */
unsigned config_database_connections(const struct config *config);

/* True if listen.allow_users or listen.allow_groups turns some local users away. */
bool config_restricts_users(const struct config *config);

/* Returns true, with the reason in *ret_why, if other users may read or change the password file. */
bool config_check_password_file(const struct config *config, char ret_why[CONFIG_ERROR_BYTES]);

void config_deinit(struct config *config);

#endif
