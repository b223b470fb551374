/* A batch set aside stays here until all its rows are settled, even while the writer works on it. Such
 * batches do not depend on each other: a line that would depend on one was held. When a batch is removed,
 * the held lines are checked in order: a line that depends neither on a batch nor on an earlier held line is
 * released. */
#include "hierarchy/hierarchy_aside.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "wire/name_key.h"

/* The first byte of a key of the index. */
enum key_kind {
        KEY_IS_OBJECT,
        KEY_IS_ACCOUNT,
        KEY_NAMES_OBJECT,
        KEY_NAMES_ACCOUNT,
        KEY_SENDER, /* a client and an account about which the client sent a hierarchy record */
};

/* The value of such a key. */
enum {
        KEY_HELD,
        KEY_RELEASED, /* KEY_SENDER: all its records are in the batch that is being released */
};

struct held_line {
        struct list link;
        bool is_spending;
        union {
                struct row spending;
                struct hierarchy_row hierarchy;
        } as;
};

void hierarchy_aside_init(struct hierarchy_aside *a, struct memory *memory)
{
        *a = (struct hierarchy_aside){.memory = memory};
        list_init(&a->batches);
        list_init(&a->held);
        list_init(&a->released);
        key_table_init(&a->index, memory);
}

void hierarchy_aside_deinit(struct hierarchy_aside *a)
{
        assert(a->lines == 0 && list_empty(&a->batches));
        key_table_deinit(&a->index);
}

/* --- keys --- */

static struct name_key account_key(enum key_kind kind, struct json_string external_id)
{
        struct name_key k;

        k.len = 0;
        name_key_tag(&k, (unsigned char)kind);
        name_key_id(&k, external_id);
        return k;
}

static struct name_key object_key(enum key_kind kind, const struct ad_object_record *rec,
                                  struct json_string external_id)
{
        struct name_key k;

        k.len = 0;
        name_key_tag(&k, (unsigned char)kind);
        name_key_account(&k, rec->platform, NULL, rec->account_external_id);
        name_key_id(&k, external_id);
        return k;
}

static struct name_key key_of_sender(uintptr_t sender, struct json_string account_external_id)
{
        struct name_key k;

        k.len = 0;
        name_key_tag(&k, KEY_SENDER);
        for (size_t i = 0; i < sizeof(sender); i++)
                name_key_tag(&k, (unsigned char)(sender >> (8 * i)));
        name_key_id(&k, account_external_id);
        return k;
}

/* Lines from the spool count as sent by client 0, in order of receipt. */
static struct name_key sender_key(const struct line *line, struct json_string account_external_id)
{
        return key_of_sender(line->source->ops->acked ? 0 : (uintptr_t)line->source, account_external_id);
}

/* True if the line's client has such a record in the index. A line from the spool may be any client's. */
static bool sent_before(const struct key_table *index, const struct line *line,
                        struct json_string account_external_id, bool held_only)
{
        const struct name_key keys[] = {sender_key(line, account_external_id),
                                        key_of_sender(0, account_external_id)};

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
                const int32_t *sent = key_table_find(index, &keys[i]);

                if (sent && (*sent == KEY_HELD || !held_only))
                        return true;
        }
        return false;
}

static struct json_string account_of(const struct hierarchy_row *row)
{
        return row->kind == RECORD_AD_ACCOUNT ? row->rec.account.external_id
                                              : row->rec.object.account_external_id;
}

static bool finds(const struct key_table *index, struct name_key key)
{
        return key_table_find(index, &key) != NULL;
}

static void add(struct key_table *index, struct name_key key)
{
        *key_table_add(index, &key, KEY_HELD) = KEY_HELD;
}

