/* Settings: defaults, ranges, and errors that name file, line and key. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"

static char path[] = "/tmp/test_config-XXXXXX";

static int setup(void **state)
{
        int fd = mkstemp(path);

        (void)state;
        unsetenv("DATABASE_URL");
        return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
        (void)state;
        return unlink(path);
}

static void write_file(const char *text, size_t len)
{
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, len, f), len);
        fclose(f);
}

static int load(struct config *config, const char *text, const char *override, char *error)
{
        write_file(text, strlen(text));
        return config_load(config, path, &override, override ? 1 : 0, error);
}

static void assert_defaults(const struct config *c)
{
        assert_string_equal(c->database.url, "");
        assert_int_equal(c->database.writers, 2);
        assert_string_equal(c->listen.unix_path, "/run/boris-ingestd/ingest.sock");
        assert_int_equal(c->listen.unix_mode, 0660);
        assert_string_equal(c->listen.tcp, "");
        assert_int_equal(c->limits.max_line_bytes, 1048576);
        assert_int_equal(c->limits.max_connections, 1024);
        assert_int_equal(c->limits.memory_bytes, 256 << 20);
        assert_int_equal(c->batch.rows, 10000);
        assert_int_equal(c->batch.bytes, 8 << 20);
        assert_int_equal(c->batch.linger_ms, 50);
        assert_int_equal(c->resolve.cache_objects, 1000000);
        assert_int_equal(c->resolve.unknown_grace_ms, 0);
        assert_int_equal(c->limits.idle_ms, 3600000);
        assert_string_equal(c->rejects.file, "");
        assert_string_equal(c->listen.allow_users, "");
        assert_string_equal(c->listen.allow_groups, "");
        assert_int_equal(c->rejects.max_bytes, 64 << 20);
        assert_int_equal(c->rejects.keep, 4);
        assert_int_equal(c->shutdown.timeout_ms, 25000);
        assert_int_equal(c->log.level, LOG_LEVEL_INFO);
        assert_int_equal(c->log.format, LOG_FORMAT_AUTO);
}

#define SHIPPED    SOURCE_DIR "/config/boris-ingestd.ini"
#define AT(member) offsetof(struct config, member), sizeof(((struct config *)NULL)->member)

/* Loads @key = @value, once from the file and once from --set. */
static int load_setting(struct config *config, int from_file, const char *key, const char *value, char *error)
{
        char text[256];
        const char *dot = strchr(key, '.');

        if (from_file)
                snprintf(text, sizeof(text), "[%.*s]\n%s = %s\n", (int)(dot - key), key, dot + 1, value);
        else
                snprintf(text, sizeof(text), "%s=%s", key, value);
        return load(config, from_file ? text : "", from_file ? NULL : text, error);
}

static void assert_value(const char *key, size_t offset, size_t size, const char *text, uint64_t expected)
{
        for (int from_file = 0; from_file < 2; from_file++) {
                char error[CONFIG_ERROR_BYTES];
                struct config c;
                unsigned narrow;
                uint64_t value;

                if (load_setting(&c, from_file, key, text, error) != 0)
                        fail_msg("%s = %s: %s", key, text, error);
                if (size == sizeof(narrow)) {
                        memcpy(&narrow, (const char *)&c + offset, size);
                        value = narrow;
                } else {
                        assert_int_equal(size, sizeof(value));
                        memcpy(&value, (const char *)&c + offset, size);
                }
                assert_int_equal(value, expected);
                config_deinit(&c);
        }
}

static void assert_not_value(const char *key, const char *text)
{
        for (int from_file = 0; from_file < 2; from_file++) {
                char error[CONFIG_ERROR_BYTES];
                struct config c;

                if (load_setting(&c, from_file, key, text, error) == 0)
                        fail_msg("%s = %s is taken", key, text);
                config_deinit(&c);
                assert_non_null(strstr(error, key));
                assert_non_null(strstr(error, from_file ? ":2: " : "--set: "));
        }
}

