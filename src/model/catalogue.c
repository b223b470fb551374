#include "model/catalogue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/memory.h"

/* Each of these selects returns one row per thing: the rank of its kind, its name, its definition, the
 * statement that would add it, and whether it is harmless when unexpected. "schema" is the schema being
 * read, "expected" the temporary one, "relation" the tables of "schema" whose name also occurs in
 * "expected". */

#define TYPES_SQL                                                                                            \
        "SELECT 1, 'enum type ' || t.typname, string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder), "      \
        "format('CREATE TYPE %I AS ENUM (%s)', t.typname, "                                                  \
        "string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)), true "                      \
        "FROM schema JOIN pg_type t ON t.typnamespace = schema.id JOIN pg_enum e ON e.enumtypid = t.oid "    \
        "WHERE t.typname IN "                                                                                \
        "(SELECT x.typname FROM pg_type x JOIN expected ON x.typnamespace = expected.id) "                   \
        "GROUP BY t.typname "

#define TABLES_SQL                                                                                           \
        "SELECT 2, 'table ' || relname, "                                                                    \
        "CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' ELSE 'no table' END "          \
        "|| CASE WHEN relpersistence = 'u' THEN ', unlogged' ELSE '' END "                                   \
        "|| CASE WHEN relrowsecurity THEN ', with row security' ELSE '' END, "                               \
        "format('CREATE TABLE %I ()', relname), true "                                                       \
        "FROM relation "

#define COLUMNS_SQL                                                                                          \
        "SELECT 3, 'column ' || r.relname || '.' || a.attname, x.definition, "                               \
        "format('ALTER TABLE %I ADD COLUMN %I %s', r.relname, a.attname, x.definition), "                    \
        "NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '' "                                            \
        "FROM relation r "                                                                                   \
        "JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped "                 \
        "JOIN pg_type t ON t.oid = a.atttypid "                                                              \
        "LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum, "                               \
        "LATERAL (SELECT format_type(a.atttypid, a.atttypmod) "                                              \
        "|| CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || a.attcollation::regcollation "    \
        "ELSE '' END "                                                                                       \
        "|| CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END "                                            \
        "|| CASE WHEN a.attgenerated <> '' THEN ' GENERATED' WHEN a.attidentity <> '' THEN ' IDENTITY' "     \
        "ELSE coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') END AS definition) x "

/* Type n (PostgreSQL 18 and later) is a column's own NOT NULL, t a trigger. Foreign keys come last, since
 * they need the keys that they refer to. */
#define CONSTRAINTS_SQL                                                                                                    \
        "SELECT CASE c.contype WHEN 'f' THEN 6 ELSE 4 END, 'constraint ' || r.relname || '.' || c.conname, x.definition, " \
        "format('ALTER TABLE %I ADD CONSTRAINT %I %s', r.relname, c.conname, x.definition), "                              \
        "c.contype IN ('c', 'f') "                                                                                         \
        "FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid AND c.contype NOT IN ('n', 't'), "                     \
        "LATERAL (SELECT pg_get_constraintdef(c.oid) AS definition) x "

/* Indexes that do not belong to a constraint. */
#define INDEXES_SQL                                                                                          \
        "SELECT 5, 'index ' || r.relname || '.' || c.relname, "                                              \
        "x.definition || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END, x.definition, "                 \
        "NOT i.indisunique "                                                                                 \
        "FROM relation r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class c ON c.oid = i.indexrelid, "    \
        "LATERAL (SELECT regexp_replace(pg_get_indexdef(c.oid), ' ON (public|pg_temp)\\.', ' ON ') "         \
        "AS definition) x "                                                                                  \
        "WHERE NOT EXISTS "                                                                                  \
        "(SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.conrelid = r.oid) "

/* Reads the schema $1, or the temporary one if $1 is NULL; sorted by key, byte by byte. */
static const char read_sql[] =
        "WITH expected AS (SELECT pg_my_temp_schema() AS id), "
        "schema AS (SELECT CASE WHEN $1::text IS NULL THEN expected.id "
        "ELSE to_regnamespace($1::text)::oid END AS id FROM expected), "
        "relation AS (SELECT c.* FROM schema JOIN pg_class c ON c.relnamespace = schema.id "
        "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname IN "
        "(SELECT x.relname FROM pg_class x JOIN expected ON x.relnamespace = expected.id "
        "WHERE x.relkind = 'r')) "
        "SELECT (rank || name) COLLATE \"C\", name, definition, addition, harmless FROM "
        "(" TYPES_SQL "UNION ALL " TABLES_SQL "UNION ALL " COLUMNS_SQL "UNION ALL " CONSTRAINTS_SQL
        "UNION ALL " INDEXES_SQL ") AS line (rank, name, definition, addition, harmless) ORDER BY 1";

enum { TOLD_MAX = 3 };

enum column { KEY, NAME, DEFINITION, ADDITION, HARMLESS };

/* Accepted differences, which a later file produces; and the statements that add a missing thing. */
static const struct {
        const char *name;
        const char *definition;
        const char *addition;
} also_good[] = {
        /* the key of the hypertable */
        {"constraint spending.spending_pkey", "PRIMARY KEY (id, collected_at)",
         "ALTER TABLE spending ADD CONSTRAINT spending_pkey PRIMARY KEY (id, collected_at)"},
};

