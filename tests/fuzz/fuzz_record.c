/* Any bytes as a line: a record or a verdict, never a crash; and an accepted record obeys all rules. */
#include <stdint.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "hierarchy/hierarchy_record.h"
#include "spending/copy_format.h"
#include "spending/spending_record.h"
#include "wire/hello.h"
#include "wire/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
        if (!condition)
                abort();
}

/* Its strings are JSON that another parser accepts. */
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

        require(parsed != NULL); /* accepted lines are JSON for other parsers, too */
        cJSON_Delete(parsed);
        require(rec->period_start < rec->period_end);
        require(rec->impressions >= 0 && rec->clicks >= 0 && rec->conversions >= 0);
        require(rec->account_external_id.raw.len > 0 && rec->external_id.raw.len > 0);
        spending_record_derive_id(rec);
        copy_format_row(&b, rec);
        buf_deinit(&b);
}

static void check_object(struct slice line, const struct ad_object_record *rec)
{
        char id[EXTERNAL_ID_MAX + 1];

        require(external_id_decode(rec->external_id, id) >= 1);
        require(!rec->has_parent || rec->type != AD_OBJECT_TYPE_CAMPAIGN);
        require(!rec->platform_data.ptr || rec->platform_data.len <= line.len);
}

static bool read_record(struct slice line, const struct fields *fields)
{
        struct spending_record rec = {.ad_object_id = {{0}}};
        struct ad_account_record account;
        struct ad_object_record object;
        struct hello hello;

        switch (fields->kind) {
        case RECORD_SPENDING:
                if (!spending_record_read(fields, (struct receipt){1, 1}, &rec))
                        return false;
                check_record(line, &rec);
                return true;
        case RECORD_AD_ACCOUNT:
                return ad_account_record_read(fields, &account);
        case RECORD_AD_OBJECT:
                if (!ad_object_record_read(fields, &object))
                        return false;
                check_object(line, &object);
                return true;
        case RECORD_HELLO:
                return hello_read(fields, 1, &hello);
        case RECORD_KINDS:
                break;
        }
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct field_reader reader;
        struct slice line = {(const char *)data, size};
        struct fields fields;
        struct reject reject;

        if (!fields_read(&reader, line, &fields, &reject) || !read_record(line, &fields))
                check_reject(&reject);
        return 0;
}
