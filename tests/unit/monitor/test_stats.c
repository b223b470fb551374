/* Reports of several workers become one, and what the two pages make of it. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "monitor/status.h"

static struct stats make_part(uint64_t n)
{
        struct stats part = {.taken_us = 1000 * n, .lines = n, .open = 1, .oldest_us = n % 2 ? 0 : 10 * n};

        part.counts[LINE_STORED] = n;
        part.paused[PAUSE_MEMORY] = 1;
        part.database = (struct stats_database){.wanted = 3, .connected = 3, .up = true};
        histogram_add(&part.ack_latency, 5000 * n, n);
        part.ack_max_us = 5000 * n;
        return part;
}

static void test_sum(void **state)
{
        struct stats sum = {0};

        (void)state;
        for (uint64_t n = 1; n <= 3; n++) {
                struct stats part = make_part(n);

                if (n == 2)
                        part.database = (struct stats_database){
                                .wanted = 3, .connected = 1, .failed = true, .away_us = 77, .error = "gone"};
                stats_merge_take(&sum, &part);
        }
        assert_int_equal(sum.taken_us, 1000); /* as old as its oldest part */
        assert_int_equal(sum.lines, 6);
        assert_int_equal(sum.counts[LINE_STORED], 6);
        assert_int_equal(sum.paused[PAUSE_MEMORY], 3);
        assert_int_equal(sum.oldest_us, 20); /* 0 is none */
        assert_int_equal(sum.ack_latency.count, 6);
        assert_int_equal(sum.ack_max_us, 15000);
        assert_int_equal(sum.database.wanted, 9);
        assert_int_equal(sum.database.connected, 7);
        assert_false(sum.database.up);
        assert_int_equal(sum.database.away_us, 77);
        assert_string_equal(sum.database.error, "gone");
        stats_deinit(&sum);
}

/* Of many connections those stay whose oldest line is the oldest, those with none are last. */
static void test_connections(void **state)
{
        struct stats part = make_part(1);
        struct stats sum = {0};

        (void)state;
        for (uint64_t n = 1; n <= 5000; n++)
                stats_add_connection(
                        &part, &(struct stats_connection){.number = n, .oldest_us = n % 10 ? 0 : 100000 - n});
        stats_merge_take(&sum, &part);
        assert_int_equal(sum.connections_len, STATS_CONNECTIONS_MAX);
        for (size_t i = 0; i < sum.connections_len; i++)
                assert_int_equal(sum.connections[i].number, 5000 - 10 * i);
        stats_deinit(&sum);
}

static void test_latest(void **state)
{
        struct reject_ring *rings = calloc(2, sizeof(*rings));
        struct stats sum = {0};
        struct reject reject;

        (void)state;
        assert_non_null(rings);
        for (uint64_t line = 1; line <= 130; line++) {
                reject_set(&reject, REJECT_BAD_VALUE, "f", "m %d", (int)line);
                reject_ring_add(&rings[line % 2], "p", 1 + line % 2, line, &reject);
                rings[line % 2].items[rings[line % 2].order[0]].time_us = (int64_t)line;
        }
        for (int i = 0; i < 2; i++) {
                struct stats part = make_part(1);

                stats_add_latest(&part, &rings[i]);
                assert_int_equal(part.latest_len, STATS_REJECTS_MAX);
                stats_merge_take(&sum, &part);
        }
        assert_int_equal(sum.latest_len, STATS_REJECTS_MAX);
        for (size_t i = 0; i < sum.latest_len; i++)
                assert_int_equal(sum.latest[i].line, 130 - i);
        stats_deinit(&sum);
        free(rings);
}

/* The same reject is one of the latest, however often it came, and whichever worker it came to. */
static void test_latest_counts(void **state)
{
        struct reject_ring *rings = calloc(2, sizeof(*rings));
        struct stats sum = {0};
        struct reject reject;

        (void)state;
        assert_non_null(rings);
        for (uint64_t line = 1; line <= 90; line++) {
                reject_set(&reject, line % 3 ? REJECT_BAD_VALUE : REJECT_BAD_JSON, "f", "m");
                reject_ring_add(&rings[line % 2], "p", 1, line, &reject);
                rings[line % 2].items[rings[line % 2].order[0]].time_us = (int64_t)line;
        }
        for (int i = 0; i < 2; i++) {
                struct stats part = make_part(1);

                stats_add_latest(&part, &rings[i]);
                assert_int_equal(part.latest_len, 2);
                stats_merge_take(&sum, &part);
        }
        assert_int_equal(sum.latest_len, 2);
        assert_int_equal(sum.latest[0].times, 30);
        assert_int_equal(sum.latest[0].line, 90);
        assert_int_equal(sum.latest[1].times, 60);
        assert_int_equal(sum.latest[1].line, 89);
        stats_deinit(&sum);
        free(rings);
}

