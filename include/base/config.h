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
        CONFIG_NAMES_BYTES = 1024, /* of all settings */
};

/* When the database is asked whether a row's ad object is there. */
enum fk_check {
        FK_CHECK_ROW,   /* by the foreign key's trigger, for each row */
        FK_CHECK_BATCH, /* once for all objects of a batch */
};

struct client_section;

/* Every setting of the INI file (contract: config/boris-ingestd.ini documents each with its default).
 * Strings are owned by the struct; NULL or "" never both: an unset string is "". */
struct config {
        struct {
                unsigned workers; /* event loops, 1..64 */
        } daemon;
        struct {
                char *url;           /* libpq conninfo or URL; "" means libpq's own defaults (PGHOST, ...) */
                char *password_file; /* "" for none; at most 4000 bytes */
                char *password;      /* its first line; "" for none */
                unsigned writers;    /* COPY connections, 1..64 */
                enum fk_check fk_check;
        } database;
        struct {
                char *unix_path;    /* "" for none; as long as a socket's path may be, 107 bytes */
                unsigned unix_mode; /* 0..0777 */
                char *allow_users;  /* names or numbers, with commas or spaces between them; "" for no list */
                char *allow_groups; /* likewise */
                char *tcp;          /* "host:port" or "[v6]:port", "" for none */
                char *tls_cert;     /* PEM files for it, all "" for no TLS */
                char *tls_key;
                char *tls_client_ca;
                char *tls_client_crl; /* "" for none */
        } listen;
        struct {
                size_t max_line_bytes;    /* 1024..67108864, without the line's end */
                unsigned max_connections; /* 1..65536 */
                unsigned idle_ms;         /* 0..604800000; 0 for no limit */
                size_t memory_bytes;      /* 16M..1T: everything held for clients: lines, rows, replies */
        } limits;
        struct {
                unsigned rows;      /* 1..1000000 */
                size_t bytes;       /* 64K..512M */
                unsigned linger_ms; /* 0..60000 */
        } batch;
        struct {
                size_t cache_objects;      /* 0..100000000 */
                unsigned unknown_grace_ms; /* 0..86400000: how long a record waits for its unknown object */
                unsigned recheck_ms; /* 1000..3600000: remembered objects are compared with the database */
        } resolve;
        struct {
                char *dir;        /* "" for none; at most 4000 bytes */
                size_t max_bytes; /* 1M..1T: of its file, without what SQLite logs beside it */
        } spool;
        struct {
                char *file;       /* "" for none; at most 4000 bytes */
                size_t max_bytes; /* 64K..1T: at which the file is rotated */
                unsigned keep;    /* 0..1000 rotated files */
                bool replay_unknown;
        } rejects;
        struct {
                char *listen; /* "host:port" or "[v6]:port", "" for none */
        } http;
        struct {
                unsigned timeout_ms; /* 0..600000 */
        } shutdown;
        struct {               /* of boris-ingestd-relay, which reads the others, too */
                char *servers; /* URLs, with commas or spaces between them; may hold passwords */
                char *stream;
                char *subject;       /* messages are on SUBJECT.PARTITION.> */
                char *partitions;    /* "0-3,7" */
                size_t window_bytes; /* 64K..1G: unsettled messages of each partition */
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

/* Whether @text has the form section.key=value, as config_load's overrides must have. */
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

/* Reads the file of the password; a missing one is an error unless it is the default's. 0, or a code of enum err with one line in
 * @ret_error, in which the password never is. */
int config_read_password(struct config *config, char ret_error[CONFIG_ERROR_BYTES]);

/* Whether @path, of a setting, names a credential that systemd gave to another process only. */
bool config_credential_absent(const char *path);

/* Where the settings of @running come from, to be read again; all is borrowed. */
struct config_source {
        const char *path; /* or NULL, as above */
        const char *const *overrides;
        size_t overrides_len;
};

/* @running takes over from @fresh what a daemon can change while it runs; @fresh gets what was there before.
 * The changed settings are named, "section.key, section.key": those that were taken over, and those that will
 * be after a restart. */
void config_take_over(struct config *running, struct config *fresh, char ret_applied[CONFIG_NAMES_BYTES],
                      char ret_restart[CONFIG_NAMES_BYTES]);

/* How many connections to the database a daemon has at most: for writing, look-ups and hierarchy in each worker, one that watches the
 * tables, and one now and then for rejects.replay_unknown. */
unsigned config_database_connections(const struct config *config);

/* Whether listen.allow_users or listen.allow_groups keeps some local users out. */
bool config_restricts_users(const struct config *config);

/* Whether others may read or change the file that the password is from: then *ret_why says so. */
bool config_check_password_file(const struct config *config, char ret_why[CONFIG_ERROR_BYTES]);

void config_deinit(struct config *config);

#endif
