#include "commands/top_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "commands/human.h"
#include "base/visible.h"

enum {
        TEXT_BYTES = 1024,
        LABEL_COLUMNS = 11,
        NUMBER_COLUMNS = 13,
        SPARK_MAX = 300,
        PEER_MIN = 12,
        PEER_MAX = 44,
        TABLE_COLUMNS = 65, /* without the peer */
        REJECTS_MAX = 10,
        ROWS_FEW = 32, /* below this height the layout is denser, to show some clients */
        REJECTS_MAX_FEW = 1,
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

struct screen {
        const struct top_window *window;
        struct buf *out;
        unsigned row;
        unsigned column;
};

static void put_raw(struct screen *s, const char *text)
{
        buf_put(s->out, text, strlen(text));
}

static unsigned width_of(const struct screen *s)
{
        return s->window->columns ? s->window->columns : COLUMNS_UNBOUND;
}

static bool is_below(const struct screen *s)
{
        return s->window->rows > 0 && s->row > s->window->rows;
}

/* Starts a line. */
static void line(struct screen *s)
{
        s->row++;
        s->column = 0;
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

/* Cuts @text to the rest of the line. */
static void clip(const struct screen *s, char *text)
{
        size_t left = s->window->columns > s->column ? s->window->columns - s->column : 0;

        if (s->window->columns == 0)
                return;
        for (char *p = text; *p; p++) {
                if (((unsigned char)*p & 0xc0) != 0x80 && left-- == 0) {
                        *p = '\0';
                        return;
                }
        }
}

/* All text passes through here, so none can move the cursor. */
static void put(struct screen *s, enum style style, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static void put(struct screen *s, enum style style, const char *fmt, ...)
{
        static const char *const codes[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};
        bool styled = s->window->color && style != PLAIN;
        char text[TEXT_BYTES];
        char shown[TEXT_BYTES];
        va_list args;

        if (is_below(s))
                return;
        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        visible_copy(text, shown, sizeof(shown));
        clip(s, shown);
        s->column += (unsigned)visible_length(shown);
        put_raw(s, styled ? codes[style] : "");
        put_raw(s, shown);
        put_raw(s, styled ? "\033[0m" : "");
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
        if (len > width) {
                struct screen bound = {.window = &(struct top_window){.columns = (unsigned)width}};

                clip(&bound, shown);
        }
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

/* Draws as many of the newest values as fit, the newest at the right. */
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
        put(s, PLAIN, "  %s of %s connections  %s reconnects  %s batches, commit p50 %s  p99 %s",
            COUNT("database.connected"), COUNT("database.connections"), COUNT("database.reconnects"),
            COUNT("batches.written"), SPAN("batches.commitP50Seconds"), SPAN("batches.commitP99Seconds"));
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

static void put_connections(struct screen *s, const cJSON *status)
{
        int room = (int)width_of(s) - TABLE_COLUMNS;
        size_t peer_width = room < PEER_MIN ? PEER_MIN : room > PEER_MAX ? PEER_MAX : (size_t)room;
        const cJSON *item;

        label(s, "clients");
        put(s, PLAIN, "%s of %s connected  ", COUNT("connectionCounts.open"),
            COUNT("connectionCounts.limit"));
        put(s, number_at(status, "connectionCounts.paused") > 0 ? WARN : PLAIN, "%s paused",
            COUNT("connectionCounts.paused"));
        put(s, PLAIN, "  %s accepted, %s turned away since the start", COUNT("connectionCounts.accepted"),
            COUNT("connectionCounts.refused"));
        if (cJSON_GetArraySize(value_at(status, "connections")) == 0)
                return;
        gap(s);
        line(s);
        cell(s, DIM, "#", 5, true);
        put_spaces(s, 2);
        cell(s, DIM, "client", peer_width, false);
        for (size_t i = 0; i < COLUMNS; i++)
                cell(s, DIM, columns[i].name, columns[i].width, true);
        put(s, DIM, "  paused");
        cJSON_ArrayForEach(item, value_at(status, "connections"))
        {
                put_connection(s, item, peer_width);
        }
}

void top_view_put(const cJSON *status, const char *trouble, const struct top_window *window, struct buf *out)
{
        struct screen s = {.window = window, .out = out};

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
                put_connections(&s, status);
        }
        put_raw(&s, window->terminal ? "\033[K\033[J" : "\n");
}
