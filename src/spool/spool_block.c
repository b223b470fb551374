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
        uint32_t names_at; /* the peer, and the client after it; lines after one another may share them */
        uint8_t peer_len;
        uint8_t client_len;
        uint16_t unused;
};

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

static uint64_t hash_of(const struct spool_block *b, const struct entry *e)
{
        struct entry rest = *e;
        uint64_t seed;

        rest.hash = 0;
        seed = XXH3_64bits(&rest, sizeof(rest));
        seed ^= XXH3_64bits(b->texts.data + e->names_at, (size_t)e->peer_len + e->client_len);
        return XXH3_64bits_withSeed(b->texts.data + e->text_at, e->text_len, seed);
}

static void rewind_block(struct spool_block *b)
{
        b->next = 0;
        b->at = b->first - 1;
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
        bool first = b->entries.len == 0;

        if (first) {
                b->first = e->id;
                rewind_block(b);
        }
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

void spool_block_load(struct spool_block *b, int64_t first, int64_t last, struct slice entries,
                      struct slice texts)
{
        spool_block_clear(b);
        b->first = first;
        b->last = last;
        b->at = first - 1;
        buf_put(&b->entries, entries.ptr, entries.len / SPOOL_ENTRY_BYTES * SPOOL_ENTRY_BYTES);
        buf_put(&b->texts, texts.ptr, texts.len);
}

/* Whether the entry's texts are within the block. */
static bool fits(const struct spool_block *b, const struct entry *e)
{
        size_t len = b->texts.len;

        return (uint64_t)e->text_at + e->text_len <= len &&
               (uint64_t)e->names_at + e->peer_len + e->client_len <= len && e->peer_len < SPOOL_PEER_BYTES &&
               e->client_len < CLIENT_ORIGIN_BYTES;
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

/* Reads the next line. The id of a damaged one is not to be trusted: it gets the lowest that is free. */
static bool read_next(struct spool_block *b, struct spool_record *ret, struct entry *ret_entry)
{
        bool whole;

        *ret_entry = entry_at(b, b->next++);
        ret->peer[0] = ret->client[0] = '\0';
        ret->text = (struct slice){"", 0};
        if (fits(b, ret_entry))
                read_texts(b, ret_entry, ret);
        whole = fits(b, ret_entry) && hash_of(b, ret_entry) == ret_entry->hash && ret_entry->id > b->at;
        ret->id = b->at = whole ? ret_entry->id : b->at + 1;
        ret->received_us = ret_entry->received_us;
        ret->receipt = ret_entry->receipt;
        ret->connection = ret_entry->connection;
        ret->line = ret_entry->line;
        return whole;
}

bool spool_block_next(struct spool_block *b, int64_t id, struct spool_record *ret, bool *ret_whole)
{
        struct entry e;

        if (b->at > id)
                rewind_block(b);
        while (b->next < spool_block_lines(b)) {
                *ret_whole = read_next(b, ret, &e);
                if (b->at > id)
                        return true;
        }
        return false;
}

void spool_block_copy_without(struct spool_block *b, const int64_t *ids, size_t len, struct spool_block *ret)
{
        struct spool_record r;
        struct entry e;

        spool_block_clear(ret);
        rewind_block(b);
        for (size_t i = 0; b->next < spool_block_lines(b);) {
                bool whole = read_next(b, &r, &e);
                struct entry copy;

                while (i < len && ids[i] < r.id)
                        i++;
                if (i < len && ids[i] == r.id)
                        continue;
                copy = put_texts(ret, &r);
                copy.hash = whole ? hash_of(ret, &copy) : ~hash_of(ret, &copy);
                put_entry(ret, &copy);
        }
        ret->last = b->last;
}
