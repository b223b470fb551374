#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/config.h"

/* The table of settings, for config.c and config_reload.c. */

enum setting_type {
        TYPE_STRING,
        TYPE_PATH,    /* a path of at most the length given, or "" */
        TYPE_FILE,    /* a path that may be "credential:NAME" */
        TYPE_ADDRESS, /* "", host:port or [v6]:port */
        TYPE_UINT,
        TYPE_MS, /* a duration, stored in milliseconds */
        TYPE_SIZE,
        TYPE_MODE,
        TYPE_LEVEL,
        TYPE_FORMAT,
        TYPE_FK_CHECK,
        TYPE_SWITCH, /* on or off */
};

struct setting {
        const char *section;
        const char *key;
        const char *def;
        enum setting_type type;
        size_t offset;
        uint64_t min;
        uint64_t max;
};

#define AT(member) offsetof(struct config, member)

enum { CONFIG_SETTINGS_MAX = 96 };

extern const struct setting config_settings[];
extern const size_t config_settings_len;

static inline void *config_field(struct config *config, const struct setting *s)
{
        return (char *)config + s->offset;
}

#endif
