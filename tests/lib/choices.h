#ifndef CHOICES_H
#define CHOICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For tests that play an opponent: at each fork the test asks which of several ways to take. Either all
 * sequences of the first few forks are tried, like the digits of an odometer, or each fork is decided at
 * random, from a seed. After CHOICES_MAX forks the way is always 0, which leads every story to its end. */

enum { CHOICES_MAX = 64 };

struct choices {
        unsigned made[CHOICES_MAX];
        unsigned ways[CHOICES_MAX]; /* at that fork; 0: not reached yet */
        size_t len;                 /* forks with a choice of their own: later ones take way 0 */
        size_t at;
        uint64_t chance; /* 0: not random, an odometer */
};

/* All forks are random; each seed other than 0 gives other stories. */
struct choices choices_by_chance(uint64_t seed);

/* Returns which of @ways to take: 0 leads to the end. */
unsigned choose(struct choices *c, unsigned ways);

/* Advances to the next sequence of an odometer: false after the last. */
bool choices_next(struct choices *c);

/* As text, for the message about a failed story. */
const char *choices_text(const struct choices *c);

#endif
