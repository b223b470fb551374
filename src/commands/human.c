#include "commands/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

char *human_count(uint64_t n, char ret[HUMAN_BYTES])
{
        char digits[HUMAN_BYTES];
        size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n);
        char *p = ret;

        for (size_t i = 0; i < len; i++) {
                if (i > 0 && (len - i) % 3 == 0)
                        *p++ = ',';
                *p++ = digits[i];
        }
        *p = '\0';
        return ret;
}

char *human_short(double n, char ret[HUMAN_BYTES])
{
        static const char units[] = " kMGTPE";
        size_t unit = 0;

        if (n < 9.95 && n != (double)(unsigned)n)
                snprintf(ret, HUMAN_BYTES, "%.1f", n);
        else if (n < 9999.5)
                human_count((uint64_t)(n + 0.5), ret);
        if (n < 9999.5)
                return ret;
        for (; n >= 999.5 && units[unit + 1]; unit++)
                n /= 1000;
        snprintf(ret, HUMAN_BYTES, "%.*f%c", n < 9.95 ? 1 : 0, n, units[unit]);
        return ret;
}

char *human_size(double bytes, char ret[HUMAN_BYTES])
{
        static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
        size_t unit = 0;

        for (; bytes >= 1023.5 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
                bytes /= 1024;
        snprintf(ret, HUMAN_BYTES, "%.*f %s", unit > 0 && bytes < 9.95 ? 1 : 0, bytes, units[unit]);
        return ret;
}

char *human_span(double seconds, char ret[HUMAN_BYTES])
{
        uint64_t whole = (uint64_t)seconds;
        uint64_t hours = whole / 3600;

        if (seconds < 0.9995)
                snprintf(ret, HUMAN_BYTES, "%.*f ms", seconds > 0 && seconds < 0.00995 ? 1 : 0,
                         seconds * 1000);
        else if (seconds < 59.95)
                snprintf(ret, HUMAN_BYTES, "%.*f s", seconds < 9.95 ? 1 : 0, seconds);
        else if (hours == 0)
                snprintf(ret, HUMAN_BYTES, "%" PRIu64 ":%02" PRIu64, whole / 60, whole % 60);
        else if (hours < 24)
                snprintf(ret, HUMAN_BYTES, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, hours, whole / 60 % 60,
                         whole % 60);
        else
                snprintf(ret, HUMAN_BYTES, "%" PRIu64 " d %02" PRIu64 ":%02" PRIu64, hours / 24, hours % 24,
                         whole / 60 % 60);
        return ret;
}
