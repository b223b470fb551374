#include "spool/spool_block.h"

#include <assert.h>
#include <string.h>

#include <xxhash.h>

struct entry {
        int64_t id;
        int64_t received_us;
        uint64_t receipt;
        uint64_t connection;
        uint64_t line;
        uint64_t hash;
        uint32_t text_at; /* where in the texts */
        uint32_t text_len;
        uint32_t names_at; /* the peer, and the client after it; lines in a row may share them */
        uint8_t peer_len;
        uint8_t client_len;
        uint16_t unused;
};

enum { NAMES_TRIES = 16 }; /* copies of the names that are tried for a line whose names are damaged */

static_assert(sizeof(struct entry) == SPOOL_ENTRY_BYTES, "no gaps: all of it is hashed");

void spool_block_clear(struct spool_block *b)
{
        b->last = b->first = b->at = 0;
        b->oldest = b->newest = 0;
        b->bytes = 0;
        b->entries.len = b->texts.len = b->next = 0;
        buf_reserve(&b->texts, 1); /* so that texts without bytes have an address */
}

void spool_block_deinit(struct spool_block *b)
{
        buf_deinit(&b->entries);
        buf_deinit(&b->texts);
}

static struct entry entry_at(const struct spool_block *b, size_t i)
{
        struct entry e;

        memcpy(&e, b->entries.data + i * sizeof(e), sizeof(e));
        return e;
}

/* With the names at @names_at. */
static uint64_t hash_with(const struct spool_block *b, const struct entry *e, uint32_t names_at)
{
        struct entry rest = *e;
        uint64_t seed;

        rest.hash = 0;
        seed = XXH3_64bits(&rest, sizeof(rest));
        seed ^= XXH3_64bits(b->texts.data + names_at, (size_t)e->peer_len + e->client_len);
        return XXH3_64bits_withSeed(b->texts.data + e->text_at, e->text_len, seed);
}

static uint64_t hash_of(const struct spool_block *b, const struct entry *e)
{
        return hash_with(b, e, e->names_at);
}

/* --- adding --- */

static void put_names(struct spool_block *b, const struct spool_record *r, struct entry *e)
{
        size_t peer_len = strnlen(r->peer, sizeof(r->peer) - 1);
        size_t client_len = strnlen(r->client, sizeof(r->client) - 1);
        char names[SPOOL_PEER_BYTES + CLIENT_ORIGIN_BYTES];
        size_t lines = spool_block_lines(b);

        memcpy(names, r->peer, peer_len);
        memcpy(names + peer_len, r->client, client_len);
        e->peer_len = (uint8_t)peer_len;
        e->client_len = (uint8_t)client_len;
        e->names_at = (uint32_t)b->texts.len;
        if (lines > 0) {
                struct entry before = entry_at(b, lines - 1);

                if (before.peer_len == e->peer_len && before.client_len == e->client_len &&
                    b->texts.len - before.names_at < SPOOL_NAMES_BYTES &&
                    memcmp(b->texts.data + before.names_at, names, peer_len + client_len) == 0)
                        e->names_at = before.names_at;
        }
        if (e->names_at == b->texts.len)
                buf_put(&b->texts, names, peer_len + client_len);
}

static struct entry put_texts(struct spool_block *b, const struct spool_record *r)
{
        struct entry e = {.id = r->id,
                          .received_us = r->received_us,
                          .receipt = r->receipt,
                          .connection = r->connection,
                          .line = r->line,
                          .text_len = (uint32_t)r->text.len};

        put_names(b, r, &e);
        e.text_at = (uint32_t)b->texts.len;
        buf_put(&b->texts, r->text.ptr, r->text.len);
        return e;
}

static void put_entry(struct spool_block *b, const struct entry *e)
{
        bool first = b->first == 0;

        b->first = first ? e->id : b->first;
        b->last = e->id;
        b->bytes += e->text_len;
        b->oldest = first || e->received_us < b->oldest ? e->received_us : b->oldest;
        b->newest = first || e->received_us > b->newest ? e->received_us : b->newest;
        buf_put(&b->entries, e, sizeof(*e));
}

void spool_block_add(struct spool_block *b, const struct spool_record *record)
{
        struct entry e = put_texts(b, record);

        e.hash = hash_of(b, &e);
        put_entry(b, &e);
}

/* --- reading --- */

void spool_block_load(struct spool_block *b, int64_t last, struct slice entries, struct slice texts)
{
        spool_block_clear(b);
        b->last = last;
        if (entries.len > 0)
                buf_put(&b->entries, entries.ptr, entries.len / SPOOL_ENTRY_BYTES * SPOOL_ENTRY_BYTES);
        if (texts.len > 0)
                buf_put(&b->texts, texts.ptr, texts.len);
}

static bool names_fit(const struct spool_block *b, const struct entry *e)
{
        return (uint64_t)e->names_at + e->peer_len + e->client_len <= b->texts.len &&
               e->peer_len < SPOOL_PEER_BYTES && e->client_len < CLIENT_ORIGIN_BYTES;
}

