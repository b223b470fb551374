#include "model/connection_label.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/memory.h"
#include "base/visible.h"

static const char may_read_sql[] =
        "SELECT coalesce(has_table_privilege(to_regclass('public.boris_ingestd_connection_labels')::oid, "
        "'SELECT'), false)";

/* The table's owner may have dropped its limit. uuid is sorted by its bytes. */
static const char read_sql[] = "SELECT connection_id, left(label, 80) FROM "
                               "public.boris_ingestd_connection_labels ORDER BY connection_id";

static const char set_sql[] =
        "WITH removed AS (DELETE FROM public.boris_ingestd_connection_labels "
        "WHERE connection_id = $1 AND $2::text = ''), "
        "written AS (INSERT INTO public.boris_ingestd_connection_labels (connection_id, label) "
        "SELECT id, $2::text FROM public.platform_connections WHERE id = $1 AND $2::text <> '' "
        "ON CONFLICT (connection_id) DO UPDATE SET label = excluded.label) "
        "SELECT id FROM public.platform_connections WHERE id = $1";

_Static_assert(CONNECTION_LABEL_MAX == 80, "as in read_sql and in the migration");

bool connection_label_valid(const char *text)
{
        char shown[CONNECTION_LABEL_BYTES];

        return strcmp(visible_copy(text, shown, sizeof(shown)), text) == 0 &&
               visible_length(text) <= CONNECTION_LABEL_MAX;
}

int connection_label_set(struct db *db, const struct uuid *id, struct slice label)
{
        struct db_params params = {0};
        struct pg_result *res;
        int err;

        db_param_uuid(&params, id);
        db_param_text(&params, label);
        err = db_query_row(db, set_sql, &params, &res);
        if (err == 0)
                db_result_free(res);
        return err;
}

int connection_labels_read(struct db *db, struct connection_labels *ret)
{
        struct pg_result *res;
        bool permitted = false;
        int err = db_query_bool(db, may_read_sql, NULL, &permitted);

        *ret = (struct connection_labels){0};
        if (err || !permitted)
                return err;
        err = db_query(db, read_sql, NULL, &res);
        if (err)
                return err;
        ret->len = (size_t)db_rows(res);
        ret->rows = must_calloc(ret->len + 1, sizeof(*ret->rows));
        for (size_t i = 0; i < ret->len; i++) {
                ret->rows[i].id = db_uuid(res, (int)i, 0);
                ret->rows[i].text = db_text_dup(res, (int)i, 1);
        }
        db_result_free(res);
        return 0;
}

void connection_labels_deinit(struct connection_labels *labels)
{
        for (size_t i = 0; i < labels->len; i++)
                free(labels->rows[i].text);
        free(labels->rows);
        *labels = (struct connection_labels){0};
}

static int compare(const void *id, const void *label)
{
        return memcmp(id, &((const struct connection_label *)label)->id, sizeof(struct uuid));
}

const char *connection_labels_find(const struct connection_labels *labels, const struct uuid *id)
{
        const struct connection_label *found;

        if (labels->len == 0)
                return NULL;
        found = bsearch(id, labels->rows, labels->len, sizeof(*labels->rows), compare);
        return found ? found->text : NULL;
}

void connection_labels_quote(const struct connection_labels *labels, const struct uuid *id,
                             char ret[CONNECTION_LABEL_BYTES])
{
        const char *label = connection_labels_find(labels, id);

        ret[0] = '\0';
        if (label)
                snprintf(ret, CONNECTION_LABEL_BYTES, " \"%s\"", label);
}
