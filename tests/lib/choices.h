#ifndef CHOICES_H
#define CHOICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A test that plays an opponent asks, at each fork, which of several ways to go. First all sequences of the first few
 * forks are gone through, as an odometer counts; or each fork is decided by chance, from a seed. Behind CHOICES_MAX forks
 * the way is always 0, by which every story must come to its end. */

enum { CHOICES_MAX = 64 };

struct choices {
        unsigned made[CHOICES_MAX];
        unsigned ways[CHOICES_MAX]; /* at that fork; 0: it was not met yet */
        size_t len;                 /* forks with a choice of their own: those behind them go way 0 */
        size_t at;
        uint64_t chance; /* 0: none, an odometer */
};

/* Chance decides all forks; other seeds than 0 make other stories. */
struct choices choices_by_chance(uint64_t seed);

/* Which of @ways to go: 0 is the way that leads to the end. */
unsigned choose(struct choices *c, unsigned ways);

/* The next sequence of an odometer: false where all were gone through. */
bool choices_next(struct choices *c);

/* As text, for the message about a story that failed. */
const char *choices_text(const struct choices *c);

#endif
