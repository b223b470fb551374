#include "model/platform.h"

#include "base/err.h"
#include "model/db.h"

static const struct slice names[] = {
#define X(name) {#name, sizeof(#name) - 1},
        PLATFORM_MAP(X)
#undef X
};

_Static_assert(sizeof(names) / sizeof(names[0]) == PLATFORMS, "PLATFORMS is their number");

bool platform_parse(struct slice text, enum platform *ret)
{
        size_t i = slice_find(names, PLATFORMS, text);

        if (i < PLATFORMS)
                *ret = (enum platform)i;
        return i < PLATFORMS;
}

const char *platform_name(enum platform platform)
{
        return names[platform].ptr;
}

int platform_read(struct db *db, struct slice text, enum platform *ret)
{
        return platform_parse(text, ret) ? 0 : db_fail(db, ERR_SCHEMA, "unknown platform %s", text.ptr);
}
