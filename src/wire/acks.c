#include "wire/acks.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

enum { FIRST_LINES = 64, KEEP_LINES = 4096 };

static uint8_t *outcome_of(const struct acks *a, uint64_t line)
{
        return &a->outcomes[line & (a->cap - 1)];
}

void acks_deinit(struct acks *a)
{
        free(a->outcomes);
        *a = (struct acks){0};
}

/* Doubles the ring and moves the outcomes above the watermark to their new positions. */
static void grow(struct acks *a)
{
        struct acks old = *a;

        a->cap = old.cap ? old.cap * 2 : FIRST_LINES;
        a->outcomes = must_calloc(a->cap, sizeof(*a->outcomes));
        for (uint64_t line = old.settled + 1; line <= old.begun; line++)
                *outcome_of(a, line) = *outcome_of(&old, line);
        free(old.outcomes);
}

uint64_t acks_begin(struct acks *a)
{
        if (acks_in_flight(a) + 1 > a->cap)
                grow(a);
        a->begun++;
        *outcome_of(a, a->begun) = 0;
        return a->begun;
}

bool acks_settle(struct acks *a, uint64_t line, enum line_outcome outcome)
{
        uint64_t before = a->settled;

        assert(line > a->settled && line <= a->begun);
        assert(*outcome_of(a, line) == 0);
        *outcome_of(a, line) = (uint8_t)(outcome + 1);
        while (a->settled < a->begun && *outcome_of(a, a->settled + 1)) {
                a->settled++;
                a->counts[*outcome_of(a, a->settled) - 1]++;
        }
        /* free the ring if it grew beyond the usual size */
        if (a->settled == a->begun && a->cap > KEEP_LINES) {
                free(a->outcomes);
                a->outcomes = NULL;
                a->cap = 0;
        }
        return a->settled != before;
}
