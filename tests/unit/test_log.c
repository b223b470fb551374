/* What the log writes, caught at its end: standard error. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "log.h"

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

static void assert_logged(const char *end)
{
        char text[4096];
        ssize_t n = read(pipe_fds[0], text, sizeof(text) - 1);

        assert_true(n > 0);
        text[n] = '\0';
        assert_true((size_t)n >= strlen(end));
        assert_string_equal(text + n - strlen(end), end);
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
        setenv("JOURNAL_STREAM", "1:2", 1);
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        log_info("i");
        assert_logged("<6>i\n");
        unsetenv("JOURNAL_STREAM");
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        log_info("i");
        assert_logged("Z info i\n");
}

static void test_levels(void **state)
{
        (void)state;
        log_init(LOG_LEVEL_WARN, LOG_FORMAT_JOURNAL);
        log_info("not this");
        log_debug("nor this");
        log_warn("this");
        assert_logged("<4>this\n");
}

static void test_one_event_is_one_line(void **state)
{
        char text[5000];

        (void)state;
        log_init(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
        log_info("two\r\nlines <3>fake\n");
        assert_logged("<6>two  lines <3>fake\n");
        memset(text, 'x', sizeof(text));
        text[sizeof(text) - 1] = '\0';
        log_info("%s", text);
        assert_logged("xxx\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
                cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_event_is_one_line, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
