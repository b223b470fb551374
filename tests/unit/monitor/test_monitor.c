/* The monitor on a real socket, with workers that answer when the test says so. */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "monitor/monitor.h"

struct fixture {
        uv_loop_t loop;
        struct config config;
        struct monitor monitor;
        unsigned asked;
        enum stats_detail detail;
        bool answers;
        bool closed;
        struct sockaddr_in address;
};

static void answer(struct fixture *f)
{
        struct stats stats = {.taken_us = clock_monotonic_us(), .lines = 1000 + f->asked};

        stats.database.up = true;
        monitor_on_stats_take(&f->monitor, &stats);
}

static void on_ask(void *ctx, enum stats_detail detail)
{
        struct fixture *f = ctx;

        f->asked++;
        f->detail = detail;
        if (f->answers)
                answer(f);
}

/* The port that it listens on: the only listening socket of this process. */
static void find_port(struct fixture *f)
{
        for (int fd = 3; fd < 64; fd++) {
                socklen_t len = sizeof(f->address);
                int listens = 0;
                socklen_t listens_len = sizeof(listens);

                if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_len) == 0 && listens) {
                        assert_int_equal(getsockname(fd, (struct sockaddr *)&f->address, &len), 0);
                        return;
                }
        }
        fail_msg("nothing listens");
}

static int setup(void **state)
{
        static const struct monitor_ops ops = {.ask = on_ask};
        static char address[] = "127.0.0.1:0";
        struct fixture *f = calloc(1, sizeof(*f));

        signal(SIGPIPE, SIG_IGN);
        uv_loop_init(&f->loop);
        f->config.http.listen = address;
        f->config.daemon.workers = 1;
        assert_int_equal(monitor_open(&f->monitor, &f->loop, &f->config, &ops, f), 0);
        find_port(f);
        *state = f;
        return 0;
}

static void close_monitor(struct fixture *f)
{
        monitor_close(&f->monitor);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        f->closed = true;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        if (!f->closed)
                close_monitor(f);
        monitor_deinit(&f->monitor);
        assert_int_equal(uv_loop_close(&f->loop), 0);
        free(f);
        return 0;
}

static int ask_for(const struct fixture *f, const char *path)
{
        char request[256];
        int len = snprintf(request, sizeof(request),
                           "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        assert_int_equal(connect(fd, (const struct sockaddr *)&f->address, sizeof(f->address)), 0);
        assert_int_equal(write(fd, request, (size_t)len), len);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        return fd;
}

/* Runs the loop until there is an answer, up to @turns times of 10 ms; "" for none. */
static const char *answer_of(struct fixture *f, int fd, int turns)
{
        static char text[1 << 20];
        size_t len = 0;

        for (int i = 0; i < turns; i++) {
                ssize_t n;

                uv_run(&f->loop, UV_RUN_NOWAIT);
                while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
                        len += (size_t)n;
                if (n == 0 || (n < 0 && errno != EAGAIN))
                        break;
                usleep(10000);
        }
        text[len] = '\0';
        return text;
}

static const char *finish(struct fixture *f, int fd)
{
        const char *text = answer_of(f, fd, 2000);

        close(fd);
        return text;
}

static void test_an_answer_is_newer_than_its_request(void **state)
{
        struct fixture *f = *state;
        int first = ask_for(f, "/metrics");
        int second;

        assert_string_equal(answer_of(f, first, 5), "");
        assert_int_equal(f->asked, 1);
        assert_int_equal(f->detail, STATS_STEP);
        second = ask_for(f, "/status.json"); /* while stats are awaited */
        assert_string_equal(answer_of(f, second, 5), "");
        assert_int_equal(f->asked, 1);
        answer(f);
        assert_non_null(strstr(finish(f, first), "lines_received_total 1001\n"));
        assert_int_equal(f->asked, 2);
        assert_int_equal(f->detail, STATS_LISTS);
        answer(f);
        assert_non_null(strstr(finish(f, second), "\"received\":1002,"));
}

static void test_workers_that_do_not_answer(void **state)
{
        struct fixture *f = *state;
        int ready = ask_for(f, "/readyz");
        int metrics = ask_for(f, "/metrics");

        assert_non_null(strstr(finish(f, ready), "503 "));
        assert_non_null(strstr(finish(f, metrics), "boris_ingestd_ready 0\n"));
        assert_non_null(strstr(finish(f, ask_for(f, "/healthz")), "200 OK"));
        f->monitor.asked_us -= 60 * 1000000; /* a minute passes */
        assert_non_null(strstr(finish(f, ask_for(f, "/healthz")), "a worker does not answer\n"));
        answer(f);
        f->answers = true;
        assert_non_null(strstr(finish(f, ask_for(f, "/healthz")), "200 OK"));
        assert_non_null(strstr(finish(f, ask_for(f, "/readyz")), "200 OK"));
}

static void test_the_end_with_requests_waiting(void **state)
{
        struct fixture *f = *state;
        int fds[3] = {ask_for(f, "/metrics"), ask_for(f, "/readyz"), ask_for(f, "/status.json")};

        for (size_t i = 0; i < 3; i++)
                assert_string_equal(answer_of(f, fds[i], 5), "");
        close_monitor(f);
        for (size_t i = 0; i < 3; i++)
                close(fds[i]);
        answer(f); /* they were awaited, and arrive late */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_an_answer_is_newer_than_its_request, setup, teardown),
                cmocka_unit_test_setup_teardown(test_workers_that_do_not_answer, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_end_with_requests_waiting, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
