#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "pg/pg_conn.h"

/* Ordinary rows, of which one is written by COPY, as other rows are, and rolled back: the proof that the server and the
 * table are not to blame for rows that failed (pg/suspect.h). Made-up rows are tried first; where the operator's rules
 * refuse all of these, copies of stored rows are. Zeroed before its first use. */

enum probe_source { PROBE_MADE, PROBE_STORED };

struct probe {
        enum probe_source source; /* of the rows */
        size_t next;              /* the row to be tried next */
        size_t len;               /* their number */
        struct buf rows;          /* each: the text of its commands, then its COPY data */
        struct probe_row {
                size_t sql;
                size_t data;
                size_t end;
        } places[16];
};

void probe_deinit(struct probe *p);

/* The statement that asks for rows of the source. */
const char *probe_sql(enum probe_source source);

/* Its answer. */
void probe_read(struct probe *p, enum probe_source source, const struct pg_result *res);

/* True where there is a row to be tried. */
static inline bool probe_has_next(const struct probe *p)
{
        return p->next < p->len;
}

/* The commands of the row to be tried next, and their COPY data. */
const char *probe_command(const struct probe *p);
struct slice probe_data(const struct probe *p);

/* The row could not be written. */
static inline void probe_drop(struct probe *p)
{
        p->next++;
}

/* Whether another row may be written where one failed with @sqlstate: rules stand against some rows, a full disk or a
 * lock against all. */
bool probe_may_go_on(const char *sqlstate);

#endif
