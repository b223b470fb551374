/* Stories of a writer and its server: two batches are written while the server succeeds, fails with any kind
 * of error, sends impossible answers, is too slow for the owner, or is lost. All sequences of the first few
 * answers are tried, then many at random. After every answer each line must be in exactly one place (with
 * the writer, with its owner, or settled); and once the server behaves, every line is settled. */
#include "spending/writer.h"

#include "choices.h"
#include "fake_pg_conn.h"
#include "seen_states.h"
#include "base/list.h"
#include "base/log.h"
#include "model/spending_store.h"
#include "test.h"

enum {
        LINES = 6,
        BATCHES_MAX = 64,
        STEPS_MAX = 2000,
        DEPTH = 3,       /* of the stories that are tried systematically */
        BY_CHANCE = 6000 /* other stories */
};

static const int64_t WEEK_US = INT64_C(7) * 24 * 3600 * 1000000;

struct story {
        uv_loop_t loop;
        struct memory memory;
        struct writer writer;
        struct choices *choices;
        struct batch *waiting[BATCHES_MAX]; /* held by the owner, the next one first */
        size_t waiting_len;
        unsigned settled[LINES + 1]; /* how often each line was settled, by its number */
        unsigned outcomes[LINE_OUTCOMES];
        bool committing; /* the answer says that rows are durable */
        bool blocked;    /* the socket accepts no more data for now */
        bool obstacles;  /* the server may not allow fk_by_batch */
        bool closed;
};

/* --- the owner --- */

static struct batch *take_next(struct story *s)
{
        struct batch *b = s->waiting[0];

        memmove(&s->waiting[0], &s->waiting[1], --s->waiting_len * sizeof(b));
        return b;
}

static void on_idle(void *ctx, struct writer *w)
{
        struct story *s = ctx;

        if (s->waiting_len > 0)
                writer_write_take(w, take_next(s));
}

static void on_return(void *ctx, struct batch *batch)
{
        struct story *s = ctx;

        assert_true(batch->len > 0 && s->waiting_len < BATCHES_MAX);
        memmove(&s->waiting[1], &s->waiting[0], s->waiting_len++ * sizeof(batch));
        s->waiting[0] = batch;
        if (writer_idle(&s->writer))
                writer_write_take(&s->writer, take_next(s));
}

static void on_committed(void *ctx, const struct batch *batch, uint64_t us)
{
        (void)us;
        assert_true(((struct story *)ctx)->committing && batch->len > 0);
}

static void settle(void *ctx, struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        struct story *s = ctx;

        assert_true((outcome == LINE_REJECTED) == (reject != NULL));
        assert_true(outcome == LINE_REJECTED || s->committing);
        s->settled[line->number]++;
        s->outcomes[outcome]++;
}

static void on_missing(void *ctx, const struct row *row)
{
        ((struct story *)ctx)->settled[row->line.number]++;
}

static void on_closed(struct writer *w)
{
        container_of(w, struct story, writer)->closed = true;
}

static void add_row(struct batch *b, uint64_t number, int64_t collected_at, bool any_time)
{
        struct row row = {.line = {.number = number, .text = {"x", 1}}};

        row.rec.id.bytes[15] = (uint8_t)number;
        row.rec.ad_object_id.bytes[15] = (uint8_t)(number % 3 + 1);
        row.rec.collected_at = collected_at;
        row.rec.metrics = (struct slice){"{}", 2};
        row.rec.any_time = row.rec.has_id = any_time;
        memcpy(row.rec.currency, "EUR", 3);
        batch_add_take(b, &row);
}

/* Rows of two weeks, then a batch with two rows keyed by id alone. */
static void make_batches(struct story *s)
{
        struct batch *first = batch_new(&s->memory, 4);
        struct batch *second = batch_new(&s->memory, 2);

        for (uint64_t n = 1; n <= 4; n++)
                add_row(first, n, (int64_t)(n % 2 + 2000) * WEEK_US, false);
        add_row(second, 5, 2000 * WEEK_US, true);
        add_row(second, LINES, 2000 * WEEK_US, false);
        s->waiting[s->waiting_len++] = first;
        s->waiting[s->waiting_len++] = second;
}

static void count_batch(const struct batch *b, unsigned seen[LINES + 1])
{
        for (size_t i = 0; b && i < b->len; i++)
                seen[b->rows[i].line.number]++;
}

