/* Stories of a resolver and its server: five rows are looked up while the server answers as it likes, late, or not at all,
 * and while time passes, the hierarchy changes, or the daemon stops. At every moment each line is parked, or waits for its
 * object, or has left once; and once the server behaves, no line is left. */
#include "spending/resolver.h"

#include "choices.h"
#include "fake_loop.h"
#include "fake_pg_conn.h"
#include "base/list.h"
#include "base/log.h"
#include "test.h"

enum {
        LINES = 6,
        STEPS_MAX = 500,
        DEPTH = 3,
        BY_CHANCE = 6000,
        GRACE_MS = 2500,
};

/* What the record of each line names: "account object". */
static const char *const names[LINES] = {"a1", "a1", "a2", "b3", "a4", "a2"};

struct story {
        uv_loop_t loop;
        struct memory memory;
        struct resolver resolver;
        struct choices *choices;
        struct block *block;
        unsigned left[LINES + 1]; /* how often each line has, by its number */
        unsigned lines;           /* taken so far */
        int waiting;              /* lines that on_unknown speaks of */
        unsigned ticks;
        bool draining;
        bool closed;
};

/* Which ways to end each question were taken. */
enum end { ANSWERED, FAILED, LOST, GIVEN_UP, ENDS };
static bool ended[RESOLVER_QUESTIONS][ENDS];

/* --- the owner --- */

static void leave(struct story *s, struct line *line)
{
        s->left[line->number]++;
        block_unref(line->block);
}

/* The objects of the fake database have the digit of their names as their ids. */
static void on_resolved(void *ctx, const struct row *row)
{
        struct line line = row->line;

        assert_int_equal(row->rec.ad_object_id.bytes[15], names[line.number - 1][1]);
        leave(ctx, &line);
}

static void settle(void *ctx, struct line *line, enum line_outcome outcome, const struct reject *reject)
{
        assert_true(outcome == LINE_REJECTED && reject);
        leave(ctx, line);
}

static void on_unknown(void *ctx, const struct line *line, bool waits)
{
        (void)line;
        ((struct story *)ctx)->waiting += waits ? 1 : -1;
}

static void on_abandoned(void *ctx, struct line *line)
{
        assert_true(((struct story *)ctx)->draining);
        leave(ctx, line);
}

static void on_evacuated(void *ctx, struct line *line)
{
        leave(ctx, line);
}

static void on_closed(struct resolver *r)
{
        container_of(r, struct story, resolver)->closed = true;
}

/* Sends the next line; the cache may know its object. */
static void add_line(struct story *s)
{
        char *text = s->block->data + 2 * s->lines;
        struct row row = {
                .line = {.block = block_ref(s->block), .text = {text, 2}, .number = s->lines + 1},
                .rec = {.account_external_id = {{text, 1}, false}, .external_id = {{text + 1, 1}, false}},
        };

        memcpy(text, names[s->lines++], 2);
        if (resolver_resolve(&s->resolver, &row))
                on_resolved(s, &row);
}

static void check_lines(const struct story *s)
{
        size_t left = 0;

        for (size_t n = 1; n <= LINES; n++) {
                if (s->left[n] > 1)
                        fail_msg("line %zu has left %u times, after the answers %s", n, s->left[n],
                                 choices_text(s->choices));
                left += s->left[n];
        }
        assert_true(s->waiting >= 0);
        if (left + s->resolver.parked + (size_t)s->waiting != s->lines)
                fail_msg("of %u lines %zu have left, %zu are parked, %d wait, after the answers %s", s->lines,
                         left, s->resolver.parked, s->waiting, choices_text(s->choices));
}

/* --- the server --- */

static void put_known(struct pg_result *res, const struct resolver *r, size_t asked)
{
        const struct list *l = r->asked.next;
        struct uuid id = {{0}};

        for (size_t i = 1; i < asked; i++)
                l = l->next;
        id.bytes[15] = (uint8_t)container_of(l, struct miss, order)->object[0];
        fake_row(res);
        fake_i32(res, (int32_t)asked);
        fake_i64(res, 1);
        fake_uuid(res, &id);
}

