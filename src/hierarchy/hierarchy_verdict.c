#include "hierarchy/hierarchy_verdict.h"

#include "base/uuid.h"
#include "wire/rules.h"
#include "wire/refusal.h"

static bool may_be_parent(enum ad_object_type parent, enum ad_object_type child)
{
        return parent == AD_OBJECT_TYPE_CAMPAIGN
                       ? child != AD_OBJECT_TYPE_CAMPAIGN
                       : parent == AD_OBJECT_TYPE_AD_SET && child == AD_OBJECT_TYPE_AD;
}

/* Returns row @other if it is in this transaction and names its account in the same way as @row, so that both belong to one
 * account; otherwise NULL. */
static const struct hierarchy_row *related(const struct hierarchy_batch *b, size_t start,
                                           const struct hierarchy_row *row, int32_t other)
{
        return other >= 0 && (size_t)other >= start && b->rows[other].account_number == row->account_number
                       ? &b->rows[other]
                       : NULL;
}

bool hierarchy_asks_for_parent(const struct hierarchy_batch *b, size_t start, size_t row)
{
        const struct hierarchy_row *r = &b->rows[row];

        return r->rec.object.has_parent && !related(b, start, r, r->parent_row) &&
               !related(b, start, r, r->same_parent_row);
}

static struct hierarchy_known know_parent(const struct hierarchy_batch *b, size_t start,
                                          const struct hierarchy_row *row,
                                          const struct hierarchy_answer *answer)
{
        const struct hierarchy_row *parent = related(b, start, row, row->parent_row);
        const struct hierarchy_row *same = related(b, start, row, row->same_parent_row);

        return parent ? parent->stored : same ? same->stored_parent : answer->parent;
}

/* Finds the parent: a row of this transaction, else the database's. */
static enum hierarchy_verdict find_parent(const struct hierarchy_batch *b, size_t start,
                                          struct hierarchy_row *row)
{
        const struct hierarchy_row *parent = NULL;

        if (row->parent_row >= 0 && (size_t)row->parent_row >= start)
                parent = &b->rows[row->parent_row];
        if (parent && parent->verdict == HIERARCHY_OK && uuid_eq(&parent->account_id, &row->account_id)) {
                row->parent_id = parent->id;
                row->other_type = parent->rec.object.type;
        } else if (row->stored_parent.exists) {
                row->parent_id = row->stored_parent.id;
                row->other_type = row->stored_parent.type;
        } else {
                return HIERARCHY_UNKNOWN_PARENT;
        }
        return may_be_parent(row->other_type, row->rec.object.type) ? HIERARCHY_OK : HIERARCHY_PARENT_LEVEL;
}

/* True if the object keeps any child once the earlier rows of this transaction are written. A row that made
 * an object its child, or named it as a parent, would have ended the batch before this row. */
static bool keeps_children(const struct hierarchy_batch *b, size_t start, const struct hierarchy_row *row,
                           int64_t children)
{
        for (const struct hierarchy_row *other = &b->rows[start]; other < row && children > 0; other++)
                children -= other->kind == RECORD_AD_OBJECT && other->verdict == HIERARCHY_OK &&
                            uuid_eq(&other->old_parent_id, &row->id);
        return children > 0;
}

static enum hierarchy_verdict judge(const struct hierarchy_batch *b, size_t start, struct hierarchy_row *row,
                                    const struct hierarchy_answer *answer, int64_t now_ms)
{
        row->accounts = answer->accounts;
        if (row->accounts != 1)
                return HIERARCHY_NOT_ONE_ACCOUNT;
        row->account_id = answer->account_id;
        row->id = answer->object.exists ? answer->object.id : uuid_v7(now_ms);
        row->old_parent_id = answer->old_parent_id;
        if (answer->object.exists && keeps_children(b, start, row, answer->children)) {
                row->other_type = answer->object.type;
                return HIERARCHY_TYPE_HAS_CHILDREN;
        }
        return row->rec.object.has_parent ? find_parent(b, start, row) : HIERARCHY_OK;
}

static bool is_unchanged(const struct hierarchy_row *row, const struct hierarchy_answer *answer)
{
        return answer->object.exists && !answer->differs && uuid_eq(&row->parent_id, &row->old_parent_id);
}

void hierarchy_judge(struct hierarchy_batch *b, size_t start, size_t row,
                     const struct hierarchy_answer *answer, int64_t now_ms)
{
        struct hierarchy_row *r = &b->rows[row];

        r->parent_id = (struct uuid){0};
        r->stored = answer->object;
        r->stored_parent = know_parent(b, start, r, answer);
        r->verdict = judge(b, start, r, answer, now_ms);
        r->write = is_unchanged(r, answer) ? DB_WRITE_NONE : DB_WRITE_DONE;
}

static void describe_level(const struct hierarchy_row *row, const char *parent, struct reject *ret)
{
        bool is_ad = row->rec.object.type == AD_OBJECT_TYPE_AD;

        reject_set(ret, REJECT_BAD_VALUE, "parentExternalId",
                   "the parent of an %s must be %s, but ad object %s is of type %s",
                   ad_object_type_name(row->rec.object.type),
                   is_ad ? "an AD_SET or a CAMPAIGN" : "a CAMPAIGN", parent,
                   ad_object_type_name(row->other_type));
}

void hierarchy_describe(const struct hierarchy_row *row, struct reject *ret)
{
        const struct ad_object_record *rec = &row->rec.object;
        char text[UUID_TEXT_LEN + 1];
        char account[EXTERNAL_ID_MAX + 1];
        char parent[EXTERNAL_ID_MAX + 1];

        if (row->verdict == HIERARCHY_UNKNOWN_CONNECTION) {
                if (row->line.client && !rules_any_platform(row->line.client)) {
                        rules_refuse_connection(row->line.client, &row->rec.account.connection_id, ret);
                        return;
                }
                uuid_format(&row->rec.account.connection_id, text);
                reject_set(ret, REJECT_BAD_VALUE, "connectionId",
                           "no platform connection %s (create it with boris-ingestd connection create)",
                           text);
                return;
        }
        external_id_decode(rec->account_external_id, account);
        if (rec->has_parent)
                external_id_decode(rec->parent_external_id, parent);
        switch (row->verdict) {
        case HIERARCHY_NOT_ONE_ACCOUNT:
                if (row->accounts == 0 && rules_is_scoped(row->line.client, rec->has_connection)) {
                        rules_refuse_account(row->line.client, account, ret);
                        break;
                }
                refuse_account(ret, row->accounts, rec->platform, account,
                               rec->has_connection ? &rec->connection_id : NULL);
                break;
        case HIERARCHY_UNKNOWN_PARENT:
                refuse_object(ret, "parentExternalId", parent, account);
                break;
        case HIERARCHY_PARENT_LEVEL:
                describe_level(row, parent, ret);
                break;
        case HIERARCHY_TYPE_HAS_CHILDREN:
                reject_set(ret, REJECT_BAD_VALUE, "type",
                           "the ad object exists as a %s with child objects: its type cannot become %s",
                           ad_object_type_name(row->other_type), ad_object_type_name(rec->type));
                break;
        case HIERARCHY_UNKNOWN_CONNECTION:
        case HIERARCHY_OK:
                break;
        }
}
