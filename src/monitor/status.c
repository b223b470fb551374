#include "monitor/status.h"

#include <stdio.h>

static void not_ready(struct status *s, const char *why, const char *error)
{
        snprintf(s->not_ready, sizeof(s->not_ready), "%s%s%s", why, error[0] ? ": " : "", error);
}

void status_judge(struct status *s)
{
        const struct stats_database *db = &s->stats->database;
        const struct stats_spool *spool = &s->stats->spool;

        s->not_ready[0] = '\0';
        if (s->draining)
                not_ready(s, "the daemon is stopping", "");
        else if (s->clock_us - s->stats->taken_us > STATUS_STALE_US)
                not_ready(s, "a worker does not answer", "");
        else if (spool->diverting && spool->failing)
                not_ready(s, "the spool is full or cannot be used", "");
        else if (s->trouble[0] && (!spool->on || spool->failing))
                not_ready(s, "database", s->trouble);
        else if (!db->up && (!spool->on || spool->failing))
                not_ready(s, db->failed ? "the database is unavailable" : "not connected to the database yet",
                          db->error);
}
