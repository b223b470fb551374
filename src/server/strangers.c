#include "server/strangers.h"

#include <assert.h>
#include <stdlib.h>

/* Sources are counted by hash: sources with the same hash share a count. */
enum { COUNTS = 1024 };

static size_t count_of(const struct session *s)
{
        return (size_t)((s->source * UINT64_C(0x9E3779B97F4A7C15)) >> 54);
}

static size_t find_busiest(const struct sessions *set)
{
        unsigned counts[COUNTS] = {0};
        size_t busiest = 0;

        for (const struct list *l = set->strangers.next; l != &set->strangers; l = l->next) {
                size_t i = count_of(container_of(l, struct session, stranger));

                if (++counts[i] > counts[busiest])
                        busiest = i;
        }
        return busiest;
}

struct session *strangers_pick(const struct sessions *set)
{
        size_t busiest = find_busiest(set);
        struct session *picked = NULL;
        long seen = 0;

        for (const struct list *l = set->strangers.next; l != &set->strangers; l = l->next) {
                struct session *s = container_of(l, struct session, stranger);

                if (count_of(s) != busiest || (picked && s->heard > picked->heard))
                        continue;
                if (picked && s->heard < picked->heard)
                        seen = 0; /* a better candidate */
                if (random() % ++seen == 0)
                        picked = s;
        }
        assert(picked);
        return picked;
}
