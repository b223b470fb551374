/* Stories of a hierarchy writer and its server, as in spending/test_writer.c: two batches are written while
 * the server answers in any way, or not at all. After every answer each line must be in exactly one place,
 * and once the server behaves, every line is settled. */
#include "hierarchy/hierarchy_writer.h"

#include "choices.h"
#include "fake_pg_conn.h"
#include "seen_states.h"
#include "base/list.h"
#include "base/log.h"
#include "model/db.h"
#include "test.h"

enum {
        LINES = 6,
        BATCHES_MAX = 8,
        STEPS_MAX = 4000,
        DEPTH = 3,
        BY_CHANCE = 6000,
};

struct story {
        uv_loop_t loop;
        struct memory memory;
        struct hierarchy_writer writer;
        struct choices *choices;
        struct hierarchy_batch *waiting[BATCHES_MAX]; /* held by the owner, the next one first */
        size_t waiting_len;
        unsigned settled[LINES + 1]; /* how often each line was settled, by its number */
        struct block *block;         /* of all lines */
        bool was_lost_idle;
        bool closed;
};

/* --- the owner --- */

static void start_next(struct story *s)
{
        struct hierarchy_batch *b = s->waiting[0];

        if (s->waiting_len == 0)
                return;
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        memmove(&s->waiting[0], &s->waiting[1], --s->waiting_len * sizeof(s->waiting[0]));
        hierarchy_writer_write_take(&s->writer, b);
}

static void on_idle(void *ctx)
{
        start_next(ctx);
}

static void settle(void *ctx, struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        struct story *s = ctx;

        assert_true((outcome == LINE_REJECTED) == (reject != NULL));
        s->settled[line->number]++;
        block_unref(line->block);
}

static void on_written(void *ctx, bool new_accounts)
{
        (void)ctx;
        (void)new_accounts;
}

static void on_done(void *ctx, struct hierarchy_batch *batch)
{
        (void)ctx;
        hierarchy_batch_free(batch);
}

/* Other batches are tried meanwhile. */
static void on_fault(void *ctx, struct line *line)
{
        (void)ctx;
        assert_non_null(line->block);
}

static void on_aside(void *ctx, struct hierarchy_batch *batch, bool stuck)
{
        struct story *s = ctx;

        assert_true(batch->start < batch->len && s->waiting_len < BATCHES_MAX);
        assert_true(!stuck || hierarchy_batch_end(batch) - batch->start == 1);
        s->waiting[s->waiting_len++] = batch;
}

static void on_closed(struct hierarchy_writer *w)
{
        container_of(w, struct story, writer)->closed = true;
}

static struct json_string text(const char *s)
{
        return (struct json_string){slice_str(s), false};
}

static void add(struct story *s, struct hierarchy_batch *b, struct hierarchy_row *row)
{
        static const struct slice line = {"x", 1};

        row->line = (struct line){.block = block_ref(s->block), .text = line, .number = ++s->settled[0]};
        assert_true(hierarchy_batch_add_take(b, row));
}

static void add_account(struct story *s, struct hierarchy_batch *b, const char *id)
{
        struct hierarchy_row row = {.kind = RECORD_AD_ACCOUNT,
                                    .rec.account = {.external_id = text(id),
                                                    .currency = {'E', 'U', 'R'},
                                                    .timezone = text("UTC")}};

        add(s, b, &row);
}

static void add_object(struct story *s, struct hierarchy_batch *b, const char *id, const char *parent)
{
        struct hierarchy_row row = {
                .kind = RECORD_AD_OBJECT,
                .rec.object = {.account_external_id = text("a"), .external_id = text(id)},
        };

        row.rec.object.type = parent ? AD_OBJECT_TYPE_AD : AD_OBJECT_TYPE_CAMPAIGN;
        row.rec.object.has_parent = parent != NULL;
        if (parent)
                row.rec.object.parent_external_id = text(parent);
        add(s, b, &row);
}