static void test_defaults(void **state)
{
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        assert_int_equal(load(&c, "", NULL, error), 0);
        assert_defaults(&c);
        config_deinit(&c);
}

/* The shipped file loads as it is, to the defaults, and with every setting's semicolon taken away, too.
 * Writes the names that it documents, " section.key", to @ret_names. */
static void load_shipped_file(char *ret_names, size_t size)
{
        char error[CONFIG_ERROR_BYTES];
        char line[512];
        char section[32] = "";
        char key[32];
        static char text[16384];
        struct config c;
        FILE *in = fopen(SHIPPED, "r");
        size_t len = 0;
        size_t text_len = 0;

        assert_non_null(in);
        ret_names[0] = '\0';
        text[0] = '\0';
        while (fgets(line, sizeof(line), in)) {
                int is_setting = sscanf(line, ";%31[a-z_] =", key) == 1;

                sscanf(line, "[%31[a-z]]", section);
                if (is_setting)
                        len += (size_t)snprintf(ret_names + len, size - len, " %s.%s", section, key);
                text_len +=
                        (size_t)snprintf(text + text_len, sizeof(text) - text_len, "%s", line + is_setting);
                assert_true(len < size && text_len < sizeof(text));
        }
        fclose(in);
        assert_int_equal(config_load(&c, SHIPPED, NULL, 0, error), 0);
        assert_defaults(&c);
        config_deinit(&c);
        if (load(&c, text, NULL, error) != 0)
                fail_msg("%s", error);
        assert_defaults(&c);
        config_deinit(&c);
}

/* The table is config.c's own affair, so it is read from there: a setting that is added to it but not to the
 * shipped file is noticed. Those that are not available yet are not in the file. */
static void test_shipped_file(void **state)
{
        char names[2048];
        char expected[2048] = "";
        char line[512];
        char section[32];
        char key[32];
        int off = 0;
        int available = 0;
        FILE *in = fopen(SOURCE_DIR "/src/config.c", "r");

        (void)state;
        load_shipped_file(names, sizeof(names));
        assert_non_null(in);
        while (fgets(line, sizeof(line), in)) {
                size_t len = strlen(expected);

                if (sscanf(line, " {\"%31[a-z_]\", \"%31[a-z_]\", \"", section, key) != 2)
                        continue;
                if (strstr(line, "TYPE_OFF") || strstr(line, "TYPE_IGNORED")) {
                        off++;
                        continue;
                }
                snprintf(expected + len, sizeof(expected) - len, " %s.%s", section, key);
                available++;
        }
        fclose(in);
        assert_int_equal(available, 22);
        assert_int_equal(off, 3);
        assert_string_equal(names, expected);
}

/* Every setting that has a range: both ends are taken, what lies beyond is not, in the file and with --set.
 */
