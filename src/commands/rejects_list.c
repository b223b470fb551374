/* Counts the entries of a reject file by code, field and ad account, each with an example. */
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rfc3339.h"
#include "commands/command.h"
#include "commands/reject_entry.h"
#include "commands/table.h"

struct group {
        char *code;
        char *field;
        char *account;
        char *message; /* of the first entry, as the record */
        char *record;  /* NULL: the file does not contain it */
        uint64_t lines;
        int64_t first_us;
        int64_t last_us;
};

struct groups {
        void *tree; /* tsearch(3) of the counts below */
        struct group **items;
        size_t len;
        size_t cap;
};

static int compare_keys(const void *x, const void *y)
{
        const struct group *a = x;
        const struct group *b = y;
        int order = strcmp(a->code, b->code);

        if (order == 0)
                order = strcmp(a->field, b->field);
        return order ? order : strcmp(a->account, b->account);
}

/* Sorts by number of lines, largest first. */
static int compare_counts(const void *x, const void *y)
{
        const struct group *a = *(struct group *const *)x;
        const struct group *b = *(struct group *const *)y;

        return a->lines == b->lines ? compare_keys(a, b) : a->lines < b->lines ? 1 : -1;
}

static char *copy(const char *text, size_t len)
{
        char *s = strndup(text, len);

        if (!s)
                abort();
        return s;
}

static struct group *new_group(const struct reject_entry *e)
{
        struct group *g = must_calloc(1, sizeof(*g));

        *g = (struct group){.code = copy(e->code, strlen(e->code)),
                            .field = copy(e->field, strlen(e->field)),
                            .account = copy(e->account, strlen(e->account)),
                            .message = copy(e->message, strlen(e->message)),
                            .record = e->record.ptr ? copy(e->record.ptr, e->record.len) : NULL,
                            .first_us = e->time_us};
        return g;
}

static void count(struct groups *groups, const struct reject_entry *e)
{
        const struct group key = {
                .code = (char *)e->code, .field = (char *)e->field, .account = (char *)e->account};
        struct group **found = tfind(&key, &groups->tree, compare_keys);
        struct group *g = found ? *found : new_group(e);

        if (!found && !tsearch(g, &groups->tree, compare_keys))
                abort();
        if (!found && groups->len == groups->cap)
                groups->items = array_grow(groups->items, &groups->cap, sizeof(struct group *));
        if (!found)
                groups->items[groups->len++] = g;
        g->lines++;
        g->first_us = e->time_us < g->first_us ? e->time_us : g->first_us;
        g->last_us = e->time_us > g->last_us ? e->time_us : g->last_us;
}

static void keep(void *item)
{
        (void)item; /* the array frees it */
}

static void free_groups(struct groups *groups)
{
        tdestroy(groups->tree, keep);
        for (size_t i = 0; i < groups->len; i++) {
                free(groups->items[i]->code);
                free(groups->items[i]->field);
                free(groups->items[i]->account);
                free(groups->items[i]->message);
                free(groups->items[i]->record);
                free(groups->items[i]);
        }
        free(groups->items);
}

static const char *or_null(const char *text)
{
        return text[0] ? text : NULL;
}

static void print(struct groups *groups, enum table_format format)
{
        static const struct table_column columns[] = {
                {"lines", TABLE_KEEP, true},        {"code", TABLE_KEEP, false},
                {"field", TABLE_KEEP, false},       {"account", TABLE_SHRINK, false},
                {"first", TABLE_DROP_FIRST, false}, {"last", TABLE_DROP_SECOND, false},
                {"message", TABLE_SHRINK, false},   {"example", TABLE_DROP_FIRST, false},
        };
        struct table t = {.columns = columns, .columns_len = sizeof(columns) / sizeof(columns[0])};

        if (groups->len > 0)
                qsort(groups->items, groups->len, sizeof(struct group *), compare_counts);
        for (size_t i = 0; i < groups->len; i++) {
                const struct group *g = groups->items[i];
                char lines[24];
                char first[RFC3339_TEXT_BYTES];
                char last[RFC3339_TEXT_BYTES];
                const char *cells[] = {lines, g->code, or_null(g->field), or_null(g->account),
                                       first, last,    g->message,        g->record};

                snprintf(lines, sizeof(lines), "%" PRIu64, g->lines);
                rfc3339_format(g->first_us, first);
                rfc3339_format(g->last_us, last);
                table_add(&t, cells);
        }
        table_print(&t, stdout, format, NULL);
        table_deinit(&t);
}

int command_rejects_list(const char *path, const struct reject_options *options)
{
        enum table_format format;
        struct reject_entries_file file;
        struct reject_filter filter;
        struct reject_entry entry;
        struct groups groups = {0};
        int status;

        status = command_read_format(options->format, true, &format);
        if (status == DONE)
                status = reject_filter_read(options, &filter);
        if (status)
                return status;
        status = reject_entries_open(&file, path);
        while (status == DONE && reject_entries_next(&file, &entry)) {
                if (reject_filter_passes(&filter, &entry))
                        count(&groups, &entry);
        }
        if (status == DONE && file.error)
                status = command_fail(FAILED, "%s: %s: it was read only in part", path, strerror(file.error));
        else if (status == DONE && file.entries == 0 && file.strangers > 0)
                status = command_fail(FAILED, "%s: it has no entry of a reject file", path);
        else if (status == DONE)
                print(&groups, format);
        free_groups(&groups);
        reject_entries_close(&file);
        return status;
}
