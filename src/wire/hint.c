#include "wire/hint.h"

#include <string.h>

static bool begins(struct slice text, const char *with, size_t len)
{
        return text.len >= len && memcmp(text.ptr, with, len) == 0;
}

#define BEGINS(text, literal) begins(text, literal, sizeof(literal) - 1)

/* Judges by the line's first bytes, wherever parsing failed. */
static const char *hint_of_bytes(struct slice line)
{
        bool wide = line.len >= 2 && (line.ptr[0] == '\0') != (line.ptr[1] == '\0');

        if (BEGINS(line, "\xff\xfe") || BEGINS(line, "\xfe\xff") || wide)
                return "the line looks like UTF-16 (send UTF-8)";
        if (BEGINS(line, "\x1f\x8b") || BEGINS(line, "\x28\xb5\x2f\xfd") || BEGINS(line, "PK\x03\x04"))
                return "the line looks compressed (send plain text)";
        if (BEGINS(line, "\xef\xbb\xbf"))
                return "the line begins with a byte order mark (only a connection's first line may)";
        return NULL;
}

static struct slice trim(struct slice text)
{
        while (text.len > 0 && strchr(" \t\r", text.ptr[0]))
                text = (struct slice){text.ptr + 1, text.len - 1};
        while (text.len > 0 && strchr(" \t\r", text.ptr[text.len - 1]))
                text.len--;
        return text;
}

/* JSON spread over several lines arrives as pieces. */
static const char *hint_of_piece(struct slice line)
{
        if (line.len == 0)
                return NULL;
        if (line.ptr[0] == '[')
                return "the line starts an array (send one object per line, without brackets and commas)";
        if (line.ptr[0] == '"' || line.ptr[0] == '}' || line.ptr[0] == ']' ||
            (line.len == 1 && line.ptr[0] == '{'))
                return "the JSON looks pretty-printed (send each object on one line)";
        if (line.ptr[0] == '{' && line.ptr[line.len - 1] == ',')
                return "a comma follows the object (send one object per line, without commas between them)";
        return NULL;
}

/* Judges by the bytes where parsing failed. */
static const char *hint_of_value(struct slice rest)
{
        if (rest.len > 0 && (rest.ptr[0] == '-' || rest.ptr[0] == '+'))
                rest = (struct slice){rest.ptr + 1, rest.len - 1};
        if (BEGINS(rest, "NaN") || BEGINS(rest, "nan") || BEGINS(rest, "Inf") || BEGINS(rest, "inf"))
                return "JSON has neither NaN nor Infinity (send null)";
        if (BEGINS(rest, "None") || BEGINS(rest, "undefined"))
                return "use null in JSON";
        if (BEGINS(rest, "True") || BEGINS(rest, "False"))
                return "use true or false in JSON";
        if (BEGINS(rest, "'"))
                return "use double quotes in JSON";
        return NULL;
}

const char *hint_find(struct slice line, size_t at)
{
        const char *hint = hint_of_bytes(line);

        if (!hint)
                hint = hint_of_value((struct slice){line.ptr + at, line.len - at});
        return hint ? hint : hint_of_piece(trim(line));
}