static void put_unknown(struct pg_result *res, int32_t number, int64_t accounts)
{
        fake_row(res);
        fake_i32(res, number);
        fake_i64(res, accounts);
        fake_null(res);
}

/* Variant 0: all are known; 1 to 3: none is; 4: the first is; 5: nothing is said; 6: twice, and of rows that were not
 * asked for. */
static struct pg_result looked_up(const struct resolver *r, unsigned variant)
{
        struct pg_result res = fake_done(0);

        for (size_t i = 1; i <= r->asked_len && variant != 5; i++) {
                if (variant == 0 || variant == 6 || (variant == 4 && i == 1))
                        put_known(&res, r, i);
                else
                        put_unknown(&res, (int32_t)i, variant == 2 ? 0 : variant == 3 ? 2 : 1);
        }
        if (variant == 6) {
                put_unknown(&res, 1, 1);
                put_unknown(&res, 0, 1);
                put_unknown(&res, 1000, 1);
        }
        return res;
}

/* What the objects in the cache are called; variant 1: they are gone, 2: they have other names. */
static struct pg_result named(const struct resolver *r, unsigned variant)
{
        static const struct uuid connection = {{1}};
        struct pg_result res = fake_done(0);

        for (size_t i = 0; i < r->recheck.asked_len && variant != 1; i++) {
                char object[2] = {(char)r->recheck.asked[i].object.bytes[15]};

                fake_row(&res);
                fake_i32(&res, (int32_t)i + 1);
                fake_text(&res, "META");
                fake_uuid(&res, &connection);
                fake_text(&res, variant == 2 ? "z" : object[0] == '3' ? "b" : "a");
                fake_text(&res, object);
        }
        return res;
}

/* Variant 1: other accounts are ambiguous, 2: something was renamed, 3: the server does not count that. */
static struct pg_result watched(unsigned variant)
{
        struct pg_result res = fake_done(0);

        fake_row(&res);
        fake_i64(&res, variant == 1);
        if (variant == 3)
                fake_null(&res);
        else
                fake_i64(&res, variant == 2);
        return res;
}

enum { VARIANTS = 7, OTHER_ENDS = 3 };

static struct pg_result success(const struct resolver *r, unsigned variant)
{
        switch (r->question) {
        case RESOLVER_ASKS:
        case RESOLVER_DOUBTS:
                return looked_up(r, variant);
        case RESOLVER_RECHECKS:
                return named(r, variant);
        case RESOLVER_REFRESHES:
                return watched(variant);
        default:
                return fake_done(0);
        }
}

static void evacuate(struct story *s)
{
        resolver_evacuate(&s->resolver, "the owner does not wait", on_evacuated, s);
}

static void answer(struct story *s)
{
        struct resolver *r = &s->resolver;
        enum resolver_question question = r->question;
        unsigned way = choose(s->choices, VARIANTS + OTHER_ENDS);
        struct pg_result res;

        if (way < VARIANTS) {
                ended[question][ANSWERED] = true;
                res = success(r, way);
                fake_answer(&r->conn, &res);
        } else if (way == VARIANTS) {
                ended[question][FAILED] = true;
                res = fake_failed("53200");
                fake_answer(&r->conn, &res);
        } else if (way == VARIANTS + 1) {
                ended[question][LOST] = true;
                fake_lose(&r->conn);
        } else {
                ended[question][GIVEN_UP] |= !list_empty(&r->asked);
                evacuate(s);
                if (pg_conn_connected(&r->conn) && fake_sql(&r->conn)) /* no row hangs on it */
                        fake_lose(&r->conn);
        }
}

/* --- stories --- */

/* So long that all that waits for a time is due. */
static void pass_time(struct story *s)
{
        fake_loop_pass(s->ticks++ % 2 ? 61000 : GRACE_MS / 2);
        fake_loop_fire(&s->resolver.tick);
        fake_loop_fire(&s->resolver.retry);
}

static void drain(struct story *s)
{
        s->draining = true;
        resolver_drain(&s->resolver);
}

