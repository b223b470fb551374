#ifndef ROW_ORDER_H
#define ROW_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "spending/row.h"

/* The order in which a batch's rows are sent. Rows of one chunk go together, since otherwise the server
 * writes a few rows to each chunk in turn; within a chunk, rows of one ad object, in order of arrival, which
 * keeps their index entries and key checks close together. With 200,000 objects this raised throughput by 12
 * %. Zeroed before its first use. */
struct row_order {
        struct row_place *places;
        struct row_place *spare;
        size_t cap;
};

struct row_place {
        uint64_t key; /* sort key */
        uint32_t row;
};

void row_order_deinit(struct row_order *o);

/* Orders @rows, which are not moved, by ad object alone. */
void row_order_by_object(struct row_order *o, const struct row *rows, size_t len);

/* Then orders them by chunk; they must be ordered by ad object. */
void row_order_by_chunk(struct row_order *o, const struct row *rows, size_t len);

/* The week of a collected_at, as TimescaleDB divides time into chunks of one week: counted from the Unix
 * epoch, plus 2^20 so that no week is negative. Chunks of another length mix at their ends. */
uint64_t row_order_week(int64_t collected_at_us);

/* The @i-th row to be sent, from 0. */
static inline size_t row_order_at(const struct row_order *o, size_t i)
{
        return o->places[i].row;
}

#endif
