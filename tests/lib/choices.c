#include "choices.h"

#include <stdio.h>
#include <string.h>

struct choices choices_by_chance(uint64_t seed)
{
        return (struct choices){.len = CHOICES_MAX, .chance = seed * UINT64_C(0x9e3779b97f4a7c15)};
}

/* xorshift64 (Marsaglia, "Xorshift RNGs", 2003) */
static uint64_t draw(struct choices *c)
{
        c->chance ^= c->chance << 13;
        c->chance ^= c->chance >> 7;
        c->chance ^= c->chance << 17;
        return c->chance;
}

/* Half of the time chance goes the way to the end, or few stories would get far. */
static unsigned by_chance(struct choices *c, unsigned ways)
{
        uint64_t drawn = draw(c);

        return drawn & 1 ? 0 : (unsigned)((drawn >> 8) % ways);
}

unsigned choose(struct choices *c, unsigned ways)
{
        size_t i = c->at++;

        if (i >= c->len || i >= CHOICES_MAX)
                return 0;
        if (c->chance)
                c->made[i] = by_chance(c, ways);
        c->ways[i] = ways;
        return c->made[i];
}

bool choices_next(struct choices *c)
{
        size_t i = c->at < c->len ? c->at : c->len;

        c->at = 0;
        while (i-- > 0) {
                if (++c->made[i] < c->ways[i])
                        return true;
                c->made[i] = 0;
        }
        return false;
}

const char *choices_text(const struct choices *c)
{
        static char text[CHOICES_MAX * 4];
        size_t len = 0;

        text[0] = '\0';
        for (size_t i = 0; i < c->len && i < c->at; i++)
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", i ? "," : "", c->made[i]);
        return text;
}
