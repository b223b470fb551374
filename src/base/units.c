#include "base/units.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *units_number(const char *text, uint64_t *ret)
{
        char *end;

        if (*text < '0' || *text > '9')
                return NULL;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        return errno ? NULL : end;
}

bool units_size(const char *text, uint64_t *ret)
{
        static const char letters[] = "KMGT";
        const char *unit = units_number(text, ret);
        const char *letter = unit && *unit ? strchr(letters, *unit) : NULL;
        unsigned shift = letter ? 10 * (unsigned)(letter - letters + 1) : 0;

        if (!unit || *ret > UINT64_MAX >> shift)
                return false;
        *ret <<= shift;
        unit += letter != NULL;
        return *unit == '\0' || (letter && (strcmp(unit, "B") == 0 || strcmp(unit, "iB") == 0));
}

bool units_duration(const char *text, uint64_t plain_ms, uint64_t *ret)
{
        static const struct {
                const char *name;
                uint64_t ms;
        } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
        const char *unit = units_number(text, ret);
        uint64_t ms = unit && *unit == '\0' ? plain_ms : 0;

        for (size_t i = 0; unit && i < sizeof(units) / sizeof(units[0]); i++) {
                if (strcmp(unit, units[i].name) == 0)
                        ms = units[i].ms;
        }
        if (ms == 0 || *ret > UINT64_MAX / ms)
                return false;
        *ret *= ms;
        return true;
}
