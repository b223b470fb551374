/* Stories of an overflow between stages and a spool, which both do as they like: lines come in, the database settles some,
 * falls silent or is lost, an object is unknown, jobs of the spool succeed late or fail, the daemon stops. A line must be
 * settled for its client exactly once, and once it is spooled also for the spool; and no line may enter the stages before an
 * earlier one that is still in the spool, or on its way there. */
#include "spool/overflow.h"

#include "choices.h"
#include "fake_loop.h"
#include "seen_states.h"
#include "base/list.h"
#include "base/log.h"
#include "test.h"

enum {
        LINES = 6,
        CHUNK = 2,            /* lines that a job reads */
        LINE_BYTES = 2 << 20, /* as the spool has it: one line is more than little */
        STEPS_MAX = 1000,
        DEPTH = 4,
        BY_CHANCE = 20000,
};

/* Where a line is. */
enum place {
        NOWHERE, /* not sent yet */
        STAGES,
        PENDING, /* taken by the spool, and not durable */
        STORED,  /* in the spool */
        FED,     /* in the spool, and in the stages */
        SETTLED,
        GIVEN_UP,
};

struct story {
        uv_loop_t loop;
        struct memory memory;
        struct overflow overflow;
        struct choices *choices;
        struct block *block;
        struct line_source client;
        struct line_tally tally;
        unsigned sent;
        enum place places[LINES];
        struct line lines[LINES];        /* as they are in their place */
        struct spool_line stored[LINES]; /* by id */
        unsigned told[LINES];            /* how often the client was told of each */
        bool unknown[LINES];             /* its object is: it waits in the stages */
        bool connected;
        bool draining;
        bool reading; /* so the job does */
        unsigned cursor;
};

static struct story *story; /* the spool's functions have no other way to it */

static unsigned index_of(const struct line *line)
{
        return (unsigned)line->number - 1;
}

static unsigned count(const struct story *s, enum place place)
{
        unsigned n = 0;

        for (unsigned i = 0; i < LINES; i++)
                n += s->places[i] == place;
        return n;
}

/* --- the spool, in place of spool.c --- */

int spool_open(struct spool *p, uv_loop_t *loop, const char *dir, uint64_t max_bytes, struct memory *memory,
               const struct spool_ops *ops, void *ctx, char ret_error[SPOOL_ERROR_BYTES])
{
        (void)max_bytes;
        (void)ret_error;
        *p = (struct spool){.loop = loop, .dir = dir, .memory = memory, .ops = ops, .ctx = ctx};
        return 0;
}

void spool_close(struct spool *p, void (*cb)(struct spool *))
{
        assert_int_equal(p->fed, 0);
        assert_null(cb);
}

void spool_kick(struct spool *p)
{
        p->bytes = p->lines * LINE_BYTES;
        p->fed_bytes = p->fed * LINE_BYTES;
        if (p->working)
                return;
        story->reading =
                p->lines > p->fed && (story->cursor > 0 || p->settled.len == 0) && p->ops->may_drain(p->ctx);
        p->working = (p->pending.len > 0 && !spool_failing(p)) || story->reading ||
                     (p->settled.len > 0 && p->ops->may_erase(p->ctx));
}

void spool_flush(struct spool *p)
{
        spool_kick(p);
}

void spool_add_take(struct spool *p, const struct line *line, const struct line_from *from)
{
        assert_int_equal(from->line, line->number);
        story->lines[index_of(line)] = *line;
        story->places[index_of(line)] = PENDING;
        p->pending.len++;
        spool_kick(p);
}

void spool_settle(struct spool *p, struct spool_line *line)
{
        p->settled.len++;
        p->lines--;
        p->fed--;
        story->places[line->place.id] = SETTLED;
        spool_kick(p);
}

void spool_forget(struct spool *p, struct spool_line *line)
{
        p->fed--;
        story->places[line->place.id] = STORED;
}

void spool_rewind(struct spool *p)
{
        assert_int_equal(p->fed, 0);
        story->cursor = 0;
        story->reading = false;
}

void spool_take_back(struct spool *p, line_take_cb *cb, void *ctx)
{
        assert_false(p->working);
        p->pending.len = 0;
        for (unsigned i = 0; i < LINES; i++) {
                if (story->places[i] != PENDING)
                        continue;
                story->places[i] = GIVEN_UP; /* unless it goes into the stages */
                cb(ctx, &story->lines[i]);
        }
}

static void feed(struct spool *p)
{
        unsigned n = 0;

        for (unsigned i = story->cursor; i < LINES && n < CHUNK; i++) {
                if (story->places[i] != STORED)
                        continue;
                story->cursor = i + 1;
                story->stored[i].place.id = i;
                story->stored[i].from = (struct line_from){"sender", 1, i + 1, "sender's"};
                story->places[i] = FED;
                story->lines[i].in_spool = &story->stored[i];
                story->lines[i].block = block_ref(story->block);
                p->fed++;
                n++;
                p->ops->on_drained(p->ctx, &story->lines[i]);
        }
}

