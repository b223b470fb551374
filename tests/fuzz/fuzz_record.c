/* Any bytes as a line: a record or a verdict, never a crash; and what is accepted keeps the record's
 * promises. */
#include <stdint.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "copy_format.h"
#include "record.h"
#include "reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
        if (!condition)
                abort();
}

/* Its strings are JSON that another parser reads, too. */
static void check_reject(const struct reject *reject)
{
        struct buf b = {0};
        cJSON *parsed;

        reply_reject(&b, 1, reject);
        parsed = cJSON_ParseWithLength(b.data, b.len);
        require(parsed != NULL);
        cJSON_Delete(parsed);
        buf_deinit(&b);
}

static void check_record(struct slice line, struct spending_record *rec)
{
        struct buf b = {0};
        cJSON *parsed = cJSON_ParseWithLength(line.ptr, line.len);

        require(parsed != NULL); /* what we accept is JSON to others, too */
        cJSON_Delete(parsed);
        require(rec->period_start < rec->period_end);
        require(rec->impressions >= 0 && rec->clicks >= 0 && rec->conversions >= 0);
        require(rec->account_external_id.raw.len > 0 && rec->external_id.raw.len > 0);
        record_derive_id(rec);
        copy_format_row(&b, rec);
        buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct record_decoder decoder;
        struct slice line = {(const char *)data, size};
        struct spending_record rec = {.ad_object_id = {{0}}};
        struct reject reject;

        if (record_decode(&decoder, line, 1, &rec, &reject))
                check_record(line, &rec);
        else
                check_reject(&reject);
        return 0;
}