static void test_ranges(void **state)
{
        static const struct {
                const char *key;
                size_t offset;
                size_t size;
                struct {
                        const char *text;
                        uint64_t value;
                } min, max;
                const char *beyond[3];
        } ranges[] = {
                {"database.writers", AT(database.writers), {"1", 1}, {"64", 64}, {"0", "65"}},
                {"listen.unix_mode", AT(listen.unix_mode), {"0", 0}, {"0777", 0777}, {"01000", "-1", "8"}},
                {"limits.max_line_bytes",
                 AT(limits.max_line_bytes),
                 {"1024", 1024},
                 {"64M", 64 << 20},
                 {"1023", "67108865"}},
                {"limits.max_connections",
                 AT(limits.max_connections),
                 {"1", 1},
                 {"65536", 65536},
                 {"0", "65537"}},
                {"limits.memory_bytes",
                 AT(limits.memory_bytes),
                 {"16M", 16 << 20},
                 {"1T", UINT64_C(1) << 40},
                 {"16777215", "1099511627777", "16777217T"}},
                {"batch.rows", AT(batch.rows), {"1", 1}, {"1000000", 1000000}, {"0", "1000001"}},
                {"batch.bytes",
                 AT(batch.bytes),
                 {"64K", 64 << 10},
                 {"512M", 512 << 20},
                 {"65535", "536870913"}},
                {"batch.linger_ms", AT(batch.linger_ms), {"0", 0}, {"60000", 60000}, {"-1", "60001"}},
                {"resolve.cache_objects",
                 AT(resolve.cache_objects),
                 {"0", 0},
                 {"100000000", 100000000},
                 {"-1", "100000001"}},
                {"resolve.unknown_grace_ms",
                 AT(resolve.unknown_grace_ms),
                 {"0", 0},
                 {"86400000", 86400000},
                 {"-1", "86400001"}},
                {"rejects.max_bytes",
                 AT(rejects.max_bytes),
                 {"64K", 64 << 10},
                 {"1T", UINT64_C(1) << 40},
                 {"65535", "1099511627777"}},
                {"limits.idle_ms",
                 AT(limits.idle_ms),
                 {"0", 0},
                 {"604800000", 604800000},
                 {"-1", "604800001"}},
                {"rejects.keep", AT(rejects.keep), {"0", 0}, {"1000", 1000}, {"-1", "1001"}},
                {"shutdown.timeout_ms",
                 AT(shutdown.timeout_ms),
                 {"0", 0},
                 {"600000", 600000},
                 {"-1", "600001", "4294967296"}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
                assert_value(ranges[i].key, ranges[i].offset, ranges[i].size, ranges[i].min.text,
                             ranges[i].min.value);
                assert_value(ranges[i].key, ranges[i].offset, ranges[i].size, ranges[i].max.text,
                             ranges[i].max.value);
                for (size_t k = 0; k < ARRAY_LEN(ranges[i].beyond) && ranges[i].beyond[k]; k++)
                        assert_not_value(ranges[i].key, ranges[i].beyond[k]);
        }
}

/* Words and their places in the enums. */
static void test_words(void **state)
{
        static const char *const levels[] = {"error", "warn", "info", "debug"};
        static const char *const formats[] = {"auto", "plain", "journal"};
        static const char *const bad[] = {"", "INFO", "warning", "debu", "0"};

        (void)state;
        assert_int_equal(LOG_LEVEL_DEBUG, 3);
        assert_int_equal(LOG_FORMAT_JOURNAL, 2);
        for (size_t i = 0; i < ARRAY_LEN(levels); i++)
                assert_value("log.level", AT(log.level), levels[i], i);
        for (size_t i = 0; i < ARRAY_LEN(formats); i++)
                assert_value("log.format", AT(log.format), formats[i], i);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                assert_not_value("log.level", bad[i]);
                assert_not_value("log.format", bad[i]);
        }
}

/* A feature to come is taken only where it is off. */
static void test_not_available(void **state)
{
        static const char *const off[] = {"spool.dir=", "spool.max_bytes=1", "spool.max_bytes=9G",
                                          "http.listen="};
        static const char *const on[] = {"spool.dir=/var/lib/x", "http.listen=127.0.0.1:9464"};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(off); i++) {
                char error[CONFIG_ERROR_BYTES];
                struct config c;

                if (load(&c, "", off[i], error) != 0)
                        fail_msg("%s: %s", off[i], error);
                assert_defaults(&c);
                config_deinit(&c);
        }
        for (size_t i = 0; i < ARRAY_LEN(on); i++) {
                char error[CONFIG_ERROR_BYTES];
                struct config c;

                assert_int_not_equal(load(&c, "", on[i], error), 0);
                assert_non_null(strstr(error, "is not available in this version"));
                config_deinit(&c);
        }
        assert_not_value("spool.max_bytes", "0");
        assert_not_value("spool.max_bytes", "much");
}