/* The job is over, and wrote what was pending, or could not. */
static void end_job(struct spool *p, bool written)
{
        if (!p->working)
                return;
        p->state = written ? SPOOL_GOOD : SPOOL_NO_ROOM;
        p->settled.len = 0;
        for (unsigned i = 0; written && i < LINES; i++) {
                if (story->places[i] != PENDING)
                        continue;
                story->places[i] = STORED;
                p->pending.len--;
                p->lines++;
                p->ops->on_spooled(p->ctx, &story->lines[i]);
        }
        if (story->reading)
                feed(p);
        p->working = false;
        p->ops->on_job_over(p->ctx);
        spool_kick(p);
}

/* --- the stages --- */

/* No earlier line may be after this one. */
static void enter_stages(struct story *s, struct line *line)
{
        unsigned i = index_of(line);

        for (unsigned earlier = 0; earlier < i; earlier++) {
                enum place place = s->places[earlier];

                if (place == PENDING || place == STORED)
                        fail_msg("line %u passes line %u, after the choices %s", i + 1, earlier + 1,
                                 choices_text(s->choices));
        }
        s->lines[i] = *line;
        if (s->places[i] != FED)
                s->places[i] = STAGES;
}

static void on_routed(void *ctx, struct line *line)
{
        enter_stages(ctx, line);
}

static bool is_staged(const struct story *s, unsigned i)
{
        return s->places[i] == STAGES || s->places[i] == FED;
}

static void know(struct story *s, unsigned i)
{
        if (s->unknown[i])
                s->lines[i].source->tally->unknown--;
        s->unknown[i] = false;
}

/* Those of the spool first. */
static void evacuate(void *ctx, const char *why, line_take_cb *cb, void *cb_ctx)
{
        struct story *s = ctx;

        assert_non_null(why);
        for (int turn = 0; turn < 2; turn++) {
                for (unsigned i = 0; i < LINES; i++) {
                        struct line line = s->lines[i];

                        if (s->places[i] != (turn == 0 ? FED : STAGES))
                                continue;
                        know(s, i);
                        cb(cb_ctx, &line);
                }
        }
}

static bool has_room(void *ctx)
{
        (void)ctx;
        return true;
}

static bool is_full(void *ctx)
{
        (void)ctx;
        return false;
}

static bool waits(void *ctx)
{
        const struct story *s = ctx;

        for (unsigned i = 0; i < LINES; i++) {
                if (is_staged(s, i) && !s->unknown[i])
                        return true;
        }
        return false;
}

static bool is_connected(void *ctx)
{
        return ((const struct story *)ctx)->connected;
}

static struct rules *rules_of(void *ctx, const char *origin)
{
        (void)ctx;
        assert_string_equal(origin, "sender's");
        return NULL;
}

static bool on_record(void *ctx)
{
        (void)ctx;
        return true;
}

/* The database stores the first line that does not wait. */
static bool store_one(struct story *s)
{
        for (unsigned i = 0; i < LINES; i++) {
                struct line line = s->lines[i];

                if (!is_staged(s, i) || s->unknown[i])
                        continue;
                if (s->places[i] == STAGES)
                        s->places[i] = SETTLED;
                overflow_note_progress(&s->overflow);
                line_settle(&line, LINE_STORED, NULL);
                return true;
        }
        return false;
}

/* --- the client --- */

static void tell_client(struct line_source *source, const struct line *line, enum line_outcome outcome,
                        const struct reject *reject)
{
        struct story *s = container_of(source, struct story, client);

        (void)outcome;
        assert_null(reject);
        s->told[index_of(line)]++;
}

static void leave_unsettled(struct line_source *source, const struct line *line)
{
        struct story *s = container_of(source, struct story, client);

        assert_true(s->draining);
        s->told[index_of(line)]++;
}

static struct line_from from_client(const struct line_source *source, const struct line *line)
{
        (void)source;
        return (struct line_from){"sender", 1, line->number, "sender's"};
}

static void send_next(struct story *s)
{
        struct line line = {.text = {s->block->data, 1}, .source = &s->client, .number = s->sent + 1};

        if (s->sent == LINES || s->draining ||
            (overflow_diverts(&s->overflow) && !overflow_has_room(&s->overflow)))
                return;
        s->sent++;
        line.block = block_ref(s->block);
        line_begin(&s->client);
        if (overflow_diverts(&s->overflow))
                overflow_add_take(&s->overflow, &line);
        else
                enter_stages(s, &line);
}

/* --- stories --- */

static void look(struct story *s, uint64_t ms)
{
        fake_loop_pass(ms);
        fake_loop_fire(&s->overflow.look);
}

