#include "wire/name_key.h"

#include <string.h>

static void put(struct name_key *k, const void *bytes, size_t len)
{
        memcpy(k->bytes + k->len, bytes, len);
        k->len += len;
}

void name_key_tag(struct name_key *k, unsigned char tag)
{
        k->bytes[k->len++] = (char)tag;
}

void name_key_account(struct name_key *k, enum platform platform, const struct uuid *connection,
                      struct json_string external_id)
{
        k->bytes[k->len++] = (char)platform;
        k->bytes[k->len++] = connection != NULL;
        if (connection)
                put(k, connection->bytes, sizeof(connection->bytes));
        name_key_id(k, external_id);
}

void name_key_id(struct name_key *k, struct json_string id)
{
        char text[EXTERNAL_ID_MAX + 1];
        struct slice bytes = id.raw;

        if (id.escaped)
                bytes = (struct slice){text, external_id_decode(id, text)};
        k->bytes[k->len++] = (char)bytes.len;
        put(k, bytes.ptr, bytes.len);
}
