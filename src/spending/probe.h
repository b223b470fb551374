#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "pg/pg_conn.h"

/* Ordinary rows, one of which is written by COPY, as other rows are, and rolled back: proof that neither
 * server nor table is at fault for rows that failed (pg/suspect.h). Made-up rows are tried first, then, if
 * the operator's rules refuse all of these, copies of stored rows. Zeroed before its first use. */

enum probe_source { PROBE_MADE, PROBE_STORED };

struct probe {
        enum probe_source source; /* of the rows */
        size_t next;              /* the next row to try */
        size_t len;               /* their number */
        struct buf rows;          /* for each row the text of its commands, then its COPY data */
        struct probe_row {
                size_t sql;
                size_t data;
                size_t end;
        } places[16];
};

void probe_deinit(struct probe *p);

/* The query for candidates from the source. */
const char *probe_sql(enum probe_source source);

/* Reads that query's answer. */
void probe_read(struct probe *p, enum probe_source source, const struct pg_result *res);

/* True if there is a row left to try. */
static inline bool probe_has_next(const struct probe *p)
{
        return p->next < p->len;
}

/* The commands of the next row to try, and its COPY data. */
const char *probe_command(const struct probe *p);
struct slice probe_data(const struct probe *p);

/* The row could not be written. */
static inline void probe_drop(struct probe *p)
{
        p->next++;
}

/* True if another row may succeed after one failed with @sqlstate: a rule refuses some rows; a full disk or
 * a lock stops all. */
bool probe_may_go_on(const char *sqlstate);

#endif
