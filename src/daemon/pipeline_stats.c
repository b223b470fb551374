/* What a pipeline adds to its worker's stats: its own counts, its database connections, and the stats of each stage. */
#include <string.h>

#include "daemon/pipeline_parts.h"

/* Returns the connection that has worked for longest or, if none works, the one lost last. */
static const struct pg_conn *best_writer(const struct pipeline *p)
{
        const struct pg_conn *best = &p->writers[0].conn;

        for (unsigned i = 1; i < p->config->database.writers && best->away_us > 0; i++) {
                const struct pg_conn *c = &p->writers[i].conn;

                if (c->away_us == 0 || c->away_us > best->away_us)
                        best = c;
        }
        return best;
}

bool pipeline_database_up(const struct pipeline *p)
{
        return pg_conn_good(best_writer(p)) && pg_conn_good(&p->resolver.conn) &&
               pg_conn_good(&p->hierarchy.writer.conn);
}

/* @needed: without this connection some kind of line cannot be stored. */
static void add_conn(const struct pg_conn *c, bool needed, struct stats_database *d)
{
        d->wanted++;
        d->connected += pg_conn_connected(c);
        d->lost += c->lost;
        d->failures += c->connect_failures;
        d->reconnects += c->connects > 0 ? c->connects - 1 : 0;
        if (!needed || pg_conn_good(c))
                return;
        d->up = false;
        d->failed |= c->error[0] != '\0';
        d->away_us = stats_earlier(d->away_us, c->away_us);
        if (!d->error[0])
                memcpy(d->error, c->error, sizeof(d->error));
}

static void stats_database(const struct pipeline *p, struct stats_database *d)
{
        const struct pg_conn *best = best_writer(p);

        d->up = true;
        add_conn(&p->resolver.conn, true, d);
        add_conn(&p->hierarchy.writer.conn, true, d);
        for (unsigned i = 0; i < p->config->database.writers; i++)
                add_conn(&p->writers[i].conn, &p->writers[i].conn == best, d);
}

void pipeline_stats(const struct pipeline *p, struct stats *r, enum stats_detail detail)
{
        for (size_t i = 0; i < LINE_OUTCOMES; i++)
                r->counts[i] += p->direct.counts[i];
        memcpy(r->rejects, p->rejected, sizeof(r->rejects));
        r->in_flight = p->direct.in_flight;
        r->abandoned = p->direct.abandoned;
        r->memory_used = p->memory.used;
        r->memory_limit = p->memory.limit;
        r->unknown_rows = p->direct.unknown + p->overflow.tally.unknown;
        stats_database(p, &r->database);
        for (unsigned i = 0; i < p->config->database.writers; i++)
                writer_stats(&p->writers[i], r);
        batcher_stats(&p->batcher, r);
        resolver_stats(&p->resolver, r);
        hierarchy_stats(&p->hierarchy, r);
        overflow_stats(&p->overflow, r);
        if (detail == STATS_LISTS)
                stats_add_latest(r, &p->latest);
}
