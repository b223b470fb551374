/* Settings: defaults, ranges and words, and that config/boris-ingestd.ini documents each. */
#include "config_file.h"

#include "base/client_section.h"

static void assert_defaults(const struct config *c)
{
        assert_int_equal(c->daemon.workers, 1);
        assert_string_equal(c->database.url, "");
        assert_string_equal(c->database.password_file, "credential:boris-ingestd.password");
        assert_string_equal(c->database.password, "");
        assert_int_equal(c->database.writers, 2);
        assert_int_equal(c->database.fk_check, FK_CHECK_ROW);
        assert_string_equal(c->listen.unix_path, "/run/boris-ingestd/ingest.sock");
        assert_int_equal(c->listen.unix_mode, 0660);
        assert_string_equal(c->listen.tcp, "");
        assert_string_equal(c->http.listen, "127.0.0.1:9464");
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
        assert_false(c->rejects.replay_unknown);
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
 * shipped file is noticed. */
static void test_shipped_file(void **state)
{
        char names[2048];
        char expected[2048] = "";
        char line[512];
        char section[32];
        char key[32];
        int available = 0;
        FILE *in = fopen(SOURCE_DIR "/src/base/config.c", "r");

        (void)state;
        load_shipped_file(names, sizeof(names));
        assert_non_null(in);
        while (fgets(line, sizeof(line), in)) {
                size_t len = strlen(expected);

                if (sscanf(line, " {\"%31[a-z_]\", \"%31[a-z_]\", \"", section, key) != 2)
                        continue;
                snprintf(expected + len, sizeof(expected) - len, " %s.%s", section, key);
                available++;
        }
        fclose(in);
        assert_true(available > 20);
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
                {"daemon.workers", AT(daemon.workers), {"1", 1}, {"64", 64}, {"0", "65"}},
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
                {"spool.max_bytes",
                 AT(spool.max_bytes),
                 {"1M", 1 << 20},
                 {"1T", UINT64_C(1) << 40},
                 {"1048575", "1099511627777", "much"}},
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

static void assert_password(const char *file, const char *text, const char *password)
{
        char path[] = "/tmp/test_password-XXXXXX";
        char setting[64];
        char error[CONFIG_ERROR_BYTES];
        struct config c;
        int fd = mkstemp(path);

        assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
        close(fd);
        snprintf(setting, sizeof(setting), "database.password_file=%s", file ? file : path);
        if (password) {
                assert_int_equal(load(&c, "", setting, error), 0);
                assert_string_equal(c.database.password, password);
        } else {
                assert_int_not_equal(load(&c, "", setting, error), 0);
                assert_non_null(strstr(error, "database.password_file "));
                assert_null(strstr(error, "s3cr3t"));
        }
        config_deinit(&c);
        unlink(path);
}

static void test_password_file(void **state)
{
        (void)state;
        assert_password(NULL, "s3cr3t\nother", "s3cr3t");
        assert_password(NULL, " s3cr3t #;'\r\n", " s3cr3t #;'");
        assert_password(NULL, "s3cr3t", "s3cr3t");
        assert_password(NULL, "", NULL);
        assert_password(NULL, "\ns3cr3t", NULL);
        assert_password("/nonexistent/s3c", "", NULL);
        assert_password("", "", "");
}

/* systemd's files for the service: named so, they are found in its folder; without one there are none. */
static void test_credentials(void **state)
{
        char dir[] = "/tmp/test_config-XXXXXX";
        char path[64];
        char error[CONFIG_ERROR_BYTES];
        struct config c;
        FILE *f;

        (void)state;
        assert_non_null(mkdtemp(dir));
        setenv("CREDENTIALS_DIRECTORY", dir, 1);
        assert_int_equal(
                load(&c, "[listen]\ntls_cert = a\ntls_client_ca = b\ntls_key = credential:k", NULL, error),
                0);
        snprintf(path, sizeof(path), "%s/k", dir);
        assert_string_equal(c.listen.tls_key, path);
        assert_string_equal(c.database.password, "");
        config_deinit(&c);
        snprintf(path, sizeof(path), "%s/boris-ingestd.password", dir);
        f = fopen(path, "w");
        assert_non_null(f);
        fputs("s3cr3t\n", f);
        fclose(f);
        assert_int_equal(load(&c, "", NULL, error), 0);
        assert_string_equal(c.database.password, "s3cr3t");
        config_deinit(&c);
        assert_int_not_equal(load(&c, "", "database.password_file=credential:other", error), 0);
        config_deinit(&c);
        unsetenv("CREDENTIALS_DIRECTORY");
        assert_int_equal(
                load(&c, "[listen]\ntls_cert = a\ntls_client_ca = b\ntls_key = credential:k", NULL, error),
                0);
        assert_string_equal(c.listen.tls_key, "credential:k");
        assert_string_equal(c.database.password, "");
        config_deinit(&c);
        unlink(path);
        rmdir(dir);
}

static void load_text(struct config *c, const char *text)
{
        char error[CONFIG_ERROR_BYTES];

        if (load(c, text, NULL, error) != 0)
                fail_msg("%s", error);
}

static void test_take_over(void **state)
{
        char applied[CONFIG_NAMES_BYTES];
        char restart[CONFIG_NAMES_BYTES];
        struct config running;
        struct config fresh;

        (void)state;
        load_text(&running, "[listen]\nallow_users = 1\n");
        load_text(&fresh, "[listen]\nallow_users = 1\n");
        config_take_over(&running, &fresh, applied, restart);
        assert_string_equal(applied, "");
        assert_string_equal(restart, "");
        config_deinit(&fresh);
        load_text(
                &fresh,
                "[listen]\nallow_users = 2\nunix_mode = 0600\n[database]\nurl = host=s3cr3t\nfk_check = batch\n"
                "[limits]\nmax_connections = 7\nmemory_bytes = 64M\n[log]\nlevel = debug\nformat = plain\n");
        config_take_over(&running, &fresh, applied, restart);
        assert_string_equal(applied,
                            "listen.allow_users, limits.max_connections, limits.memory_bytes, log.level");
        assert_string_equal(restart, "database.url, database.fk_check, listen.unix_mode, log.format");
        assert_string_equal(running.listen.allow_users, "2");
        assert_string_equal(running.database.url, "");
        assert_int_equal(running.limits.max_connections, 7);
        assert_int_equal(running.limits.memory_bytes, 64 << 20);
        assert_int_equal(running.log.level, LOG_LEVEL_DEBUG);
        assert_int_equal(running.listen.unix_mode, 0660);
        config_deinit(&fresh);
        config_deinit(&running);
}

static void test_client_sections(void **state)
{
        static const char text[] = "[client a]\npeer = user:x\naccounts = 1 2\naccounts = 3\n[limits]\nidle_ms = 5\n"
                                   "[client b.c-d_e]\nmax_connections = 7\nmemory_percent = 50\n";
        char applied[CONFIG_NAMES_BYTES];
        char restart[CONFIG_NAMES_BYTES];
        struct config running;
        struct config fresh;

        (void)state;
        load_text(&running, text);
        assert_int_equal(running.clients_len, 2);
        assert_string_equal(running.clients[0].name, "a");
        assert_string_equal(running.clients[0].peer.text, "user:x");
        assert_string_equal(running.clients[0].accounts.text, "1 2 3");
        assert_int_equal(running.clients[0].memory_percent, 100);
        assert_string_equal(running.clients[1].name, "b.c-d_e");
        assert_int_equal(running.clients[1].max_connections, 7);
        assert_int_equal(running.clients[1].memory_percent, 50);
        load_text(&fresh, text);
        config_take_over(&running, &fresh, applied, restart);
        assert_string_equal(applied, "");
        config_deinit(&fresh);
        load_text(&fresh, "[limits]\nidle_ms = 5\n");
        config_take_over(&running, &fresh, applied, restart);
        assert_string_equal(applied, "[client] sections");
        assert_int_equal(running.clients_len, 0);
        config_deinit(&fresh);
        config_deinit(&running);
}

/* The longest line stays what it was, so memory must suffice for that. */
static void test_take_over_memory(void **state)
{
        char applied[CONFIG_NAMES_BYTES];
        char restart[CONFIG_NAMES_BYTES];
        struct config running;
        struct config fresh;

        (void)state;
        load_text(&running, "[limits]\nmax_line_bytes = 64M\n");
        load_text(&fresh, "[limits]\nmax_line_bytes = 1M\nmemory_bytes = 255M\n");
        config_take_over(&running, &fresh, applied, restart);
        assert_string_equal(applied, "");
        assert_string_equal(restart, "limits.max_line_bytes, limits.memory_bytes");
        assert_int_equal(running.limits.memory_bytes, 256 << 20);
        config_deinit(&fresh);
        config_deinit(&running);
}

/* Certificates change places; TLS itself comes and goes with a restart only. */
static void test_take_over_tls(void **state)
{
        static const char one[] = "[listen]\ntls_cert = a\ntls_key = b\ntls_client_ca = c\n";
        static const char other[] = "[listen]\ntls_cert = a\ntls_key = B\ntls_client_ca = c\n";
        char applied[CONFIG_NAMES_BYTES];
        char restart[CONFIG_NAMES_BYTES];
        struct config running;
        struct config fresh;

        (void)state;
        load_text(&running, one);
        load_text(&fresh, other);
        config_take_over(&running, &fresh, applied, restart);
        assert_string_equal(applied, "listen.tls_key");
        assert_string_equal(restart, "");
        assert_string_equal(running.listen.tls_key, "B");
        config_deinit(&fresh);
        load_text(&fresh, "");
        config_take_over(&running, &fresh, applied, restart);
        assert_string_equal(applied, "");
        assert_string_equal(restart, "listen.tls_cert, listen.tls_key, listen.tls_client_ca");
        assert_string_equal(running.listen.tls_key, "B");
        config_deinit(&fresh);
        config_deinit(&running);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_take_over),
                cmocka_unit_test(test_client_sections),
                cmocka_unit_test(test_take_over_tls),
                cmocka_unit_test(test_take_over_memory),
                cmocka_unit_test(test_password_file),
                cmocka_unit_test(test_credentials),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_shipped_file),
                cmocka_unit_test(test_ranges),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
