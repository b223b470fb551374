/* The log's output, read back from standard error. */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"

static int saved;
static int pipe_fds[2];

static int setup(void **state)
{
        (void)state;
        saved = dup(STDERR_FILENO);
        return pipe(pipe_fds) != 0 || dup2(pipe_fds[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
        (void)state;
        dup2(saved, STDERR_FILENO);
        close(saved);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        return 0;
}

/* The output of one write(2), so that lines of several processes stay whole. */
static size_t read_logged(char text[4096])
{
        ssize_t n = read(pipe_fds[0], text, 4095);

        assert_true(n > 0);
        text[n] = '\0';
        return (size_t)n;
}

static void assert_logged(const char *end)
{
        char text[4096];
        size_t n = read_logged(text);

        assert_true(n >= strlen(end));
        assert_string_equal(text + n - strlen(end), end);
}

/* From here on standard error counts as the journal's. */
static void pretend_journal(void)
{
        struct stat st;
        char text[64];

        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
        setenv("JOURNAL_STREAM", text, 1);
}

static void assert_entry(int fd, const char *expected)
{
        char text[8192];
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

        assert_true(n > 0);
        text[n] = '\0';
        assert_string_equal(text, expected);
}

/* An entry with its fields; if the journal no longer accepts entries, a line. */
static void test_journal(void **state)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        int journal = socket(AF_UNIX, SOCK_DGRAM, 0);
        const struct log_fields fields = {.message_id = LOG_ID_LINE_REFUSED,
                                          .connection = 3,
                                          .peer = "uid 0\nCODE=forged",
                                          .line = 17,
                                          .code = "bad_value",
                                          .field = "amountCents",
                                          .sqlstate = "23514"};

        (void)state;
        snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/test_log-%d", getpid());
        assert_int_equal(bind(journal, (const struct sockaddr *)&addr, sizeof(addr)), 0);
        pretend_journal();
        log_init_at(LOG_LEVEL_INFO, LOG_FORMAT_AUTO, addr.sun_path);
        log_warn("no\nfields");
        assert_entry(journal, "MESSAGE=no fields\nPRIORITY=4\nSYSLOG_IDENTIFIER=boris-ingestd\n");
        log_debug("not told");
        log_set_level(LOG_LEVEL_DEBUG);
        log_set_identifier("boris-ingestd-relay");
        log_event(LOG_LEVEL_DEBUG, &fields, "refused");
        log_set_identifier("boris-ingestd");
        assert_entry(journal,
                     "MESSAGE=refused\nPRIORITY=7\nSYSLOG_IDENTIFIER=boris-ingestd-relay\n"
                     "MESSAGE_ID=" LOG_ID_LINE_REFUSED "\nCONNECTION=3\nPEER=uid 0 CODE=forged\nLINE=17\n"
                     "CODE=bad_value\nFIELD=amountCents\nSQLSTATE=23514\n");
        close(journal);
        log_info("gone");
        assert_logged("<6>gone\n");
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
        unlink(addr.sun_path);
        unsetenv("JOURNAL_STREAM");
}

static void test_formats(void **state)
{
        (void)state;
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
        log_warn("%s", "careful");
        assert_logged("Z warn careful\n");
        log_init(LOG_LEVEL_DEBUG, LOG_FORMAT_JOURNAL);
        log_error("e");
        assert_logged("<3>e\n");
        log_debug("d");
        assert_logged("<7>d\n");
        pretend_journal();
        log_init_at(LOG_LEVEL_INFO, LOG_FORMAT_AUTO, "/nonexistent/socket");
        log_info("i");
        assert_logged("<6>i\n");
        setenv("JOURNAL_STREAM", "1:2", 1); /* another program's */
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        log_info("i");
        assert_logged("Z info i\n");
        unsetenv("JOURNAL_STREAM");
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        log_info("i");
        assert_logged("Z info i\n");
}

/* 2026-01-02T03:04:05.678Z info text */
static void test_plain_time(void **state)
{
        char text[4096];
        int number[7];
        int len = 0;

        (void)state;
        setenv("TZ", "Asia/Kathmandu", 1); /* the time is UTC, in whatever time zone the server is */
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
        log_info("text");
        assert_int_equal(read_logged(text), strlen("2026-01-02T03:04:05.678Z info text\n"));
        assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ info text%n", &number[0], &number[1],
                                &number[2], &number[3], &number[4], &number[5], &number[6], &len),
                         7);
        assert_string_equal(text + len, "\n");
        unsetenv("TZ");
}

