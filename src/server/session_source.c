/* A session as the source of its lines. */
#include "base/list.h"
#include "server/session_parts.h"
#include "wire/rules.h"

static struct session *of_source(const struct line_source *source)
{
        return container_of(source, struct session, line_source);
}

static void settle(struct line_source *source, const struct line *line, enum line_outcome outcome,
                   const struct reject *reject)
{
        session_settle(of_source(source), line->number, outcome, reject);
}

static void give_up(struct line_source *source, const struct line *line)
{
        (void)line;
        session_abandon(of_source(source));
}

static struct line_from from(const struct line_source *source, const struct line *line)
{
        const struct session *s = of_source(source);

        return (struct line_from){s->peer, s->number, line->number, line->client ? line->client->origin : ""};
}

const struct line_source_ops session_source_ops = {.settle = settle, .give_up = give_up, .from = from};
