#include "wire/hello.h"

#include <string.h>

static bool read_text(const struct fields *f, enum field field, char ret[HELLO_TEXT_BYTES + 1])
{
        static const char rule[] = "client, version and onBehalfOf must be strings of 1 to 64 bytes";
        char text[6 * HELLO_TEXT_BYTES];
        struct json_string string;
        size_t len;

        if (!fields_text(f, field, rule, &string))
                return false;
        if (string.raw.len > sizeof(text))
                return fields_refuse(f, REJECT_BAD_VALUE, field, rule);
        len = json_string_decode(string, text);
        if (len < 1 || len > HELLO_TEXT_BYTES)
                return fields_refuse(f, REJECT_BAD_VALUE, field, rule);
        memcpy(ret, text, len);
        ret[len] = '\0';
        return true;
}

bool hello_read(const struct fields *f, uint64_t line_number, struct hello *ret)
{
        if (line_number != 1)
                return fields_refuse(f, REJECT_BAD_VALUE, FIELD_KIND,
                                     "a hello must be the first line of a connection");
        ret->version[0] = '\0';
        ret->on_behalf_of[0] = '\0';
        return read_text(f, FIELD_CLIENT, ret->client) &&
               (!fields_have(f, FIELD_VERSION) || read_text(f, FIELD_VERSION, ret->version)) &&
               (!fields_have(f, FIELD_ON_BEHALF_OF) || read_text(f, FIELD_ON_BEHALF_OF, ret->on_behalf_of));
}