static void add_row(struct key_table *index, const struct hierarchy_row *row)
{
        const struct ad_object_record *rec = &row->rec.object;

        add(index, sender_key(&row->line, account_of(row)));
        if (row->kind == RECORD_AD_ACCOUNT) {
                add(index, account_key(KEY_IS_ACCOUNT, row->rec.account.external_id));
                return;
        }
        add(index, object_key(KEY_IS_OBJECT, rec, rec->external_id));
        add(index, account_key(KEY_NAMES_ACCOUNT, rec->account_external_id));
        if (rec->has_parent)
                add(index, object_key(KEY_NAMES_OBJECT, rec, rec->parent_external_id));
}

/* True if the row must wait for a line of the index. */
static bool depends(const struct key_table *index, const struct hierarchy_row *row)
{
        const struct ad_object_record *rec = &row->rec.object;

        if (sent_before(index, &row->line, account_of(row), true))
                return true;
        if (row->kind == RECORD_AD_ACCOUNT)
                return finds(index, account_key(KEY_IS_ACCOUNT, row->rec.account.external_id)) ||
                       finds(index, account_key(KEY_NAMES_ACCOUNT, row->rec.account.external_id));
        return finds(index, object_key(KEY_IS_OBJECT, rec, rec->external_id)) ||
               finds(index, object_key(KEY_NAMES_OBJECT, rec, rec->external_id)) ||
               finds(index, account_key(KEY_IS_ACCOUNT, rec->account_external_id)) ||
               (rec->has_parent && finds(index, object_key(KEY_IS_OBJECT, rec, rec->parent_external_id)));
}

static void clear_index(struct hierarchy_aside *a)
{
        key_table_deinit(&a->index);
        key_table_init(&a->index, a->memory);
        a->indexed = false;
}

static void index_batches(struct hierarchy_aside *a)
{
        for (struct list *l = a->batches.next; l != &a->batches; l = l->next) {
                const struct hierarchy_batch *b = container_of(l, struct hierarchy_batch, queue);

                for (size_t i = b->start; i < b->len; i++)
                        add_row(&a->index, &b->rows[i]);
        }
}

static void need_index(struct hierarchy_aside *a)
{
        if (a->indexed)
                return;
        index_batches(a);
        for (struct list *l = a->held.next; l != &a->held; l = l->next) {
                const struct held_line *h = container_of(l, struct held_line, link);

                if (!h->is_spending)
                        add_row(&a->index, &h->as.hierarchy);
        }
        a->indexed = true;
}

/* --- lines that are held --- */

static struct held_line *new_held(struct hierarchy_aside *a)
{
        struct held_line *h = must_calloc(1, sizeof(*h));

        memory_add(a->memory, sizeof(*h));
        a->lines++;
        return h;
}

/* @h must be in a list. */
static void free_held(struct hierarchy_aside *a, struct held_line *h)
{
        list_remove(&h->link);
        memory_sub(a->memory, sizeof(*h));
        a->lines--;
        free(h);
}

static void hold_row_take(struct hierarchy_aside *a, struct list *list, const struct hierarchy_row *row)
{
        struct held_line *h = new_held(a);

        h->as.hierarchy = *row;
        hierarchy_row_detach(&h->as.hierarchy);
        list_append(list, &h->link);
}

bool hierarchy_aside_holds(struct hierarchy_aside *a, const struct row *row)
{
        if (hierarchy_aside_empty(a))
                return false;
        need_index(a);
        return sent_before(&a->index, &row->line, row->rec.account_external_id, false);
}

void hierarchy_aside_hold_take(struct hierarchy_aside *a, const struct row *row)
{
        struct held_line *h = new_held(a);

        h->is_spending = true;
        h->as.spending = *row;
        row_detach(&h->as.spending);
        list_append(&a->held, &h->link);
}

bool hierarchy_aside_pop(struct hierarchy_aside *a, struct row *ret)
{
        struct held_line *h;

        if (list_empty(&a->released))
                return false;
        h = container_of(a->released.next, struct held_line, link);
        *ret = h->as.spending;
        free_held(a, h);
        return true;
}

