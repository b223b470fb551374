#include "wire/line.h"

void line_settle(struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        struct line_source *source = line->source;

        source->tally->counts[outcome]++;
        source->tally->in_flight--;
        source->ops->settle(source, line, outcome, reject);
        block_unref(line->block);
}

void line_give_up(struct line *line)
{
        struct line_source *source = line->source;

        source->tally->abandoned++;
        source->tally->in_flight--;
        source->ops->give_up(source, line);
        block_unref(line->block);
}
