#ifndef MISS_H
#define MISS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/memory.h"
#include "spending/row.h"
#include "wire/rules.h"
#include "wire/name_key.h"

/* Objects being looked up, each with the rows that wait for it. */

struct parked_row {
        struct parked_row *next;
        struct row row;
        /* loop time in ms until which it waits for its object; 0: the object is not known to be unknown;
         * MISS_FOREVER: the server cannot answer */
        uint64_t deadline;
};

#define MISS_FOREVER UINT64_MAX

/* While its query is in flight a miss is hidden: a row that arrives later, after the hierarchy record that
 * creates its object, needs the answer of a later query. */
struct miss {
        struct list bucket; /* in no bucket: hidden */
        struct list order;  /* the owner's */
        XXH128_hash_t key;
        XXH128_hash_t account_key;
        struct rules *client;    /* whose rules it is found by; may be NULL */
        struct parked_row *rows; /* in order of arrival */
        struct parked_row **rows_end;
        uint64_t deadline; /* of the first row, as in struct parked_row */
        uint64_t retry_at; /* loop time in ms at which a waiting miss is looked up again */
        unsigned pause_ms; /* pause before retry_at; doubles with each failure */
        enum platform platform;
        bool has_connection;
        struct uuid connection_id;
        uint16_t account_len;
        uint16_t object_len;
        char account[EXTERNAL_ID_MAX + 1]; /* with a NUL for messages; ids may hold no NUL */
        char object[EXTERNAL_ID_MAX + 1];
};

/* By key. */
struct misses {
        struct list *buckets;
        size_t buckets_len; /* a power of two */
        size_t len;         /* hidden ones included */
        struct memory *memory;
};

void misses_init(struct misses *m, struct memory *memory);
void misses_deinit(struct misses *m);

/* Returns the miss with @key unless it is hidden, else NULL. */
struct miss *misses_find(struct misses *m, XXH128_hash_t key);

/* A miss for what @row names, without rows and in no order. */
struct miss *misses_add(struct misses *m, const struct row *row, XXH128_hash_t account_key);

/* Its rows must have been taken. */
void misses_free(struct misses *m, struct miss *miss);

void misses_hide(struct miss *miss);
void misses_show(struct misses *m, struct miss *miss);

/* Appends a row to @miss. */
void miss_append(struct miss *miss, struct parked_row *parked);

#endif
