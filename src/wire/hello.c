#include "wire/hello.h"

#include <string.h>

static bool read_text(const struct fields *f, enum field field, const char *rule, char *ret, size_t max)
{
        char text[6 * (CLIENT_ORIGIN_BYTES - 1)];
        struct json_string string;
        size_t len;

        if (!fields_text(f, field, rule, &string))
                return false;
        if (string.raw.len > sizeof(text))
                return fields_refuse(f, REJECT_BAD_VALUE, field, rule);
        len = json_string_decode(string, text);
        if (len < 1 || len > max)
                return fields_refuse(f, REJECT_BAD_VALUE, field, rule);
        memcpy(ret, text, len);
        ret[len] = '\0';
        return true;
}

static bool read_name(const struct fields *f, enum field field, char ret[HELLO_TEXT_BYTES + 1])
{
        return read_text(f, field, "a client's name and version must be strings of 1 to 64 bytes", ret,
                         HELLO_TEXT_BYTES);
}

/* Names of sections, as the reject file has them. */
static bool read_origin(const struct fields *f, char ret[CLIENT_ORIGIN_BYTES])
{
        static const char rule[] =
                "onBehalfOf must be the name of a section, as the reject file has it in \"client\"";
        static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+";

        return read_text(f, FIELD_ON_BEHALF_OF, rule, ret, CLIENT_ORIGIN_BYTES - 1) &&
               (strspn(ret, good) == strlen(ret) ||
                fields_refuse(f, REJECT_BAD_VALUE, FIELD_ON_BEHALF_OF, rule));
}

bool hello_read(const struct fields *f, uint64_t line_number, struct hello *ret)
{
        if (line_number != 1)
                return fields_refuse(f, REJECT_BAD_VALUE, FIELD_KIND,
                                     "a hello must be the first line of a connection");
        ret->version[0] = '\0';
        ret->on_behalf_of[0] = '\0';
        return read_name(f, FIELD_CLIENT, ret->client) &&
               (!fields_have(f, FIELD_VERSION) || read_name(f, FIELD_VERSION, ret->version)) &&
               (!fields_have(f, FIELD_ON_BEHALF_OF) || read_origin(f, ret->on_behalf_of));
}
