#include "wire/line.h"

#include "wire/rules.h"

void line_release(struct line *line)
{
        if (line->client && !line->drained)
                rules_drop_line(line->client, line->text.len);
        rules_unref(line->client);
        block_unref(line->block);
}
