#ifndef SPENDING_RECORD_H
#define SPENDING_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <xxhash.h>

#include "base/json.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "model/platform.h"
#include "wire/fields.h"
#include "wire/receipt.h"

/* The spending record (contract section 5). */

enum record_null {
        RECORD_NULL_IMPRESSIONS = 1,
        RECORD_NULL_CLICKS = 2,
        RECORD_NULL_CONVERSIONS = 4,
        RECORD_NULL_METRICS = 8,
};

/* Times are microseconds since the Unix epoch. Slices borrow the line. */
struct spending_record {
        struct uuid id;           /* the client's if has_id, else set by spending_record_derive_id */
        struct uuid ad_object_id; /* set by the resolver */
        int64_t collected_at;
        int64_t period_start;
        int64_t period_end;
        int64_t amount_cents;
        int64_t impressions; /* 0 if nulls says null, as the next two */
        int64_t clicks;
        int64_t conversions;
        struct slice metrics;
        uint64_t receipt;           /* collectedAt was absent: the number of the line's receipt; else 0 */
        XXH128_hash_t metrics_hash; /* equal for metrics that jsonb stores alike */
        char currency[3];
        uint8_t nulls; /* enum record_null */
        bool has_id;
        bool any_time; /* has_id without collectedAt: duplicates are found by id alone */

        /* What identifies the ad object. */
        enum platform platform;
        bool has_connection;
        struct uuid connection_id;
        struct json_string account_external_id;
        struct json_string external_id;
};

/* Reads the fields of a spending line. Returns true with everything in *ret but ad_object_id and a derived
 * id; false if the line is rejected. */
bool spending_record_read(const struct fields *f, struct receipt receipt, struct spending_record *ret);

/* Sets @rec->id from the ad object and every stored field, unless the client gave an id: a UUIDv8 that
 * begins with the milliseconds of collected_at. Equal fields give equal ids on every machine and in every
 * version. Without collectedAt each receipt of a line is a record of its own, so the receipt's number
 * counts, too.
 *
 * XXH3 does not resist a deliberate search for two records with one id. Nothing depends on that: a client
 * can also choose an id, in the field "id", so a row found under an id is always compared with the record. */
void spending_record_derive_id(struct spending_record *rec);

#endif
