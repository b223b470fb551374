#include "hierarchy/hierarchy_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/name_key.h"

enum {
        FIRST_KEYS = 64,
        NOT_HERE = -1, /* hierarchy_key.value: referred to, but no row of the batch */
};

/* What a key is of; the first byte of what is hashed. */
enum key_kind {
        KEY_OBJECT,  /* an object, as a row or as a parent: its row */
        KEY_ACCOUNT, /* an account, as a row or as an object's: its row */
        KEY_NAMED,   /* an account with all by which an object names it: its number */
};

struct hierarchy_key {
        XXH128_hash_t hash; /* 0, 0: free */
        int32_t value;
};

struct hierarchy_batch *hierarchy_batch_new(struct memory *memory, uint64_t number)
{
        struct hierarchy_batch *b = calloc(1, sizeof(*b));

        if (!b)
                abort();
        list_init(&b->queue);
        b->memory = memory;
        b->number = number;
        b->followers_end = &b->followers;
        return b;
}

void hierarchy_batch_free(struct hierarchy_batch *b)
{
        assert(!b->followers);
        for (size_t i = 0; i < b->accounts_len; i++)
                block_unref(b->accounts[i].block);
        memory_sub(b->memory, b->cap * sizeof(*b->rows) + b->accounts_cap * sizeof(*b->accounts) +
                                      b->keys_cap * sizeof(*b->keys));
        free(b->rows);
        free(b->accounts);
        free(b->keys);
        free(b);
}

/* --- keys --- */

static XXH128_hash_t hash(const struct name_key *k)
{
        return XXH3_128bits(k->bytes, k->len);
}

/* Rows and what they refer to are told apart by external ids alone, without connections: two accounts that
 * share their id are then taken for one, which costs a batch more, but no mistake. */
static XXH128_hash_t account_key(struct json_string external_id)
{
        struct name_key k;

        k.len = 0;
        name_key_tag(&k, KEY_ACCOUNT);
        name_key_id(&k, external_id);
        return hash(&k);
}

static XXH128_hash_t object_key(const struct ad_object_record *rec, struct json_string external_id)
{
        struct name_key k;

        k.len = 0;
        name_key_tag(&k, KEY_OBJECT);
        name_key_account(&k, rec->platform, NULL, rec->account_external_id);
        name_key_id(&k, external_id);
        return hash(&k);
}

static XXH128_hash_t named_account_key(const struct ad_object_record *rec)
{
        struct name_key k;

        k.len = 0;
        name_key_tag(&k, KEY_NAMED);
        name_key_account(&k, rec->platform, rec->has_connection ? &rec->connection_id : NULL,
                         rec->account_external_id);
        return hash(&k);
}

static bool is_free(const struct hierarchy_key *key)
{
        return key->hash.low64 == 0 && key->hash.high64 == 0;
}

/* The key's place: its own, or a free one. */
static struct hierarchy_key *place_of(const struct hierarchy_batch *b, XXH128_hash_t key)
{
        size_t i = (size_t)key.low64 & (b->keys_cap - 1);

        while (!is_free(&b->keys[i]) && !XXH128_isEqual(b->keys[i].hash, key))
                i = (i + 1) & (b->keys_cap - 1);
        return &b->keys[i];
}

static struct hierarchy_key *find_key(const struct hierarchy_batch *b, XXH128_hash_t key)
{
        struct hierarchy_key *place = b->keys_cap ? place_of(b, key) : NULL;

        return place && !is_free(place) ? place : NULL;
}

static void grow_keys(struct hierarchy_batch *b)
{
        struct hierarchy_key *old = b->keys;
        size_t old_cap = b->keys_cap;

        b->keys_cap = old_cap ? old_cap * 2 : FIRST_KEYS;
        b->keys = calloc(b->keys_cap, sizeof(*b->keys));
        if (!b->keys)
                abort();
        for (size_t i = 0; i < old_cap; i++) {
                if (!is_free(&old[i]))
                        *place_of(b, old[i].hash) = old[i];
        }
        free(old);
        memory_add(b->memory, (b->keys_cap - old_cap) * sizeof(*b->keys));
}

/* Adds the key where it is not there yet. */
static void add_key(struct hierarchy_batch *b, XXH128_hash_t key, int32_t value)
{
        struct hierarchy_key *place;

        if (b->keys_len * 2 >= b->keys_cap)
                grow_keys(b);
        place = place_of(b, key);
        if (!is_free(place))
                return;
        *place = (struct hierarchy_key){key, value};
        b->keys_len++;
}

/* --- rows --- */

static struct hierarchy_row *push(struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        if (b->len == b->cap)
                b->rows = memory_grow(b->memory, b->rows, &b->cap, sizeof(*b->rows));
        b->rows[b->len] = *row;
        b->bytes += row->line.text.len;
        return &b->rows[b->len++];
}

static uint32_t account_number(struct hierarchy_batch *b, const struct ad_object_record *rec,
                               struct block *block)
{
        XXH128_hash_t key = named_account_key(rec);
        const struct hierarchy_key *known = find_key(b, key);

        if (known)
                return (uint32_t)known->value;
        if (b->accounts_len == b->accounts_cap)
                b->accounts = memory_grow(b->memory, b->accounts, &b->accounts_cap, sizeof(*b->accounts));
        b->accounts[b->accounts_len++] = (struct hierarchy_account){
                .platform = rec->platform,
                .has_connection = rec->has_connection,
                .connection_id = rec->connection_id,
                .external_id = rec->account_external_id,
                .block = block_ref(block),
        };
        add_key(b, key, (int32_t)b->accounts_len);
        return (uint32_t)b->accounts_len;
}

static bool add_account(struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        XXH128_hash_t key = account_key(row->rec.account.external_id);

        if (find_key(b, key))
                return false;
        add_key(b, key, (int32_t)b->len);
        push(b, row);
        return true;
}

static bool add_object(struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        const struct ad_object_record *rec = &row->rec.object;
        XXH128_hash_t key = object_key(rec, rec->external_id);
        XXH128_hash_t account = account_key(rec->account_external_id);
        struct hierarchy_row *added;

        if (find_key(b, key))
                return false;
        add_key(b, key, (int32_t)b->len);
        add_key(b, account, NOT_HERE);
        b->locks |= UINT64_C(1) << (account.low64 % HIERARCHY_LOCKS);
        added = push(b, row);
        added->account_number = account_number(b, rec, row->line.block);
        added->parent_row = NOT_HERE;
        if (rec->has_parent) {
                XXH128_hash_t parent = object_key(rec, rec->parent_external_id);

                add_key(b, parent, NOT_HERE);
                added->parent_row = find_key(b, parent)->value;
        }
        return true;
}

bool hierarchy_batch_add_take(struct hierarchy_batch *b, const struct hierarchy_row *row)
{
        return row->kind == RECORD_AD_ACCOUNT ? add_account(b, row) : add_object(b, row);
}

/* --- followers --- */

void hierarchy_batch_follow_take(struct hierarchy_batch *b, const struct row *row)
{
        struct follower *f = malloc(sizeof(*f));

        if (!f)
                abort();
        f->next = NULL;
        f->row = *row;
        *b->followers_end = f;
        b->followers_end = &f->next;
        memory_add(b->memory, sizeof(*f));
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
