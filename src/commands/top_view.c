#include "commands/top_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/human.h"
#include "base/visible.h"

enum {
        TEXT_BYTES = 2048,
        LINE_BYTES = 4096,
        PIECES_MAX = 64,
        LABEL_COLUMNS = 11,
        NUMBER_COLUMNS = 13,
        SPARK_MAX = 300,
        PEER_MIN = 12,
        PEER_MAX = 44,
        TABLE_COLUMNS = 65, /* without the peer */
        REJECTS_MAX = 10,
        ROWS_FEW = 32, /* below this height the layout is denser, to show some clients */
        REJECTS_MAX_FEW = 1,
        CONNECTIONS_MAX = 1000,
        COLUMNS_UNBOUND = 120, /* assumed width for what adapts to the window */
};

/* --- what the status says --- */

/* Returns the value at "a.b"; NULL if it is absent. */
static const cJSON *value_at(const cJSON *status, const char *path)
{
        const char *dot;
        char key[64];

        while ((dot = strchr(path, '.'))) {
                snprintf(key, sizeof(key), "%.*s", (int)(dot - path), path);
                status = cJSON_GetObjectItemCaseSensitive(status, key);
                path = dot + 1;
        }
        return cJSON_GetObjectItemCaseSensitive(status, path);
}

/* Returns NAN if it is absent. */
static double number_at(const cJSON *status, const char *path)
{
        const cJSON *value = value_at(status, path);

        return cJSON_IsNumber(value) ? value->valuedouble : NAN;
}

static const char *text_at(const cJSON *status, const char *path)
{
        const char *text = cJSON_GetStringValue(value_at(status, path));

        return text ? text : "";
}

/* Numbers as text, "-" if absent. */
struct shown {
        char text[HUMAN_BYTES];
};

static struct shown show(double n, char *(*how)(double n, char ret[HUMAN_BYTES]))
{
        struct shown s = {"-"};

        if (n >= 0)
                how(n, s.text);
        return s;
}

static char *as_count(double n, char ret[HUMAN_BYTES])
{
        return human_count((uint64_t)n, ret);
}

static char *as_plain(double n, char ret[HUMAN_BYTES])
{
        snprintf(ret, HUMAN_BYTES, "%.0f", n);
        return ret;
}

#define PLAIN_NUMBER(path) show(number_at(status, path), as_plain).text
#define COUNT(path)        show(number_at(status, path), as_count).text
#define SIZE(path)         show(number_at(status, path), human_size).text
#define SPAN(path)         show(number_at(status, path), human_span).text

/* --- the screen --- */

enum style { PLAIN, BOLD, DIM, GOOD, WARN, BAD };

/* The line that is being written. */
struct piece {
        size_t at; /* in text, where it begins */
        enum style style;
};

struct screen {
        const struct top_window *window;
        struct buf *out;
        unsigned row;
        char text[LINE_BYTES];
        size_t len;
        struct piece pieces[PIECES_MAX];
        size_t pieces_len;
};

static void put_raw(struct screen *s, const char *text)
{
        buf_put(s->out, text, strlen(text));
}

static unsigned width_of(const struct screen *s)
{
        return s->window->columns ? s->window->columns : COLUMNS_UNBOUND;
}

/* The last row is the footer's. */
static unsigned last_row(const struct screen *s)
{
        return s->window->rows > 1 ? s->window->rows - 1 : s->window->rows;
}

static bool is_below(const struct screen *s)
{
        return s->window->rows > 0 && s->row > last_row(s);
}

/* Where the first @columns characters of @text end. */
static size_t bytes_of(const char *text, size_t columns)
{
        const char *p = text;

        for (; *p; p++) {
                if (((unsigned char)*p & 0xc0) != 0x80 && columns-- == 0)
                        break;
        }
        return (size_t)(p - text);
}

/* Writes the pieces of the line up to the byte @end. */
static void put_pieces(struct screen *s, size_t end)
{
        static const char *const codes[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};

        for (size_t i = 0; i < s->pieces_len && s->pieces[i].at < end; i++) {
                size_t at = s->pieces[i].at;
                size_t next = i + 1 < s->pieces_len && s->pieces[i + 1].at < end ? s->pieces[i + 1].at : end;
                bool styled = s->window->color && s->pieces[i].style != PLAIN;

                put_raw(s, styled ? codes[s->pieces[i].style] : "");
                buf_put(s->out, s->text + at, next - at);
                put_raw(s, styled ? "\033[0m" : "");
        }
}

