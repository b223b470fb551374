#include "spending/row.h"

#include <string.h>

#include "wire/rules.h"

/* @text, a part of @from, in @to, its copy. */
static void move(struct slice *text, struct slice from, struct slice to)
{
        if (text->ptr)
                text->ptr = to.ptr + (text->ptr - from.ptr);
}

void row_detach(struct row *row)
{
        struct slice from = row->line.text;
        struct block *block = block_new_exact(row->line.block->memory, from.len);
        struct slice to = {block->data, from.len};

        memcpy(block->data, from.ptr, from.len);
        block->len = from.len;
        move(&row->rec.account_external_id.raw, from, to);
        move(&row->rec.external_id.raw, from, to);
        move(&row->rec.metrics, from, to);
        row->line.text = to;
        block_unref(row->line.block);
        row->line.block = block;
}

bool row_permitted(const struct row *row, struct reject *ret_reject)
{
        const struct spending_record *rec = &row->rec;

        return rules_permits(row->line.client, rec->platform,
                             rec->has_connection ? &rec->connection_id : NULL, rec->account_external_id,
                             ret_reject);
}
