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

/* Judges what would happen to valid lines in a database, using the daemon's read-only statements. Hierarchy
 * lines are written to temporary tables that hide the real ones in this session, so that later lines see
 * them. */

/* A line, and its outcome. */
struct judged {
        uint64_t line; /* from 1 */
        enum line_outcome outcome;
        struct reject *reject; /* for LINE_REJECTED; on the heap */
};

/* Rejects the line with a copy of @reject. */
void judged_reject(struct judged *j, const struct reject *reject);

/* A spending record whose line is not judged yet. */
struct against_row {
        struct spending_record rec;
        size_t judged; /* index of its line */
};

enum { AGAINST_PARAMS = 13 };

struct against {
        struct db db;
        bool failed;
        char *real_accounts; /* names of the real tables; NULL while they are not hidden */
        char *real_objects;
        /* tsearch(3): external ids of accounts whose rows were copied to the temporary tables */
        void *copied;
        void *records; /* tsearch(3): records that would be stored, by id and collectedAt */
        void *ids;     /* the same records by id alone */
        struct against_row *rows;
        size_t rows_len;
        size_t rows_cap;
        size_t *asked; /* the rows of the statement in flight */
        size_t asked_len;
        size_t asked_cap;
        struct lookup_blocking lookup;
        struct array_text params[AGAINST_PARAMS];
};

/* Returns 0, or FAILED after printing the error; the caller closes @a in either case. */
int against_open(struct against *a, const struct config *config);

void against_close(struct against *a);

/* Judges the line at index @place of @judged, or keeps it for later: its text must stay valid until
 * against_finish. */
void against_judge(struct against *a, struct judged *judged, size_t place, struct decoded *decoded);

/* Judges the lines kept for later. */
void against_finish(struct against *a, struct judged *judged);

/* The database whose error came last; NULL for none. After an error all outcomes are invalid. */
const struct db *against_failed(const struct against *a);

#endif