/* Whether the entry's texts are within the block. */
static bool fits(const struct spool_block *b, const struct entry *e)
{
        return (uint64_t)e->text_at + e->text_len <= b->texts.len && names_fit(b, e);
}

/* Looks for an undamaged copy of the entry's names: sets e->names_at to the copy with which the entry's hash matches. */
static bool find_names(const struct spool_block *b, struct entry *e)
{
        uint32_t tried = e->names_at;
        int tries = 0;

        for (size_t i = 0; i < spool_block_lines(b) && tries < NAMES_TRIES; i++) {
                struct entry other = entry_at(b, i);

                if (other.names_at == tried || other.peer_len != e->peer_len ||
                    other.client_len != e->client_len || !names_fit(b, &other))
                        continue;
                tried = other.names_at;
                tries++;
                if (hash_with(b, e, tried) == e->hash) {
                        e->names_at = tried;
                        return true;
                }
        }
        return false;
}

/* The ids of a block's intact lines ascend. May change e->names_at. */
static bool is_intact(const struct spool_block *b, struct entry *e)
{
        return e->id > b->at && spool_time_valid(e->received_us) && fits(b, e) &&
               (hash_of(b, e) == e->hash || find_names(b, e));
}

static void read_texts(const struct spool_block *b, const struct entry *e, struct spool_record *ret)
{
        const char *names = b->texts.data + e->names_at;

        memcpy(ret->peer, names, e->peer_len);
        ret->peer[e->peer_len] = '\0';
        memcpy(ret->client, names + e->peer_len, e->client_len);
        ret->client[e->client_len] = '\0';
        ret->text = (struct slice){b->texts.data + e->text_at, e->text_len};
}

bool spool_block_next(struct spool_block *b, struct spool_record *ret, bool *ret_whole)
{
        struct entry e;

        if (b->next >= spool_block_lines(b))
                return false;
        e = entry_at(b, b->next);
        *ret_whole = is_intact(b, &e);
        b->at = *ret_whole ? e.id : b->at;
        ret->place = (struct spool_place){b->last, b->at, (uint32_t)b->next++, true};
        ret->id = e.id;
        ret->received_us = e.received_us;
        ret->receipt = e.receipt;
        ret->connection = e.connection;
        ret->line = e.line;
        ret->peer[0] = ret->client[0] = '\0';
        ret->text = (struct slice){"", 0};
        if (fits(b, &e))
                read_texts(b, &e, ret);
        return true;
}

void spool_block_seek(struct spool_block *b, int64_t id)
{
        struct spool_record r;
        size_t next = 0;
        int64_t at = 0;
        bool whole;

        b->next = 0;
        b->at = 0;
        while (at < id && spool_block_next(b, &r, &whole) && b->at <= id) {
                next = whole ? b->next : next;
                at = b->at;
        }
        b->next = next;
        b->at = at;
}

void spool_block_seek_place(struct spool_block *b, const struct spool_place *place)
{
        b->next = place->index + 1u;
        b->at = place->id;
}

bool spool_block_within(const struct spool_block *b, const struct spool_place *places, size_t len)
{
        int64_t before = 0;
        size_t at = 0;

        for (size_t i = 0; i < spool_block_lines(b); i++) {
                int64_t id = entry_at(b, i).id;

                while (at < len && places[at].id < id)
                        at++;
                if (id <= before || at == len || places[at].id != id)
                        return false;
                before = id;
        }
        return true;
}

/* --- copying --- */

static void copy_line(const struct spool_record *r, bool whole, struct spool_block *to)
{
        struct entry e = put_texts(to, r);

        e.hash = hash_of(to, &e);
        if (whole) {
                put_entry(to, &e);
                return;
        }
        e.hash = ~e.hash;
        buf_put(&to->entries, &e, sizeof(e));
}

static void begin_copy(struct spool_block *b, struct spool_block *ret)
{
        spool_block_clear(ret);
        spool_block_seek(b, 0);
}

/* The copy takes the place of @b. */
static void end_copy(const struct spool_block *b, struct spool_block *ret)
{
        ret->last = b->last;
        if (ret->first == 0)
                ret->first = ret->last;
}

void spool_block_copy_without(struct spool_block *b, const struct spool_place *places, size_t len,
                              struct spool_block *ret)
{
        struct spool_record r;
        bool whole;

        begin_copy(b, ret);
        for (size_t i = 0; spool_block_next(b, &r, &whole);) {
                while (whole && i < len && places[i].id < r.id)
                        i++;
                if (!whole || i == len || places[i].id != r.id)
                        copy_line(&r, whole, ret);
        }
        end_copy(b, ret);
}

void spool_block_copy_intact(struct spool_block *b, struct spool_block *ret)
{
        struct spool_record r;
        bool whole;

        begin_copy(b, ret);
        while (spool_block_next(b, &r, &whole)) {
                if (whole)
                        copy_line(&r, true, ret);
        }
        end_copy(b, ret);
}
