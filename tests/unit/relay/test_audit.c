/* The source of all messages and the server are fake: they are arrays. */
#include "relay/audit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/source.h"
#include "test.h"

enum { OURS = 1, OTHERS = 2 };

static int stream[64];    /* whose message each sequence is; 0: deleted */
static uint64_t left_out; /* by the audit's own consumer */
static uint64_t delivered;
static uint64_t last;
static int64_t skew_ms;
static int renewed;
static int asked;  /* how often the leader was */
static int ask_ms; /* how long it takes to answer */
static struct audit *a;
static struct nats nats;

/* --- fakes --- */

int64_t clock_monotonic_ms(void)
{
        return 1000000 + skew_ms;
}

struct source *source_open(struct nats *n, const struct source_settings *settings,
                           const struct position *after)
{
        (void)n;
        assert_null(settings->filter);
        delivered = after->sequence;
        return (struct source *)stream;
}

void source_close(struct source *s)
{
        (void)s;
}

bool source_take(struct source *s, struct source_message *ret)
{
        (void)s;
        while (delivered < last) {
                uint64_t n = ++delivered;

                if (stream[n] == 0 || n == left_out)
                        continue;
                *ret = (struct source_message){.sequence = n, .stored_ns = (int64_t)n};
                assert_int_equal(natsMsg_Create(&ret->msg,
                                                stream[n] == OURS ? "boris.p.1.META.a" : "boris.p.10.META.a",
                                                NULL, NULL, 0),
                                 NATS_OK);
                return true;
        }
        return false;
}

bool source_step(struct source *s, size_t held)
{
        (void)s;
        (void)held;
        return true;
}

bool source_idle(struct source *s)
{
        (void)s;
        return delivered == last || left_out > 0;
}

void source_renew(struct source *s)
{
        (void)s;
        renewed++;
}

bool source_changed(const struct source *s)
{
        (void)s;
        return false;
}

const char *source_error(const struct source *s)
{
        (void)s;
        return "";
}

/* Everything has arrived. */
uint64_t source_newest(struct source *s)
{
        (void)s;
        return last;
}

struct source_facts source_facts(struct source *s)
{
        (void)s;
        return (struct source_facts){0};
}

/* The leader: the next message of ours. */
natsStatus natsConnection_RequestString(natsMsg **ret, natsConnection *nc, const char *subject,
                                        const char *text, int64_t timeout)
{
        unsigned long n;
        char answer[64] = "{\"error\":{\"code\":404}}";

        (void)nc;
        (void)timeout;
        asked++;
        skew_ms += ask_ms;
        assert_string_equal(subject, "$JS.API.STREAM.MSG.GET.S");
        assert_int_equal(sscanf(text, "{\"seq\":%lu,\"next_by_subj\":\"boris.p.1.>\"}", &n), 1);
        while (n <= last && stream[n] != OURS)
                n++;
        if (n <= last)
                snprintf(answer, sizeof(answer), "{\"message\":{\"seq\":%lu}}", n);
        return natsMsg_Create(ret, subject, NULL, answer, (int)strlen(answer));
}

/* --- tests --- */

/* "o": ours, "x": another partition's, "-": deleted */
static void store(const char *text)
{
        for (; *text; text++)
                stream[++last] = *text == 'o' ? OURS : *text == 'x' ? OTHERS : 0;
}

static int start(void **state)
{
        (void)state;
        memset(stream, 0, sizeof(stream));
        last = left_out = 0;
        skew_ms = 0;
        renewed = asked = ask_ms = 0;
        a = audit_open(&nats, "S", "boris.p.1.>", &(struct position){0});
        return 0;
}

static int finish(void **state)
{
        (void)state;
        audit_close(a);
        return 0;
}

static void take(uint64_t sequence)
{
        audit_add(a, &(struct position){sequence, (int64_t)sequence});
}

static uint64_t passed(void)
{
        struct position at;

        return audit_passed(a, &at) ? at.sequence : 0;
}

static void test_agreement(void **state)
{
        (void)state;
        store("xoxxo");
        take(2);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(passed(), 2);
        take(5);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(passed(), 5);
        store("o");
        take(6);
        assert_int_equal(passed(), 5);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(passed(), 6);
}

static void test_left_out_between_others(void **state)
{
        (void)state;
        store("oxoo");
        take(1);
        take(4);
        assert_int_equal(audit_step(a, false), AUDIT_SKIPPED);
        assert_int_equal(passed(), 1);
        assert_string_equal(audit_error(a), "a consumer left out message 3: starting again");
}

static void test_left_out_at_the_end(void **state)
{
        (void)state;
        store("oo");
        take(1);
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        skew_ms = 4000;
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        skew_ms = 6000;
        assert_int_equal(audit_step(a, true), AUDIT_STALLED);
        assert_int_equal(audit_step(a, true), AUDIT_FINE); /* the next consumer may take as long */
        skew_ms = 12000;
        assert_int_equal(audit_step(a, true), AUDIT_STALLED);
        assert_int_equal(passed(), 1);
        take(2);
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        assert_int_equal(passed(), 2);
}

