#ifndef AGAINST_H
#define AGAINST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "model/array_text.h"
#include "daemon/decoded.h"
#include "model/db.h"
#include "spending/lookup_blocking.h"
#include "wire/acks.h"

/* What would become of good lines in a database: by the daemon's statements that only read. Hierarchy lines are written to
 * temporary tables of this session, which take the place of the real ones, so that later lines see them. */

/* A line, and what would become of it. */
struct judged {
        uint64_t line; /* from 1 */
        enum line_outcome outcome;
        struct reject *reject; /* of LINE_REJECTED; on the heap */
};

/* Rejects the line, with a copy of @reject. */
void judged_reject(struct judged *j, const struct reject *reject);

/* A spending record whose line is not judged yet. */
struct against_row {
        struct spending_record rec;
        size_t judged; /* its line's place */
};

enum { AGAINST_PARAMS = 13 };

struct against {
        struct db db;
        bool failed;
        char *real_accounts; /* the real tables' names; NULL while none is replaced */
        char *real_objects;
        void *copied;  /* tsearch(3): external ids of accounts whose rows are in the temporary tables */
        void *records; /* tsearch(3): what would be stored, by id and collectedAt */
        void *ids;     /* and by id alone */
        struct against_row *rows;
        size_t rows_len;
        size_t rows_cap;
        size_t *asked; /* the rows of the statement in flight */
        size_t asked_len;
        size_t asked_cap;
        struct lookup_blocking lookup;
        struct array_text params[AGAINST_PARAMS];
};

/* 0, or FAILED once it is told; to be closed in either case. */
int against_open(struct against *a, const struct config *config);

void against_close(struct against *a);

/* Judges the line at @place of @judged, or notes it: its text must stay until against_finish. */
void against_judge(struct against *a, struct judged *judged, size_t place, struct decoded *decoded);

/* Judges what was noted. */
void against_finish(struct against *a, struct judged *judged);

/* The database of the last error, NULL where there was none. No outcome counts after an error. */
const struct db *against_failed(const struct against *a);

#endif
