#include "hierarchy/hierarchy_record.h"

static bool read_name(const struct fields *f, bool *ret_has, struct json_string *ret)
{
        *ret_has = !fields_null(f, FIELD_NAME);
        return !*ret_has || fields_text(f, FIELD_NAME, "name must be a string or null", ret);
}

/* Platforms usually send IANA names, but not always. In reports an unknown time zone counts as UTC. */
static bool read_timezone(const struct fields *f, struct json_string *ret)
{
        static const char rule[] = "timezone must be a name of 1 to 255 bytes like \"Europe/Prague\"";

        if (!fields_text(f, FIELD_TIMEZONE, rule, ret))
                return false;
        return (ret->raw.len >= 1 && ret->raw.len <= EXTERNAL_ID_MAX) ||
               fields_refuse(f, REJECT_BAD_VALUE, FIELD_TIMEZONE, rule);
}

bool ad_account_record_read(const struct fields *f, struct ad_account_record *ret)
{
        return fields_uuid(f, FIELD_CONNECTION_ID, &ret->connection_id) &&
               fields_external_id(f, FIELD_EXTERNAL_ID, &ret->external_id) &&
               read_name(f, &ret->has_name, &ret->name) && fields_currency(f, ret->currency) &&
               read_timezone(f, &ret->timezone);
}

static bool read_type(const struct fields *f, enum ad_object_type *ret)
{
        static const char rule[] = "type must be \"CAMPAIGN\", \"AD_SET\" or \"AD\"";
        char buf[FIELDS_WORD_BYTES];
        struct slice word;

        return fields_word(f, FIELD_TYPE, rule, buf, &word) &&
               (ad_object_type_parse(word, ret) || fields_refuse(f, REJECT_BAD_VALUE, FIELD_TYPE, rule));
}

static bool read_status(const struct fields *f, enum ad_object_status *ret)
{
        static const char rule[] = "status must be \"ACTIVE\", \"PAUSED\", \"ARCHIVED\" or \"DELETED\"";
        char buf[FIELDS_WORD_BYTES];
        struct slice word;

        return fields_word(f, FIELD_STATUS, rule, buf, &word) &&
               (ad_object_status_parse(word, ret) || fields_refuse(f, REJECT_BAD_VALUE, FIELD_STATUS, rule));
}

static bool same_id(struct json_string a, struct json_string b)
{
        char text_a[EXTERNAL_ID_MAX + 1];
        char text_b[EXTERNAL_ID_MAX + 1];

        external_id_decode(a, text_a);
        external_id_decode(b, text_b);
        return strcmp(text_a, text_b) == 0;
}

static bool read_parent(const struct fields *f, struct ad_object_record *rec)
{
        rec->has_parent = !fields_null(f, FIELD_PARENT_EXTERNAL_ID);
        if (!rec->has_parent)
                return true;
        if (!fields_external_id(f, FIELD_PARENT_EXTERNAL_ID, &rec->parent_external_id))
                return false;
        if (rec->type == AD_OBJECT_TYPE_CAMPAIGN)
                return fields_refuse(f, REJECT_BAD_VALUE, FIELD_PARENT_EXTERNAL_ID,
                                     "a CAMPAIGN is the highest level and must have no parent");
        return !same_id(rec->parent_external_id, rec->external_id) ||
               fields_refuse(f, REJECT_BAD_VALUE, FIELD_PARENT_EXTERNAL_ID,
                             "an ad object must not be its own parent");
}

static bool read_platform_data(const struct fields *f, struct slice *ret)
{
        *ret = (struct slice){NULL, 0};
        return fields_null(f, FIELD_PLATFORM_DATA) ||
               fields_object(f, FIELD_PLATFORM_DATA, "platformData must be an object or null", ret, NULL);
}

bool ad_object_record_read(const struct fields *f, struct ad_object_record *ret)
{
        return fields_platform(f, &ret->platform) &&
               fields_optional_uuid(f, FIELD_CONNECTION_ID, &ret->has_connection, &ret->connection_id) &&
               fields_external_id(f, FIELD_ACCOUNT_EXTERNAL_ID, &ret->account_external_id) &&
               fields_external_id(f, FIELD_EXTERNAL_ID, &ret->external_id) && read_type(f, &ret->type) &&
               read_name(f, &ret->has_name, &ret->name) && read_status(f, &ret->status) &&
               read_parent(f, ret) && read_platform_data(f, &ret->platform_data);
}
