#include "commands/top_lists.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands/human.h"
#include "commands/top_value.h"

enum {
        NAME_MIN = 12, /* columns of a client's or a section's name */
        NAME_MAX_COLUMNS = 44,
        CLIENT_COLUMNS = 65,  /* a client's row without its name */
        SECTION_COLUMNS = 64, /* a section's */
        LIST_MAX = 1000,
        SECTIONS_SHOWN = 8, /* above the clients */
        SECTIONS_SHOWN_LOW = 2,
};

struct column {
        const char *name;
        const char *path;
        size_t width;
        char *(*how)(double n, char ret[HUMAN_BYTES]);
};

static const struct column client_columns[] = {
        {"lines", "lines", 7, human_short},        {"stored", "stored", 8, human_short},
        {"rejected", "rejected", 10, human_short}, {"in flight", "inFlight", 11, human_short},
        {"lag", "lagSeconds", 9, human_span},
};

static const struct column section_columns[] = {
        {"open", "connections", 6, top_count},     {"lines", "lines", 8, human_short},
        {"stored", "stored", 8, human_short},      {"duplicate", "duplicate", 11, human_short},
        {"rejected", "rejected", 10, human_short}, {"spooled", "spooled", 9, human_short},
        {"held", "heldBytes", 9, human_size},
};

enum {
        CLIENT_COLUMNS_LEN = sizeof(client_columns) / sizeof(client_columns[0]),
        SECTION_COLUMNS_LEN = sizeof(section_columns) / sizeof(section_columns[0])
};

/* Columns for the name, beside @others. */
static size_t name_width(const struct screen *s, int others)
{
        int room = (int)screen_width(s) - others;

        return room < NAME_MIN ? NAME_MIN : room > NAME_MAX_COLUMNS ? NAME_MAX_COLUMNS : (size_t)room;
}

static void put_names(struct screen *s, const struct column *columns, size_t len)
{
        for (size_t i = 0; i < len; i++)
                screen_cell(s, DIM, columns[i].name, columns[i].width, true);
}

static void put_numbers(struct screen *s, const struct column *columns, size_t len, const cJSON *item)
{
        for (size_t i = 0; i < len; i++)
                screen_cell(s, PLAIN, top_show(top_number(item, columns[i].path), columns[i].how).text,
                            columns[i].width, true);
}

/* --- the part of a list that is seen --- */

/* Collects the items of @list, at most LIST_MAX; returns how many. */
static size_t collect(const cJSON *list, const cJSON *items[LIST_MAX])
{
        const cJSON *item;
        size_t len = 0;

        cJSON_ArrayForEach(item, list)
        {
                if (len < LIST_MAX)
                        items[len++] = item;
        }
        return len;
}

/* What of a list of @len items is seen in the rows below this line. Scrolled to its end, the list fills them. */
static struct top_listed look_at(const struct screen *s, size_t len)
{
        struct top_listed ret = {.len = len, .page = len};
        size_t first = s->window->first;

        if (s->window->rows > 0)
                ret.page = screen_is_below(s) ? 0 : screen_last_row(s) - s->row;
        if (first > len || len - first < ret.page)
                first = len > ret.page ? len - ret.page : 0;
        if (ret.page > 0 && len > 0) {
                ret.first = first + 1;
                ret.last = len - first < ret.page ? len : first + ret.page;
        }
        return ret;
}

/* --- sections --- */

static void put_section(struct screen *s, const cJSON *section, size_t width)
{
        screen_line(s);
        screen_cell(s, PLAIN, top_text(section, "name"), width, false);
        put_numbers(s, section_columns, SECTION_COLUMNS_LEN, section);
}

static size_t put_sections_header(struct screen *s)
{
        size_t width = name_width(s, SECTION_COLUMNS);

        screen_gap(s);
        screen_line(s);
        screen_cell(s, DIM, "section", width, false);
        put_names(s, section_columns, SECTION_COLUMNS_LEN);
        return width;
}

/* The first few, above the clients. */
static void put_some_sections(struct screen *s, const cJSON *list)
{
        size_t most = s->window->rows == 0 ? LIST_MAX
                      : screen_is_low(s)   ? SECTIONS_SHOWN_LOW
                                           : SECTIONS_SHOWN;
        const cJSON *items[LIST_MAX];
        size_t len = collect(list, items);
        size_t width;

        if (len == 0)
                return;
        width = put_sections_header(s);
        for (size_t i = 0; i < len && i < most; i++)
                put_section(s, items[i], width);
        if (len > most) {
                screen_line(s);
                screen_put(s, DIM, "… %zu more section%s: Tab", len - most, len - most == 1 ? "" : "s");
        }
        screen_gap(s);
}

