#include "commands/table.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/memory.h"
#include "base/visible.h"
#include "commands/table_text.h"

bool table_format_parse(struct slice text, enum table_format *ret)
{
        static const struct slice names[] = {
                [TABLE_TEXT] = {"table", 5}, [TABLE_CSV] = {"csv", 3}, [TABLE_JSON] = {"json", 4}};
        const size_t formats = sizeof(names) / sizeof(names[0]);
        size_t i = slice_find(names, formats, text);

        if (i < formats)
                *ret = (enum table_format)i;
        return i < formats;
}

void table_deinit(struct table *t)
{
        for (size_t i = 0; i < t->rows * t->columns_len; i++)
                free(t->cells[i]);
        free(t->cells);
        t->cells = NULL;
        t->rows = 0;
        t->cap = 0;
}

void table_add(struct table *t, const char *const *cells)
{
        if (t->rows == t->cap) {
                t->cap = t->cap ? t->cap * 2 : 16;
                t->cells = must_realloc(t->cells, t->cap * t->columns_len * sizeof(*t->cells));
        }
        for (size_t i = 0; i < t->columns_len; i++)
                t->cells[t->rows * t->columns_len + i] = cells[i] ? must_strdup(cells[i]) : NULL;
        t->rows++;
}

static const char *cell(const struct table *t, size_t row, size_t column)
{
        return t->cells[row * t->columns_len + column];
}

/* --- for programs --- */

/* True if a spreadsheet would evaluate the text as a formula; also checks full-width characters. */
static bool is_formula(const char *text)
{
        static const char *const starts[] = {"=",  "+",      "-",      "@",      "\t",
                                             "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"};

        for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
                if (strncmp(text, starts[i], strlen(starts[i])) == 0)
                        return true;
        }
        return false;
}

/* Doubles quotes; keeps line feeds and tabs, but no other controls. */
static void put_csv_text(FILE *out, const char *text)
{
        while (*text) {
                size_t len = strcspn(text, "\"\r\n\t");
                char *plain = strndup(text, len);

                if (!plain)
                        abort();
                visible_put(out, plain);
                free(plain);
                text += len;
                if (*text == '"')
                        fputc('"', out);
                if (*text)
                        fputc(*text++, out);
        }
}

/* Prefixes an apostrophe to a text that would be a formula. */
static void put_csv(FILE *out, const char *text, bool number)
{
        bool quoted = strpbrk(text, ",\"\r\n") != NULL;

        fputs(quoted ? "\"" : "", out);
        fputs(!number && is_formula(text) ? "'" : "", out);
        put_csv_text(out, text);
        fputs(quoted ? "\"" : "", out);
}

static void print_csv(const struct table *t, FILE *out)
{
        for (size_t c = 0; c < t->columns_len; c++)
                fprintf(out, "%s%s", c ? "," : "", t->columns[c].name);
        fputc('\n', out);
        for (size_t row = 0; row < t->rows; row++) {
                for (size_t c = 0; c < t->columns_len; c++) {
                        const char *text = cell(t, row, c);

                        fputs(c ? "," : "", out);
                        put_csv(out, text ? text : "", t->columns[c].number);
                }
                fputc('\n', out);
        }
}

static void print_json_row(const struct table *t, FILE *out, size_t row)
{
        cJSON *object = cJSON_CreateObject();
        char *text;

        for (size_t c = 0; c < t->columns_len; c++) {
                const char *value = cell(t, row, c);

                if (!value)
                        cJSON_AddNullToObject(object, t->columns[c].name);
                else if (t->columns[c].number)
                        cJSON_AddRawToObject(object, t->columns[c].name, value);
                else
                        cJSON_AddStringToObject(object, t->columns[c].name, value);
        }
        text = cJSON_PrintUnformatted(object);
        if (!text)
                abort();
        fputs(text, out);
        cJSON_free(text);
        cJSON_Delete(object);
}

void table_print_object(const struct table *t, FILE *out)
{
        print_json_row(t, out, 0);
        fputc('\n', out);
}

static void print_json(const struct table *t, FILE *out)
{
        fputs("[\n", out);
        for (size_t row = 0; row < t->rows; row++) {
                print_json_row(t, out, row);
                fputs(row + 1 < t->rows ? ",\n" : "\n", out);
        }
        fputs("]\n", out);
}

void table_print(const struct table *t, FILE *out, enum table_format format, const struct table_bars *bars)
{
        switch (format) {
        case TABLE_TEXT:
                table_print_text(t, out, bars);
                break;
        case TABLE_CSV:
                print_csv(t, out);
                break;
        case TABLE_JSON:
                print_json(t, out);
                break;
        }
}