/* Its server died, or it is busy: then it is idle for a moment only. */
static void test_a_source_that_is_idle_again(void **state)
{
        (void)state;
        store("oo");
        take(1);
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        skew_ms = 6000;
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        skew_ms = 10000;
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        skew_ms = 11500;
        assert_int_equal(audit_step(a, true), AUDIT_STALLED);
}

static void test_servers_that_differ(void **state)
{
        (void)state;
        store("oxo");
        take(1);
        take(2); /* another partition's, says the audit's server */
        assert_int_equal(audit_step(a, false), AUDIT_SKIPPED);
        assert_int_equal(passed(), 1);
        assert_string_equal(audit_error(a), "two servers have different messages 2: starting again");
}

static void test_messages_that_differ(void **state)
{
        (void)state;
        store("oo");
        take(1);
        audit_add(a, &(struct position){2, 77});
        assert_int_equal(audit_step(a, false), AUDIT_SKIPPED);
        assert_int_equal(passed(), 1);
}

static void test_deleted_messages(void **state)
{
        (void)state;
        store("---o-x--o");
        take(4);
        take(9);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(passed(), 9);
}

/* One answer is about all gaps before the message that it names. */
static void test_many_gaps(void **state)
{
        (void)state;
        store("-x-x-x-x-o-x-x-x-o");
        take(10);
        take(18);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(passed(), 18);
        assert_int_equal(asked, 2);
}

static void test_many_gaps_and_nothing_of_ours(void **state)
{
        (void)state;
        store("-x-x-x-x");
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(asked, 1);
        store("-x-x-o"); /* a newer one may be ours */
        take(14);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(passed(), 14);
        assert_int_equal(asked, 2);
}

static void test_left_out_in_a_later_gap(void **state)
{
        (void)state;
        store("-x-o-xoo");
        left_out = 7;
        take(4);
        take(8);
        assert_int_equal(audit_step(a, false), AUDIT_SKIPPED);
        assert_int_equal(passed(), 4);
}

/* The caller keeps its lease between the steps. */
static void test_a_slow_leader(void **state)
{
        (void)state;
        store("-o-o-o-o-o");
        for (uint64_t n = 2; n <= 10; n += 2)
                take(n);
        ask_ms = 30;
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(asked, 2);
        assert_int_equal(passed(), 4);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(passed(), 10);
}

static void test_deleted_after_it_was_delivered(void **state)
{
        (void)state;
        store("o-xo");
        take(1);
        take(2);
        take(4);
        assert_int_equal(audit_step(a, false), AUDIT_FINE);
        assert_int_equal(passed(), 4);
}

static void test_both_left_it_out(void **state)
{
        (void)state;
        store("oxoo");
        left_out = 3;
        take(1);
        take(4);
        assert_int_equal(audit_step(a, false), AUDIT_SKIPPED);
        assert_int_equal(passed(), 1);
}

static void test_its_own_consumer_stalls(void **state)
{
        (void)state;
        store("oo");
        left_out = 2;
        take(1);
        take(2);
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        skew_ms = 4000;
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        assert_int_equal(renewed, 0);
        skew_ms = 6000;
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        assert_int_equal(renewed, 1);
        assert_int_equal(audit_step(a, true), AUDIT_FINE);
        assert_int_equal(renewed, 1);
        assert_int_equal(passed(), 1);
}

static void test_it_is_full(void **state)
{
        (void)state;
        for (uint64_t n = 1; n < 100000; n++)
                take(n);
        assert_false(audit_full(a));
        take(100000);
        assert_true(audit_full(a));
}

static int open_library(void **state)
{
        (void)state;
        return nats_Open(-1) == NATS_OK ? 0 : -1;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_agreement, start, finish),
                cmocka_unit_test_setup_teardown(test_left_out_between_others, start, finish),
                cmocka_unit_test_setup_teardown(test_left_out_at_the_end, start, finish),
                cmocka_unit_test_setup_teardown(test_a_source_that_is_idle_again, start, finish),
                cmocka_unit_test_setup_teardown(test_servers_that_differ, start, finish),
                cmocka_unit_test_setup_teardown(test_messages_that_differ, start, finish),
                cmocka_unit_test_setup_teardown(test_deleted_messages, start, finish),
                cmocka_unit_test_setup_teardown(test_many_gaps, start, finish),
                cmocka_unit_test_setup_teardown(test_many_gaps_and_nothing_of_ours, start, finish),
                cmocka_unit_test_setup_teardown(test_left_out_in_a_later_gap, start, finish),
                cmocka_unit_test_setup_teardown(test_a_slow_leader, start, finish),
                cmocka_unit_test_setup_teardown(test_deleted_after_it_was_delivered, start, finish),
                cmocka_unit_test_setup_teardown(test_both_left_it_out, start, finish),
                cmocka_unit_test_setup_teardown(test_its_own_consumer_stalls, start, finish),
                cmocka_unit_test_setup_teardown(test_it_is_full, start, finish),
        };

        return cmocka_run_group_tests(tests, open_library, NULL);
}