/* At each level, events of that severity or higher are written, and no others. */
static void test_levels(void **state)
{
        static const char *const prefixes[] = {"<3>", "<4>", "<6>", "<7>"};

        (void)state;
        for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
                char expected[64] = "";
                char text[4096];

                log_init((enum log_level)level, LOG_FORMAT_JOURNAL);
                log_error("x");
                log_warn("x");
                log_info("x");
                log_debug("x");
                for (int i = 0; i <= level; i++)
                        snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%sx\n",
                                 prefixes[i]);
                read_logged(text);
                assert_string_equal(text, expected);
        }
}

static void test_one_event_is_one_line(void **state)
{
        (void)state;
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
        log_info("two\r\nlines <3>fake\n");
        assert_logged("<6>two  lines <3>fake\n");
        log_info(" ");
        assert_logged("<6>\n");
}

/* Whatever its length, a line keeps its beginning and its end, in at most 2048 bytes. */
static void test_long_texts(void **state)
{
        static char text[5000];
        char logged[4096];

        (void)state;
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
        memset(text, 'x', sizeof(text) - 1);
        for (size_t len = 2030; len < 2060; len++) {
                size_t n;

                log_info("%.*s", (int)len, text);
                n = read_logged(logged);
                assert_true(n == len + 4 || (len > 2040 && n > 2040 && n <= 2048));
                assert_int_equal(strncmp(logged, "<6>xxx", 6), 0);
                assert_string_equal(logged + n - 4, "xxx\n");
                assert_ptr_equal(strchr(logged, '\n'), logged + n - 1);
        }
        log_info("%s", text);
        assert_logged("xxx\n");
}

static void test_limit(void **state)
{
        struct log_limit l = {0};

        (void)state;
        assert_int_equal(log_limit_pass(&l, 5000), 1);
        assert_int_equal(log_limit_pass(&l, 5001), 0);
        assert_int_equal(log_limit_pass(&l, 5999), 0);
        assert_int_equal(log_limit_pass(&l, 6000), 3);
        assert_int_equal(log_limit_pass(&l, 9000), 1);
}

static void test_burst(void **state)
{
        struct log_burst b = {0};

        (void)state;
        for (unsigned i = 0; i < LOG_BURST; i++)
                assert_int_equal(log_burst_pass(&b, 5000), 1);
        assert_int_equal(log_burst_pass(&b, 5000), 0);
        assert_int_equal(log_burst_pass(&b, 5999), 0);
        assert_int_equal(log_burst_pass(&b, 6000), 3);
        assert_int_equal(log_burst_pass(&b, 6500), 0);
        assert_int_equal(log_burst_pass(&b, 8000), 2);
        assert_int_equal(log_burst_pass(&b, 8000), 1);
        for (unsigned i = 0; i < LOG_BURST; i++)
                assert_int_equal(log_burst_pass(&b, 60000), 1);
        assert_int_equal(log_burst_pass(&b, 60000), 0);
}

static void test_foreign_text(void **state)
{
        (void)state;
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
        log_info("\x1b[31m\t\xe2\x80\xae"
                 "evil\xff");
        assert_logged("<6>?[31m ?evil?\n");
}

/* With the writing thread: order is kept, repetitions are counted, and everything is written at the end. */
static void test_thread(void **state)
{
        char text[4096];

        (void)state;
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
        log_start();
        log_info("first");
        for (int i = 0; i < 10; i++)
                log_error("the same");
        log_info("second");
        log_info("second");
        log_warn("last");
        log_warn("last");
        log_stop();
        read_logged(text);
        assert_string_equal(text, "<6>first\n<3>the same\n<3>the same (× 10)\n<6>second\n<6>second\n"
                                  "<4>last\n<4>last (× 2)\n");
        assert_int_equal(log_dropped(), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
                cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
                cmocka_unit_test_setup_teardown(test_plain_time, setup, teardown),
                cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_event_is_one_line, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long_texts, setup, teardown),
                cmocka_unit_test(test_limit),
                cmocka_unit_test(test_burst),
                cmocka_unit_test_setup_teardown(test_foreign_text, setup, teardown),
                cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