/* Reports only the first few differences. */
static void refuse(struct catalogue_diff *diff, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct catalogue_diff *diff, const char *fmt, ...)
{
        size_t len = strlen(diff->refused);
        va_list args;

        if (diff->refused_len++ >= TOLD_MAX)
                return;
        if (len > 0)
                len += (size_t)snprintf(diff->refused + len, sizeof(diff->refused) - len, "; ");
        if (len >= sizeof(diff->refused))
                return;
        va_start(args, fmt);
        vsnprintf(diff->refused + len, sizeof(diff->refused) - len, fmt, args);
        va_end(args);
}

static const char *addition_of(const struct pg_result *expected, int row)
{
        struct slice name = db_text(expected, row, NAME);

        for (size_t i = 0; i < sizeof(also_good) / sizeof(also_good[0]); i++) {
                if (slice_eq(name, slice_str(also_good[i].name)))
                        return also_good[i].addition;
        }
        return db_text(expected, row, ADDITION).ptr;
}

static void add(struct catalogue_diff *diff, const struct pg_result *expected, int row)
{
        size_t bytes = (diff->additions_len + 1) * sizeof(*diff->additions);
        struct catalogue_addition *additions = must_realloc(diff->additions, bytes);
        char *sql = must_strdup(addition_of(expected, row));

        diff->additions = additions;
        diff->additions[diff->additions_len++] = (struct catalogue_addition){
                .name = db_text_dup(expected, row, NAME),
                .sql = sql,
        };
}

static void compare_missing(struct catalogue_diff *diff, const struct pg_result *expected, int row)
{
        if (db_null(expected, row, ADDITION))
                refuse(diff, "%s is missing", db_text(expected, row, NAME).ptr);
        else
                add(diff, expected, row);
}

static void compare_extra(struct catalogue_diff *diff, const struct pg_result *actual, int row)
{
        if (!db_bool(actual, row, HARMLESS))
                refuse(diff, "%s should not be there (%s)", db_text(actual, row, NAME).ptr,
                       db_text(actual, row, DEFINITION).ptr);
}

static bool is_also_good(struct slice name, struct slice definition)
{
        for (size_t i = 0; i < sizeof(also_good) / sizeof(also_good[0]); i++) {
                if (slice_eq(name, slice_str(also_good[i].name)) &&
                    slice_eq(definition, slice_str(also_good[i].definition)))
                        return true;
        }
        return false;
}

static void compare_both(struct catalogue_diff *diff, struct slice name, struct slice expected,
                         struct slice actual)
{
        if (!slice_eq(expected, actual) && !is_also_good(name, actual))
                refuse(diff, "%s is \"%s\" instead of \"%s\"", name.ptr, actual.ptr, expected.ptr);
}

/* Both inputs are sorted by key. */
static void compare_lines(struct catalogue_diff *diff, const struct pg_result *expected,
                          const struct pg_result *actual)
{
        int e = 0;
        int a = 0;

        diff->empty = db_rows(actual) == 0;
        while (e < db_rows(expected) || a < db_rows(actual)) {
                int order = 0;

                if (e < db_rows(expected) && a < db_rows(actual))
                        order = strcmp(db_text(expected, e, KEY).ptr, db_text(actual, a, KEY).ptr);
                if (order < 0 || a == db_rows(actual)) {
                        compare_missing(diff, expected, e++);
                } else if (order > 0 || e == db_rows(expected)) {
                        compare_extra(diff, actual, a++);
                } else {
                        compare_both(diff, db_text(expected, e, NAME), db_text(expected, e, DEFINITION),
                                     db_text(actual, a, DEFINITION));
                        e++;
                        a++;
                }
        }
}

/* Reads @schema (NULL ptr: the temporary one). Names are formatted relative to it. */
static int read_lines(struct db *db, const char *search_path_sql, struct slice schema, struct pg_result **ret)
{
        struct db_params params = {0};
        int err = db_run(db, search_path_sql);

        db_param_text(&params, schema);
        return err ? err : db_query(db, read_sql, &params, ret);
}

/* What a later file takes back of the script (migrations/0011_drizzle_checks.sql). */
static const char taken_back_sql[] =
        "ALTER TABLE ad_objects DROP CONSTRAINT IF EXISTS ad_objects_no_self_parent";

static int compare_with_script(struct db *db, const char *script, struct catalogue_diff *ret)
{
        struct pg_result *expected = NULL;
        struct pg_result *actual = NULL;
        int err;

        err = db_run(db, "SET LOCAL search_path = pg_temp");
        if (!err)
                err = db_run(db, script);
        if (!err)
                err = db_run(db, taken_back_sql);
        if (!err)
                err = read_lines(db, "SET LOCAL search_path = pg_temp", (struct slice){0}, &expected);
        if (!err)
                err = read_lines(db, "SET LOCAL search_path = public, pg_temp", SLICE_LIT("public"), &actual);
        if (!err)
                compare_lines(ret, expected, actual);
        db_result_free(expected);
        db_result_free(actual);
        return err;
}

int catalogue_compare(struct db *db, const char *script, struct catalogue_diff *ret)
{
        int err = db_run(db, "SAVEPOINT catalogue");

        *ret = (struct catalogue_diff){0};
        if (err)
                return err;
        err = compare_with_script(db, script, ret);
        if (!err)
                err = db_run(db, "ROLLBACK TO catalogue; RELEASE catalogue");
        if (err)
                catalogue_diff_deinit(ret);
        return err;
}

void catalogue_diff_deinit(struct catalogue_diff *diff)
{
        for (size_t i = 0; i < diff->additions_len; i++) {
                free(diff->additions[i].name);
                free(diff->additions[i].sql);
        }
        free(diff->additions);
        diff->additions = NULL;
        diff->additions_len = 0;
}
