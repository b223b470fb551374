#include "spending/spending_record.h"

#include <endian.h>

static bool read_period(const struct fields *f, struct spending_record *rec)
{
        if (!fields_time(f, FIELD_PERIOD_START, &rec->period_start) ||
            !fields_time(f, FIELD_PERIOD_END, &rec->period_end))
                return false;
        return rec->period_start < rec->period_end ||
               fields_refuse(f, REJECT_BAD_VALUE, FIELD_PERIOD_END,
                             "periodEnd must be later than periodStart");
}

static bool read_collected_at(const struct fields *f, struct receipt receipt, struct spending_record *rec)
{
        bool has = fields_have(f, FIELD_COLLECTED_AT);

        rec->receipt = has ? 0 : receipt.number;
        rec->collected_at = receipt.us;
        return !has || fields_time(f, FIELD_COLLECTED_AT, &rec->collected_at);
}

static bool read_count(const struct fields *f, enum field field, enum record_null null,
                       struct spending_record *rec, int64_t *ret)
{
        *ret = 0;
        if (!fields_null(f, field))
                return fields_integer(f, field, 0, ret);
        rec->nulls |= (uint8_t)null;
        return true;
}

static bool read_metrics(const struct fields *f, struct spending_record *rec)
{
        rec->metrics = (struct slice){NULL, 0};
        rec->metrics_hash = (XXH128_hash_t){0, 0};
        if (!fields_null(f, FIELD_METRICS))
                return fields_object(f, FIELD_METRICS, "metrics must be an object or null", &rec->metrics,
                                     &rec->metrics_hash);
        rec->nulls |= RECORD_NULL_METRICS;
        return true;
}

bool spending_record_read(const struct fields *f, struct receipt receipt, struct spending_record *ret)
{
        ret->nulls = 0;
        ret->any_time = fields_have(f, FIELD_ID) && !fields_have(f, FIELD_COLLECTED_AT);
        return fields_platform(f, &ret->platform) &&
               fields_optional_uuid(f, FIELD_CONNECTION_ID, &ret->has_connection, &ret->connection_id) &&
               fields_external_id(f, FIELD_ACCOUNT_EXTERNAL_ID, &ret->account_external_id) &&
               fields_external_id(f, FIELD_EXTERNAL_ID, &ret->external_id) && read_period(f, ret) &&
               read_collected_at(f, receipt, ret) &&
               fields_integer(f, FIELD_AMOUNT_CENTS, INT64_MIN, &ret->amount_cents) &&
               fields_currency(f, ret->currency) &&
               read_count(f, FIELD_IMPRESSIONS, RECORD_NULL_IMPRESSIONS, ret, &ret->impressions) &&
               read_count(f, FIELD_CLICKS, RECORD_NULL_CLICKS, ret, &ret->clicks) &&
               read_count(f, FIELD_CONVERSIONS, RECORD_NULL_CONVERSIONS, ret, &ret->conversions) &&
               read_metrics(f, ret) && fields_optional_uuid(f, FIELD_ID, &ret->has_id, &ret->id);
}

void spending_record_derive_id(struct spending_record *rec)
{
        struct {
                struct uuid ad_object_id;
                uint64_t numbers[9];
                char currency[3];
                uint8_t nulls;
        } __attribute__((packed)) input;
        int64_t ms = rec->collected_at / 1000 - (rec->collected_at % 1000 < 0);
        XXH128_hash_t hash;

        if (rec->has_id)
                return;
        input.ad_object_id = rec->ad_object_id;
        input.numbers[0] = htole64((uint64_t)rec->collected_at);
        input.numbers[1] = htole64((uint64_t)rec->period_start);
        input.numbers[2] = htole64((uint64_t)rec->period_end);
        input.numbers[3] = htole64((uint64_t)rec->amount_cents);
        input.numbers[4] = htole64((uint64_t)rec->impressions);
        input.numbers[5] = htole64((uint64_t)rec->clicks);
        input.numbers[6] = htole64((uint64_t)rec->conversions);
        input.numbers[7] = htole64(rec->metrics_hash.low64);
        input.numbers[8] = htole64(rec->metrics_hash.high64);
        memcpy(input.currency, rec->currency, sizeof(input.currency));
        input.nulls = rec->nulls;
        hash = XXH3_128bits_withSeed(&input, sizeof(input), rec->receipt);
        rec->id = uuid_v8(ms, hash.high64, hash.low64);
}
