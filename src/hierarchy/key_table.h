#ifndef KEY_TABLE_H
#define KEY_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/memory.h"
#include "wire/name_key.h"

/* Maps keys chosen by clients to numbers. Keys are compared by their bytes; the hash only selects the slot
 * and has a random seed per table, so that clients cannot aim keys at one slot. */
struct key_table {
        struct memory *memory; /* counts the table */
        struct key_entry *entries;
        size_t len;
        size_t cap; /* a power of two, or 0 */
        struct buf bytes;
        uint64_t seed;
};

void key_table_init(struct key_table *t, struct memory *memory);
void key_table_deinit(struct key_table *t);

/* Returns the key's number, which may be read or set until the next key is added; NULL if the key is not in
 * the table. */
int32_t *key_table_find(const struct key_table *t, const struct name_key *key);

/* As key_table_find, but adds a missing key with the number @value. */
int32_t *key_table_add(struct key_table *t, const struct name_key *key, int32_t value);

#endif
