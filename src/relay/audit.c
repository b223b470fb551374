#include "relay/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/memory.h"
#include "relay/source.h"

enum {
        WINDOW_BYTES = 512 * 1024,
        TAKEN_MAX = 100000,
        STALL_MS =
                5000, /* a source that is idle for this long without delivering a message has left it out */
        API_MS = 700,
        STEP_MS = 50, /* how long a step may ask the leader; the caller keeps a lease meanwhile */
};

struct audit {
        struct nats *nats;
        const char *stream;
        const char *filter;
        struct source *all;
        struct source_message next; /* msg is NULL: none */
        int64_t idle_ms;            /* since when it is the next, and the source idle */
        int64_t behind_ms;      /* since when what the source delivered is not reached by an idle consumer */
        uint64_t seen;          /* all messages up to this one were looked at */
        bool begun;             /* one was */
        uint64_t empty_until;   /* the leader has no message of ours after seen, up to this one */
        struct position *taken; /* what the source delivered and the audit has not reached, in order */
        size_t taken_first;
        size_t taken_len;
        size_t taken_cap;
        struct position passed; /* sequence 0: not known yet */
        char error[NATS_ERROR_BYTES];
};

enum verdict { VERDICT_PASSED, VERDICT_WAIT, VERDICT_UNKNOWN, VERDICT_STALLED, VERDICT_SKIPPED };

/* --- what the source delivered --- */

void audit_add(struct audit *a, const struct position *at)
{
        if (a->taken_first > 0 && a->taken_first + a->taken_len == a->taken_cap) {
                memmove(a->taken, a->taken + a->taken_first, a->taken_len * sizeof(*a->taken));
                a->taken_first = 0;
        }
        if (a->taken_first + a->taken_len == a->taken_cap)
                a->taken = array_grow(a->taken, &a->taken_cap, sizeof(*a->taken));
        a->taken[a->taken_first + a->taken_len++] = *at;
}

bool audit_full(const struct audit *a)
{
        return a->taken_len >= TAKEN_MAX;
}

/* The audit has reached all messages up to @sequence; those that it did not find were deleted meanwhile. */
static void pass_up_to(struct audit *a, uint64_t sequence)
{
        while (a->taken_len > 0 && a->taken[a->taken_first].sequence <= sequence) {
                a->passed = a->taken[a->taken_first++];
                a->taken_len--;
        }
        if (a->taken_len == 0)
                a->taken_first = 0;
}

/* --- the stream --- */

static enum verdict skipped(struct audit *a, uint64_t sequence)
{
        snprintf(a->error, sizeof(a->error), "a consumer left out message %" PRIu64 ": starting again",
                 sequence);
        return VERDICT_SKIPPED;
}

static enum verdict differs(struct audit *a)
{
        snprintf(a->error, sizeof(a->error),
                 "two servers have different messages %" PRIu64 ": starting again", a->next.sequence);
        return VERDICT_SKIPPED;
}

/* It is reported again if the next consumer does not deliver the message either. */
static enum verdict stalled(struct audit *a)
{
        snprintf(a->error, sizeof(a->error),
                 "a consumer does not deliver message %" PRIu64 ": creating another one", a->next.sequence);
        a->idle_ms = clock_monotonic_ms();
        return VERDICT_STALLED;
}

/* @newest: a message that the stream had before it was asked. */
static enum verdict read_answer(struct audit *a, natsMsg *answer, uint64_t newest)
{
        cJSON *json = cJSON_ParseWithLength(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
        const cJSON *message = cJSON_GetObjectItemCaseSensitive(json, "message");
        const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "error");
        double sequence = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(message, "seq"));
        bool none = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(error, "code")) == 404;
        enum verdict verdict = VERDICT_UNKNOWN;

        if (none || sequence >= (double)a->next.sequence) {
                a->empty_until = none ? newest : (uint64_t)sequence - 1;
                verdict = VERDICT_PASSED;
        } else if (sequence > 0) {
                verdict = skipped(a, (uint64_t)sequence);
        }
        cJSON_Delete(json);
        return verdict;
}

/* Numbers are missing before the next message: asks the stream's leader whether the partition has messages
 * there. */
static enum verdict check_gap(struct audit *a)
{
        char subject[300];
        char request[400];
        natsMsg *answer = NULL;
        uint64_t newest;
        enum verdict verdict = VERDICT_UNKNOWN;

