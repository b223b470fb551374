#include "wire/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static void put_line(struct buf *out, cJSON *object)
{
        char *text = cJSON_PrintUnformatted(object);

        if (!text)
                abort();
        buf_put(out, text, strlen(text));
        buf_put(out, "\n", 1);
        cJSON_free(text);
        cJSON_Delete(object);
}

void reply_reject_texts(struct buf *out, uint64_t line_no, const char *code, const char *field,
                        const char *message)
{
        cJSON *object = cJSON_CreateObject();
        char number[24];

        /* as text: cJSON rounds numbers of more than 15 digits */
        snprintf(number, sizeof(number), "%" PRIu64, line_no);
        cJSON_AddRawToObject(object, "reject", number);
        cJSON_AddStringToObject(object, "code", code);
        if (field[0])
                cJSON_AddStringToObject(object, "field", field);
        cJSON_AddStringToObject(object, "message", message);
        put_line(out, object);
}

void reply_reject(struct buf *out, uint64_t line_no, const struct reject *reject)
{
        reply_reject_texts(out, line_no, reject_code_name(reject->code), reject->field, reject->message);
}

/* Without cJSON: one ack per loop turn and session, and nothing needs escaping. */
void reply_ack(struct buf *out, const struct acks *acks, bool with_spool)
{
        enum { ROOM = 200 };
        char *p = buf_reserve(out, ROOM);
        int len = snprintf(p, ROOM,
                           "{\"ack\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicate\":%" PRIu64
                           ",\"rejected\":%" PRIu64,
                           acks->settled, acks->counts[LINE_STORED], acks->counts[LINE_DUPLICATE],
                           acks->counts[LINE_REJECTED]);

        if (with_spool)
                len += snprintf(p + len, ROOM - (size_t)len, ",\"spooled\":%" PRIu64,
                                acks->counts[LINE_SPOOLED]);
        len += snprintf(p + len, ROOM - (size_t)len, "}\n");
        out->len += (size_t)len;
}

void reply_closing(struct buf *out, const char *why)
{
        cJSON *object = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "closing", why);
        put_line(out, object);
}