/* --- batches --- */

void hierarchy_aside_put(struct hierarchy_aside *a, struct hierarchy_batch *b)
{
        if (list_empty(&b->queue)) {
                list_append(&a->batches, &b->queue);
                clear_index(a);
        }
        a->lines -= b->aside;
        b->aside = b->len - b->start;
        a->lines += b->aside;
}

static void drop_batch(struct hierarchy_aside *a, struct hierarchy_batch *b)
{
        list_remove(&b->queue);
        a->lines -= b->aside;
        b->aside = 0;
        clear_index(a);
}

/* Takes the row over into @b if it depends on nothing in the index and @b accepts it. */
static bool release_row(struct hierarchy_aside *a, struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        const struct name_key sender = sender_key(&row->line, account_of(row));

        if (depends(&a->index, row) || !hierarchy_batch_add_take(b, row)) {
                add_row(&a->index, row);
                return false;
        }
        key_table_add(&a->index, &sender, KEY_RELEASED);
        return true;
}

static void release(struct hierarchy_aside *a)
{
        struct hierarchy_batch *b = hierarchy_batch_new(a->memory, 0);
        struct list *next;

        index_batches(a);
        for (struct list *l = a->held.next; l != &a->held; l = next) {
                struct held_line *h = container_of(l, struct held_line, link);

                next = l->next;
                if (h->is_spending && !sent_before(&a->index, &h->as.spending.line,
                                                   h->as.spending.rec.account_external_id, false)) {
                        list_remove(&h->link);
                        list_append(&a->released, &h->link);
                } else if (!h->is_spending && release_row(a, b, &h->as.hierarchy)) {
                        free_held(a, h);
                }
        }
        clear_index(a);
        if (b->len > 0)
                hierarchy_aside_put(a, b);
        else
                hierarchy_batch_free(b);
}

void hierarchy_aside_remove(struct hierarchy_aside *a, struct hierarchy_batch *b)
{
        if (list_empty(&b->queue))
                return;
        drop_batch(a, b);
        if (!list_empty(&a->held))
                release(a);
}

static bool is_apart(const struct hierarchy_row *row)
{
        return row->sender >= SENDER_NEW;
}

/* The batch in which rows of such a sender gather; NULL if there is none, or it is full. */
static struct hierarchy_batch *find_gathering(const struct hierarchy_aside *a, enum batcher_sender sender)
{
        for (struct list *l = a->batches.prev; l != &a->batches; l = l->prev) {
                struct hierarchy_batch *b = container_of(l, struct hierarchy_batch, queue);

                if (b->gathers && b->sender == sender)
                        return b->len < HIERARCHY_APART_ROWS ? b : NULL;
        }
        return NULL;
}

static void gather_row_take(struct hierarchy_aside *a, struct hierarchy_row *row)
{
        struct hierarchy_batch *b = find_gathering(a, row->sender);

        hierarchy_row_detach(row);
        if (!b || !hierarchy_batch_add_take(b, row)) {
                b = hierarchy_batch_new(a->memory, 0);
                b->gathers = true;
                hierarchy_batch_add_take(b, row);
                list_append(&a->batches, &b->queue);
        }
        b->aside++;
        a->lines++;
        add_row(&a->index, row);
}

