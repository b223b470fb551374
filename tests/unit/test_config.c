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

static int load(struct config *config, const char *text, const char *override, char *error)
{
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
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
        assert_int_equal(c->shutdown.timeout_ms, 25000);
        assert_int_equal(c->log.level, LOG_LEVEL_INFO);
        assert_int_equal(c->log.format, LOG_FORMAT_AUTO);
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

/* The shipped file loads as it is, to the defaults, and with every setting's semicolon taken away, too. */
static void test_shipped_file(void **state)
{
        char error[CONFIG_ERROR_BYTES];
        struct config c;
        FILE *in = fopen(SOURCE_DIR "/config/boris-ingestd.ini", "r");
        char line[512];
        static char text[16384];
        int settings = 0;

        (void)state;
        assert_int_equal(config_load(&c, SOURCE_DIR "/config/boris-ingestd.ini", NULL, 0, error), 0);
        assert_defaults(&c);
        config_deinit(&c);
        assert_non_null(in);
        text[0] = '\0';
        while (fgets(line, sizeof(line), in)) {
                int is_setting = line[0] == ';' && line[1] != ' ';

                strcat(text, is_setting ? line + 1 : line);
                settings += is_setting;
        }
        fclose(in);
        assert_int_equal(settings, 15);
        if (load(&c, text, NULL, error) != 0)
                fail_msg("%s", error);
        assert_defaults(&c);
        config_deinit(&c);
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
                "[spool]\ndir=\nmax_bytes=4G\n[rejects]\nfile=\n[http]\nlisten=",
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
                {"[databse]\nwriters=2", {":2:", "unknown section", "databse"}},
                {"writers=2", {":1:", "unknown section"}},
                {"[database]\nwriters", {":2:", "neither"}},
                {"[database\nwriters=2", {":1:", "neither"}},
                {"[limits]\nmax_line_bytes=1023", {"limits.max_line_bytes", "1024"}},
                {"[limits]\nmax_line_bytes=65M", {"limits.max_line_bytes"}},
                {"[limits]\nmax_connections=0", {"limits.max_connections"}},
                {"[limits]\nmax_connections=65537", {"limits.max_connections"}},
                {"[limits]\nmemory_bytes=15M", {"limits.memory_bytes"}},
                {"[limits]\nmemory_bytes=1025G", {"limits.memory_bytes"}},
                {"[limits]\nmemory_bytes=99999999999999T", {"limits.memory_bytes"}},
                {"[batch]\nrows=0", {"batch.rows"}},
                {"[batch]\nrows=1000001", {"batch.rows"}},
                {"[batch]\nbytes=63K", {"batch.bytes"}},
                {"[batch]\nbytes=1G", {"batch.bytes"}},
                {"[batch]\nlinger_ms=60001", {"batch.linger_ms"}},
                {"[resolve]\ncache_objects=100000001", {"resolve.cache_objects"}},
                {"[shutdown]\ntimeout_ms=600001", {"shutdown.timeout_ms"}},
                {"[log]\nlevel=loud", {"log.level", "error, warn, info or debug"}},
                {"[log]\nformat=xml", {"log.format"}},
                {"[listen]\nunix_mode=0778", {"listen.unix_mode"}},
                {"[listen]\nunix_mode=1777", {"listen.unix_mode"}},
                {"[listen]\ntcp=9000", {"listen.tcp"}},
                {"[listen]\ntcp=:9000", {"listen.tcp"}},
                {"[listen]\ntcp=localhost:", {"listen.tcp"}},
                {"[listen]\ntcp=localhost:65536", {"listen.tcp"}},
                {"[listen]\ntcp=::1:9000", {"listen.tcp"}},
                {"[listen]\ntcp=[::1:9000", {"listen.tcp"}},
                {"[spool]\ndir=/var/spool", {"spool.dir", "not available"}},
                {"[http]\nlisten=127.0.0.1:9464", {"http.listen", "not available"}},
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

/* inih cuts what is longer than its buffer: that must never go unnoticed. */
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
                } else {
                        assert_true(len > 190);
                        assert_non_null(strstr(error, ":2: the line is longer than"));
                        assert_null(strstr(error, "0000000000"));
                }
                config_deinit(&c);
        }
}

static void test_overrides(void **state)
{
        static const char *const bad[] = {"",
                                          "writers=2",
                                          "database.writers",
                                          "database=writers.2",
                                          "database.nope=1",
                                          "nope.writers=1",
                                          "database.writers=0"};
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        assert_int_equal(load(&c, "[batch]\nrows=7", "batch.rows=8", error), 0);
        assert_int_equal(c.batch.rows, 8);
        config_deinit(&c);
        assert_int_equal(load(&c, "", "database.url=host=/tmp dbname='a=b.c'", error), 0);
        assert_string_equal(c.database.url, "host=/tmp dbname='a=b.c'");
        config_deinit(&c);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                if (load(&c, "", bad[i], error) == 0)
                        fail_msg("accepted: %s", bad[i]);
                config_deinit(&c);
        }
        /* settings that do not go together */
        assert_int_not_equal(load(&c, "[limits]\nmax_line_bytes=64M\n", "limits.memory_bytes=255M", error),
                             0);
        assert_string_equal(error, "limits.memory_bytes must be at least 4 times limits.max_line_bytes");
        config_deinit(&c);
}

static void test_url(void **state)
{
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        setenv("DATABASE_URL", "postgresql://from-environment/db", 1);
        assert_int_equal(load(&c, "", NULL, error), 0);
        assert_string_equal(c.database.url, "postgresql://from-environment/db");
        config_deinit(&c);
        assert_int_equal(load(&c, "[database]\nurl = postgresql://u:p;#@h/db ; a comment\n", NULL, error), 0);
        assert_string_equal(c.database.url, "postgresql://u:p;#@h/db");
        config_deinit(&c);
        unsetenv("DATABASE_URL");
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
                cmocka_unit_test(test_defaults),   cmocka_unit_test(test_shipped_file),
                cmocka_unit_test(test_accepted),   cmocka_unit_test(test_refused),
                cmocka_unit_test(test_long_lines), cmocka_unit_test(test_overrides),
                cmocka_unit_test(test_url),        cmocka_unit_test(test_missing_file),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
