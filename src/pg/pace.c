#include "pg/pace.h"

enum {
        GAP_PART = 2,       /* the gap is 1/2 of a commit's fixed time */
        SMALL_PART = 4,     /* a batch up to 1/4 of the target is small */
        TARGET_INERTIA = 4, /* the last batch counts for 1/4 of the new target */
        FIXED_INERTIA = 8,
};

static size_t within(size_t n, size_t least, size_t most)
{
        if (n < least)
                n = least;
        return n > most ? most : n;
}

static void clamp(struct pace *p)
{
        p->rows = within(p->rows, PACE_ROWS_MIN, p->limits.rows);
        p->bytes = within(p->bytes, PACE_BYTES_MIN, p->limits.bytes);
}

void pace_set_limits(struct pace *p, const struct pace_limits *limits)
{
        p->limits = *limits;
        clamp(p);
}

void pace_init(struct pace *p, const struct pace_limits *limits)
{
        *p = (struct pace){.rows = PACE_ROWS_MIN, .bytes = PACE_BYTES_MIN};
        pace_set_limits(p, limits);
}

/* Returns the target after a batch of @size took @us to commit; unchanged if the batch was too small to tell. */
static size_t approach(size_t target, size_t size, uint64_t us)
{
        uint64_t right;

        if (size < target / 2) /* its size accounts for too little of the time */
                return target;
        right = (uint64_t)size * PACE_COMMIT_MS * 1000 / (us > 0 ? us : 1);
        if (right > target)
                return target + (size_t)((right - target) / TARGET_INERTIA);
        return target - (size_t)((target - right) / TARGET_INERTIA);
}

/* The time that these rows take in a commit, estimated from the target. */
static uint64_t rows_us(const struct pace *p, size_t rows, size_t bytes)
{
        uint64_t by_rows = (uint64_t)rows * PACE_COMMIT_MS * 1000 / p->rows;
        uint64_t by_bytes = (uint64_t)bytes * PACE_COMMIT_MS * 1000 / p->bytes;

        return by_rows > by_bytes ? by_rows : by_bytes;
}

static void learn_fixed(struct pace *p, uint64_t of_rows, uint64_t us)
{
        uint64_t fixed = us > of_rows ? us - of_rows : 0;

        p->fixed_us = p->fixed_us > 0 ? (p->fixed_us * (FIXED_INERTIA - 1) + fixed) / FIXED_INERTIA : fixed;
}

void pace_learn(struct pace *p, size_t rows, size_t bytes, uint64_t us)
{
        if (rows <= p->rows / SMALL_PART && bytes <= p->bytes / SMALL_PART)
                learn_fixed(p, rows_us(p, rows, bytes), us);
        p->rows = approach(p->rows, rows, us);
        p->bytes = approach(p->bytes, bytes, us);
        clamp(p);
}

static uint64_t at_most_linger(const struct pace *p, uint64_t us)
{
        uint64_t linger_us = (uint64_t)p->limits.linger_ms * 1000;

        return us < linger_us ? us : linger_us;
}

uint64_t pace_gap_us(const struct pace *p)
{
        return at_most_linger(p, p->fixed_us / GAP_PART);
}

unsigned pace_wait_ms(const struct pace *p, size_t rows, size_t bytes)
{
        if (rows_us(p, rows, bytes) >= p->fixed_us)
                return 0;
        return (unsigned)((pace_gap_us(p) + 999) / 1000);
}

unsigned pace_wait_busy_ms(const struct pace *p)
{
        return (unsigned)(at_most_linger(p, 2 * p->fixed_us + 1000) / 1000);
}