void hierarchy_aside_split(struct hierarchy_aside *a, struct hierarchy_batch *b,
                           bool (*give_up)(void *ctx, struct line *line), void *ctx)
{
        struct hierarchy_batch *first = hierarchy_batch_new(a->memory, 0);
        struct hierarchy_batch *others = hierarchy_batch_new(a->memory, 0);
        struct key_table kept; /* by the rows of @others */
        struct list dependent;

        drop_batch(a, b);
        key_table_init(&kept, a->memory);
        list_init(&dependent);
        first->suspicion = b->suspicion;
        first->due = b->due;
        hierarchy_row_detach(&b->rows[b->start]);
        hierarchy_batch_add_take(first, &b->rows[b->start]);
        add_row(&a->index, &first->rows[0]);
        for (size_t i = b->start + 1; i < b->len; i++) {
                if (depends(&a->index, &b->rows[i])) {
                        add_row(&a->index, &b->rows[i]);
                        hold_row_take(a, &dependent, &b->rows[i]);
                } else if (is_apart(&b->rows[i]) && !depends(&kept, &b->rows[i])) {
                        if (!give_up(ctx, &b->rows[i].line))
                                gather_row_take(a, &b->rows[i]);
                } else {
                        add_row(&kept, &b->rows[i]);
                        hierarchy_batch_add_take(others, &b->rows[i]);
                }
        }
        key_table_deinit(&kept);
        hierarchy_batch_free(b);
        /* before lines that were held later for the batch */
        list_splice(&dependent, &a->held);
        list_splice(&a->held, &dependent);
        hierarchy_aside_put(a, first);
        if (others->len > 0)
                hierarchy_aside_put(a, others);
        else
                hierarchy_batch_free(others);
        clear_index(a);
}

/* Replaces the batch by one with those of its rows whose client is not gone, if there are any. */
static void drop_gone_rows(struct hierarchy_aside *a, struct hierarchy_batch *b, line_take_cb *give_up_take,
                           void *ctx)
{
        struct hierarchy_batch *left = hierarchy_batch_new(a->memory, 0);

        left->suspicion = b->suspicion;
        left->due = b->due;
        left->gathers = b->gathers;
        for (size_t i = b->start; i < b->len; i++) {
                if (b->rows[i].line.source->gone)
                        give_up_take(ctx, &b->rows[i].line);
                else
                        hierarchy_batch_add_take(left, &b->rows[i]);
        }
        left->aside = left->len;
        a->lines -= b->aside - left->aside;
        b->aside = 0;
        if (left->len > 0)
                list_append(&b->queue, &left->queue); /* before @b, in its place */
        else
                hierarchy_batch_free(left);
        list_remove(&b->queue);
        hierarchy_batch_free(b);
}

static void drop_gone_held(struct hierarchy_aside *a, line_take_cb *give_up_take, void *ctx)
{
        struct list *next;

        for (struct list *l = a->held.next; l != &a->held; l = next) {
                struct held_line *h = container_of(l, struct held_line, link);
                struct line line = h->is_spending ? h->as.spending.line : h->as.hierarchy.line;

                next = l->next;
                if (!line.source->gone)
                        continue;
                free_held(a, h);
                give_up_take(ctx, &line);
        }
}

void hierarchy_aside_drop_gone(struct hierarchy_aside *a, line_take_cb *give_up_take, void *ctx)
{
        struct list *next;

        for (struct list *l = a->batches.next; l != &a->batches; l = next) {
                struct hierarchy_batch *b = container_of(l, struct hierarchy_batch, queue);

                next = l->next;
                if (hierarchy_batch_has_gone(b))
                        drop_gone_rows(a, b, give_up_take, ctx);
        }
        drop_gone_held(a, give_up_take, ctx);
        clear_index(a);
        if (!list_empty(&a->held))
                release(a);
}

/* Both kinds of trusted senders are one here. */
static enum batcher_sender trust_in(enum batcher_sender sender)
{
        return sender < SENDER_NEW ? SENDER_ORDINARY : sender;
}

/* Its only row was found to be at fault. */
static bool has_rested(const struct hierarchy_batch *b)
{
        return b->suspicion.failures > 0;
}

static bool comes_before(const struct hierarchy_batch *a, const struct hierarchy_batch *b)
{
        if (trust_in(a->sender) != trust_in(b->sender))
                return trust_in(a->sender) < trust_in(b->sender);
        if (has_rested(a) != has_rested(b))
                return has_rested(b);
        if (a->gathers != b->gathers)
                return b->gathers;
        return a->due < b->due;
}

