#include "hierarchy/hierarchy_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/memory.h"
#include "wire/rules.h"
#include "wire/name_key.h"

enum { NOT_HERE = -1 }; /* no row of the batch; also the value of an account's key that objects name */

/* The first byte of a key. */
enum key_kind {
        KEY_OBJECT,  /* an object; value: its row, or ~ the first row that names it as its parent */
        KEY_ACCOUNT, /* an account that is a row or an object's account; value: its row */
        KEY_NAMED,   /* an account with everything by which objects name it; value: its number */
        KEY_SCOPED,  /* the same of one that a client finds through its own connections only */
};

struct hierarchy_batch *hierarchy_batch_new(struct memory *memory, uint64_t number)
{
        struct hierarchy_batch *b = must_calloc(1, sizeof(*b));

        list_init(&b->queue);
        b->memory = memory;
        b->number = number;
        b->followers_end = &b->followers;
        key_table_init(&b->keys, memory);
        return b;
}

void hierarchy_batch_free(struct hierarchy_batch *b)
{
        assert(!b->followers && list_empty(&b->queue));
        for (size_t i = 0; i < b->accounts_len; i++)
                block_unref(b->accounts[i].block);
        for (size_t i = 0; i < b->accounts_len; i++)
                rules_unref(b->accounts[i].client);
        memory_sub(b->memory, b->cap * sizeof(*b->rows) + b->accounts_cap * sizeof(*b->accounts));
        key_table_deinit(&b->keys);
        free(b->rows);
        free(b->accounts);
        free(b);
}

/* --- keys --- */

/* Rows and references are matched by external ids without connections. Two accounts that share an id are
 * thus treated as one, which may cost one batch more but is never wrong. */
static struct name_key account_key(struct json_string external_id)
{
        struct name_key k;

        k.len = 0;
        name_key_tag(&k, KEY_ACCOUNT);
        name_key_id(&k, external_id);
        return k;
}

static struct name_key object_key(const struct ad_object_record *rec, struct json_string external_id)
{
        struct name_key k;

        k.len = 0;
        name_key_tag(&k, KEY_OBJECT);
        name_key_account(&k, rec->platform, NULL, rec->account_external_id);
        name_key_id(&k, external_id);
        return k;
}

/* The client's mark takes the place of the connection that the record does not name. */
static struct name_key named_account_key(const struct ad_object_record *rec, const struct rules *client)
{
        bool scoped = rules_is_scoped(client, rec->has_connection);
        struct uuid connection = rec->connection_id;
        struct name_key k;

        if (scoped)
                memcpy(&connection, &client->mark, sizeof(connection));
        k.len = 0;
        name_key_tag(&k, scoped ? KEY_SCOPED : KEY_NAMED);
        name_key_account(&k, rec->platform, scoped || rec->has_connection ? &connection : NULL,
                         rec->account_external_id);
        return k;
}

/* The number of the account's lock. All daemons must agree on it, so the hash has no seed. */
static unsigned lock_number(const struct name_key *account)
{
        return (unsigned)(XXH3_128bits(account->bytes, account->len).low64 % HIERARCHY_LOCKS);
}

/* --- rows --- */

static struct hierarchy_row *push(struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        if (b->len == b->cap)
                b->rows = memory_grow(b->memory, b->rows, &b->cap, sizeof(*b->rows));
        b->rows[b->len] = *row;
        b->bytes += row->line.text.len;
        b->new_rows += row->sender == SENDER_NEW;
        if (row->sender > b->sender)
                b->sender = row->sender;
        return &b->rows[b->len++];
}

static uint32_t account_number(struct hierarchy_batch *b, const struct ad_object_record *rec,
                               const struct line *line)
{
        const struct name_key key = named_account_key(rec, line->client);
        int32_t *number = key_table_add(&b->keys, &key, (int32_t)b->accounts_len + 1);

        if ((size_t)*number <= b->accounts_len)
                return (uint32_t)*number;
        if (b->accounts_len == b->accounts_cap)
                b->accounts = memory_grow(b->memory, b->accounts, &b->accounts_cap, sizeof(*b->accounts));
        b->accounts[b->accounts_len++] = (struct hierarchy_account){
                .platform = rec->platform,
                .has_connection = rec->has_connection,
                .connection_id = rec->connection_id,
                .external_id = rec->account_external_id,
                .block = block_ref(line->block),
                .client = rules_ref(line->client),
        };
        return (uint32_t)b->accounts_len;
}

static bool add_account(struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        const struct name_key key = account_key(row->rec.account.external_id);

        if (key_table_find(&b->keys, &key))
                return false;
        key_table_add(&b->keys, &key, (int32_t)b->len);
        push(b, row);
        return true;
}

