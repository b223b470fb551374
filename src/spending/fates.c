#include "spending/fates.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* The columns of the answers; that of a merge has only the first. */
enum { COLUMN_NUMBER, COLUMN_SAME };

void fates_deinit(struct fates *f)
{
        free(f->of);
        free(f->chosen);
        *f = (struct fates){0};
}

void fates_begin(struct fates *f, size_t len)
{
        if (f->cap < len) {
                fates_deinit(f);
                f->of = must_malloc(len * sizeof(*f->of));
                f->chosen = must_malloc(len * sizeof(*f->chosen));
                f->cap = len;
        }
        f->len = len;
        f->asked_len = f->chosen_len = 0;
        memset(f->of, FATE_OPEN, len);
}

/* Returns the fate of the row that row @i of the answer is about, or NULL. */
static uint8_t *asked_fate(const struct fates *f, const struct pg_result *res, int i)
{
        int32_t n = pg_result_null(res, i, COLUMN_NUMBER) ? 0 : pg_result_i32(res, i, COLUMN_NUMBER);

        return n < 1 || (size_t)n > f->asked_len ? NULL : &f->of[f->asked[n - 1]];
}

bool fates_read_merge(struct fates *f, const struct pg_result *res)
{
        int rows = pg_result_rows(res);

        for (int i = 0; i < rows; i++) {
                uint8_t *fate = asked_fate(f, res, i);

                if (!fate || *fate != FATE_OPEN)
                        return false;
                *fate = FATE_INSERTED;
        }
        return true;
}

bool fates_ask(struct fates *f, enum fate fate)
{
        f->chosen_len = 0;
        for (size_t i = 0; i < f->len; i++) {
                if (fate == FATE_ANY || f->of[i] == fate)
                        f->chosen[f->chosen_len++] = (uint32_t)i;
        }
        f->asked = f->chosen;
        f->asked_len = f->chosen_len;
        return f->asked_len > 0;
}

void fates_sort(struct fates *f, int (*compare)(const void *a, const void *b, void *ctx), void *ctx)
{
        qsort_r(f->chosen, f->chosen_len, sizeof(*f->chosen), compare, ctx);
        f->asked = f->chosen;
        f->asked_len = 0;
}

size_t fates_left(const struct fates *f)
{
        return f->chosen_len - (size_t)(f->asked - f->chosen) - f->asked_len;
}

void fates_ask_next(struct fates *f, size_t len)
{
        f->asked += f->asked_len;
        f->asked_len = len;
}

bool fates_read_compare(struct fates *f, const struct pg_result *res, enum fate absent)
{
        int rows = pg_result_rows(res);

        if ((size_t)rows != f->asked_len)
                return false;
        for (int i = 0; i < rows; i++) {
                uint8_t *fate = asked_fate(f, res, i);
                bool stored = !pg_result_null(res, i, COLUMN_SAME);
                bool same = stored && pg_result_bool(res, i, COLUMN_SAME);

                if (!fate || (*fate == FATE_INSERTED && !same) ||
                    (*fate != FATE_INSERTED && *fate != FATE_OPEN))
                        return false;
                if (*fate == FATE_OPEN)
                        *fate = (uint8_t)(!stored ? absent : same ? FATE_SAME : FATE_CONFLICT);
        }
        return true;
}

void fates_reopen(struct fates *f)
{
        for (size_t i = 0; i < f->len; i++) {
                if (f->of[i] != FATE_INSERTED)
                        f->of[i] = FATE_OPEN;
        }
}

bool fates_read_elsewhere(const struct fates *f, const struct pg_result *res)
{
        int rows = pg_result_rows(res);

        for (int i = 0; i < rows; i++) {
                if (!asked_fate(f, res, i) || !pg_result_null(res, i, COLUMN_SAME))
                        return false;
        }
        return (size_t)rows == f->asked_len;
}

size_t fates_count(const struct fates *f, enum fate fate)
{
        size_t count = 0;

        for (size_t i = 0; i < f->len; i++)
                count += f->of[i] == fate;
        return count;
}