static void test_accepted(void **state)
{
        static const char *const good[] = {
                "[database]\nwriters=64",
                "[database]\nwriters = 1 ; few",
                "# comment\n; comment\n\n[batch]\nrows=1\nbytes=64K\nlinger_ms=0\n[log]\nlevel=debug\nformat=plain",
                "[batch]\r\nrows=5\r\n",
                "[limits]\nmemory_bytes=1T\nmax_line_bytes=64M",
                "[listen]\ntcp=127.0.0.1:9000",
                "[listen]\ntcp=[::1]:0\nunix=\nunix_mode=777",
                "[resolve]\ncache_objects=0\nunknown_grace_ms=0",
                "[listen]\ntcp=localhost:65535",
                "[listen]\ntcp=[0:0:0:0:0:0:0:1]:80\n[log]",
                "[spool]\ndir=\nmax_bytes=4G\n[rejects]\nfile=\n[http]\nlisten=",
                "  [batch] ; comment\n\trows = 5\n    linger_ms = 6\n  # comment\n",
                "[batch] # comment\nrows: 5",
                "\xef\xbb\xbf[batch]\nrows=5",
                "[batch]\nrows=5\n[log]\n[batch]\nlinger_ms=6",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
                char error[CONFIG_ERROR_BYTES];
                struct config c;

                if (load(&c, good[i], NULL, error) != 0)
                        fail_msg("%s: %s", good[i], error);
                config_deinit(&c);
        }
}

