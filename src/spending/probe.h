#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "model/spending_store.h"
#include "pg/pg_conn.h"

/* The probe row: an ordinary row, written by COPY as others are and rolled back, proves that neither server nor table is at
 * fault for failed rows (pg/suspect.h). Made-up rows are tried first; if the operator's rules refuse them all, copies of stored
 * rows. Both are of the week written last, since a new chunk costs many times as much. If the server cannot write to that chunk
 * (tablespace full, locked), made-up rows of other weeks are tried. Zeroed before its first use. */

enum probe_source {
        PROBE_MADE,
        PROBE_STORED,
        PROBE_OTHER, /* made-up, of the current week and of one that was written before the last */
        PROBE_SAME, /* made-up, of the week of the rows that failed: is the whole week at fault, or one of these rows? */
};

enum { PROBE_WEEKS = 2 };

/* Times in different weeks, as of those that were written last, the last one first. PROBE_NOW: the current week. */
struct probe_weeks {
        int64_t us[PROBE_WEEKS];
        size_t len;
};

#define PROBE_NOW INT64_MIN

/* Notes that a row with this collected_at was written. */
void probe_weeks_add(struct probe_weeks *w, int64_t collected_at_us);

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

/* Reads the answer to that query. All its rows are of the first of @weeks; or, if @source tries several weeks, each of
 * these gets one row. They are written with this @wait for locks. */
void probe_read(struct probe *p, enum probe_source source, const struct pg_result *res,
                const struct probe_weeks *weeks, enum lock_wait wait);

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

/* True if another row of the same source may succeed after one failed with @sqlstate: a rule refuses some rows; a full
 * disk or a lock stops all of one week. */
bool probe_may_go_on(const struct probe *p, const char *sqlstate);

#endif
