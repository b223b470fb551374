#include "base/uuid.h"

#include <stdlib.h>

#include <sys/random.h>

#include "base/hex.h"

static bool is_dash_position(size_t i)
{
        return i == 8 || i == 13 || i == 18 || i == 23;
}

bool uuid_parse(struct slice text, struct uuid *ret)
{
        size_t n = 0;

        if (text.len != UUID_TEXT_LEN)
                return false;
        for (size_t i = 0; i < UUID_TEXT_LEN;) {
                int hi;
                int lo;

                if (is_dash_position(i)) {
                        if (text.ptr[i++] != '-')
                                return false;
                        continue;
                }
                hi = hex_digit(text.ptr[i]);
                lo = hex_digit(text.ptr[i + 1]);
                if (hi < 0 || lo < 0)
                        return false;
                ret->bytes[n++] = (uint8_t)(hi << 4 | lo);
                i += 2;
        }
        return true;
}

void uuid_format(const struct uuid *uuid, char ret_text[UUID_TEXT_LEN + 1])
{
        static const char digits[] = "0123456789abcdef";
        size_t n = 0;

        for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
                if (is_dash_position(n))
                        ret_text[n++] = '-';
                ret_text[n++] = digits[uuid->bytes[i] >> 4];
                ret_text[n++] = digits[uuid->bytes[i] & 15];
        }
        ret_text[n] = '\0';
}

static struct uuid make(unsigned version, int64_t unix_ms, uint64_t hi, uint64_t lo)
{
        struct uuid u;
        uint64_t ms = (uint64_t)unix_ms;

        for (int i = 0; i < 6; i++)
                u.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
        for (int i = 0; i < 2; i++)
                u.bytes[6 + i] = (uint8_t)(hi >> (8 - 8 * i));
        for (int i = 0; i < 8; i++)
                u.bytes[8 + i] = (uint8_t)(lo >> (56 - 8 * i));
        u.bytes[6] = (uint8_t)((u.bytes[6] & 0x0f) | version << 4);
        u.bytes[8] = (uint8_t)((u.bytes[8] & 0x3f) | 0x80);
        return u;
}

struct uuid uuid_v8(int64_t unix_ms, uint64_t hi, uint64_t lo)
{
        return make(8, unix_ms, hi, lo);
}

struct uuid uuid_v7(int64_t unix_ms)
{
        uint64_t random[2];

        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                abort(); /* getrandom(2) never returns fewer than 16 bytes */
        return make(7, unix_ms, random[0], random[1]);
}
