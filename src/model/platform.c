#include "model/platform.h"

#include "err.h"
#include "model/db.h"

static const struct slice names[] = {
#define X(name) {#name, sizeof(#name) - 1},
        PLATFORM_MAP(X)
#undef X
};

bool platform_parse(struct slice text, enum platform *ret)
{
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (slice_eq(names[i], text)) {
                        *ret = (enum platform)i;
                        return true;
                }
        }
        return false;
}

const char *platform_name(enum platform platform)
{
        return names[platform].ptr;
}

int platform_read(struct db *db, struct slice text, enum platform *ret)
{
        return platform_parse(text, ret) ? 0 : db_fail(db, ERR_SCHEMA, "unknown platform %s", text.ptr);
}
