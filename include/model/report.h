#ifndef MODEL_REPORT_H
#define MODEL_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"

/* What was spent, by the rules of migrations/0003_report.sql. Functions return 0 or a code of enum err, with the
 * reason in @db. */

/* The start or end of a range: a moment, or midnight of a day wherever the account is. */
struct report_moment {
        bool is_day;
        char day[11];    /* YYYY-MM-DD, a date that exists */
        int64_t unix_us; /* microseconds since the Unix epoch */
};

/* What totals are grouped by; CAMPAIGN is the object at the top of the hierarchy, which may be of another level. */
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

/* False, and *ret unchanged, if @text is not a group. */
bool report_group_parse(struct slice text, enum report_group *ret);

struct report_query {
        const struct uuid *ad_account_id; /* NULL: all accounts */
        const struct uuid *ad_object_id;  /* NULL: all objects; else this one and all below it */
        struct report_moment from;        /* periods that start at or after it ... */
        struct report_moment to;          /* ... and before this */
        const char *bucket;               /* "6 hours", "1 days", "2 weeks" or "3 months" */
        enum report_group by;
};

/* Results are rows of texts, to be read with db_text and db_null in the order of these columns, and freed
 * with db_result_free. Amounts are minor units of the currency, whole numbers of any size; buckets are local
 * times of the account, "2026-11-01", with the hour if buckets are hours; counts are NULL if no record had any. */
enum report_total_column {
        REPORT_TOTAL_BUCKET,   /* NULL in the rows of a currency's total, which are the last ones */
        REPORT_TOTAL_PLATFORM, /* NULL in those, as the next five */
        REPORT_TOTAL_ACCOUNT,  /* external id; NULL by platform */
        REPORT_TOTAL_OBJECT,   /* external id; NULL unless by campaign or object, as the next two */
        REPORT_TOTAL_TYPE,
        REPORT_TOTAL_NAME,
        REPORT_TOTAL_PART, /* by object: "not attributed to ads" etc.; NULL for what is the object's own */
        REPORT_TOTAL_CURRENCY,
        REPORT_TOTAL_AMOUNT,
        REPORT_TOTAL_IMPRESSIONS,
        REPORT_TOTAL_CLICKS,
        REPORT_TOTAL_CONVERSIONS,
        REPORT_TOTAL_RECORDS,    /* how many were added */
        REPORT_TOTAL_LEVELS,     /* of which levels these are: "AD, CAMPAIGN" */
        REPORT_TOTAL_BREAKDOWNS, /* which breakdowns were added up: "age; country"; NULL if none */
        REPORT_TOTAL_FRACTIONAL, /* records whose metrics have conversions that the sum lacks; NULL if none */
        REPORT_TOTAL_COLUMNS,
};

/* Totals per time bucket. Currencies are never added together. */
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
        REPORT_LATEST_RECORDS, /* rows of one breakdown that were added */
        REPORT_LATEST_BREAKDOWN,
        REPORT_LATEST_FRACTIONAL, /* as above */
        REPORT_LATEST_COLUMNS,
};

/* What was collected last for each object and period, all levels and periods; bucket and group do not matter. */
int report_latest(struct db *db, const struct report_query *query, struct pg_result **ret);

enum report_explain_column {
        REPORT_EXPLAIN_PERIOD_START, /* RFC 3339, as the next two */
        REPORT_EXPLAIN_PERIOD_END,
        REPORT_EXPLAIN_COLLECTED_AT,
        REPORT_EXPLAIN_CURRENCY,
        REPORT_EXPLAIN_AMOUNT,
        REPORT_EXPLAIN_BREAKDOWN,
        REPORT_EXPLAIN_COUNTED, /* how much of the amount is in the totals */
        REPORT_EXPLAIN_REASON,
        REPORT_EXPLAIN_COLUMNS,
};

/* Each stored row of query's object, which is needed, and why it counts or not. */
int report_explain(struct db *db, const struct report_query *query, struct pg_result **ret);

/* Accounts whose time zone the server does not know, of @ad_account_id or (NULL) of all: rows of platform, external
 * id and time zone. */
int report_unknown_zones(struct db *db, const struct uuid *ad_account_id, struct pg_result **ret);

/* Whether the migration that makes the report's functions was applied. */
bool report_functions_exist(struct db *db);

#endif