static void make_batches(struct story *s)
{
        struct hierarchy_batch *first = hierarchy_batch_new(&s->memory, 1);
        struct hierarchy_batch *second = hierarchy_batch_new(&s->memory, 2);

        s->block = block_new(&s->memory, 1);
        add_account(s, first, "a");
        add_object(s, first, "campaign", NULL);
        add_object(s, first, "ad", "campaign");
        add_object(s, first, "other ad", "elsewhere");
        add_object(s, second, "late campaign", NULL);
        add_account(s, second, "b");
        s->settled[0] = 0;
        s->waiting[s->waiting_len++] = first;
        s->waiting[s->waiting_len++] = second;
}

static void count_batch(const struct hierarchy_batch *b, unsigned seen[LINES + 1])
{
        for (size_t i = b ? b->start : 0; b && i < b->len; i++)
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

/* One of each action of sqlstate.h, with a lock. */
static const char *const errors[] = {"23505", "23503", "40P01", "55P03", "22003", "53200", "42703"};

enum { VARIANTS = 9 }; /* of an answer without an error; 0 is the expected one */

/* The outcome of each account or object; the last two columns are for accounts only. */
static struct pg_result written(const struct hierarchy_writer *w, unsigned variant)
{
        static const enum db_write outcomes[VARIANTS] = {DB_WRITE_DONE,    DB_WRITE_NONE, DB_WRITE_SKIPPED,
                                                         DB_WRITE_CHANGED, DB_WRITE_DONE, DB_WRITE_DONE,
                                                         DB_WRITE_DONE,    DB_WRITE_DONE, DB_WRITE_DONE};
        struct pg_result res = fake_done(0);

        for (size_t i = variant == 4; i < w->statements.asked_len; i++) { /* 4: a row is left out */
                fake_row(&res);
                fake_i32(&res, (int32_t)(variant == 5 ? 1 : i + 1)); /* 5: one row again and again */
                fake_i32(&res, (int32_t)outcomes[variant]);
                fake_bool(&res, variant != 6); /* 6: the connection does not exist */
                if (variant == 7)
                        fake_null(&res);
                else
                        fake_bool(&res, variant == 0);
        }
        return res;
}

/* What the database contains for each object: its account and its parent; variant 1: no parent, 2: no
 * account, 3: the object itself, with children, 8: the
 * object as given. */
static struct pg_result resolved(const struct hierarchy_writer *w, unsigned variant)
{
        static const struct uuid id = {{7}};
        struct pg_result res = fake_done(0);

        for (size_t i = variant == 4; i < w->statements.asked_len; i++) {
                const struct hierarchy_row *row = &w->statements.batch->rows[w->statements.asked[i]];
                bool has_parent = variant != 1 && variant != 2;
                bool has_object = variant == 3 || variant == 8;

                fake_row(&res);
                fake_i32(&res, (int32_t)(variant == 5 ? 1 : i + 1));
                fake_i64(&res, variant == 2 ? 0 : 1);
                fake_uuid(&res, &id);
                if (has_object) {
                        fake_uuid(&res, &id);
                        fake_text(&res, "AD_SET");
                } else {
                        fake_null(&res);
                        fake_null(&res);
                }
                fake_i64(&res, variant == 3 ? 2 : 0);
                if (variant == 8 && row->rec.object.has_parent)
                        fake_uuid(&res, &id);
                else
                        fake_null(&res);
                if (has_parent) {
                        fake_uuid(&res, &id);
                        fake_text(&res, variant == 6 ? "AD" : variant == 7 ? "no type" : "CAMPAIGN");
                } else {
                        fake_null(&res);
                        fake_null(&res);
                }
                if (has_object)
                        fake_bool(&res, variant != 8);
                else
                        fake_null(&res);
        }
        return res;
}

static struct pg_result success(const struct hierarchy_writer *w, unsigned variant)
{
        switch (w->state) {
        case HIERARCHY_WRITER_ACCOUNTS:
        case HIERARCHY_WRITER_OBJECTS:
                assert_int_equal(fake_asked(&w->conn), w->statements.asked_len);
                return written(w, variant);
        case HIERARCHY_WRITER_RESOLVE:
                return resolved(w, variant);
        default:
                return fake_done(0);
        }
}

/* Answers the command in flight, or not. */
static void answer(struct story *s)
{
        struct hierarchy_writer *w = &s->writer;
        unsigned way = choose(s->choices, VARIANTS + ARRAY_LEN(errors) + 2);
        struct hierarchy_batch *given_up;
        struct pg_result res;

        if (way == VARIANTS + ARRAY_LEN(errors)) {
                fake_lose(&w->conn);
        } else if (way == VARIANTS + ARRAY_LEN(errors) + 1) {
                given_up = hierarchy_writer_drop(w, "the owner does not wait");
                assert_non_null(given_up);
                s->waiting[s->waiting_len++] = given_up;
        } else {
                res = way < VARIANTS ? success(w, way) : fake_failed(errors[way - VARIANTS]);
                fake_answer(&w->conn, &res);
        }
}

/* --- stories --- */

static void begin(struct story *s)
{
        static const struct hierarchy_writer_ops ops = {.on_idle = on_idle,
                                                        .settle = settle,
                                                        .on_written = on_written,
                                                        .on_done = on_done,
                                                        .on_fault = on_fault,
                                                        .on_aside = on_aside};

        memory_init(&s->memory, 1 << 20);
        assert_int_equal(uv_loop_init(&s->loop), 0);
        make_batches(s);
        hierarchy_writer_open(&s->writer, &s->loop, "", &ops, s);
}

static void free_batch(struct hierarchy_batch *b)
{
        for (size_t i = b->start; i < b->len; i++)
                block_unref(b->rows[i].line.block);
        hierarchy_batch_free(b);
}

static void end(struct story *s)
{
        struct hierarchy_batch *given_up = hierarchy_writer_drop(&s->writer, "the daemon stops");

        if (given_up)
                s->waiting[s->waiting_len++] = given_up;
        check_lines(s);
        hierarchy_writer_close(&s->writer, on_closed);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        assert_true(s->closed);
        assert_int_equal(uv_loop_close(&s->loop), 0);
        while (s->waiting_len > 0)
                free_batch(s->waiting[--s->waiting_len]);
        block_unref(s->block);
        assert_int_equal(s->memory.used, 0);
        memory_deinit(&s->memory);
}

static void lose_idle(struct story *s)
{
        s->was_lost_idle = true;
        fake_lose(&s->writer.conn);
}

/* One step. Returns false if nothing is left to do. */
static bool step(struct story *s)
{
        struct pg_conn *c = &s->writer.conn;

        if (!pg_conn_connected(c))
                fake_ready(c);
        else if (fake_sql(c))
                answer(s);
        else if (!s->was_lost_idle && choose(s->choices, 2) == 1)
                lose_idle(s);
        else
                return false;
        check_lines(s);
        return true;
}

/* With @steps, the daemon stops after that many: the command in flight is never answered. */
static void tell(struct choices *choices, unsigned steps)
{
        static struct story s;
        unsigned n = 0;

        s = (struct story){.choices = choices};
        begin(&s);
        while (n < steps && step(&s))
                n++;
        if (n == STEPS_MAX)
                fail_msg("no end after the answers %s", choices_text(choices));
        if (n < steps) {
                assert_int_equal(s.waiting_len, 0);
                assert_null(s.writer.batch);
        }
        end(&s);
}

static void test_every_sequence_of_a_few_answers(void **state)
{
        struct choices c = {.len = DEPTH};

        (void)state;
        do
                tell(&c, STEPS_MAX);
        while (choices_next(&c));
}

static void test_answers_by_chance(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= BY_CHANCE; seed++) {
                struct choices c = choices_by_chance(seed);

                tell(&c, STEPS_MAX);
        }
}

/* The daemon stops before the answer. */
static void test_the_end_in_the_middle(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= BY_CHANCE; seed++) {
                struct choices c = choices_by_chance(seed);

                tell(&c, (unsigned)(1 + seed % 40));
        }
}

/* Runs after all others and checks what they reached. */
static void test_every_successor_was_reached(void **state)
{
        (void)state;
        assert_int_equal(seen_states_print_missed("hierarchy_writer"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_sequence_of_a_few_answers),
                cmocka_unit_test(test_answers_by_chance),
                cmocka_unit_test(test_the_end_in_the_middle),
                cmocka_unit_test(test_every_successor_was_reached),
        };

        log_set_level(LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
