#include "acks.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t bit_mask(uint64_t line)
{
        return UINT64_C(1) << (line & 63);
}

static uint64_t *bit_word(const struct acks *a, uint64_t line)
{
        return &a->bits[(line & (a->cap_lines - 1)) >> 6];
}

void acks_deinit(struct acks *a)
{
        free(a->bits);
        *a = (struct acks){0};
}

/* Doubles the ring and moves the bits of the lines above the watermark to their new places. */
static void grow(struct acks *a)
{
        struct acks old = *a;

        a->cap_lines = old.cap_lines ? old.cap_lines * 2 : 1024;
        a->bits = calloc(a->cap_lines / 64, sizeof(*a->bits));
        if (!a->bits)
                abort();
        for (uint64_t line = old.settled + 1; line <= old.begun; line++) {
                if (*bit_word(&old, line) & bit_mask(line))
                        *bit_word(a, line) |= bit_mask(line);
        }
        free(old.bits);
}

uint64_t acks_begin(struct acks *a)
{
        if (acks_in_flight(a) + 1 > a->cap_lines)
                grow(a);
        a->begun++;
        *bit_word(a, a->begun) &= ~bit_mask(a->begun);
        return a->begun;
}

bool acks_settle(struct acks *a, uint64_t line)
{
        uint64_t before = a->settled;

        assert(line > a->settled && line <= a->begun);
        assert(!(*bit_word(a, line) & bit_mask(line)));
        *bit_word(a, line) |= bit_mask(line);
        while (a->settled < a->begun && *bit_word(a, a->settled + 1) & bit_mask(a->settled + 1))
                a->settled++;
        return a->settled != before;
}