struct hierarchy_batch *hierarchy_aside_next(const struct hierarchy_aside *a, uint64_t now)
{
        struct hierarchy_batch *next = NULL;

        for (struct list *l = a->batches.next; l != &a->batches; l = l->next) {
                struct hierarchy_batch *b = container_of(l, struct hierarchy_batch, queue);

                if (b->due <= now && (!next || comes_before(b, next)))
                        next = b;
        }
        return next;
}

uint64_t hierarchy_aside_due(const struct hierarchy_aside *a)
{
        uint64_t due = UINT64_MAX;

        for (struct list *l = a->batches.next; l != &a->batches; l = l->next) {
                const struct hierarchy_batch *b = container_of(l, struct hierarchy_batch, queue);

                due = b->due < due ? b->due : due;
        }
        return due;
}

void hierarchy_aside_hurry(struct hierarchy_aside *a)
{
        for (struct list *l = a->batches.next; l != &a->batches; l = l->next)
                container_of(l, struct hierarchy_batch, queue)->due = 0;
}

/* --- batches that are to pass --- */

static bool none_apart(const struct hierarchy_batch *b)
{
        return b->sender < SENDER_NEW;
}

size_t hierarchy_aside_new_rows(const struct hierarchy_aside *a)
{
        size_t rows = 0;

        for (struct list *l = a->batches.next; l != &a->batches; l = l->next) {
                const struct hierarchy_batch *b = container_of(l, struct hierarchy_batch, queue);

                rows += b->gathers ? b->new_rows : 0;
        }
        return rows;
}

static bool all_pass(struct hierarchy_aside *a, const struct hierarchy_batch *b)
{
        need_index(a);
        for (size_t i = b->start; i < b->len; i++) {
                if (depends(&a->index, &b->rows[i]))
                        return false;
        }
        return true;
}

struct hierarchy_batch *hierarchy_aside_filter(struct hierarchy_aside *a, struct hierarchy_batch *b,
                                               void (*on_held)(void *ctx, struct line *line), void *ctx)
{
        struct hierarchy_batch *others;

        if (none_apart(b) && (hierarchy_aside_empty(a) || all_pass(a, b)))
                return b;
        need_index(a);
        others = hierarchy_batch_new(a->memory, b->number);
        for (size_t i = b->start; i < b->len; i++) {
                struct hierarchy_row *row = &b->rows[i];

                if (depends(&a->index, row)) {
                        add_row(&a->index, row);
                        on_held(ctx, &row->line);
                        hold_row_take(a, &a->held, row);
                } else if (is_apart(row)) {
                        on_held(ctx, &row->line);
                        gather_row_take(a, row);
                } else {
                        hierarchy_batch_add_take(others, row);
                }
        }
        hierarchy_batch_move_followers(others, b);
        hierarchy_batch_free(b);
        return others;
}

/* --- giving up --- */

static void evacuate_held(struct hierarchy_aside *a, struct list *list, line_take_cb *cb, void *ctx)
{
        while (!list_empty(list)) {
                struct held_line *h = container_of(list->next, struct held_line, link);
                struct line line = h->is_spending ? h->as.spending.line : h->as.hierarchy.line;

                free_held(a, h);
                cb(ctx, &line);
        }
}

void hierarchy_aside_evacuate(struct hierarchy_aside *a, line_take_cb *cb, void *ctx)
{
        while (!list_empty(&a->batches)) {
                struct hierarchy_batch *b = container_of(a->batches.next, struct hierarchy_batch, queue);

                drop_batch(a, b);
                for (size_t i = b->start; i < b->len; i++)
                        cb(ctx, &b->rows[i].line);
                hierarchy_batch_free(b);
        }
        evacuate_held(a, &a->held, cb, ctx);
        evacuate_held(a, &a->released, cb, ctx);
}
