#include "daemon/decoded.h"

#include "wire/rules.h"

#include "hierarchy/hierarchy_record.h"
#include "spending/spending_record.h"

/* What jsonb prints of an object may be as long as so many of the longest lines: else a short line with large
 * exponents would make a row that nobody can read. */
enum { OBJECT_TEXT_LINES = 4 };

struct field_reader decoded_reader(size_t max_line_bytes)
{
        return (struct field_reader){.object_max = OBJECT_TEXT_LINES * max_line_bytes};
}

bool decoded_read(struct field_reader *reader, const struct line *line, struct decoded *ret,
                  struct reject *ret_reject)
{
        struct fields fields;

        if (!fields_read(reader, line->text, &fields, ret_reject))
                return false;
        ret->kind = fields.kind;
        if (fields.kind == RECORD_HELLO)
                return hello_read(&fields, line->number, &ret->as.hello);
        if (fields.kind == RECORD_SPENDING) {
                ret->as.spending.line = *line;
                return spending_record_read(&fields, line->receipt, &ret->as.spending.rec);
        }
        ret->as.hierarchy.line = *line;
        ret->as.hierarchy.kind = fields.kind;
        return fields.kind == RECORD_AD_ACCOUNT
                       ? ad_account_record_read(&fields, &ret->as.hierarchy.rec.account)
                       : ad_object_record_read(&fields, &ret->as.hierarchy.rec.object);
}

void decoded_reject_long(struct reject *ret, size_t max_line_bytes)
{
        reject_set(ret, REJECT_LINE_TOO_LONG, NULL, "a line must not be longer than %zu bytes",
                   max_line_bytes);
}

bool decoded_permitted(const struct decoded *d, struct reject *ret_reject)
{
        const struct hierarchy_row *h = &d->as.hierarchy;

        if (d->kind == RECORD_SPENDING)
                return row_permitted(&d->as.spending, ret_reject);
        if (d->kind == RECORD_AD_ACCOUNT)
                return rules_permits_account(h->line.client, &h->rec.account.connection_id,
                                             h->rec.account.external_id, ret_reject);
        return rules_permits(h->line.client, h->rec.object.platform,
                             h->rec.object.has_connection ? &h->rec.object.connection_id : NULL,
                             h->rec.object.account_external_id, ret_reject);
}
