#include "spending/probe.h"

#include <string.h>

#include "model/spending_store.h"
#include "pg/sqlstate.h"
#include "spending/copy_format.h"
#include "spending/row_order.h"

enum { ROWS_MAX = sizeof(((struct probe *)NULL)->places) / sizeof(struct probe_row) };

void probe_deinit(struct probe *p)
{
        buf_deinit(&p->rows);
        *p = (struct probe){0};
}

void probe_weeks_add(struct probe_weeks *w, int64_t collected_at_us)
{
        if (w->len > 0 && row_order_week(w->us[0]) == row_order_week(collected_at_us))
                return;
        w->us[1] = w->us[0];
        w->us[0] = collected_at_us;
        w->len += w->len < PROBE_WEEKS;
}

const char *probe_sql(enum probe_source source)
{
        return source == PROBE_STORED ? spending_probe_stored_sql : spending_probe_made_sql;
}

static int64_t read_count(const struct pg_result *res, int i, int column, enum record_null null,
                          uint8_t *nulls)
{
        if (!pg_result_null(res, i, column))
                return pg_result_i64(res, i, column);
        *nulls |= (uint8_t)null;
        return 0;
}

static struct spending_record read_record(const struct pg_result *res, int i)
{
        struct slice currency = pg_result_text(res, i, SPENDING_PROBE_CURRENCY);
        struct spending_record rec = {
                .id = pg_result_uuid(res, i, SPENDING_PROBE_ID),
                .ad_object_id = pg_result_uuid(res, i, SPENDING_PROBE_OBJECT),
                .collected_at = pg_result_i64(res, i, SPENDING_PROBE_NOW_US),
                .period_start = pg_result_i64(res, i, SPENDING_PROBE_START_US),
                .period_end = pg_result_i64(res, i, SPENDING_PROBE_END_US),
                .amount_cents = pg_result_i64(res, i, SPENDING_PROBE_AMOUNT),
                .currency = {'U', 'S', 'D'},
        };

        if (currency.len == sizeof(rec.currency))
                memcpy(rec.currency, currency.ptr, sizeof(rec.currency));
        rec.impressions = read_count(res, i, SPENDING_PROBE_IMPRESSIONS, RECORD_NULL_IMPRESSIONS, &rec.nulls);
        rec.clicks = read_count(res, i, SPENDING_PROBE_CLICKS, RECORD_NULL_CLICKS, &rec.nulls);
        rec.conversions = read_count(res, i, SPENDING_PROBE_CONVERSIONS, RECORD_NULL_CONVERSIONS, &rec.nulls);
        if (pg_result_null(res, i, SPENDING_PROBE_METRICS))
                rec.nulls |= RECORD_NULL_METRICS;
        else
                rec.metrics = pg_result_text(res, i, SPENDING_PROBE_METRICS);
        return rec;
}

void probe_read(struct probe *p, enum probe_source source, const struct pg_result *res,
                const struct probe_weeks *weeks, enum lock_wait wait)
{
        bool one_each = source == PROBE_OTHER || source == PROBE_SAME;
        int rows = pg_result_rows(res);

        p->source = source;
        p->next = 0;
        p->len = 0;
        p->rows.len = 0;
        if (one_each && (size_t)rows > weeks->len)
                rows = (int)weeks->len;
        for (int i = 0; i < rows && p->len < ROWS_MAX; i++) {
                struct spending_record rec = read_record(res, i);
                struct probe_row *row = &p->places[p->len++];

                if (weeks->us[one_each ? i : 0] != PROBE_NOW)
                        rec.collected_at = weeks->us[one_each ? i : 0];
                row->sql = p->rows.len;
                spending_probe_copy(&p->rows, &rec.id, rec.collected_at, rec.amount_cents, wait);
                row->data = p->rows.len;
                copy_format_header(&p->rows);
                copy_format_row(&p->rows, &rec);
                copy_format_trailer(&p->rows);
                row->end = p->rows.len;
        }
}

const char *probe_command(const struct probe *p)
{
        return p->rows.data + p->places[p->next].sql;
}

struct slice probe_data(const struct probe *p)
{
        const struct probe_row *row = &p->places[p->next];

        return (struct slice){p->rows.data + row->data, row->end - row->data};
}

bool probe_may_go_on(const struct probe *p, const char *sqlstate)
{
        if (p->source == PROBE_OTHER)
                return true;
        switch (sqlstate_action(sqlstate)) {
        case SQLSTATE_MERGE:
        case SQLSTATE_MISSING:
        case SQLSTATE_ISOLATE:
        case SQLSTATE_SUSPECT:
                return true;
        case SQLSTATE_RETRY:
        case SQLSTATE_SERVER:
                return false;
        }
        return false;
}
