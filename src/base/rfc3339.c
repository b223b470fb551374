#include "base/rfc3339.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Years start in March here, so that the
 * leap day comes last (H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil). */
static int64_t days_from_civil(int year, int month, int day)
{
        int y = month <= 2 ? year - 1 : year;
        int era = (y >= 0 ? y : y - 399) / 400;
        int year_of_era = y - era * 400;
        int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
        int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

        return (int64_t)era * 146097 + day_of_era - 719468;
}

static int days_in_month(int year, int month)
{
        static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

        if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
                return 29;
        return days[month - 1];
}

/* Value of two digits; above 99 if they are not digits. */
static inline unsigned two(const char *p)
{
        unsigned hi = (unsigned)(unsigned char)p[0] - '0';
        unsigned lo = (unsigned)(unsigned char)p[1] - '0';

        return hi > 9 || lo > 9 ? 100 : hi * 10 + lo;
}

/* Reads the optional fraction at *pos to microseconds. */
static enum rfc3339_result read_fraction(struct slice text, size_t *pos, int *ret_us)
{
        static const int scale[] = {0, 100000, 10000, 1000, 100, 10, 1};
        size_t i = *pos;
        size_t digits = 0;
        int value = 0;

        *ret_us = 0;
        if (i >= text.len || text.ptr[i] != '.')
                return RFC3339_OK;
        for (i++; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
                if (++digits <= 6)
                        value = value * 10 + (text.ptr[i] - '0');
        }
        if (digits == 0)
                return RFC3339_SYNTAX;
        if (digits > 6)
                return RFC3339_PRECISION;
        *ret_us = value * scale[digits];
        *pos = i;
        return RFC3339_OK;
}

/* Reads the offset, which must end the text, to seconds east of UTC. */
static enum rfc3339_result read_offset(struct slice text, size_t pos, int *ret_seconds)
{
        const char *p = text.ptr + pos;
        size_t left = text.len - pos;
        unsigned hours;
        unsigned minutes;

        *ret_seconds = 0;
        if (left == 1 && (*p == 'Z' || *p == 'z'))
                return RFC3339_OK;
        if (left != 6 || (*p != '+' && *p != '-') || p[3] != ':')
                return RFC3339_SYNTAX;
        hours = two(p + 1);
        minutes = two(p + 4);
        if (hours == 100 || minutes == 100)
                return RFC3339_SYNTAX;
        if (hours > 15 || minutes > 59)
                return RFC3339_RANGE;
        *ret_seconds = (int)(hours * 3600 + minutes * 60) * (*p == '-' ? -1 : 1);
        return RFC3339_OK;
}

/* For eight bytes, the first one lowest: true if each is at most 9 where @is_digit has ones, and 0
 * elsewhere. */
static inline bool are_digits(uint64_t bytes, uint64_t is_digit)
{
        const uint64_t highs = 0x8080808080808080u;
        const uint64_t beyond = highs - 0x0101010101010101u - (is_digit & 0x0909090909090909u);

        return (((bytes + beyond) | bytes) & highs) == 0; /* only a byte above 9 causes a carry */
}

/* Combines each two neighbouring digits to a number, in the place of the first. */
static inline uint64_t pairs(uint64_t digits)
{
        return digits * 10 + (digits >> 8);
}

static inline int pair_at(uint64_t pairs, unsigned byte)
{
        return (int)(pairs >> (8 * byte) & 0xff);
}

static inline uint64_t eight_bytes(const char *p)
{
        uint64_t w;

        memcpy(&w, p, sizeof(w));
        return le64toh(w);
}

enum rfc3339_result rfc3339_parse(struct slice text, int64_t *ret)
{
        enum { FIXED = 19 }; /* YYYY-MM-DDThh:mm:ss */
        const uint64_t lower_t = UINT64_C(0x20) << 16;
        size_t pos = FIXED;
        uint64_t date;
        uint64_t clock;
        unsigned second;
        int us;
        int offset;
        int year;
        int month;
        int day;
        int hour;
        int minute;
        enum rfc3339_result result;

        if (text.len < FIXED + 1 || text.ptr[16] != ':')
                return RFC3339_SYNTAX;
        date = eight_bytes(text.ptr) ^ eight_bytes("0000-00-");
        clock = (eight_bytes(text.ptr + 8) | lower_t) ^ eight_bytes("00t00:00");
        second = two(text.ptr + 17);
        if (!are_digits(date, 0x00ffff00ffffffffu) || !are_digits(clock, 0xffff00ffff00ffffu) ||
            second == 100)
                return RFC3339_SYNTAX;
        result = read_fraction(text, &pos, &us);
        if (result != RFC3339_OK)
                return result;
        result = read_offset(text, pos, &offset);
        if (result != RFC3339_OK)
                return result;
        date = pairs(date);
        clock = pairs(clock);
        year = pair_at(date, 0) * 100 + pair_at(date, 2);
        month = pair_at(date, 5);
        day = pair_at(clock, 0);
        hour = pair_at(clock, 3);
        minute = pair_at(clock, 6);
        if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 ||
            minute > 59 || second > 59)
                return RFC3339_RANGE;
        *ret = (days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + (int)second -
                offset) *
                       1000000 +
               us;
        return RFC3339_OK;
}

void rfc3339_format(int64_t unix_us, char ret_text[RFC3339_TEXT_BYTES])
{
        int64_t us = unix_us % 1000000;
        time_t seconds = (time_t)(unix_us / 1000000);
        struct tm tm;
        size_t len;

        if (us < 0) {
                us += 1000000;
                seconds--;
        }
        gmtime_r(&seconds, &tm);
        len = strftime(ret_text, RFC3339_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(ret_text + len, RFC3339_TEXT_BYTES - len, ".%06dZ", (int)us);
}