static void check_lines(const struct story *s)
{
        unsigned seen[LINES + 1] = {0};

        count_batch(s->writer.batch, seen);
        for (size_t i = 0; i < s->waiting_len; i++)
                count_batch(s->waiting[i], seen);
        for (size_t n = 1; n <= LINES; n++) {
                if (seen[n] + s->settled[n] != 1)
                        fail_msg("line %zu is held %u times and settled %u times, after the answers %s", n,
                                 seen[n], s->settled[n], choices_text(s->choices));
        }
}

/* --- the server --- */

/* One of each action of sqlstate.h, with a lock, a row that the error names, and a trigger. */
static const char *const errors[] = {
        "23505", "23503", "40P01", "55P03", "22003", "22003", "53200", "42703", SPENDING_ROW_TRIGGERS};
enum { FOREIGN_KEY = 1, NAMED = 5 };

enum { VARIANTS = 6 }; /* of an answer without an error; 0 is the expected one */

static struct pg_result merged(const struct writer *w, unsigned variant)
{
        size_t asked = w->fates.asked_len;
        struct pg_result res = fake_done((int64_t)asked);
        size_t rows = variant == 1 ? 0 : variant == 2 ? 1 : asked;

        for (size_t i = 0; i < rows; i++) {
                fake_row(&res);
                fake_i32(&res, (int32_t)(variant == 3 ? 1 : i + 1)); /* 3: one row again and again */
        }
        if (variant >= 4) {
                fake_row(&res);
                fake_i32(&res, variant == 4 ? 0 : 1000); /* not a row's number */
        }
        return res;
}

/* What is stored under the keys of the asked rows; variant 1: another record, 2: none. */
static struct pg_result compared(const struct writer *w, unsigned variant, bool elsewhere)
{
        const struct fates *f = &w->fates;
        struct pg_result res = fake_done(0);

        assert_int_equal(fake_asked(&w->conn), f->asked_len);
        for (size_t i = variant == 3; i < f->asked_len; i++) { /* 3: a row is left out */
                bool inserted = f->of[f->asked[i]] == FATE_INSERTED;

                fake_row(&res);
                fake_i32(&res, (int32_t)(variant == 4 ? 1 : i + 1));
                if ((variant == 2 && !inserted) || variant == 5 || (elsewhere && variant != 1))
                        fake_null(&res);
                else
                        fake_bool(&res, variant != 1 || inserted);
        }
        return res;
}

/* The ad objects of no row; variant 1: of the first, 2: of all; 3: of rows that were not asked for. */
static struct pg_result objects(const struct writer *w, unsigned variant)
{
        static const struct uuid strange = {{0xff}};
        struct pg_result res = fake_done(0);

        for (size_t i = 0; i < w->batch->len && (variant == 2 || (variant == 1 && i == 0)); i++) {
                fake_row(&res);
                fake_uuid(&res, &w->batch->rows[i].rec.ad_object_id);
        }
        if (variant == 3) {
                fake_row(&res);
                fake_uuid(&res, &strange);
        }
        return res;
}

/* Candidates for probe rows: one; variant 1: none, 2: two, 3: one with wrong types. */
static struct pg_result candidates(unsigned variant)
{
        static const struct uuid id = {{1}};
        struct pg_result res = fake_done(0);

        for (unsigned i = 0; variant != 1 && i < (variant == 2 ? 2 : 1); i++) {
                fake_row(&res);
                if (variant == 3)
                        continue;
                fake_uuid(&res, &id);
                for (int column = SPENDING_PROBE_START_US; column < SPENDING_PROBE_CURRENCY; column++)
                        fake_i64(&res, 1);
                fake_text(&res, "EUR");
                for (int column = SPENDING_PROBE_IMPRESSIONS; column < SPENDING_PROBE_METRICS; column++)
                        fake_null(&res);
                fake_text(&res, "{}");
                fake_uuid(&res, &id);
        }
        return res;
}

static struct pg_result text(const char *value)
{
        struct pg_result res = fake_done(0);

        fake_row(&res);
        fake_text(&res, value);
        return res;
}

