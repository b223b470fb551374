#include "spending/miss.h"

#include <stdlib.h>

#include "base/memory.h"

enum { FIRST_BUCKETS = 1024 };

static struct list *bucket_of(struct misses *m, XXH128_hash_t key)
{
        return &m->buckets[(size_t)key.low64 & (m->buckets_len - 1)];
}

static void grow(struct misses *m)
{
        struct list *old = m->buckets;
        size_t old_len = m->buckets_len;

        m->buckets_len = old_len ? old_len * 2 : FIRST_BUCKETS;
        m->buckets = must_malloc(m->buckets_len * sizeof(*m->buckets));
        for (size_t i = 0; i < m->buckets_len; i++)
                list_init(&m->buckets[i]);
        for (size_t i = 0; i < old_len; i++) {
                while (!list_empty(&old[i])) {
                        struct miss *miss = container_of(old[i].next, struct miss, bucket);

                        list_remove(&miss->bucket);
                        misses_show(m, miss);
                }
        }
        free(old);
}

void misses_init(struct misses *m, struct memory *memory)
{
        *m = (struct misses){.memory = memory};
        grow(m);
}

void misses_deinit(struct misses *m)
{
        free(m->buckets);
}

struct miss *misses_find(struct misses *m, XXH128_hash_t key)
{
        struct list *bucket = bucket_of(m, key);

        for (struct list *l = bucket->next; l != bucket; l = l->next) {
                struct miss *miss = container_of(l, struct miss, bucket);

                if (XXH128_isEqual(miss->key, key))
                        return miss;
        }
        return NULL;
}

struct miss *misses_add(struct misses *m, const struct row *row, XXH128_hash_t account_key)
{
        const struct spending_record *rec = &row->rec;
        struct miss *miss = must_malloc(sizeof(*miss));

        miss->key = row->key_hash;
        miss->account_key = account_key;
        miss->client = rules_ref(row->line.client);
        miss->rows = NULL;
        miss->rows_end = &miss->rows;
        miss->deadline = 0;
        miss->retry_at = 0;
        miss->pause_ms = 0;
        miss->platform = rec->platform;
        miss->has_connection = rec->has_connection;
        miss->connection_id = rec->connection_id;
        miss->account_len = (uint16_t)external_id_decode(rec->account_external_id, miss->account);
        miss->object_len = (uint16_t)external_id_decode(rec->external_id, miss->object);
        if (m->len >= m->buckets_len)
                grow(m);
        list_init(&miss->order);
        misses_show(m, miss);
        m->len++;
        memory_add(m->memory, sizeof(*miss));
        return miss;
}

void misses_free(struct misses *m, struct miss *miss)
{
        list_remove(&miss->bucket);
        list_remove(&miss->order);
        m->len--;
        memory_sub(m->memory, sizeof(*miss));
        rules_unref(miss->client);
        free(miss);
}

void misses_hide(struct miss *miss)
{
        list_remove(&miss->bucket);
}

void misses_show(struct misses *m, struct miss *miss)
{
        list_append(bucket_of(m, miss->key), &miss->bucket);
}

void miss_append(struct miss *miss, struct parked_row *parked)
{
        parked->next = NULL;
        *miss->rows_end = parked;
        miss->rows_end = &parked->next;
}