        if (a->next.sequence - 1 <= a->empty_until)
                return VERDICT_PASSED;
        newest = source_newest(a->all);
        snprintf(subject, sizeof(subject), "$JS.API.STREAM.MSG.GET.%s", a->stream);
        snprintf(request, sizeof(request), "{\"seq\":%" PRIu64 ",\"next_by_subj\":\"%s\"}", a->seen + 1,
                 a->filter);
        if (natsConnection_RequestString(&answer, a->nats->connection, subject, request, API_MS) == NATS_OK)
                verdict = read_answer(a, answer, newest);
        natsMsg_Destroy(answer);
        if (verdict == VERDICT_UNKNOWN)
                snprintf(a->error, sizeof(a->error), "cannot ask for message %" PRIu64, a->seen + 1);
        return verdict;
}

static bool is_ours(const struct audit *a)
{
        return strncmp(natsMsg_GetSubject(a->next.msg), a->filter, strlen(a->filter) - 1) == 0;
}

/* With what the source delivered at or after this place. */
static enum verdict compare(struct audit *a, const struct position *taken)
{
        if (taken->sequence > a->next.sequence)
                return is_ours(a) ? skipped(a, a->next.sequence) : VERDICT_PASSED;
        return is_ours(a) && taken->stored_ns == a->next.stored_ns ? VERDICT_PASSED : differs(a);
}

/* A consumer that was created a moment ago is given as much time as any. */
static enum verdict wait_for_source(struct audit *a, bool idle)
{
        if (!idle)
                a->idle_ms = clock_monotonic_ms();
        return clock_monotonic_ms() - a->idle_ms > STALL_MS ? stalled(a) : VERDICT_WAIT;
}

static enum verdict judge(struct audit *a, bool idle)
{
        enum verdict verdict = VERDICT_PASSED;

        /* after a rewind the source begins somewhere */
        if (a->next.sequence != a->seen + 1 && (a->begun || source_facts(a->all).rewinds == 0))
                verdict = check_gap(a);
        if (verdict != VERDICT_PASSED)
                return verdict;
        pass_up_to(a, a->next.sequence - 1);
        a->seen = a->next.sequence - 1;
        a->begun = true;
        if (a->taken_len > 0)
                return compare(a, &a->taken[a->taken_first]);
        return is_ours(a) ? wait_for_source(a, idle) : VERDICT_PASSED;
}

/* --- steps --- */

static bool has_next(struct audit *a)
{
        if (!a->next.msg && source_take(a->all, &a->next))
                a->idle_ms = clock_monotonic_ms();
        return a->next.msg;
}

static void drop_next(struct audit *a)
{
        natsMsg_Destroy(a->next.msg);
        a->next.msg = NULL;
}

/* The audit's own consumer does not deliver what the source delivered long ago. */
static void renew_if_behind(struct audit *a)
{
        int64_t now = clock_monotonic_ms();

        if (a->taken_len > 0 && source_idle(a->all)) {
                if (now - a->behind_ms <= STALL_MS)
                        return;
                source_renew(a->all);
        }
        a->behind_ms = now;
}

enum audit_result audit_step(struct audit *a, bool idle)
{
        static const enum audit_result results[] = {[VERDICT_WAIT] = AUDIT_FINE,
                                                    [VERDICT_UNKNOWN] = AUDIT_TROUBLE,
                                                    [VERDICT_STALLED] = AUDIT_STALLED,
                                                    [VERDICT_SKIPPED] = AUDIT_SKIPPED};

        int64_t begun_ms;

        a->error[0] = '\0';
        if (!source_step(a->all, a->next.msg ? a->next.bytes : 0))
                return source_changed(a->all) ? AUDIT_SKIPPED : AUDIT_TROUBLE;
        begun_ms = clock_monotonic_ms();
        while (clock_monotonic_ms() - begun_ms < STEP_MS && has_next(a)) {
                enum verdict verdict = judge(a, idle);

                if (verdict != VERDICT_PASSED)
                        return results[verdict];
                pass_up_to(a, a->next.sequence);
                a->seen = a->next.sequence;
                a->behind_ms = clock_monotonic_ms();
                drop_next(a);
        }
        renew_if_behind(a);
        return AUDIT_FINE;
}

bool audit_passed(const struct audit *a, struct position *ret)
{
        *ret = a->passed;
        return a->passed.sequence > 0;
}

const char *audit_error(const struct audit *a)
{
        return a->error[0] ? a->error : source_error(a->all);
}

struct audit *audit_open(struct nats *nats, const char *stream, const char *filter,
                         const struct position *after)
{
        const struct source_settings settings = {.stream = stream, .window_bytes = WINDOW_BYTES};
        struct audit *a = must_calloc(1, sizeof(*a));

        a->nats = nats;
        a->stream = stream;
        a->filter = filter;
        a->seen = after->sequence;
        a->all = source_open(nats, &settings, after);
        return a;
}

void audit_close(struct audit *a)
{
        if (a->next.msg)
                drop_next(a);
        source_close(a->all);
        free(a->taken);
        free(a);
}