static struct pg_result success(const struct writer *w, unsigned variant)
{
        switch (w->state) {
        case WRITER_COPY:
        case WRITER_OPEN_COPY:
                return fake_done((int64_t)w->batch->len - (variant == 1)); /* 1: one row fewer is stored */
        case WRITER_OBSTACLE:
                return text(variant == 1 ? "a trigger" : "");
        case WRITER_BEGIN:
                return text(variant == 1 ? "t" : "f");
        case WRITER_MERGE:
                return merged(w, variant);
        case WRITER_KNOWN:
        case WRITER_COMPARE:
                return compared(w, variant, false);
        case WRITER_ELSEWHERE:
                return compared(w, variant, true);
        case WRITER_MISSING:
        case WRITER_LOCKED:
                return objects(w, variant);
        case WRITER_CANDIDATES:
                return candidates(variant);
        default:
                return fake_done(0);
        }
}

static struct pg_result failure(unsigned n)
{
        struct pg_result res = fake_failed(errors[n]);

        if (n == NAMED)
                res.context = "COPY spending, line 2, column amount_cents";
        return res;
}

/* Whether such an answer says what no server says that stores what it is given. */
static bool is_lie(const struct writer *w, unsigned variant)
{
        if (w->state == WRITER_MERGE)
                return (variant == 3 && w->fates.asked_len > 1) || variant == 4 || variant == 5;
        if (w->state == WRITER_KNOWN || w->state == WRITER_COMPARE || w->state == WRITER_ELSEWHERE)
                return variant == 3;
        return false;
}

static bool is_copy(const struct writer *w)
{
        return w->state == WRITER_COPY || w->state == WRITER_OPEN_COPY || w->state == WRITER_PROBE;
}

/* Takes the rows of a COPY, in pieces; it may end sooner with any answer. */
static void take_rows(struct story *s)
{
        struct pg_conn *c = &s->writer.conn;

        fake_block_puts(c, s->blocked);
        fake_copy_in(c);
        if (c->state == PG_CONN_COPY)
                fake_writable(c);
        assert_true(fake_copied(c) > 0);
}

/* Answers the command in flight, or not. */
static void answer(struct story *s)
{
        struct writer *w = &s->writer;
        bool free = w->state != WRITER_OBSTACLE || s->obstacles;
        unsigned way = free ? choose(s->choices, VARIANTS + ARRAY_LEN(errors) + 2) : 0;
        bool lie = is_lie(w, way);
        struct pg_result res;

        if (way == VARIANTS + ARRAY_LEN(errors)) {
                fake_lose(&w->conn);
                return;
        }
        if (way == VARIANTS + ARRAY_LEN(errors) + 1) {
                writer_drop(w, "the owner does not wait");
                if (pg_conn_connected(&w->conn) && fake_sql(&w->conn)) /* it has no batch */
                        fake_lose(&w->conn);
                return;
        }
        if (is_copy(w))
                take_rows(s);
        res = way < VARIANTS ? success(w, way) : failure(way - VARIANTS);
        s->committing = !res.sqlstate && (w->state == WRITER_COPY || w->state == WRITER_COMMIT);
        fake_answer(&w->conn, &res);
        assert_true(!lie || w->state == WRITER_ROLLBACK);
}

/* --- stories --- */

static void begin(struct story *s, const struct writer_config *config)
{
        static const struct writer_ops ops = {.on_idle = on_idle,
                                              .on_committed = on_committed,
                                              .settle = settle,
                                              .on_missing = on_missing,
                                              .on_return = on_return};

        memory_init(&s->memory, 1 << 20);
        assert_int_equal(uv_loop_init(&s->loop), 0);
        make_batches(s);
        writer_open(&s->writer, &s->loop, config, 1, &ops, s);
}

static void end(struct story *s)
{
        writer_close(&s->writer, on_closed);
        check_lines(s);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        assert_true(s->closed);
        assert_int_equal(uv_loop_close(&s->loop), 0);
        while (s->waiting_len > 0)
                batch_free(take_next(s));
        assert_int_equal(s->memory.used, 0);
        memory_deinit(&s->memory);
}

/* One step. Returns false if nothing is left to do. */
static bool step(struct story *s)
{
        struct pg_conn *c = &s->writer.conn;

        if (!pg_conn_connected(c))
                fake_ready(c);
        else if (fake_sql(c))
                answer(s);
        else
                return false;
        check_lines(s);
        return true;
}

