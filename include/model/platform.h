#ifndef MODEL_PLATFORM_H
#define MODEL_PLATFORM_H

#include <stdbool.h>

#include "base/slice.h"

/* The ad platforms: the database's enum type "platform", and the words on the wire. */
#define PLATFORM_MAP(X)                                                                                      \
        X(META)                                                                                              \
        X(GOOGLE_ADS)                                                                                        \
        X(TIKTOK)

enum platform {
#define X(name) PLATFORM_##name,
        PLATFORM_MAP(X)
#undef X
};

enum { PLATFORMS = PLATFORM_TIKTOK + 1 };

/* Returns false, with *ret unchanged, if @text is not a platform. */
bool platform_parse(struct slice text, enum platform *ret);

const char *platform_name(enum platform platform);

struct db;

/* As platform_parse, for a value of the database: returns 0, or ERR_SCHEMA with the reason in @db. */
int platform_read(struct db *db, struct slice text, enum platform *ret);

#endif
