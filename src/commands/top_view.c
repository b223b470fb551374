#include "commands/top_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "commands/human.h"
#include "commands/screen.h"
#include "commands/top_lists.h"
#include "commands/top_value.h"

enum {
        NUMBER_COLUMNS = 13,
        SPARK_MAX = 300,
        REJECTS_MAX = 10,
        REJECTS_MAX_LOW = 1,
};

static void put_title(struct screen *s, const cJSON *status)
{
        const char *state = top_text(status, "state");
        const char *reason = top_text(status, "notReadyReason");

        screen_line(s);
        screen_put(s, BOLD, "boris-ingestd %s", top_text(status, "version"));
        screen_put(s, strcmp(state, "running") == 0 ? GOOD : WARN, "  %s", state);
        if (reason[0])
                screen_put(s, BAD, ", not ready: %s", reason);
        else if (cJSON_IsTrue(top_value(status, "ready")))
                screen_put(s, GOOD, ", ready");
        screen_put(s, PLAIN, "  up %s  pid %s  workers %s  %.19sZ", SPAN("uptimeSeconds"),
                   PLAIN_NUMBER("pid"), PLAIN_NUMBER("workers"), top_text(status, "now"));
}

static const char *const outcomes[] = {"received", "stored", "duplicate", "rejected", "spooled"};
enum { OUTCOMES = sizeof(outcomes) / sizeof(outcomes[0]) };

static enum screen_style style_of(const char *outcome, double n)
{
        if (n > 0 && strcmp(outcome, "rejected") == 0)
                return BAD;
        return n > 0 && strcmp(outcome, "spooled") == 0 ? WARN : PLAIN;
}

static void put_outcomes(struct screen *s, const cJSON *status, const char *what, const char *path,
                         char *(*how)(double n, char ret[HUMAN_BYTES]))
{
        const cJSON *counts = top_value(status, path);

        screen_label(s, what);
        for (size_t i = 0; i < OUTCOMES; i++) {
                double n = top_number(counts, outcomes[i]);

                screen_cell(s, style_of(outcomes[i], n), top_show(n, how).text, NUMBER_COLUMNS, true);
        }
}

static void put_lines(struct screen *s, const cJSON *status)
{
        screen_label(s, "lines");
        for (size_t i = 0; i < OUTCOMES; i++)
                screen_cell(s, DIM, outcomes[i], NUMBER_COLUMNS, true);
        put_outcomes(s, status, "per second", "rates", human_short);
        put_outcomes(s, status, "total", "lines", top_count);
        screen_label(s, "in flight");
        screen_put(s, PLAIN, "%s lines  received %s/s", COUNT("lines.inFlight"), SIZE("rates.bytes"));
}

static double largest(const cJSON *values)
{
        const cJSON *value;
        double most = 0;

        cJSON_ArrayForEach(value, values)
        {
                most = fmax(most, top_number_of(value)); /* NAN is never the larger one */
        }
        return most;
}

