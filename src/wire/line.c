#include "wire/line.h"

#include "wire/rules.h"

static void release(struct line *line)
{
        if (line->client && !line->in_spool)
                rules_drop_line(line->client, line->text.len);
        rules_unref(line->client);
        block_unref(line->block);
}

void line_settle(struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        struct line_source *source = line->source;

        source->tally->counts[outcome]++;
        source->tally->in_flight--;
        source->in_flight--;
        if (line->client && line->client->tally)
                line->client->tally->counts[outcome]++;
        source->ops->settle(source, line, outcome, reject);
        release(line);
}

void line_give_up(struct line *line)
{
        struct line_source *source = line->source;

        source->tally->abandoned++;
        source->tally->in_flight--;
        source->in_flight--;
        source->ops->give_up(source, line);
        release(line);
}