/* Finds the row that is the parent, or the first row that names the same parent. */
static void find_parent_row(struct hierarchy_batch *b, struct hierarchy_row *row)
{
        const struct ad_object_record *rec = &row->rec.object;
        const struct name_key parent = object_key(rec, rec->parent_external_id);
        int32_t self = (int32_t)(row - b->rows);
        int32_t found = *key_table_add(&b->keys, &parent, ~self);

        if (found >= 0)
                row->parent_row = found;
        else if (~found != self)
                row->same_parent_row = ~found;
}

static bool add_object(struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        const struct ad_object_record *rec = &row->rec.object;
        const struct name_key key = object_key(rec, rec->external_id);
        const struct name_key account = account_key(rec->account_external_id);
        struct hierarchy_row *added;

        if (key_table_find(&b->keys, &key))
                return false;
        key_table_add(&b->keys, &key, (int32_t)b->len);
        key_table_add(&b->keys, &account, NOT_HERE);
        added = push(b, row);
        added->lock = lock_number(&account);
        added->account_number = account_number(b, rec, &row->line);
        added->parent_row = NOT_HERE;
        added->same_parent_row = NOT_HERE;
        if (rec->has_parent)
                find_parent_row(b, added);
        return true;
}

bool hierarchy_batch_add_take(struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        return row->kind == RECORD_AD_ACCOUNT ? add_account(b, row) : add_object(b, row);
}

bool hierarchy_batch_has_gone(const struct hierarchy_batch *b)
{
        for (size_t i = b->start; i < b->len; i++) {
                if (b->rows[i].line.source->gone)
                        return true;
        }
        return false;
}

/* --- parts --- */

void hierarchy_batch_divide(struct hierarchy_batch *b)
{
        size_t end = hierarchy_batch_end(b);

        assert(end - b->start >= 2);
        if (b->parts == 0)
                b->part_ends[b->parts++] = end;
        b->part_ends[b->parts++] = b->start + (end - b->start) / 2;
        b->suspicion = suspect_divide(&b->suspicion);
}

void hierarchy_batch_advance(struct hierarchy_batch *b)
{
        b->start = hierarchy_batch_end(b);
        if (b->parts > 0)
                b->parts--;
        b->suspicion = (struct suspicion){0};
}

/* --- rows that stay long --- */

/* Makes @text, a part of @from, point to the same part of the copy @to. */
static void move(struct slice *text, struct slice from, struct slice to)
{
        if (text->ptr)
                text->ptr = to.ptr + (text->ptr - from.ptr);
}

void hierarchy_row_detach(struct hierarchy_row *row)
{
        struct slice from = row->line.text;
        struct block *block = block_new_exact(row->line.block->memory, from.len);
        struct slice to = {block->data, from.len};

        memcpy(block->data, from.ptr, from.len);
        block->len = from.len;
        if (row->kind == RECORD_AD_ACCOUNT) {
                move(&row->rec.account.external_id.raw, from, to);
                if (row->rec.account.has_name)
                        move(&row->rec.account.name.raw, from, to);
                move(&row->rec.account.timezone.raw, from, to);
        } else {
                move(&row->rec.object.account_external_id.raw, from, to);
                move(&row->rec.object.external_id.raw, from, to);
                if (row->rec.object.has_name)
                        move(&row->rec.object.name.raw, from, to);
                if (row->rec.object.has_parent)
                        move(&row->rec.object.parent_external_id.raw, from, to);
                move(&row->rec.object.platform_data, from, to);
        }
        row->line.text = to;
        block_unref(row->line.block);
        row->line.block = block;
}

/* --- followers --- */

void hierarchy_batch_follow_take(struct hierarchy_batch *b, const struct row *row)
{
        struct follower *f = must_malloc(sizeof(*f));

        f->next = NULL;
        f->row = *row;
        *b->followers_end = f;
        b->followers_end = &f->next;
        memory_add(b->memory, sizeof(*f));
}

void hierarchy_batch_move_followers(struct hierarchy_batch *to, struct hierarchy_batch *from)
{
        assert(!to->followers);
        if (!from->followers)
                return;
        to->followers = from->followers;
        to->followers_end = from->followers_end;
        from->followers = NULL;
        from->followers_end = &from->followers;
}

bool hierarchy_batch_unfollow(struct hierarchy_batch *b, struct row *ret)
{
        struct follower *f = b->followers;

        if (!f)
                return false;
        *ret = f->row;
        b->followers = f->next;
        if (!b->followers)
                b->followers_end = &b->followers;
        memory_sub(b->memory, sizeof(*f));
        free(f);
        return true;
}
