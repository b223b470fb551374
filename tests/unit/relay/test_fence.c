#include "relay/fence.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>

#include "base/clock.h"
#include "test.h"

static int ends[2];

static bool can_send(void)
{
        return send(ends[0], "x", 1, MSG_NOSIGNAL) == 1;
}

static void wait_ms(int ms)
{
        struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

        while (nanosleep(&left, &left) != 0 && errno == EINTR)
                ;
}

static void open_pair(void)
{
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        fence_guard(ends[0]);
}

static void close_pair(void)
{
        fence_guard(-1);
        close(ends[0]);
        close(ends[1]);
}

static void test_comes_down_in_time(void **state)
{
        (void)state;
        fence_raise(clock_monotonic_ms() + 50);
        open_pair();
        assert_false(fence_is_down());
        assert_true(can_send());
        wait_ms(80);
        assert_true(fence_is_down());
        assert_false(can_send());
        close_pair();
        open_pair(); /* nor by a new connection */
        assert_false(can_send());
        close_pair();
}

static void test_raised_again_in_time(void **state)
{
        (void)state;
        fence_raise(clock_monotonic_ms() + 50);
        open_pair();
        fence_raise(clock_monotonic_ms() + 60000);
        wait_ms(80);
        assert_false(fence_is_down());
        assert_true(can_send());
        fence_drop();
        assert_true(fence_is_down());
        assert_false(can_send());
        close_pair();
}

static void test_raised_too_late(void **state)
{
        (void)state;
        fence_raise(clock_monotonic_ms());
        assert_true(fence_is_down());
        open_pair();
        assert_false(can_send());
        close_pair();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_comes_down_in_time),
                cmocka_unit_test(test_raised_again_in_time),
                cmocka_unit_test(test_raised_too_late),
        };

        fence_install();
        return fence_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
