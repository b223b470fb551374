/* The replies to a client: arbitrary bytes decide which lines begin and which are settled, in what order,
 * how, and with which messages. The replies are read back in pieces, as a client would, and must give the
 * outcome of each line. The same rejects go to the reject file, from which every line must be recovered as
 * it was sent. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "base/utf8.h"
#include "daemon/reject_file.h"
#include "wire/frame.h"
#include "wire/reply.h"

enum { LINES_MAX = 512, LINE_MAX_BYTES = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        const uint8_t *p;
        const uint8_t *end;
};

struct told {
        enum line_outcome outcome;
        bool settled;
        bool rejected; /* its reject was read */
        struct reject reject;
};

/* The daemon's side, and what it must have replied. */
struct wire {
        struct acks acks;
        struct told lines[LINES_MAX + 1]; /* by number */
        bool with_spool;
        struct buf out;
        struct reject_file file;
        struct json_scratch scratch;
};

static void require(int condition)
{
        if (!condition)
                abort();
}

static uint8_t take(struct input *in)
{
        return in->p < in->end ? *in->p++ : 0;
}

static struct slice take_bytes(struct input *in)
{
        size_t left;
        size_t len = take(in);
        struct slice ret;

        len = len * 4 + take(in) % 4;
        left = (size_t)(in->end - in->p);
        ret = (struct slice){(const char *)in->p, len < left ? len : left};
        in->p += ret.len;
        return ret;
}

/* Texts in a reject are UTF-8 without NUL: other bytes are left out. */
static void put_text(char *out, struct slice bytes)
{
        const char *p = bytes.ptr;
        const char *end = bytes.ptr + bytes.len;

        while (p < end) {
                size_t n = (unsigned char)*p < 0x80 ? *p != '\0' : utf8_sequence(p, end);

                memcpy(out, p, n);
                out += n;
                p += n ? n : 1;
        }
        *out = '\0';
}

/* --- the reject file --- */

static struct json_value find_member(struct wire *w, struct slice entry, const char *name)
{
        struct json_value ret = {.type = JSON_NULL};
        struct json_reader reader;
        struct json_value value;
        struct json_string key;

        json_reader_init(&reader, entry, &w->scratch);
        require(json_object_open(&reader));
        for (bool first = true; json_object_next(&reader, first, &key); first = false) {
                require(json_read(&reader, &value));
                if (slice_eq(key.raw, slice_str(name)))
                        ret = value;
        }
        require(json_finish(&reader));
        return ret;
}

static void check_entry(struct wire *w, struct slice entry, struct slice sent)
{
        static char text[LINE_MAX_BYTES];
        struct json_value record = find_member(w, entry, "record");
        size_t len;

        require(memchr(entry.ptr, '\n', entry.len) == entry.ptr + entry.len - 1);
        require(record.type == JSON_STRING && record.raw.len <= sizeof(text));
        if (find_member(w, entry, "lossy").type == JSON_BOOL || record.trouble != JSON_TROUBLE_NONE)
                return; /* not UTF-8, or a NUL: no record is recovered, and `rejects replay` reports that */
        len = json_string_decode((struct json_string){record.raw, record.escaped}, text);
        require(slice_eq((struct slice){text, len}, sent));
}

static void record(struct wire *w, uint64_t line, struct slice sent)
{
        struct line_from from = {.peer = "uid 0, pid 1", .connection = 1, .line = line};
        struct buf *added = &w->file.waiting[REJECT_TO_FILE].text;

        added->len = 0;
        reject_file_add(&w->file, &from, sent, &w->lines[line].reject, REJECT_TOLD);
        check_entry(w, (struct slice){added->data, added->len}, sent);
}

/* --- the daemon --- */

static void settle(struct wire *w, struct input *in)
{
        uint64_t line =
                w->acks.settled + 1 + take(in) % (acks_in_flight(&w->acks) ? acks_in_flight(&w->acks) : 1);
        struct told *told = &w->lines[line];
        enum line_outcome outcome = (enum line_outcome)(take(in) % LINE_OUTCOMES);
        char field[4 * UINT8_MAX + 8];
        char message[4 * UINT8_MAX + 8];

        if (line > w->acks.begun || told->settled || (outcome == LINE_SPOOLED && !w->with_spool))
                return;
        told->settled = true;
        told->outcome = outcome;
        if (outcome == LINE_REJECTED) {
                put_text(field, take_bytes(in));
                put_text(message, take_bytes(in));
                reject_set(&told->reject, (enum reject_code)(take(in) % REJECT_CODES), field, "%s", message);
                reply_reject(&w->out, line, &told->reject);
                record(w, line, take_bytes(in));
        }
        acks_settle(&w->acks, line, outcome);
}

