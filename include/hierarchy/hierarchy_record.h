#ifndef HIERARCHY_RECORD_H
#define HIERARCHY_RECORD_H

#include <stdbool.h>

#include "base/json.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "model/ad_object.h"
#include "model/platform.h"
#include "wire/fields.h"

/* Hierarchy records. Each describes an ad account or ad object completely, so an absent field means null.
 * Slices point into the line. */

struct ad_account_record {
        struct uuid connection_id;
        struct json_string external_id;
        bool has_name;
        struct json_string name;
        char currency[3];
        struct json_string timezone;
};

struct ad_object_record {
        enum platform platform;
        bool has_connection;
        struct uuid connection_id;
        struct json_string account_external_id;
        struct json_string external_id;
        enum ad_object_type type;
        enum ad_object_status status;
        bool has_name;
        struct json_string name;
        bool has_parent;
        struct json_string parent_external_id;
        struct slice platform_data; /* JSON; ptr NULL: null */
};

/* Each reads the fields of a line of its kind. Returns false if the line is rejected. */
bool ad_account_record_read(const struct fields *f, struct ad_account_record *ret);
bool ad_object_record_read(const struct fields *f, struct ad_object_record *ret);

#endif