static void test_refused(void **state)
{
        static const struct {
                const char *text;
                const char *in_error[3]; /* besides the path */
        } bad[] = {
                {"[database]\nwriters=0", {":2:", "database.writers", "from 1 to 64"}},
                {"\n\n[database]\n\nwriters=65", {":5:", "database.writers"}},
                {"[database]\nwriters=", {"database.writers"}},
                {"[database]\nwriters=-1", {"database.writers"}},
                {"[database]\nwriters=2x", {"database.writers"}},
                {"[database]\nwriters=1K", {"database.writers"}},
                {"[database]\nwriters=99999999999999999999999", {"database.writers"}},
                {"[database]\nwriters=2\nwriters=3", {":3:", "database.writers", "twice"}},
                {"[database]\nWriters=2", {":2:", "unknown key", "database.Writers"}},
                {"[databse]\nwriters=2", {":1:", "unknown section", "databse"}},
                {"writers=2", {":1:", "a [section] must come first"}},
                {"[database]\nwriters", {":2:", "neither"}},
                {"[database\nwriters=2", {":1:", "neither"}},
                {"[limits]\nmax_line_bytes=1023", {":2:", "limits.max_line_bytes", "from 1024 to 67108864"}},
                {"[batch]\nbytes=1G", {"batch.bytes", "from 65536 to 536870912"}},
                {"[batch]\nlinger_ms=1.5", {"batch.linger_ms"}},
                {"[batch]\nlinger_ms= ; none", {"batch.linger_ms"}},
                {"[batch]\nrows=5;6", {"batch.rows"}},
                {"[batch]\nrows=5 # few", {"batch.rows"}},
                {"[batch]\nbytes=8MB", {"batch.bytes"}},
                {"[batch]\nbytes=8m", {"batch.bytes"}},
                {"[log]\nlevel=loud", {"log.level", "error, warn, info or debug"}},
                {"[log]\nformat=xml", {"log.format"}},
                {"[listen]\nunix_mode=0778", {"listen.unix_mode", "0000 to 0777"}},
                {"[listen]\nunix_mode=1777", {"listen.unix_mode"}},
                {"[listen]\nunix_mode=7777777777777777777777777", {"listen.unix_mode"}},
                {"[listen]\nunix_mode=rw-rw----", {"listen.unix_mode"}},
                {"[listen]\ntcp=9000", {"listen.tcp", "host:port or [v6]:port"}},
                {"[listen]\ntcp=:9000", {"listen.tcp"}},
                {"[listen]\ntcp=localhost:", {"listen.tcp"}},
                {"[listen]\ntcp=localhost:http", {"listen.tcp"}},
                {"[listen]\ntcp=localhost:-1", {"listen.tcp"}},
                {"[listen]\ntcp=localhost:65536", {"listen.tcp", "0 to 65535"}},
                {"[listen]\ntcp=local host:80", {"listen.tcp"}},
                {"[listen]\ntcp=::1:9000", {"listen.tcp"}},
                {"[listen]\ntcp=[::1:9000", {"listen.tcp"}},
                {"[listen]\ntcp=::1]:9000", {"listen.tcp"}},
                {"[listen]\ntcp=[::1]9000", {"listen.tcp"}},
                {"[listen]\ntcp=[]:9000", {"listen.tcp"}},
                {"[listen]\ntcp=[127.0.0.1]:9000", {"listen.tcp"}},
                {"[listen]\ntcp=[::1]]:9000", {"listen.tcp"}},
                {"[listen]\ntcp=[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:9000", {"listen.tcp"}},
                {"[spool]\ndir=/var/spool", {":2:", "spool.dir", "not available"}},
                /* what inih passes over in silence */
                {"[databse]", {":1:", "unknown section [databse]"}},
                {"[batch]\n[log]\n\n[bach]\n", {":4:", "unknown section [bach]"}},
                {"[]\n", {":1:", "section"}},
                {"[ batch ]\n", {":1:", "unknown section"}},
                {"[batch] rows=5", {":1:", "on a line of its own"}},
                {"\xef\xbb\xbf[bach]", {":1:", "unknown section [bach]"}},
                {"[batch]\nbytes=8M\n  rows=0", {":3:", "batch.rows"}},
                {"[database]\nurl=host=h\n  user=u", {":3:", "unknown key database.user"}},
                {"[batch]\n=5", {":2:", "unknown key in [batch]"}},
                {"[batch]\n\033[31mrows=5", {":2:", "unknown key in [batch]"}},
                /* the first fault is told */
                {"[batch]\nnothing\nrows=0", {":2:", "neither"}},
                {"[batch]\nrows=0\nnothing", {":2:", "batch.rows"}},
                {"[batch]\nnothing\n[bach]", {":2:", "neither"}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                char error[CONFIG_ERROR_BYTES] = "";
                struct config c;

                if (load(&c, bad[i].text, NULL, error) == 0)
                        fail_msg("accepted: %s", bad[i].text);
                config_deinit(&c);
                if (!strstr(error, path) || strchr(error, '\n'))
                        fail_msg("%s: %s", bad[i].text, error);
                for (size_t k = 0; k < 3 && bad[i].in_error[k]; k++) {
                        if (!strstr(error, bad[i].in_error[k]))
                                fail_msg("no \"%s\" in: %s", bad[i].in_error[k], error);
                }
        }
}

/* inih cuts what is longer than its buffer: that must never go unnoticed. The shipped file tells the limit.
 */
static void test_long_lines(void **state)
{
        char text[1024];
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        for (int len = 150; len < 400; len++) {
                snprintf(text, sizeof(text), "[database]\nurl=%0*d\n[batch]\nrows=7\n", len, 5);
                if (load(&c, text, NULL, error) == 0) {
                        assert_int_equal(strlen(c.database.url), len);
                        assert_int_equal(c.batch.rows, 7);
                        assert_true((size_t)len + strlen("url=") <= 198);
                } else {
                        assert_true((size_t)len + strlen("url=") > 198);
                        assert_non_null(strstr(error, ":2: the line is longer than"));
                        assert_null(strstr(error, "0000000000"));
                }
                config_deinit(&c);
        }
}

/* Nor what a NUL would hide from it. */
static void test_nul(void **state)
{
        static const char *const parts[] = {"[batch]\nrows=5", "7\n", "[batch]\n; ", "\nrows=5\n"};

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(parts); i += 2) {
                char text[64];
                char error[CONFIG_ERROR_BYTES];
                size_t first = strlen(parts[i]) + 1;
                struct config c;

                memcpy(text, parts[i], first);
                memcpy(text + first, parts[i + 1], strlen(parts[i + 1]));
                write_file(text, first + strlen(parts[i + 1]));
                assert_int_not_equal(config_load(&c, path, NULL, 0, error), 0);
                assert_non_null(strstr(error, ":2: the line holds a NUL byte"));
                config_deinit(&c);
        }
}