static void converse(struct wire *w, struct input *in)
{
        while (in->p < in->end) {
                switch (take(in) % 4) {
                case 0:
                case 1:
                        if (w->acks.begun < LINES_MAX)
                                acks_begin(&w->acks);
                        break;
                case 2:
                        settle(w, in);
                        break;
                case 3:
                        reply_ack(&w->out, &w->acks, w->with_spool);
                        break;
                }
        }
        reply_closing(&w->out, "shutdown");
}

/* --- the client --- */

static uint64_t number(const cJSON *reply, const char *name)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(reply, name);

        require(cJSON_IsNumber(item));
        return (uint64_t)item->valuedouble;
}

static void expect_text(const cJSON *reply, const char *name, const char *text)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(reply, name);

        if (item)
                require(cJSON_IsString(item) && strcmp(item->valuestring, text) == 0);
        else
                require(text[0] == '\0');
}

static void on_reject(struct wire *w, const cJSON *reply, uint64_t acked)
{
        uint64_t line = number(reply, "reject");
        struct told *told = &w->lines[line <= LINES_MAX ? line : 0];

        require(line > acked && told->settled && told->outcome == LINE_REJECTED && !told->rejected);
        told->rejected = true;
        expect_text(reply, "code", reject_code_name(told->reject.code));
        expect_text(reply, "field", told->reject.field);
        expect_text(reply, "message", told->reject.message);
}

/* Each line that an ack covers is settled, and counted under its outcome. */
static void on_ack(struct wire *w, const cJSON *reply, uint64_t *acked)
{
        uint64_t ack = number(reply, "ack");
        uint64_t counts[LINE_OUTCOMES] = {0};

        require(ack >= *acked && ack <= w->acks.begun);
        for (uint64_t line = 1; line <= ack; line++) {
                require(w->lines[line].settled);
                require(w->lines[line].outcome != LINE_REJECTED || w->lines[line].rejected);
                counts[w->lines[line].outcome]++;
        }
        require(number(reply, "stored") == counts[LINE_STORED]);
        require(number(reply, "duplicate") == counts[LINE_DUPLICATE]);
        require(number(reply, "rejected") == counts[LINE_REJECTED]);
        require(cJSON_HasObjectItem(reply, "spooled") == w->with_spool);
        if (w->with_spool)
                require(number(reply, "spooled") == counts[LINE_SPOOLED]);
        *acked = ack;
}

/* Returns false after "closing". */
static bool on_reply(struct wire *w, struct slice text, uint64_t *acked)
{
        cJSON *reply = cJSON_ParseWithLength(text.ptr, text.len);
        bool closing;

        require(reply != NULL);
        find_member(w, text, ""); /* strict parsers accept it, too */
        closing = cJSON_HasObjectItem(reply, "closing");
        if (cJSON_HasObjectItem(reply, "reject"))
                on_reject(w, reply, *acked);
        else if (!closing)
                on_ack(w, reply, acked);
        cJSON_Delete(reply);
        return !closing;
}

static void read_replies(struct wire *w, size_t piece)
{
        struct frame f = {0};
        uint64_t acked = 0;
        size_t start = 0;
        size_t end = 0;
        bool more = true;

        while (more) {
                struct slice line;
                size_t used;
                enum frame_result result = frame_next(&f, (struct slice){w->out.data + start, end - start},
                                                      LINE_MAX_BYTES, 0, &line, &used);

                start += used;
                require(result != FRAME_TOO_LONG);
                if (result == FRAME_LINE)
                        more = on_reply(w, line, &acked);
                else
                        require(end < w->out.len);
                if (result == FRAME_MORE)
                        end = end + piece < w->out.len ? end + piece : w->out.len;
        }
        require(start == w->out.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct wire w;
        struct input in = {data, data + size};
        size_t piece;

        memset(&w.lines, 0, sizeof(w.lines));
        w.acks = (struct acks){0};
        w.out.len = 0;
        w.file.path = "never opened";
        w.file.wake.pending = 1; /* as if its loop had been told: added entries are collected */
        w.with_spool = take(&in) & 1;
        piece = (size_t)take(&in) + 1;
        converse(&w, &in);
        read_replies(&w, piece);
        acks_deinit(&w.acks);
        return 0;
}