/* Ends the line: what is too wide for the window ends with "…". */
static void flush_line(struct screen *s)
{
        size_t end = s->len;

        while (end > 0 && s->text[end - 1] == ' ')
                end--;
        s->text[end] = '\0';
        if (s->window->columns > 0 && visible_length(s->text) > s->window->columns) {
                put_pieces(s, bytes_of(s->text, s->window->columns - 1));
                put_raw(s, "…");
        } else {
                put_pieces(s, end);
        }
        s->len = 0;
        s->pieces_len = 0;
}

/* Starts a line. */
static void line(struct screen *s)
{
        if (!is_below(s))
                flush_line(s);
        s->row++;
        if (s->row > 1 && !is_below(s))
                put_raw(s, s->window->terminal ? "\033[K\r\n" : "\n");
}

static bool is_low(const struct screen *s)
{
        return s->window->rows > 0 && s->window->rows < ROWS_FEW;
}

static void gap(struct screen *s)
{
        if (!is_low(s))
                line(s);
}

/* All text passes through here, so none can move the cursor. */
__attribute__((format(printf, 3, 4))) static void put(struct screen *s, enum style style, const char *fmt,
                                                      ...)
{
        char text[TEXT_BYTES];
        char shown[TEXT_BYTES];
        va_list args;
        size_t len;

        if (is_below(s) || s->pieces_len == PIECES_MAX)
                return;
        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        len = strlen(visible_copy(text, shown, sizeof(shown)));
        if (len >= sizeof(s->text) - s->len)
                return;
        s->pieces[s->pieces_len++] = (struct piece){s->len, style};
        memcpy(s->text + s->len, shown, len);
        s->len += len;
}

static void put_spaces(struct screen *s, size_t n)
{
        put(s, PLAIN, "%*s", (int)n, "");
}

static void label(struct screen *s, const char *text)
{
        line(s);
        put(s, DIM, "%-*s", LABEL_COLUMNS, text);
}

/* @text may contain characters whose width differs from their length in bytes. */
static void cell(struct screen *s, enum style style, const char *text, size_t width, bool right)
{
        char shown[TEXT_BYTES];
        size_t len;

        visible_copy(text, shown, sizeof(shown));
        len = visible_length(shown);
        if (right && len < width)
                put_spaces(s, width - len);
        if (len > width)
                put(s, style, "%.*s…", (int)bytes_of(shown, width - 1), shown);
        else
                put(s, style, "%s", shown);
        if (!right && len < width)
                put_spaces(s, width - len);
}

/* --- its parts --- */

static void put_title(struct screen *s, const cJSON *status)
{
        const char *state = text_at(status, "state");
        const char *reason = text_at(status, "notReadyReason");

        line(s);
        put(s, BOLD, "boris-ingestd %s", text_at(status, "version"));
        put(s, strcmp(state, "running") == 0 ? GOOD : WARN, "  %s", state);
        if (reason[0])
                put(s, BAD, ", not ready: %s", reason);
        else if (cJSON_IsTrue(value_at(status, "ready")))
                put(s, GOOD, ", ready");
        put(s, PLAIN, "  up %s  pid %s  workers %s  %.19sZ", SPAN("uptimeSeconds"), PLAIN_NUMBER("pid"),
            PLAIN_NUMBER("workers"), text_at(status, "now"));
}

static const char *const outcomes[] = {"received", "stored", "duplicate", "rejected", "spooled"};
enum { OUTCOMES = sizeof(outcomes) / sizeof(outcomes[0]) };

static enum style style_of(const char *outcome, double n)
{
        if (n > 0 && strcmp(outcome, "rejected") == 0)
                return BAD;
        return n > 0 && strcmp(outcome, "spooled") == 0 ? WARN : PLAIN;
}

