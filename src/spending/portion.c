#include "spending/portion.h"

#include <stdbool.h>
#include <string.h>

#include "spending/row_order.h"

enum { SEEN = 1024 }; /* slots, a power of two above 2 * PORTION_WEEKS */

/* The weeks of a portion: a hash table that cannot become full. */
struct portion {
        const struct known_weeks *known;
        uint32_t seen[SEEN]; /* week + 1 */
        size_t weeks_max;
        size_t new_weeks_max;
        size_t weeks;
        size_t new_weeks;
        uint32_t last; /* week + 1 of the row before */
};

static uint32_t week_slot(int64_t collected_at_us)
{
        return (uint32_t)row_order_week(collected_at_us) + 1;
}

static bool is_known(const struct known_weeks *known, uint32_t week)
{
        return known->slots[week % PORTION_KNOWN] == week;
}

/* Returns true, and counts the row, if its week has room in the portion. */
static bool take_week(struct portion *p, uint32_t week)
{
        size_t i = week % SEEN;

        if (week == p->last)
                return true;
        while (p->seen[i] != 0 && p->seen[i] != week)
                i = (i + 1) % SEEN;
        if (p->seen[i] == 0) {
                bool is_new = !is_known(p->known, week);

                if (p->weeks == p->weeks_max || (is_new && p->new_weeks == p->new_weeks_max))
                        return false;
                p->seen[i] = week;
                p->weeks++;
                p->new_weeks += is_new;
        }
        p->last = week;
        return true;
}

/* True if the row fits the portion, for which @kept rows are chosen so far. */
static bool take_row(struct portion *p, const struct row *row, bool any_time, size_t kept)
{
        if (row->rec.any_time != any_time || (any_time && kept == PORTION_IDS))
                return false;
        return take_week(p, week_slot(row->rec.collected_at));
}

/* True for the usual batch, whose rows need not be checked one by one. */
static bool is_one_week(const struct batch *b)
{
        return week_slot(b->first_us) == week_slot(b->last_us);
}

/* Keeps the rows that @p has room for. */
static struct batch *cut(struct batch *b, struct portion *p)
{
        bool any_time = b->rows[0].rec.any_time;
        struct batch *rest = NULL;
        size_t kept = 0;

        if (!b->any_time && is_one_week(b))
                return NULL;
        for (size_t i = 0; i < b->len; i++) {
                const struct row *row = &b->rows[i];

                if (take_row(p, row, any_time, kept)) {
                        if (kept < i)
                                b->rows[kept] = *row;
                        kept++;
                        continue;
                }
                if (!rest)
                        rest = batch_new_part(b, b->len - i);
                b->bytes -= row->line.text.len;
                batch_add_take(rest, row);
        }
        b->len = kept;
        b->any_time = any_time;
        return rest;
}

struct batch *portion_cut(struct batch *b, const struct known_weeks *known)
{
        struct portion p = {.known = known, .weeks_max = PORTION_WEEKS, .new_weeks_max = PORTION_NEW_WEEKS};

        return cut(b, &p);
}

struct batch *portion_part_week(struct batch *b)
{
        static const struct known_weeks none;
        struct portion p = {.known = &none, .weeks_max = 1, .new_weeks_max = 1};

        return cut(b, &p);
}

void portion_written(const struct batch *b, struct known_weeks *known)
{
        uint32_t last = 0;
        size_t len = is_one_week(b) ? 1 : b->len;

        for (size_t i = 0; i < len; i++) {
                uint32_t week = week_slot(b->rows[i].rec.collected_at);

                if (week != last)
                        known->slots[week % PORTION_KNOWN] = week;
                last = week;
        }
}
