#ifndef UUID_H
#define UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

/* A UUID's 16 bytes in network order (RFC 9562 section 4), as in PostgreSQL's binary format. */
struct uuid {
        uint8_t bytes[16];
};

enum { UUID_TEXT_LEN = 36 };

/* Parses the canonical form 8-4-4-4-12 in either case. Returns false, with *ret undefined, for any other
 * text. */
bool uuid_parse(struct slice text, struct uuid *ret);

/* Writes the canonical lower-case form and a NUL. */
void uuid_format(const struct uuid *uuid, char ret_text[UUID_TEXT_LEN + 1]);

/* Returns a UUIDv8 (RFC 9562 section 5.8) made of the low 48 bits of @unix_ms and 74 bits of the 128-bit
 * hash (@hi, @lo). */
struct uuid uuid_v8(int64_t unix_ms, uint64_t hi, uint64_t lo);

/* Returns a new UUIDv7 (RFC 9562 section 5.7) made of the low 48 bits of @unix_ms and random bits. */
struct uuid uuid_v7(int64_t unix_ms);

static inline bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
        return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

#endif
