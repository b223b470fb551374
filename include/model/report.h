#ifndef MODEL_REPORT_H
#define MODEL_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"

/* Reports of spending, by the SQL functions of migrations/ (rules: config/report.md). Functions return 0 or a code of
 * enum err, with the reason in @db. */

/* The start or end of a range: a moment, or the midnight that starts a day in each account's time zone. */
struct report_moment {
        bool is_day;
        char day[11];    /* YYYY-MM-DD, an existing date */
        int64_t unix_us; /* microseconds since the Unix epoch */
};

/* What totals are grouped by. CAMPAIGN means the object at the top of the hierarchy, which may be of another
 * type. */
#define REPORT_GROUP_MAP(X)                                                                                  \
        X(ACCOUNT, "account")                                                                                \
        X(PLATFORM, "platform")                                                                              \
        X(CAMPAIGN, "campaign")                                                                              \
        X(OBJECT, "object")

enum report_group {
#define X(name, text) REPORT_BY_##name,
        REPORT_GROUP_MAP(X)
#undef X
};

/* Returns false, with *ret unchanged, if @text is not a group. */
bool report_group_parse(struct slice text, enum report_group *ret);

struct report_query {
        const struct uuid *ad_account_id; /* NULL: all accounts */
        const struct uuid *ad_object_id;  /* NULL: all objects; else this object and its descendants */
        struct report_moment from;        /* includes periods that start at this moment or later ... */
        struct report_moment to;          /* ... and before this one */
        const char *bucket;               /* "6 hours", "1 days", "2 weeks" or "3 months" */
        enum report_group by;
};

/* Results are rows of texts, read with db_text and db_null by these columns and freed with db_result_free.
 * Amounts are minor units of the currency, integers of any size. Buckets are local times of the account,
 * "2026-11-01", with the hour if buckets are hours. Counts are NULL if no record had any. */
enum report_total_column {
        REPORT_TOTAL_BUCKET,   /* NULL in the rows of a currency's total, which come last */
        REPORT_TOTAL_PLATFORM, /* NULL in rows of a currency's total, as the next five */
        REPORT_TOTAL_ACCOUNT,  /* external id; NULL by platform */
        REPORT_TOTAL_OBJECT,   /* external id; NULL unless grouped by campaign or object, as the next two */
        REPORT_TOTAL_TYPE,
        REPORT_TOTAL_NAME,
        REPORT_TOTAL_PART, /* by object: "not attributed to ads" etc.; NULL for the object's own spending */
        REPORT_TOTAL_CURRENCY,
        REPORT_TOTAL_AMOUNT,
        REPORT_TOTAL_IMPRESSIONS,
        REPORT_TOTAL_CLICKS,
        REPORT_TOTAL_CONVERSIONS,
        REPORT_TOTAL_RECORDS,    /* number of records in the sum */
        REPORT_TOTAL_LEVELS,     /* levels of these records: "AD, CAMPAIGN" */
        REPORT_TOTAL_BREAKDOWNS, /* breakdowns that were summed: "age; country"; NULL if none */
        /* records with fractional conversions in their metrics, which the sum lacks; NULL if none */
        REPORT_TOTAL_FRACTIONAL,
        REPORT_TOTAL_COLUMNS,
};

/* Returns totals per time bucket. Currencies are never added together. */
int report_totals(struct db *db, const struct report_query *query, struct pg_result **ret);

enum report_latest_column {
        REPORT_LATEST_PERIOD_START, /* RFC 3339, as the next two */
        REPORT_LATEST_PERIOD_END,
        REPORT_LATEST_COLLECTED_AT,
        REPORT_LATEST_PLATFORM,
        REPORT_LATEST_ACCOUNT,
        REPORT_LATEST_OBJECT,
        REPORT_LATEST_TYPE,
        REPORT_LATEST_NAME,
        REPORT_LATEST_CURRENCY,
        REPORT_LATEST_AMOUNT,
        REPORT_LATEST_IMPRESSIONS,
        REPORT_LATEST_CLICKS,
        REPORT_LATEST_CONVERSIONS,
        REPORT_LATEST_RECORDS, /* number of rows of one breakdown in the sum */
        REPORT_LATEST_BREAKDOWN,
        REPORT_LATEST_FRACTIONAL, /* as REPORT_TOTAL_FRACTIONAL */
        REPORT_LATEST_COLUMNS,
};

/* Returns the latest collection of each object and period, at all levels and for all periods; ignores bucket
 * and group. */
int report_latest(struct db *db, const struct report_query *query, struct pg_result **ret);

enum report_explain_column {
        REPORT_EXPLAIN_PERIOD_START, /* RFC 3339, as the next two */
        REPORT_EXPLAIN_PERIOD_END,
        REPORT_EXPLAIN_COLLECTED_AT,
        REPORT_EXPLAIN_CURRENCY,
        REPORT_EXPLAIN_AMOUNT,
        REPORT_EXPLAIN_BREAKDOWN,
        REPORT_EXPLAIN_COUNTED, /* the part of the amount that the totals include */
        REPORT_EXPLAIN_REASON,
        REPORT_EXPLAIN_COLUMNS,
};

/* Returns each stored row of the query's object, which is required, and why the row counts or not. */
int report_explain(struct db *db, const struct report_query *query, struct pg_result **ret);

/* Returns accounts whose time zone the server does not know, of @ad_account_id or (NULL) of all: rows of
 * platform, external id and time zone. */
int report_unknown_zones(struct db *db, const struct uuid *ad_account_id, struct pg_result **ret);

/* True if the migration that creates the report's functions was applied. */
bool report_functions_exist(struct db *db);

#endif
