#ifndef KEY_TABLE_H
#define KEY_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/memory.h"
#include "wire/name_key.h"

/* Keys that clients choose, each with a number. A key is found by its bytes: its hash only says where to look,
 * and is seeded anew for each table, so that nobody can prepare keys that are looked for in one place. */
struct key_table {
        struct memory *memory; /* which counts the table */
        struct key_entry *entries;
        size_t len;
        size_t cap; /* a power of two, or 0 */
        struct buf bytes;
        uint64_t seed;
};

void key_table_init(struct key_table *t, struct memory *memory);
void key_table_deinit(struct key_table *t);

/* The key's number, to be read or set until the next key is added; NULL if the key is not in the table. */
int32_t *key_table_find(const struct key_table *t, const struct name_key *key);

/* The same, with the number @value if the key is new. */
int32_t *key_table_add(struct key_table *t, const struct name_key *key, int32_t value);

#endif