struct plot {
        const struct writer_config *config;
        /* after which the daemon stops, with the command in flight never answered; 0: at the end */
        unsigned steps;
        bool blocked;
        bool obstacles;
};

static void tell(struct choices *choices, const struct plot *plot)
{
        static struct story s;
        unsigned most = plot->steps ? plot->steps : STEPS_MAX;
        unsigned n = 0;

        s = (struct story){.choices = choices, .blocked = plot->blocked, .obstacles = plot->obstacles};
        begin(&s, plot->config);
        while (n < most && step(&s))
                n++;
        if (n == STEPS_MAX)
                fail_msg("no end after the answers %s", choices_text(choices));
        if (n < most) {
                assert_int_equal(s.waiting_len, 0);
                assert_null(s.writer.batch);
        }
        end(&s);
}

static void tell_all(size_t depth, const struct plot *plot)
{
        struct choices c = {.len = depth};

        do
                tell(&c, plot);
        while (choices_next(&c));
}

static const struct writer_config by_row = {.url = ""};
static const struct writer_config by_batch = {.url = "", .fk_by_batch = true};

static void test_every_sequence_of_a_few_answers(void **state)
{
        (void)state;
        tell_all(DEPTH, &(struct plot){.config = &by_row});
        tell_all(DEPTH, &(struct plot){.config = &by_batch, .blocked = true});
        tell_all(1, &(struct plot){.config = &by_batch, .obstacles = true});
}

/* The error speaks of an ad object that is gone, but none is: after some more tries the rows are suspect. */
static void test_a_foreign_key_that_is_not_ours(void **state)
{
        struct choices c = {.len = 24};

        (void)state;
        for (size_t i = 0; i < c.len; i += 2)
                c.made[i] = VARIANTS + FOREIGN_KEY;
        tell(&c, &(struct plot){.config = &by_row});
}

/* Answers of a COPY, a BEGIN, and a merge whose rows are neither inserted nor stored, in two weeks. */
enum { STORED = VARIANTS, NOT_INSERTED = 1, NOT_THERE = 2 };
#define NEITHER NOT_INSERTED, NOT_THERE, NOT_THERE

/* The merge finds the rows stored, and the comparison does not: another session deleted them in between. They are merged again. */
static void test_rows_that_are_deleted_between_merge_and_comparison(void **state)
{
        struct choices c = {.len = 5, .made = {STORED, 0, NEITHER}};
        static struct story s;

        (void)state;
        s = (struct story){.choices = &c};
        begin(&s, &by_row);
        while (step(&s))
                ;
        assert_int_equal(s.outcomes[LINE_REJECTED], 0);
        assert_true(s.outcomes[LINE_STORED] >= 4);
        end(&s);
}

/* The same three times, and the table has a trigger that may drop them. Then any answer comes. */
static void test_rows_that_are_dropped(void **state)
{
        (void)state;
        for (unsigned way = 0; way < VARIANTS + ARRAY_LEN(errors) + 2; way++) {
                struct choices c = {.len = 12, .made = {STORED, 1, NEITHER, NEITHER, NEITHER, way}};

                tell(&c, &(struct plot){.config = &by_row});
        }
}

static void test_answers_by_chance(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= BY_CHANCE; seed++) {
                struct choices c = choices_by_chance(seed);

                tell(&c, &(struct plot){.config = seed & 1 ? &by_row : &by_batch, .blocked = seed & 2});
        }
}

static void test_the_end_in_the_middle(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= BY_CHANCE; seed++) {
                struct choices c = choices_by_chance(seed);

                tell(&c, &(struct plot){.config = seed & 1 ? &by_row : &by_batch,
                                        .steps = (unsigned)(1 + seed % 40)});
        }
}

/* Runs after all others and checks what they reached. */
static void test_every_successor_was_reached(void **state)
{
        (void)state;
        assert_int_equal(seen_states_print_missed("writer"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_sequence_of_a_few_answers),
                cmocka_unit_test(test_a_foreign_key_that_is_not_ours),
                cmocka_unit_test(test_rows_that_are_deleted_between_merge_and_comparison),
                cmocka_unit_test(test_rows_that_are_dropped),
                cmocka_unit_test(test_answers_by_chance),
                cmocka_unit_test(test_the_end_in_the_middle),
                cmocka_unit_test(test_every_successor_was_reached),
        };

        log_set_level(LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