/* The last line may lack its end, and be as long as a line may be. */
static void test_last_line(void **state)
{
        char text[512];
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        for (int len = 185; len <= 198; len++) {
                snprintf(text, sizeof(text), "[database]\nurl=%0*d", len - 4, 5);
                if (load(&c, text, NULL, error) != 0)
                        fail_msg("%d bytes: %s", len, error);
                assert_int_equal(strlen(c.database.url), len - 4);
                config_deinit(&c);
        }
}

static void test_unix_path(void **state)
{
        char text[256];

        (void)state;
        for (int len = 100; len < 120; len++) {
                char error[CONFIG_ERROR_BYTES];
                struct config c;
                int err;

                snprintf(text, sizeof(text), "listen.unix=/%0*d", len - 1, 0);
                err = load(&c, "", text, error);
                assert_int_equal(err == 0, len <= 107);
                if (err)
                        assert_string_equal(error, "--set: listen.unix must be a path of at most 107 bytes");
                config_deinit(&c);
        }
}

static void test_overrides(void **state)
{
        static const char *const bad[] = {"",
                                          "=",
                                          ".=",
                                          "writers=2",
                                          "database.writers",
                                          "database=writers.2",
                                          "database.nope=1",
                                          "nope.writers=1",
                                          "database.no\npe=1",
                                          "database.writers=0"};
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        assert_int_equal(load(&c, "[batch]\nrows=7", "batch.rows=8", error), 0);
        assert_int_equal(c.batch.rows, 8);
        config_deinit(&c);
        assert_int_equal(load(&c, "", "database.url=host=/tmp dbname='a=b.c ;d'", error), 0);
        assert_string_equal(c.database.url, "host=/tmp dbname='a=b.c ;d'");
        config_deinit(&c);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                if (load(&c, "", bad[i], error) == 0)
                        fail_msg("accepted: %s", bad[i]);
                config_deinit(&c);
                assert_int_equal(strncmp(error, "--set: ", 7), 0);
                assert_null(strchr(error, '\n'));
        }
}

/* The last of several wins. */
static void test_overrides_in_order(void **state)
{
        static const char *const overrides[] = {"batch.rows=8", "log.level=warn", "batch.rows=9"};
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        write_file("", 0);
        assert_int_equal(config_load(&c, path, overrides, ARRAY_LEN(overrides), error), 0);
        assert_int_equal(c.batch.rows, 9);
        assert_int_equal(c.log.level, LOG_LEVEL_WARN);
        config_deinit(&c);
}

/* Settings that do not go together. */
static void test_memory_and_line(void **state)
{
        static const char text[] = "[limits]\nmax_line_bytes=64M\n";
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        assert_int_equal(load(&c, text, "limits.memory_bytes=256M", error), 0);
        config_deinit(&c);
        assert_int_not_equal(load(&c, text, "limits.memory_bytes=268435455", error), 0);
        assert_string_equal(error, "limits.memory_bytes must be at least 4 times limits.max_line_bytes");
        config_deinit(&c);
}

static void test_url(void **state)
{
        static const struct {
                const char *line;
                const char *url;
        } urls[] = {
                {"url = postgresql://u:p;#@h/db", "postgresql://u:p;#@h/db"},
                {"url = postgresql://u:p;#@h/db ; a comment", "postgresql://u:p;#@h/db"},
                {"url = postgresql://u:p%20%3B@h/db?a=b", "postgresql://u:p%20%3B@h/db?a=b"},
                {"url = host=h password='p # q;'", "host=h password='p # q;'"},
                {"url: host=h", "host=h"},
                /* as config/boris-ingestd.ini says; libpq refuses the open quote */
                {"url = host=h password='p ;q'", "host=h password='p"},
        };
        char text[256];
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        setenv("DATABASE_URL", "postgresql://from-environment/db", 1);
        assert_int_equal(load(&c, "[database]\nurl = ; none", NULL, error), 0);
        assert_string_equal(c.database.url, "postgresql://from-environment/db");
        config_deinit(&c);
        for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
                snprintf(text, sizeof(text), "[database]\n%s\n", urls[i].line);
                assert_int_equal(load(&c, text, NULL, error), 0);
                assert_string_equal(c.database.url, urls[i].url);
                config_deinit(&c);
        }
        unsetenv("DATABASE_URL");
}

