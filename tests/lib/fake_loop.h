#ifndef FAKE_LOOP_H
#define FAKE_LOOP_H

#include <stdint.h>

#include <uv.h>

/* Time as a test wishes: defines uv_now, which takes the place of libuv's in what is linked with it. Timers are started and
 * stopped as always, but fire only when the test says so. */

/* @ms go by. */
void fake_loop_pass(uint64_t ms);

/* The timer's time has come; nothing happens if it is not running. */
void fake_loop_fire(uv_timer_t *timer);

#endif