static void put_outcomes(struct screen *s, const cJSON *status, const char *what, const char *path,
                         char *(*how)(double n, char ret[HUMAN_BYTES]))
{
        const cJSON *counts = value_at(status, path);

        label(s, what);
        for (size_t i = 0; i < OUTCOMES; i++) {
                double n = number_at(counts, outcomes[i]);

                cell(s, style_of(outcomes[i], n), show(n, how).text, NUMBER_COLUMNS, true);
        }
}

static void put_lines(struct screen *s, const cJSON *status)
{
        label(s, "lines");
        for (size_t i = 0; i < OUTCOMES; i++)
                cell(s, DIM, outcomes[i], NUMBER_COLUMNS, true);
        put_outcomes(s, status, "per second", "rates", human_short);
        put_outcomes(s, status, "total", "lines", as_count);
        label(s, "in flight");
        put(s, PLAIN, "%s lines  received %s/s", COUNT("lines.inFlight"), SIZE("rates.bytes"));
}

static double largest(const cJSON *values)
{
        const cJSON *value;
        double most = 0;

        cJSON_ArrayForEach(value, values)
        {
                if (cJSON_IsNumber(value) && value->valuedouble > most)
                        most = value->valuedouble;
        }
        return most;
}

/* Draws the newest values that fit the width, the newest at the right. */
static void put_spark(struct screen *s, const cJSON *status, const char *what, const char *path,
                      char *(*how)(double n, char ret[HUMAN_BYTES]))
{
        static const char *const heights[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
        const cJSON *values = value_at(status, path);
        double most = largest(values);
        int room = (int)width_of(s) - LABEL_COLUMNS - NUMBER_COLUMNS;
        int len = cJSON_GetArraySize(values);
        int at = 0;
        char text[SPARK_MAX * 4] = "";
        char *p = text;
        const cJSON *value;

        room = room < 0 ? 0 : room > SPARK_MAX ? SPARK_MAX : room;
        cJSON_ArrayForEach(value, values)
        {
                double share = cJSON_IsNumber(value) && most > 0 ? value->valuedouble / most : 0;

                if (at++ < len - room)
                        continue;
                p += snprintf(p, (size_t)(text + sizeof(text) - p), "%s",
                              cJSON_IsNumber(value) ? heights[(int)((share < 0 ? 0 : share) * 7 + 0.5)]
                                                    : " ");
        }
        label(s, what);
        put(s, GOOD, "%s", text);
        put(s, DIM, "  peak %s", show(most, how).text);
}

static void put_latency(struct screen *s, const cJSON *status)
{
        label(s, "ack");
        put(s, PLAIN, "p50 %s  p99 %s  max %s", SPAN("ackLatencySeconds.p50"), SPAN("ackLatencySeconds.p99"),
            SPAN("ackLatencySeconds.max"));
        put_spark(s, status, "stored/s", "history.stored", human_short);
        put_spark(s, status, "ack p99", "history.ackP99", human_span);
}

static void put_database(struct screen *s, const cJSON *status)
{
        const char *state = text_at(status, "database.state");
        const char *error = text_at(status, "database.lastError");
        bool connected = strcmp(state, "connected") == 0;

        label(s, "database");
        put(s, connected ? GOOD : BAD, "%s", state);
        if (!connected)
                put(s, BAD, " for %s", SPAN("database.awaySeconds"));
        put(s, PLAIN,
            "  %s of %s connections  %s reconnects  %s batches, commit p50 %s  p99 %s  target %s rows  gap %s",
            COUNT("database.connected"), COUNT("database.connections"), COUNT("database.reconnects"),
            COUNT("batches.written"), SPAN("batches.commitP50Seconds"), SPAN("batches.commitP99Seconds"),
            COUNT("batches.targetRows"), SPAN("batches.gapSeconds"));
        if (connected || !error[0])
                return;
        label(s, "");
        put(s, BAD, "%s", error);
}

static void put_spool(struct screen *s, const cJSON *status)
{
        const char *state = text_at(status, "spool.state");

        label(s, "spool");
        if (!cJSON_IsObject(value_at(status, "spool"))) {
                put(s, PLAIN, "off");
                return;
        }
        put(s, strcmp(state, "empty") == 0 ? PLAIN : strcmp(state, "failing") == 0 ? BAD : WARN, "%s", state);
        put(s, PLAIN, "  %s lines  %s of %s", COUNT("spool.lines"), SIZE("spool.bytes"),
            SIZE("spool.maxBytes"));
        if (number_at(status, "spool.oldestSeconds") >= 0)
                put(s, PLAIN, "  oldest %s", SPAN("spool.oldestSeconds"));
}

static void put_memory(struct screen *s, const cJSON *status)
{
        double hits = number_at(status, "cache.hits");
        double all = hits + number_at(status, "cache.misses");

        label(s, "memory");
        put(s, PLAIN, "%s of %s buffered for clients  cache %s of %s objects", SIZE("memory.usedBytes"),
            SIZE("memory.limitBytes"), COUNT("cache.objects"), COUNT("cache.limit"));
        if (all > 0)
                put(s, PLAIN, ", %.1f %% hits", hits / all * 100);
}

static void put_rejects(struct screen *s, const cJSON *status)
{
        int most = is_low(s) ? REJECTS_MAX_FEW : REJECTS_MAX;
        const cJSON *item;
        unsigned codes = 0;

        label(s, "rejects");
        cJSON_ArrayForEach(item, value_at(status, "rejectsByCode"))
        {
                if (cJSON_IsNumber(item) && item->valuedouble > 0)
                        put(s, BAD, "%s%s %s", codes++ ? "  " : "", item->string,
                            show(item->valuedouble, as_count).text);
        }
        if (codes == 0)
                put(s, PLAIN, "none");
        cJSON_ArrayForEach(item, value_at(status, "latestRejects"))
        {
                const char *field = text_at(item, "field");

                if (most-- == 0)
                        break;
                label(s, "");
                put(s, DIM, "%.8s  ", strlen(text_at(item, "time")) > 11 ? text_at(item, "time") + 11 : "");
                if (number_at(item, "times") > 1)
                        put(s, BOLD, "× %s  ", show(number_at(item, "times"), as_count).text);
                put(s, PLAIN, "#%s line %s  %s%s%s: %s", show(number_at(item, "connection"), as_plain).text,
                    show(number_at(item, "line"), as_plain).text, text_at(item, "code"), field[0] ? " " : "",
                    field, text_at(item, "message"));
        }
}

/* --- connections --- */

static const struct {
        const char *name;
        const char *path;
        size_t width;
        char *(*how)(double n, char ret[HUMAN_BYTES]);
} columns[] = {
        {"lines", "lines", 7, human_short},        {"stored", "stored", 8, human_short},
        {"rejected", "rejected", 10, human_short}, {"in flight", "inFlight", 11, human_short},
        {"lag", "lagSeconds", 9, human_span},
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static void put_connection(struct screen *s, const cJSON *status, size_t peer_width)
{
        const char *paused = text_at(status, "paused");

        line(s);
        cell(s, PLAIN, PLAIN_NUMBER("number"), 5, true);
        put_spaces(s, 2);
        cell(s, PLAIN, text_at(status, "peer"), peer_width, false);
        for (size_t i = 0; i < COLUMNS; i++)
                cell(s, PLAIN, show(number_at(status, columns[i].path), columns[i].how).text,
                     columns[i].width, true);
        put(s, WARN, "  %s", paused);
}

static const struct {
        const char *name;
        const char *path; /* a number, the largest first; NULL: the client's name */
} orders[TOP_ORDERS] = {[TOP_BY_LAG] = {"lag", "lagSeconds"},
                        [TOP_BY_LINES] = {"lines", "lines"},
                        [TOP_BY_REJECTED] = {"rejected", "rejected"},
                        [TOP_BY_NUMBER] = {"newest", "number"},
                        [TOP_BY_CLIENT] = {"client", NULL}};

static int compare_connections(const void *x, const void *y, void *ctx)
{
        const char *path = orders[*(const enum top_order *)ctx].path;
        const cJSON *a = *(const cJSON *const *)x;
        const cJSON *b = *(const cJSON *const *)y;
        double left = fmax(path ? number_at(a, path) : 0, -1); /* NAN is -1 */
        double right = fmax(path ? number_at(b, path) : 0, -1);
        int names = path ? 0 : strcmp(text_at(a, "peer"), text_at(b, "peer"));

        if (left != right)
                return left < right ? 1 : -1;
        left = fmax(number_at(a, "number"), -1);
        right = fmax(number_at(b, "number"), -1);
        return names ? names : (left > right) - (left < right);
}

static void put_header(struct screen *s, size_t peer_width)
{
        gap(s);
        line(s);
        cell(s, DIM, "#", 5, true);
        put_spaces(s, 2);
        cell(s, DIM, "client", peer_width, false);
        for (size_t i = 0; i < COLUMNS; i++)
                cell(s, DIM, columns[i].name, columns[i].width, true);
        put(s, DIM, "  paused");
}

/* What the footer says of the list. */
struct listed {
        size_t first; /* from 1; 0: none is seen */
        size_t last;
        size_t len;
};

static struct listed put_list(struct screen *s, const cJSON *list, size_t peer_width)
{
        const cJSON *items[CONNECTIONS_MAX];
        struct listed ret = {0, 0, 0};
        enum top_order order = s->window->order;
        size_t first = s->window->first;
        const cJSON *item;

        cJSON_ArrayForEach(item, list)
        {
                if (ret.len < CONNECTIONS_MAX)
                        items[ret.len++] = item;
        }
        qsort_r(items, ret.len, sizeof(const cJSON *), compare_connections, &order);
        if (first >= ret.len)
                first = ret.len - 1;
        for (size_t i = first; i < ret.len; i++) {
                put_connection(s, items[i], peer_width);
                if (is_below(s))
                        break;
                ret.first = first + 1;
                ret.last = i + 1;
        }
        return ret;
}

static struct listed put_connections(struct screen *s, const cJSON *status)
{
        int room = (int)width_of(s) - TABLE_COLUMNS;
        size_t peer_width = room < PEER_MIN ? PEER_MIN : room > PEER_MAX ? PEER_MAX : (size_t)room;
        const cJSON *list = value_at(status, "connections");

        label(s, "clients");
        put(s, PLAIN, "%s of %s connected  ", COUNT("connectionCounts.open"),
            COUNT("connectionCounts.limit"));
        put(s, number_at(status, "connectionCounts.paused") > 0 ? WARN : PLAIN, "%s paused",
            COUNT("connectionCounts.paused"));
        put(s, PLAIN, "  %s accepted, %s turned away", COUNT("connectionCounts.accepted"),
            COUNT("connectionCounts.refused"));
        if (cJSON_GetArraySize(list) == 0)
                return (struct listed){0, 0, 0};
        put_header(s, peer_width);
        return put_list(s, list, peer_width);
}

/* In the last row, whatever there was no room for. */
static void put_footer(struct screen *s, const struct listed *listed)
{
        bool cut = is_below(s);

        if (!cut)
                flush_line(s);
        for (unsigned row = cut ? last_row(s) : s->row; row < s->window->rows; row++)
                put_raw(s, "\033[K\r\n");
        s->row = 1;
        put(s, DIM, "q quit  s sort: %s  ↑↓ PgUp PgDn scroll", orders[s->window->order].name);
        if (listed->last > 0)
                put(s, DIM, "  clients %zu-%zu of %zu", listed->first, listed->last, listed->len);
        if (cut)
                put(s, WARN, "  … more below");
        flush_line(s);
}

void top_view_put(const cJSON *status, const char *trouble, const struct top_window *window, struct buf *out)
{
        struct screen s = {.window = window, .out = out};
        struct listed listed = {0, 0, 0};

        if (window->terminal)
                put_raw(&s, "\033[H");
        if (status)
                put_title(&s, status);
        if (trouble) {
                line(&s);
                put(&s, BAD, "%s%s", trouble, status ? "; showing the last known state" : "");
        }
        if (status) {
                gap(&s);
                put_lines(&s, status);
                gap(&s);
                put_latency(&s, status);
                gap(&s);
                put_database(&s, status);
                put_spool(&s, status);
                put_memory(&s, status);
                put_rejects(&s, status);
                listed = put_connections(&s, status);
        }
        if (window->terminal && window->rows > 1) {
                put_footer(&s, &listed);
        } else {
                flush_line(&s);
        }
        put_raw(&s, window->terminal ? "\033[K\033[J" : "\n");
}