/* Draws the newest values that fit the width, the newest at the right. */
static void put_spark(struct screen *s, const cJSON *status, const char *what, const char *path,
                      char *(*how)(double n, char ret[HUMAN_BYTES]))
{
        static const char *const heights[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
        const cJSON *values = top_value(status, path);
        double most = largest(values);
        int room = (int)screen_width(s) - SCREEN_LABEL_COLUMNS - NUMBER_COLUMNS;
        int len = cJSON_GetArraySize(values);
        int at = 0;
        char text[SPARK_MAX * 4] = "";
        char *p = text;
        const cJSON *value;

        room = room < 0 ? 0 : room > SPARK_MAX ? SPARK_MAX : room;
        cJSON_ArrayForEach(value, values)
        {
                double n = top_number_of(value);
                double share = most > 0 && n > 0 ? n / most : 0;

                if (at++ < len - room)
                        continue;
                p += snprintf(p, (size_t)(text + sizeof(text) - p), "%s",
                              isnan(n) ? " " : heights[(int)(share * 7 + 0.5)]);
        }
        screen_label(s, what);
        screen_put(s, GOOD, "%s", text);
        screen_put(s, DIM, "  peak %s", top_show(most, how).text);
}

static void put_latency(struct screen *s, const cJSON *status)
{
        screen_label(s, "ack");
        screen_put(s, PLAIN, "p50 %s  p99 %s  max %s", SPAN("ackLatencySeconds.p50"),
                   SPAN("ackLatencySeconds.p99"), SPAN("ackLatencySeconds.max"));
        put_spark(s, status, "stored/s", "history.stored", human_short);
        put_spark(s, status, "ack p99", "history.ackP99", human_span);
}

static void put_database(struct screen *s, const cJSON *status)
{
        const char *state = top_text(status, "database.state");
        const char *error = top_text(status, "database.lastError");
        bool connected = strcmp(state, "connected") == 0;

        screen_label(s, "database");
        screen_put(s, connected ? GOOD : BAD, "%s", state);
        if (!connected)
                screen_put(s, BAD, " for %s", SPAN("database.awaySeconds"));
        screen_put(
                s, PLAIN,
                "  %s of %s connections  %s reconnects  %s batches, commit p50 %s  p99 %s  target %s rows  gap %s",
                COUNT("database.connected"), COUNT("database.connections"), COUNT("database.reconnects"),
                COUNT("batches.written"), SPAN("batches.commitP50Seconds"), SPAN("batches.commitP99Seconds"),
                COUNT("batches.targetRows"), SPAN("batches.gapSeconds"));
        if (connected || !error[0])
                return;
        screen_label(s, "");
        screen_put(s, BAD, "%s", error);
}

static void put_spool(struct screen *s, const cJSON *status)
{
        const char *state = top_text(status, "spool.state");

        screen_label(s, "spool");
        if (!cJSON_IsObject(top_value(status, "spool"))) {
                screen_put(s, PLAIN, "off");
                return;
        }
        screen_put(s,
                   strcmp(state, "empty") == 0     ? PLAIN
                   : strcmp(state, "failing") == 0 ? BAD
                                                   : WARN,
                   "%s", state);
        screen_put(s, PLAIN, "  %s lines  %s of %s", COUNT("spool.lines"), SIZE("spool.bytes"),
                   SIZE("spool.maxBytes"));
        if (top_number(status, "spool.oldestSeconds") >= 0)
                screen_put(s, PLAIN, "  oldest %s", SPAN("spool.oldestSeconds"));
}

static void put_memory(struct screen *s, const cJSON *status)
{
        double hits = top_number(status, "cache.hits");
        double all = hits + top_number(status, "cache.misses");

        screen_label(s, "memory");
        screen_put(s, PLAIN, "%s of %s buffered for clients  cache %s of %s objects",
                   SIZE("memory.usedBytes"), SIZE("memory.limitBytes"), COUNT("cache.objects"),
                   COUNT("cache.limit"));
        if (all > 0)
                screen_put(s, PLAIN, ", %.1f %% hits", hits / all * 100);
}

static void put_rejects(struct screen *s, const cJSON *status)
{
        int most = screen_is_low(s) ? REJECTS_MAX_LOW : REJECTS_MAX;
        const cJSON *item;
        unsigned codes = 0;

        screen_label(s, "rejects");
        cJSON_ArrayForEach(item, top_value(status, "rejectsByCode"))
        {
                if (top_number_of(item) > 0)
                        screen_put(s, BAD, "%s%s %s", codes++ ? "  " : "", item->string,
                                   top_show(item->valuedouble, top_count).text);
        }
        if (codes == 0)
                screen_put(s, PLAIN, "none");
        cJSON_ArrayForEach(item, top_value(status, "latestRejects"))
        {
                const char *field = top_text(item, "field");

                if (most-- == 0)
                        break;
                screen_label(s, "");
                screen_put(s, DIM, "%.8s  ",
                           strlen(top_text(item, "time")) > 11 ? top_text(item, "time") + 11 : "");
                if (top_number(item, "times") > 1)
                        screen_put(s, BOLD, "× %s  ", top_show(top_number(item, "times"), top_count).text);
                screen_put(s, PLAIN, "#%s line %s  %s%s%s: %s",
                           top_show(top_number(item, "connection"), top_plain).text,
                           top_show(top_number(item, "line"), top_plain).text, top_text(item, "code"),
                           field[0] ? " " : "", field, top_text(item, "message"));
        }
}

/* In the last row: the keys, and what there was no room for. */
static void put_footer(struct screen *s, const struct top_listed *listed, bool sections)
{
        bool of_sections = s->window->list == TOP_SECTIONS && sections;
        bool cut = screen_is_below(s) || listed->last < listed->len;

        if (!screen_is_below(s))
                screen_flush(s);
        for (unsigned row = screen_is_below(s) ? screen_last_row(s) : s->row; row < s->window->rows; row++)
                screen_raw(s, "\033[K\r\n");
        s->row = 1;
        screen_put(s, DIM, "q quit");
        if (sections)
                screen_put(s, DIM, "  Tab %s", of_sections ? "clients" : "sections");
        if (!of_sections)
                screen_put(s, DIM, "  s sort: %s", top_order_name(s->window->order));
        screen_put(s, DIM, "  ↑↓ PgUp PgDn%s", sections ? "" : " scroll");
        if (listed->last > 0)
                screen_put(s, DIM, "  %s %zu-%zu of %zu", of_sections ? "sections" : "clients", listed->first,
                           listed->last, listed->len);
        if (cut)
                screen_put(s, WARN, "  … more below");
        screen_flush(s);
}

struct top_listed top_view_put(const cJSON *status, const char *trouble, const struct top_window *window,
                               struct buf *out)
{
        struct screen s = {.window = window, .out = out};
        struct top_listed listed = {0};

        if (window->terminal)
                screen_raw(&s, "\033[H");
        if (status)
                put_title(&s, status);
        if (trouble) {
                screen_line(&s);
                screen_put(&s, BAD, "%s%s", trouble, status ? "; showing the last known state" : "");
        }
        if (status) {
                screen_gap(&s);
                put_lines(&s, status);
                screen_gap(&s);
                put_latency(&s, status);
                screen_gap(&s);
                put_database(&s, status);
                put_spool(&s, status);
                put_memory(&s, status);
                put_rejects(&s, status);
                listed = top_lists_put(&s, status);
        }
        if (window->terminal && window->rows > 1) {
                put_footer(&s, &listed, top_has_sections(status));
        } else {
                screen_flush(&s);
        }
        screen_raw(&s, window->terminal ? "\033[K\033[J" : "\n");
        return listed;
}