static struct top_listed put_all_sections(struct screen *s, const cJSON *list)
{
        const cJSON *items[LIST_MAX];
        size_t len = collect(list, items);
        size_t width = put_sections_header(s);
        struct top_listed ret = look_at(s, len);

        for (size_t i = ret.first; ret.first > 0 && i <= ret.last; i++)
                put_section(s, items[i - 1], width);
        return ret;
}

/* --- clients --- */

static void put_client(struct screen *s, const cJSON *client, size_t width)
{
        screen_line(s);
        screen_cell(s, PLAIN, top_show(top_number(client, "number"), top_plain).text, 5, true);
        screen_spaces(s, 2);
        screen_cell(s, PLAIN, top_text(client, "peer"), width, false);
        put_numbers(s, client_columns, CLIENT_COLUMNS_LEN, client);
        screen_put(s, WARN, "  %s", top_text(client, "paused"));
}

static size_t put_clients_header(struct screen *s)
{
        size_t width = name_width(s, CLIENT_COLUMNS);

        screen_gap(s);
        screen_line(s);
        screen_cell(s, DIM, "#", 5, true);
        screen_spaces(s, 2);
        screen_cell(s, DIM, "client", width, false);
        put_names(s, client_columns, CLIENT_COLUMNS_LEN);
        screen_put(s, DIM, "  paused");
        return width;
}

static const struct {
        const char *name;
        const char *path; /* a number, the largest first; NULL: the client's name */
} orders[TOP_ORDERS] = {[TOP_BY_LAG] = {"lag", "lagSeconds"},
                        [TOP_BY_LINES] = {"lines", "lines"},
                        [TOP_BY_REJECTED] = {"rejected", "rejected"},
                        [TOP_BY_NUMBER] = {"newest", "number"},
                        [TOP_BY_CLIENT] = {"client", NULL}};

const char *top_order_name(enum top_order order)
{
        return orders[order].name;
}

static int compare_clients(const void *x, const void *y, void *ctx)
{
        const char *path = orders[*(const enum top_order *)ctx].path;
        const cJSON *a = *(const cJSON *const *)x;
        const cJSON *b = *(const cJSON *const *)y;
        double left = fmax(path ? top_number(a, path) : 0, -1); /* NAN is -1 */
        double right = fmax(path ? top_number(b, path) : 0, -1);
        int names = path ? 0 : strcmp(top_text(a, "peer"), top_text(b, "peer"));

        if (left != right)
                return left < right ? 1 : -1;
        left = fmax(top_number(a, "number"), -1);
        right = fmax(top_number(b, "number"), -1);
        return names ? names : (left > right) - (left < right);
}

static struct top_listed put_clients(struct screen *s, const cJSON *list)
{
        const cJSON *items[LIST_MAX];
        enum top_order order = s->window->order;
        size_t len = collect(list, items);
        struct top_listed ret;
        size_t width;

        if (len == 0)
                return (struct top_listed){0};
        qsort_r(items, len, sizeof(const cJSON *), compare_clients, &order);
        width = put_clients_header(s);
        ret = look_at(s, len);
        for (size_t i = ret.first; ret.first > 0 && i <= ret.last; i++)
                put_client(s, items[i - 1], width);
        return ret;
}

static void put_counts(struct screen *s, const cJSON *status)
{
        screen_label(s, "clients");
        screen_put(s, PLAIN, "%s of %s connected  ", COUNT("connectionCounts.open"),
                   COUNT("connectionCounts.limit"));
        screen_put(s, top_number(status, "connectionCounts.paused") > 0 ? WARN : PLAIN, "%s paused",
                   COUNT("connectionCounts.paused"));
        screen_put(s, PLAIN, "  %s accepted, %s turned away", COUNT("connectionCounts.accepted"),
                   COUNT("connectionCounts.refused"));
}

bool top_has_sections(const cJSON *status)
{
        return cJSON_GetArraySize(top_value(status, "clients")) > 0;
}

struct top_listed top_lists_put(struct screen *s, const cJSON *status)
{
        const cJSON *sections = top_value(status, "clients");

        if (s->window->list == TOP_SECTIONS && top_has_sections(status)) {
                put_counts(s, status);
                return put_all_sections(s, sections);
        }
        put_some_sections(s, sections);
        put_counts(s, status);
        return put_clients(s, top_value(status, "connections"));
}
