#include "model/platform.h"

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
