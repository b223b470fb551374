#include "fake_loop.h"

static uint64_t now_ms = 1000;

uint64_t uv_now(const uv_loop_t *loop)
{
        (void)loop;
        return now_ms;
}

void fake_loop_pass(uint64_t ms)
{
        now_ms += ms;
}

void fake_loop_fire(uv_timer_t *timer)
{
        if (!uv_is_active((uv_handle_t *)timer))
                return;
        if (uv_timer_get_repeat(timer) == 0)
                uv_timer_stop(timer);
        timer->timer_cb(timer);
}
