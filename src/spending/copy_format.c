#include "spending/copy_format.h"

#include <stdlib.h>
#include <string.h>

#include "pg/pg_array.h"

/* PostgreSQL counts microseconds from 2000-01-01. */
static const int64_t PG_EPOCH_US = INT64_C(946684800000000);

static const char JSONB_VERSION = 1;
static const uint32_t NULL_LEN = UINT32_MAX;

enum {
        COLUMNS = 11,
        /* lengths of all columns and of the data of those with a fixed size, currency included */
        FIXED_ROW_BYTES = 2 + COLUMNS * 4 + 2 * 16 + 3 * 8 + 8 + 3 + 3 * 8 + 1,
};

void copy_format_header(struct buf *out)
{
        static const char header[19] = "PGCOPY\n\377\r\n\0"; /* and 8 zero bytes: no flags, no extension */

        buf_put(out, header, sizeof(header));
}

void copy_format_trailer(struct buf *out)
{
        put_be16(buf_reserve(out, 2), UINT16_MAX);
        out->len += 2;
}

static char *put_uuid(char *p, const struct uuid *uuid)
{
        p = put_be32(p, sizeof(uuid->bytes));
        memcpy(p, uuid->bytes, sizeof(uuid->bytes));
        return p + sizeof(uuid->bytes);
}

static char *put_i64(char *p, int64_t value)
{
        return put_be64(put_be32(p, 8), (uint64_t)value);
}

static char *put_count(char *p, const struct spending_record *rec, enum record_null null, int64_t value)
{
        return rec->nulls & null ? put_be32(p, NULL_LEN) : put_i64(p, value);
}

static char *put_currency(char *p, const struct spending_record *rec)
{
        p = put_be32(p, sizeof(rec->currency));
        memcpy(p, rec->currency, sizeof(rec->currency));
        return p + sizeof(rec->currency);
}

static char *put_metrics(char *p, const struct spending_record *rec)
{
        if (rec->nulls & RECORD_NULL_METRICS)
                return put_be32(p, NULL_LEN);
        p = put_be32(p, (uint32_t)(1 + rec->metrics.len));
        *p++ = JSONB_VERSION;
        memcpy(p, rec->metrics.ptr, rec->metrics.len);
        return p + rec->metrics.len;
}

void copy_format_row(struct buf *out, const struct spending_record *rec)
{
        char *start = buf_reserve(out, FIXED_ROW_BYTES + rec->metrics.len);
        char *p = put_be16(start, COLUMNS);

        p = put_uuid(p, &rec->id);
        p = put_uuid(p, &rec->ad_object_id);
        p = put_i64(p, rec->collected_at - PG_EPOCH_US);
        p = put_i64(p, rec->period_start - PG_EPOCH_US);
        p = put_i64(p, rec->period_end - PG_EPOCH_US);
        p = put_i64(p, rec->amount_cents);
        p = put_currency(p, rec);
        p = put_count(p, rec, RECORD_NULL_IMPRESSIONS, rec->impressions);
        p = put_count(p, rec, RECORD_NULL_CLICKS, rec->clicks);
        p = put_count(p, rec, RECORD_NULL_CONVERSIONS, rec->conversions);
        p = put_metrics(p, rec);
        out->len += (size_t)(p - start);
}

/* One element, already with its length, at @p in a buffer with @room for it. */
static void add_element(struct buf *out, size_t room, char *(*put)(char *, const struct spending_record *),
                        const struct spending_record *rec)
{
        char *p = buf_reserve(out, room);

        out->len += (size_t)(put(p, rec) - p);
}

#define ELEMENT(name, expression)                                                                            \
        static char *put_##name(char *p, const struct spending_record *rec)                                  \
        {                                                                                                    \
                return expression;                                                                           \
        }
ELEMENT(id, put_uuid(p, &rec->id))
ELEMENT(ad_object_id, put_uuid(p, &rec->ad_object_id))
ELEMENT(collected_at, put_i64(p, rec->collected_at - PG_EPOCH_US))
ELEMENT(period_start, put_i64(p, rec->period_start - PG_EPOCH_US))
ELEMENT(period_end, put_i64(p, rec->period_end - PG_EPOCH_US))
ELEMENT(amount_cents, put_i64(p, rec->amount_cents))
ELEMENT(impressions, put_count(p, rec, RECORD_NULL_IMPRESSIONS, rec->impressions))
ELEMENT(clicks, put_count(p, rec, RECORD_NULL_CLICKS, rec->clicks))
ELEMENT(conversions, put_count(p, rec, RECORD_NULL_CONVERSIONS, rec->conversions))
#undef ELEMENT

void copy_format_arrays(struct buf out[COPY_FORMAT_ARRAYS], const struct row *rows, const uint32_t *chosen,
                        size_t len)
{
        static const struct {
                enum pg_oid oid;
                char *(*put)(char *, const struct spending_record *);
        } columns[COPY_FORMAT_ARRAYS] = {
                {PG_OID_UUID, put_id},
                {PG_OID_UUID, put_ad_object_id},
                {PG_OID_TIMESTAMPTZ, put_collected_at},
                {PG_OID_TIMESTAMPTZ, put_period_start},
                {PG_OID_TIMESTAMPTZ, put_period_end},
                {PG_OID_INT8, put_amount_cents},
                {PG_OID_TEXT, put_currency},
                {PG_OID_INT8, put_impressions},
                {PG_OID_INT8, put_clicks},
                {PG_OID_INT8, put_conversions},
                {PG_OID_JSONB, put_metrics},
        };

        for (size_t c = 0; c < COPY_FORMAT_ARRAYS; c++) {
                out[c].len = 0;
                pg_array_begin(&out[c], columns[c].oid, len);
                for (size_t i = 0; i < len; i++) {
                        const struct spending_record *rec = &rows[chosen ? chosen[i] : i].rec;

                        add_element(&out[c], 32 + rec->metrics.len, columns[c].put, rec);
                }
        }
}

uint64_t copy_format_named_row(const char *context)
{
        static const char prefix[] = "COPY spending, ";

        for (const char *line = context; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, prefix, strlen(prefix)) != 0)
                        continue;
                line += strcspn(line, "0123456789\n");
                return *line == '\n' ? 0 : strtoull(line, NULL, 10);
        }
        return 0;
}