/* Between answers, or before one. */
static void happen(struct story *s)
{
        switch (choose(s->choices, 6)) {
        case 1:
                resolver_hierarchy_changed(&s->resolver, true);
                break;
        case 2:
                resolver_hierarchy_changed(&s->resolver, false);
                break;
        case 3:
                evacuate(s);
                break;
        case 4:
                drain(s);
                break;
        case 5:
                pass_time(s);
                break;
        default:
                if (s->lines < LINES)
                        add_line(s);
                else
                        pass_time(s);
        }
}

static bool is_over(const struct story *s)
{
        return s->lines == LINES && resolver_empty(&s->resolver) && s->ticks > 3;
}

static bool step(struct story *s)
{
        struct pg_conn *c = &s->resolver.conn;

        if (!pg_conn_connected(c))
                fake_ready(c);
        else if (fake_sql(c) && s->lines > 1) /* the second line comes while the first one is asked for */
                answer(s);
        else if (!is_over(s))
                happen(s);
        else
                return false;
        check_lines(s);
        return true;
}

static void tell(struct choices *choices, unsigned grace_ms, unsigned steps)
{
        static const struct resolver_ops ops = {.on_resolved = on_resolved,
                                                .settle = settle,
                                                .on_unknown = on_unknown,
                                                .on_abandoned = on_abandoned};
        const struct resolver_config config = {
                .url = "", .cache_objects = 100, .grace_ms = grace_ms, .recheck_ms = 1000};
        static struct story s;
        unsigned n = 0;

        s = (struct story){.choices = choices};
        memory_init(&s.memory, 1 << 20);
        s.block = block_new(&s.memory, (size_t)2 * LINES);
        assert_int_equal(uv_loop_init(&s.loop), 0);
        resolver_open(&s.resolver, &s.loop, &config, &s.memory, &ops, &s);
        while (n < steps && step(&s))
                n++;
        if (n == STEPS_MAX)
                fail_msg("no end after the answers %s", choices_text(choices));
        evacuate(&s);
        check_lines(&s);
        resolver_close(&s.resolver, on_closed);
        uv_run(&s.loop, UV_RUN_DEFAULT);
        assert_true(s.closed);
        assert_int_equal(uv_loop_close(&s.loop), 0);
        block_unref(s.block);
        assert_int_equal(s.memory.used, 0);
        memory_deinit(&s.memory);
}

static void tell_all(size_t depth, unsigned grace_ms)
{
        struct choices c = {.len = depth};

        do
                tell(&c, grace_ms, STEPS_MAX);
        while (choices_next(&c));
}

static void test_every_sequence_of_a_few_answers(void **state)
{
        (void)state;
        tell_all(DEPTH, 0);
        tell_all(DEPTH, GRACE_MS);
}

static void test_answers_by_chance(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= BY_CHANCE; seed++) {
                struct choices c = choices_by_chance(seed);

                tell(&c, seed & 1 ? 0 : GRACE_MS, STEPS_MAX);
        }
}

/* The answer never comes: the daemon stops before. */
static void test_the_end_in_the_middle(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= BY_CHANCE; seed++) {
                struct choices c = choices_by_chance(seed);

                tell(&c, seed & 1 ? 0 : GRACE_MS, (unsigned)(1 + seed % 40));
        }
}

/* Behind the others: what these reached. */
static void test_every_question_ended_in_every_way(void **state)
{
        static const char *const ends[ENDS] = {"answered", "failed", "lost", "given up"};
        static const char *const questions[RESOLVER_QUESTIONS] = {NULL,     "asks",     "doubts",
                                                                  "probes", "rechecks", "refreshes"};
        bool missed = false;

        (void)state;
        for (size_t q = RESOLVER_ASKS; q < RESOLVER_QUESTIONS; q++) {
                bool of_rows = q == RESOLVER_ASKS || q == RESOLVER_DOUBTS || q == RESOLVER_PROBES;

                for (size_t e = 0; e < (of_rows ? ENDS : GIVEN_UP); e++) {
                        if (ended[q][e])
                                continue;
                        print_message("not reached: %s is %s\n", questions[q], ends[e]);
                        missed = true;
                }
        }
        assert_false(missed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_sequence_of_a_few_answers),
                cmocka_unit_test(test_answers_by_chance),
                cmocka_unit_test(test_the_end_in_the_middle),
                cmocka_unit_test(test_every_question_ended_in_every_way),
        };

        log_set_level(LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