static void test_history(void **state)
{
        struct history *h = calloc(1, sizeof(*h));
        struct stats r = {0};

        (void)state;
        assert_non_null(h);
        history_begin(h, 5);
        assert_int_equal(history_len(h), 1);
        assert_int_equal(history_back(h, 10)->at_us, 5);
        for (uint64_t step = 1; step <= 1000; step++) {
                r.lines = step;
                r.taken_us = step * 1000000;
                r.ack_max_us = step;
                history_note(h, &r);
                r.ack_max_us = 0; /* another report of the same step */
                history_note(h, &r);
                history_add(h, &r);
        }
        assert_int_equal(history_len(h), HISTORY_STEPS + 1);
        for (size_t back = 0; back <= HISTORY_STEPS; back++) {
                assert_int_equal(history_back(h, back)->received, 1000 - back);
                assert_int_equal(history_back(h, back)->ack_max_us, 1000 - back);
        }
        assert_int_equal(history_back(h, 5000)->received, 1000 - HISTORY_STEPS);
        free(h);
}

/* --- the pages --- */

struct fixture {
        struct stats stats;
        struct history history;
        struct process_stats process;
        struct status status;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        history_begin(&f->history, 1000000);
        f->stats = make_part(4);
        f->stats.taken_us = 11000000;
        f->status = (struct status){.version = "1",
                                    .trouble = "",
                                    .now_us = 1000000000000000,
                                    .started_us = 999999990000000,
                                    .clock_us = 11000000,
                                    .stats = &f->stats,
                                    .history = &f->history,
                                    .process = &f->process};
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        stats_deinit(&f->stats);
        free(f);
        return 0;
}

static void assert_not_ready(struct fixture *f, const char *why)
{
        status_judge(&f->status);
        assert_string_equal(f->status.not_ready, why);
}

static void test_readiness(void **state)
{
        struct fixture *f = *state;
        struct stats *r = &f->stats;

        assert_not_ready(f, "");
        r->database.up = false;
        assert_not_ready(f, "not connected to the database yet");
        r->database.failed = true;
        snprintf(r->database.error, sizeof(r->database.error), "gone");
        assert_not_ready(f, "the database is away: gone");
        f->status.trouble = "no tables";
        assert_not_ready(f, "database: no tables");
        r->spool.on = true;
        assert_not_ready(f, "");
        r->spool.failing = true;
        assert_not_ready(f, "database: no tables");
        r->spool.diverting = true;
        assert_not_ready(f, "the spool is full or cannot be used");
        f->status.clock_us += STATUS_STALE_US + 1;
        assert_not_ready(f, "a worker does not answer");
        f->status.draining = true;
        assert_not_ready(f, "the daemon is stopping");
}

/* Buckets only grow, up to all; bounds are as wanted. */
static void test_metrics(void **state)
{
        struct fixture *f = *state;
        struct buf out = {0};

        f->stats.lines = UINT64_MAX;
        metrics_write(&out, &f->status);
        buf_put(&out, "", 1);
        assert_non_null(strstr(out.data, "\nboris_ingestd_lines_received_total 18446744073709551615\n"));
        assert_non_null(strstr(out.data, "\nboris_ingestd_lines_total{outcome=\"stored\"} 4\n"));
        assert_non_null(strstr(out.data, "\nboris_ingestd_ack_latency_seconds_bucket{le=\"0.01\"} 0\n"
                                         "boris_ingestd_ack_latency_seconds_bucket{le=\"0.025\"} 4\n"));
        assert_non_null(strstr(out.data, "_bucket{le=\"100\"} 4\n"
                                         "boris_ingestd_ack_latency_seconds_bucket{le=\"+Inf\"} 4\n"
                                         "boris_ingestd_ack_latency_seconds_sum 0.080000\n"
                                         "boris_ingestd_ack_latency_seconds_count 4\n"));
        assert_null(strstr(out.data, "ingestd_spool_"));
        assert_null(strstr(out.data, "ingestd_reject_file"));
        buf_deinit(&out);
}

/* Whatever a peer or a server's message holds, it is JSON. */
static void test_json(void **state)
{
        struct fixture *f = *state;
        struct buf out = {0};
        cJSON *root;
        const cJSON *connection;

        f->stats.database.up = false;
        snprintf(f->stats.database.error, sizeof(f->stats.database.error), "\xff\"\\\x01 \xc3\xa9");
        stats_add_connection(&f->stats, &(struct stats_connection){.number = UINT64_MAX,
                                                                   .peer = "p",
                                                                   .oldest_us = 9000000,
                                                                   .paused = PAUSE_HIERARCHY});
        status_json_write(&out, &f->status);
        buf_put(&out, "", 1);
        root = cJSON_Parse(out.data);
        assert_non_null(root);
        assert_string_equal(
                cJSON_GetObjectItem(cJSON_GetObjectItem(root, "database"), "lastError")->valuestring,
                "?\"\\\x01 \xc3\xa9");
        connection = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "connections"), 0);
        assert_string_equal(cJSON_GetObjectItem(connection, "paused")->valuestring, "hierarchy");
        assert_float_equal(cJSON_GetObjectItem(connection, "lagSeconds")->valuedouble, 2, 0.001);
        assert_float_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(root, "rates"), "received")->valuedouble,
                           0.4, 0.001);
        assert_true(cJSON_IsNull(cJSON_GetObjectItem(root, "spool")));
        assert_non_null(strstr(out.data, "\"number\":18446744073709551615,"));
        cJSON_Delete(root);
        buf_deinit(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sum),
                cmocka_unit_test(test_connections),
                cmocka_unit_test(test_latest),
                cmocka_unit_test(test_latest_counts),
                cmocka_unit_test(test_history),
                cmocka_unit_test_setup_teardown(test_readiness, setup, teardown),
                cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
                cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