/* What waits for its object, a lookup ago or since now. */
static void change_known(struct story *s)
{
        unsigned i = LINES;

        while (i-- > 0 && !is_staged(s, i))
                ;
        if (i >= LINES)
                return;
        if (s->unknown[i]) {
                know(s, i);
        } else {
                s->unknown[i] = true;
                s->lines[i].source->tally->unknown++;
        }
}

/* The way to the end: all are sent, and settled as soon as can be. */
static void go_on(struct story *s)
{
        s->connected = true;
        send_next(s);
        for (unsigned i = 0; i < LINES; i++)
                know(s, i);
        if (store_one(s))
                return;
        s->overflow.spool.state = SPOOL_GOOD;
        spool_kick(&s->overflow.spool);
        end_job(&s->overflow.spool, true);
        look(s, 200);
}

static void happen(struct story *s)
{
        switch (choose(s->choices, 11)) {
        case 1:
                send_next(s);
                break;
        case 2:
                look(s, 2100);
                break;
        case 3:
                look(s, 5100);
                break;
        case 4:
                end_job(&s->overflow.spool, true);
                break;
        case 5:
                end_job(&s->overflow.spool, false);
                break;
        case 6:
                store_one(s);
                break;
        case 7:
                s->connected = !s->connected;
                break;
        case 8:
                change_known(s);
                break;
        case 9:
                s->draining = true;
                overflow_drain(&s->overflow);
                break;
        case 10:
                overflow_judge_again(&s->overflow);
                break;
        default:
                go_on(s);
        }
}

static void check_lines(const struct story *s)
{
        for (unsigned i = 0; i < LINES; i++) {
                bool direct = s->places[i] == STAGES || s->places[i] == PENDING || s->places[i] == NOWHERE;

                if (s->told[i] != (direct ? 0 : 1))
                        fail_msg("the client was told of line %u %u times, after the choices %s", i + 1,
                                 s->told[i], choices_text(s->choices));
        }
        assert_int_equal(s->overflow.spool.lines, count(s, STORED) + count(s, FED));
        assert_int_equal(s->overflow.tally.in_flight, count(s, FED));
        assert_int_equal(s->tally.in_flight, count(s, STAGES) + count(s, PENDING));
}

/* A daemon that stops leaves lines in the spool. */
static bool is_over(const struct story *s)
{
        if (s->draining)
                return count(s, STAGES) + count(s, PENDING) == 0;
        return count(s, SETTLED) == LINES && !overflow_diverts(&s->overflow) && !s->overflow.spool.working;
}

static void end(struct story *s)
{
        overflow_end(&s->overflow);
        check_lines(s);
        overflow_close(&s->overflow);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&s->loop), 0);
        block_unref(s->block);
        assert_int_equal(s->memory.used, 0);
        memory_deinit(&s->memory);
}

static void tell(struct choices *choices)
{
        static const struct line_source_ops client = {
                .settle = tell_client, .give_up = leave_unsettled, .from = from_client};
        static const struct overflow_ops ops = {.route = on_routed,
                                                .evacuate = evacuate,
                                                .has_room = has_room,
                                                .memory_full = is_full,
                                                .waits = waits,
                                                .connected = is_connected,
                                                .rules_of = rules_of,
                                                .on_record = on_record};
        static const struct overflow_config config = {.dir = "a folder", .max_bytes = 1 << 20};
        static struct story s;
        unsigned n = 0;

        s = (struct story){.choices = choices, .connected = true};
        s.client = (struct line_source){.ops = &client, .tally = &s.tally};
        story = &s;
        memory_init(&s.memory, 1 << 20);
        s.block = block_new(&s.memory, 1);
        assert_int_equal(uv_loop_init(&s.loop), 0);
        assert_int_equal(overflow_open(&s.overflow, &s.loop, &config, &s.memory, &ops, &s), 0);
        for (; !is_over(&s) && n < STEPS_MAX; n++) {
                happen(&s);
                check_lines(&s);
        }
        if (n == STEPS_MAX)
                fail_msg("no end after the choices %s", choices_text(choices));
        end(&s);
}

static void test_every_sequence_of_a_few_choices(void **state)
{
        struct choices c = {.len = DEPTH};

        (void)state;
        do
                tell(&c);
        while (choices_next(&c));
}

static void test_choices_by_chance(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= BY_CHANCE; seed++) {
                struct choices c = choices_by_chance(seed);

                tell(&c);
        }
}

/* Behind the others: what these reached. */
static void test_every_successor_was_reached(void **state)
{
        (void)state;
        assert_int_equal(seen_states_print_missed("overflow"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_sequence_of_a_few_choices),
                cmocka_unit_test(test_choices_by_chance),
                cmocka_unit_test(test_every_successor_was_reached),
        };

        log_set_level(LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
