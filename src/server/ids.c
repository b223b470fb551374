#include "server/ids.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 256 };

/* A plain decimal number. */
static bool read_number(const char *text, unsigned *ret)
{
        char *end;
        unsigned long n;

        if (!isdigit((unsigned char)text[0]))
                return false;
        errno = 0;
        n = strtoul(text, &end, 10);
        *ret = (unsigned)n;
        return errno == 0 && *end == '\0' && n < UINT32_MAX; /* the last one means nobody (chown(2)) */
}

/* Too long for a name: as good as unknown. */
static bool copy(struct slice name, char ret[NAME_BYTES])
{
        snprintf(ret, NAME_BYTES, "%.*s", (int)(name.len < NAME_BYTES ? name.len : 0), name.ptr);
        return ret[0] != '\0';
}

bool ids_find_user(struct slice name, unsigned *ret)
{
        char text[NAME_BYTES];
        const struct passwd *entry;

        if (!copy(name, text))
                return false;
        if (read_number(text, ret))
                return true;
        entry = getpwnam(text);
        if (entry)
                *ret = entry->pw_uid;
        return entry != NULL;
}

bool ids_find_group(struct slice name, unsigned *ret)
{
        char text[NAME_BYTES];
        const struct group *entry;

        if (!copy(name, text))
                return false;
        if (read_number(text, ret))
                return true;
        entry = getgrnam(text);
        if (entry)
                *ret = entry->gr_gid;
        return entry != NULL;
}
