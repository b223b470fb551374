#ifndef FAKE_LOOP_H
#define FAKE_LOOP_H

#include <stdint.h>

#include <uv.h>

/* Time under the test's control: defines uv_now, which replaces libuv's in programs linked with it. Timers
 * are started and stopped as usual, but fire only when the test says so. */

/* Advances the time by @ms. */
void fake_loop_pass(uint64_t ms);

/* Fires the timer; does nothing if it is not running. */
void fake_loop_fire(uv_timer_t *timer);

#endif