/* However a url goes astray, no error tells it. */
static void test_url_is_never_told(void **state)
{
        static const char *const lines[] = {
                "[database]\nurl postgresql://u:s3cr3t@h/db?a=b",
                "[database]\npostgresql://u:s3cr3t@h/db",
                "[database]\npostgresql//u:s3cr3t@h/db",
                "[postgresql://u:s3cr3t@h/db]",
                "[database]\nurl=s3cr3t\nurl=s3cr3t",
                "[database]\nulr=s3cr3t",
                "[database] url=s3cr3t",
                "[database]\nwriters=s3cr3t",
                "[database]\nurl=\n  host=h password=s3cr3t",
                "s3cr3t@h=1",
        };
        static const char *const overrides[] = {
                "postgresql://u:s3cr3t@h.x/db?a=b",
                "postgresql://u:s3cr3t@h/db",
                "database.ulr=s3cr3t",
                "database.url:s3cr3t",
                "host=h password=s3cr3t",
                "database.url s3cr3t=h",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(lines) + ARRAY_LEN(overrides); i++) {
                const char *override = i < ARRAY_LEN(lines) ? NULL : overrides[i - ARRAY_LEN(lines)];
                char error[CONFIG_ERROR_BYTES];
                struct config c;

                if (load(&c, override ? "" : lines[i], override, error) == 0)
                        fail_msg("accepted: %s", override ? override : lines[i]);
                config_deinit(&c);
                if (strstr(error, "s3cr3t"))
                        fail_msg("told: %s", error);
                if (override == overrides[0])
                        assert_string_equal(error, "--set: must be section.key=value");
        }
}

/* A path that would fill the message leaves room for what is wrong, and stays one line. */
static void test_strange_paths(void **state)
{
        char long_path[1024];
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        memset(long_path, '/', sizeof(long_path));
        snprintf(long_path + 900, sizeof(long_path) - 900, "%s", path);
        write_file("[batch]\n\nrows=0", 15);
        assert_int_not_equal(config_load(&c, long_path, NULL, 0, error), 0);
        assert_int_equal(strncmp(error, "...///", 6), 0);
        assert_non_null(strstr(error, path));
        assert_non_null(strstr(error, ":3: batch.rows must be a whole number from 1 to 1000000"));
        config_deinit(&c);
        assert_int_not_equal(config_load(&c, "/nonexistent/\n\033[31m", NULL, 0, error), 0);
        assert_string_equal(error, "/nonexistent/??[31m: No such file or directory");
        config_deinit(&c);
        assert_int_not_equal(config_load(&c, "/tmp", NULL, 0, error), 0);
        assert_string_equal(error, "/tmp: Is a directory");
        config_deinit(&c);
}

static void test_missing_file(void **state)
{
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        assert_int_not_equal(config_load(&c, "/nonexistent/x.ini", NULL, 0, error), 0);
        assert_string_equal(error, "/nonexistent/x.ini: No such file or directory");
        config_deinit(&c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_shipped_file),
                cmocka_unit_test(test_ranges),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_not_available),
                cmocka_unit_test(test_accepted),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_long_lines),
                cmocka_unit_test(test_nul),
                cmocka_unit_test(test_last_line),
                cmocka_unit_test(test_unix_path),
                cmocka_unit_test(test_overrides),
                cmocka_unit_test(test_overrides_in_order),
                cmocka_unit_test(test_memory_and_line),
                cmocka_unit_test(test_url),
                cmocka_unit_test(test_url_is_never_told),
                cmocka_unit_test(test_strange_paths),
                cmocka_unit_test(test_missing_file),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
