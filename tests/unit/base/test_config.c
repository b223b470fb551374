/* The configuration file and --set: what is accepted, and errors that name file, line and key. */
#include "config_file.h"

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
                const char *in_error[3]; /* in addition to the path */
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
                {"[http]\nlisten=9464", {":2:", "http.listen", "host:port or [v6]:port"}},
                /* what inih accepts silently */
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
                /* the first error is reported */
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
                if (!strstr(error, config_path) || strchr(error, '\n'))
                        fail_msg("%s: %s", bad[i].text, error);
                for (size_t k = 0; k < 3 && bad[i].in_error[k]; k++) {
                        if (!strstr(error, bad[i].in_error[k]))
                                fail_msg("no \"%s\" in: %s", bad[i].in_error[k], error);
                }
        }
}

/* inih cuts lines longer than its buffer, which must be noticed. The shipped file states the limit. */
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

/* So must what a NUL hides from inih. */
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
                assert_int_not_equal(config_load(&c, config_path, NULL, 0, error), 0);
                assert_non_null(strstr(error, ":2: the line holds a NUL byte"));
                config_deinit(&c);
        }
}

/* The last line may lack its line feed, and have the maximum length. */
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
        assert_int_equal(config_load(&c, config_path, overrides, ARRAY_LEN(overrides), error), 0);
        assert_int_equal(c.batch.rows, 9);
        assert_int_equal(c.log.level, LOG_LEVEL_WARN);
        config_deinit(&c);
}

/* Settings that contradict each other. */
static void test_memory_and_line(void **state)
{
        static const char text[] = "[limits]\nmax_line_bytes=64M\n";
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        assert_int_equal(load(&c, text, "limits.memory_bytes=256M", error), 0);
        config_deinit(&c);
        assert_int_not_equal(load(&c, text, "limits.memory_bytes=268435455", error), 0);
        assert_string_equal(
                error,
                "limits.memory_bytes must be at least 4 times limits.max_line_bytes for each of daemon.workers");
        config_deinit(&c);
        assert_int_not_equal(load(&c, "[daemon]\nworkers=2\n[limits]\nmemory_bytes=511M\n",
                                  "limits.max_line_bytes=64M", error),
                             0);
        config_deinit(&c);
}

static void test_workers_and_spool(void **state)
{
        static const char text[] = "[spool]\ndir=/var/spool/x\n";
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        assert_int_equal(load(&c, text, "daemon.workers=1", error), 0);
        config_deinit(&c);
        assert_int_not_equal(load(&c, text, "daemon.workers=2", error), 0);
        assert_non_null(strstr(error, "spool.dir requires daemon.workers = 1"));
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
                /* as documented in config/boris-ingestd.ini; libpq refuses the open quote */
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

/* Wherever a url is misplaced, no error quotes it. */
static void test_no_error_quotes_the_url(void **state)
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

/* A path as long as the message leaves room for the error, and the message stays one line. */
static void test_strange_paths(void **state)
{
        char long_path[1024];
        char error[CONFIG_ERROR_BYTES];
        struct config c;

        (void)state;
        memset(long_path, '/', sizeof(long_path));
        snprintf(long_path + 900, sizeof(long_path) - 900, "%s", config_path);
        write_file("[batch]\n\nrows=0", 15);
        assert_int_not_equal(config_load(&c, long_path, NULL, 0, error), 0);
        assert_int_equal(strncmp(error, "...///", 6), 0);
        assert_non_null(strstr(error, config_path));
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
                cmocka_unit_test(test_accepted),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_long_lines),
                cmocka_unit_test(test_nul),
                cmocka_unit_test(test_last_line),
                cmocka_unit_test(test_unix_path),
                cmocka_unit_test(test_overrides),
                cmocka_unit_test(test_overrides_in_order),
                cmocka_unit_test(test_memory_and_line),
                cmocka_unit_test(test_workers_and_spool),
                cmocka_unit_test(test_url),
                cmocka_unit_test(test_no_error_quotes_the_url),
                cmocka_unit_test(test_strange_paths),
                cmocka_unit_test(test_missing_file),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
