/* A stream in pieces of any size: the framer must find the same lines as in one piece. The first byte chooses
 * the longest line allowed, the second the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hash_line(XXH64_hash_t *hash, enum frame_result result, struct slice line)
{
        XXH64_hash_t parts[2] = {*hash, result == FRAME_LINE ? XXH64(line.ptr, line.len, 1) : 2};

        *hash = XXH64(parts, sizeof(parts), 0);
}

static XXH64_hash_t cut(const uint8_t *data, size_t size, size_t max_line, size_t piece)
{
        struct frame f = {0};
        char *buf = malloc(max_line + 2 + piece);
        XXH64_hash_t hash = 0;
        size_t len = 0;
        size_t fed = 0;

        for (;;) {
                struct slice line;
                size_t used;
                int eof = fed == size;
                enum frame_result result =
                        frame_next(&f, (struct slice){buf, len}, max_line, eof, &line, &used);

                if (used > len || (result == FRAME_LINE && !line.ptr))
                        abort();
                if (result != FRAME_MORE)
                        hash_line(&hash, result, line);
                len -= used;
                memmove(buf, buf + used, len);
                if (result != FRAME_MORE)
                        continue;
                if (len > max_line + 1)
                        abort();
                if (eof)
                        break;
                for (size_t i = 0; i < piece && fed < size; i++)
                        buf[len++] = (char)data[fed++];
        }
        if (len != 0)
                abort();
        free(buf);
        return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        size_t max_line;
        size_t piece;

        if (size < 2)
                return 0;
        max_line = (size_t)data[0] + 1; /* room for a cut byte order mark */
        piece = (size_t)data[1] + 1;
        if (cut(data + 2, size - 2, max_line, piece) != cut(data + 2, size - 2, max_line, size))
                abort();
        return 0;
}
