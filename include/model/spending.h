#ifndef MODEL_SPENDING_H
#define MODEL_SPENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"

/* What an ad object cost and achieved in a period, as the platform told it at one moment. Functions return 0
 * or a code of enum err, with the reason in @db. */

/* --- reports --- */

/* The start or end of a range: a moment, or midnight of a day wherever the account is. */
struct spending_moment {
        bool is_day;
        char day[11];    /* YYYY-MM-DD, a date that exists */
        int64_t unix_us; /* microseconds since the Unix epoch */
};

/* What totals are told by; CAMPAIGN is the object at the top of the hierarchy, which may be of another level.
 */
#define SPENDING_GROUP_MAP(X)                                                                                \
        X(ACCOUNT, "account")                                                                                \
        X(PLATFORM, "platform")                                                                              \
        X(CAMPAIGN, "campaign")                                                                              \
        X(OBJECT, "object")

enum spending_group {
#define X(name, text) SPENDING_BY_##name,
        SPENDING_GROUP_MAP(X)
#undef X
};

/* False, and *ret unchanged, where @text is none of them. */
bool spending_group_parse(struct slice text, enum spending_group *ret);

struct spending_query {
        const struct uuid *ad_account_id; /* NULL: all accounts */
        const struct uuid *ad_object_id;  /* NULL: all objects; else this one and all below it */
        struct spending_moment from;      /* periods that start at or after it ... */
        struct spending_moment to;        /* ... and before this */
        const char *bucket;               /* "6 hours", "1 days", "2 weeks" or "3 months" */
        enum spending_group by;
};

/* Results are rows of texts, to be read with db_text and db_null in the order of these columns, and freed
 * with db_result_free. Amounts are minor units of the currency, whole numbers of any size; times of buckets
 * are local to the account, "2026-11-01", with the hour where buckets are hours; counts are NULL where no
 * record told any. */
enum spending_total_column {
        SPENDING_TOTAL_BUCKET,   /* NULL in the rows of a currency's total, which stand at the end */
        SPENDING_TOTAL_PLATFORM, /* NULL in those, as the next four */
        SPENDING_TOTAL_ACCOUNT,  /* external id; NULL by platform */
        SPENDING_TOTAL_OBJECT,   /* external id; NULL unless by campaign or object, as the next two */
        SPENDING_TOTAL_TYPE,
        SPENDING_TOTAL_NAME,
        SPENDING_TOTAL_CURRENCY,
        SPENDING_TOTAL_AMOUNT,
        SPENDING_TOTAL_IMPRESSIONS,
        SPENDING_TOTAL_CLICKS,
        SPENDING_TOTAL_CONVERSIONS,
        SPENDING_TOTAL_RECORDS, /* how many were added */
        SPENDING_TOTAL_LEVELS,  /* of which levels these are: "AD, CAMPAIGN" */
        SPENDING_TOTAL_COLUMNS,
};

/* Totals per time bucket in which no money counts twice. Of the records of one object and period only those
 * that were collected last count (a restatement replaces; a breakdown has several of one moment). Of an
 * object's periods those do not count that contain shorter ones (hours and their day), unless collected after
 * these, which leave gaps; then the shorter ones do not. An object is told by platform and external ids,
 * whatever connections brought it. Of levels the lowest that reported counts: a record does not where an
 * object below its own has one of an overlapping period. Currencies are never added together. */
int spending_totals(struct db *db, const struct spending_query *query, struct pg_result **ret);

enum spending_latest_column {
        SPENDING_LATEST_PERIOD_START, /* RFC 3339, as the next two */
        SPENDING_LATEST_PERIOD_END,
        SPENDING_LATEST_COLLECTED_AT,
        SPENDING_LATEST_PLATFORM,
        SPENDING_LATEST_ACCOUNT,
        SPENDING_LATEST_OBJECT,
        SPENDING_LATEST_TYPE,
        SPENDING_LATEST_NAME,
        SPENDING_LATEST_CURRENCY,
        SPENDING_LATEST_AMOUNT,
        SPENDING_LATEST_IMPRESSIONS,
        SPENDING_LATEST_CLICKS,
        SPENDING_LATEST_CONVERSIONS,
        SPENDING_LATEST_RECORDS, /* breakdowns that were added */
        SPENDING_LATEST_COLUMNS,
};

/* What was collected last for each object and period, all levels and periods; bucket and group do not matter.
 */
int spending_latest(struct db *db, const struct spending_query *query, struct pg_result **ret);

#endif
