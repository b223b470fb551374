#include "monitor/status_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *state_of(const struct stats *r, const char *trouble, bool draining)
{
        bool spooling = r->spool.on && !r->spool.failing;

        if (draining)
                return "Stopping";
        if (trouble[0])
                return spooling ? "Lines are spooled: database: " : "Clients wait: database: ";
        if (!r->database.up && !r->database.failed)
                return "Connecting to the database";
        if (!r->database.up)
                return spooling ? "Lines are spooled: the database is unavailable"
                                : "Clients wait: the database is unavailable";
        return r->spool.diverting ? "Lines are spooled while the spool is replayed" : "Running";
}

/* Per second, rounded. */
static uint64_t rate(uint64_t now, uint64_t before, uint64_t us)
{
        return us > 0 ? ((now - before) * 1000000 + us / 2) / us : 0;
}

void status_line_write(struct status_line *l, const struct stats *r, const char *trouble, bool draining,
                       char *ret, size_t size)
{
        const struct sample now = history_sample(r);
        const struct sample last = l->last;
        uint64_t us = last.at_us > 0 ? now.at_us - last.at_us : 0;
        int len = snprintf(ret, size, "%s%s; %u connections", state_of(r, trouble, draining),
                           draining ? "" : trouble, r->open);

        l->last = now;
        if (len < 0 || (size_t)len >= size)
                return;
        ret += len;
        size -= (size_t)len;
        if (now.received == last.received && now.stored == last.stored && now.duplicate == last.duplicate &&
            now.rejected == last.rejected)
                snprintf(ret, size, ", no lines");
        else
                snprintf(ret, size,
                         ", %" PRIu64 " lines/s: %" PRIu64 " stored/s, %" PRIu64 " duplicate/s, %" PRIu64
                         " rejected/s, %" PRIu64 " spooled/s",
                         rate(now.received, last.received, us), rate(now.stored, last.stored, us),
                         rate(now.duplicate, last.duplicate, us), rate(now.rejected, last.rejected, us),
                         rate(now.spooled, last.spooled, us));
}
