#include "relay/stamp.h"

#include <string.h>

#include "base/rfc3339.h"
#include "base/json.h"
#include "wire/frame.h"

bool stamp_next_line(struct slice *rest, struct slice *ret)
{
        const char *newline = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
        size_t len = newline ? (size_t)(newline - rest->ptr) : rest->len;

        if (rest->len == 0)
                return false;
        *ret = (struct slice){rest->ptr, len};
        len += newline ? 1 : 0;
        *rest = (struct slice){rest->ptr + len, rest->len - len};
        return true;
}

static bool string_is(struct json_string s, struct slice word)
{
        char text[6 * sizeof("collectedAt")] = ""; /* each character may be escaped, as in \u0063 */

        if (!s.escaped)
                return slice_eq(s.raw, word);
        if (s.raw.len > sizeof(text))
                return false;
        return slice_eq((struct slice){text, json_string_decode(s, text)}, word);
}

/* True if the line looks like a spending record without collectedAt. */
static bool needs_stamp(struct slice line, struct json_scratch *scratch)
{
        struct json_reader reader;
        struct json_string key;
        struct json_value value;
        bool any = false;

        json_reader_init(&reader, line, scratch);
        if (!json_object_open(&reader))
                return false;
        for (; json_object_next(&reader, !any, &key); any = true) {
                if (!json_read(&reader, &value) || value.trouble)
                        return false;
                if (string_is(key, SLICE_LIT("collectedAt")))
                        return false;
                if (string_is(key, SLICE_LIT("kind")) &&
                    !(value.type == JSON_STRING &&
                      string_is((struct json_string){value.raw, value.escaped}, SLICE_LIT("spending"))))
                        return false;
        }
        return any && !reader.error && json_finish(&reader);
}

static void put_stamped(struct buf *out, struct slice line, int64_t at_us)
{
        static const char key[] = "\"collectedAt\":\"";
        const char *brace = memchr(line.ptr, '{', line.len);
        size_t before = (size_t)(brace - line.ptr) + 1;
        char time[RFC3339_TEXT_BYTES];

        rfc3339_format(at_us, time);
        buf_put(out, line.ptr, before);
        buf_put(out, key, strlen(key));
        buf_put(out, time, strlen(time));
        buf_put(out, "\",", 2);
        buf_put(out, line.ptr + before, line.len - before);
}

static bool is_empty(struct slice line)
{
        return line.len == 0 || (line.len == 1 && line.ptr[0] == '\r');
}

struct stamped stamp_lines(struct slice message, int64_t stored_us, struct json_scratch *scratch,
                           struct buf *out)
{
        size_t mark = frame_mark_len(message);
        struct slice rest = {message.ptr + mark, message.len - mark};
        struct stamped n = {0};
        struct slice line;

        while (stamp_next_line(&rest, &line)) {
                n.lines++;
                n.full += !is_empty(line);
                if (needs_stamp(line, scratch))
                        put_stamped(out, line, stored_us + (int64_t)n.lines);
                else
                        buf_put(out, line.ptr, line.len);
                buf_put(out, "\n", 1);
        }
        json_scratch_trim(scratch);
        return n;
}
