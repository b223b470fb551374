/* Each reject is a request to a stream: its ack arrives at the inbox, in libnats's thread, as JSON. A reject
 * has the same id whenever it is published, so the stream drops repetitions (within its duplicate window). */
#include "relay/outbox.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_put.h"
#include "relay/inbox.h"

enum {
        PENDING_MAX = 2000,
        ACK_MS = 5000,
        HEADERS_BYTES = 1024, /* space left for headers below the server's payload limit */
};

struct outbox {
        struct nats *nats;
        const char *rejects_subject;
        struct inbox *inbox;
        struct buf text;
        int64_t published_ms; /* when it was last published */

        /* used by both threads, with the mutex */
        pthread_mutex_t mutex;
        pthread_cond_t answered;
        uint64_t published;
        uint64_t acked;
        char error[NATS_ERROR_BYTES]; /* "" if there is none */
};

static void fail(struct outbox *o, const char *why)
{
        if (!o->error[0])
                snprintf(o->error, sizeof(o->error), "cannot publish a reject on %.200s: %.250s",
                         o->rejects_subject, why);
}

/* --- acks, in libnats's thread --- */

/* While a message is not committed, servers (2.10.27, for example) ack its repetition as a duplicate, with
 * sequence 0: it may yet be lost. */

static void on_answer(struct outbox *o, natsMsg *msg)
{
        cJSON *answer = cJSON_ParseWithLength(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
        const cJSON *error = cJSON_GetObjectItemCaseSensitive(answer, "error");
        const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "description"));

        if (natsMsg_IsNoResponders(msg))
                fail(o, "no stream has this subject");
        else if (why)
                fail(o, why);
        else if (!cJSON_HasObjectItem(answer, "stream"))
                fail(o, "the answer is not an ack of a stream");
        else if (!(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(answer, "seq")) > 0))
                fail(o, "the stream acked it as a duplicate of a message that is not stored yet");
        else
                o->acked++;
        cJSON_Delete(answer);
}

static void on_message(void *ctx, natsMsg *msg)
{
        struct outbox *o = ctx;

        pthread_mutex_lock(&o->mutex);
        on_answer(o, msg);
        pthread_cond_signal(&o->answered);
        pthread_mutex_unlock(&o->mutex);
        natsMsg_Destroy(msg);
}

/* --- a reject's text: an entry of a reject file --- */

static void put_member(struct buf *out, const char *key, struct slice text)
{
        buf_put(out, key, strlen(key));
        json_put_string(out, text);
}

static void put_head(struct buf *out, const struct outbox_reject *r)
{
        char numbers[96];

        out->len = 0;
        put_member(out, "{\"stream\":", slice_str(r->stream));
        snprintf(numbers, sizeof(numbers), ",\"sequence\":%" PRIu64 ",\"line\":%" PRIu64, r->sequence,
                 r->line);
        buf_put(out, numbers, strlen(numbers));
        put_member(out, ",\"code\":", slice_str(r->code));
        if (r->field[0])
                put_member(out, ",\"field\":", slice_str(r->field));
        put_member(out, ",\"message\":", slice_str(r->reason));
}

/* Cuts a line that does not fit; the stream contains all of it. */
static void put_record(struct buf *out, struct slice record, size_t max)
{
        static const char lossy[] = ",\"lossy\":true";
        static const char cut[] = ",\"cut\":true";
        size_t head = out->len;
        bool valid;

        buf_put(out, ",\"record\":", 10);
        valid = json_put_string(out, record);
        if (out->len + sizeof(lossy) + 1 > max) {
                size_t fits = max > head + 64 ? (max - head - 64) / 6 : 0; /* one byte may become six */

                out->len = head;
                buf_put(out, cut, strlen(cut));
                buf_put(out, ",\"record\":", 10);
                valid = json_put_string(out,
                                        (struct slice){record.ptr, record.len < fits ? record.len : fits});
        }
        if (!valid)
                buf_put(out, lossy, strlen(lossy));
        buf_put(out, "}", 1);
}

static natsStatus publish(struct outbox *o, const struct outbox_reject *r)
{
        natsMsg *msg = NULL;
        char *subject; /* as long as the producer's */
        char reply[256];
        char id[512];
        natsStatus s;

        if (asprintf(&subject, "%s.%s", o->rejects_subject, r->subject) < 0)
                abort();
        snprintf(reply, sizeof(reply), "%s.r", inbox_subject(o->inbox));
        snprintf(id, sizeof(id), "%s:%" PRIu64 ":%" PRIu64, r->stream, r->sequence, r->line);
        s = natsMsg_Create(&msg, subject, reply, o->text.data, (int)o->text.len);
        if (s == NATS_OK)
                s = natsMsgHeader_Set(msg, "Nats-Msg-Id", id);
        if (s == NATS_OK)
                s = natsConnection_PublishMsg(o->nats->connection, msg);
        natsMsg_Destroy(msg);
        free(subject);
        return s;
}

static bool open_inbox(struct outbox *o)
{
        natsStatus status = NATS_OK;

        if (!o->inbox)
                o->inbox = inbox_open(o->nats, true, on_message, o, &status);
        if (!o->inbox)
                fail(o, natsStatus_GetText(status));
        return o->inbox;
}

bool outbox_reject(struct outbox *o, const struct outbox_reject *reject)
{
        int64_t payload = natsConnection_GetMaxPayload(o->nats->connection);
        size_t max = payload > 2 * HEADERS_BYTES ? (size_t)payload - HEADERS_BYTES : HEADERS_BYTES;
        natsStatus status;

        if (!open_inbox(o))
                return false;
        put_head(&o->text, reject);
        put_record(&o->text, reject->record, max);
        status = publish(o, reject);
        pthread_mutex_lock(&o->mutex);
        o->published++;
        o->published_ms = clock_monotonic_ms();
        if (status != NATS_OK)
                fail(o, natsStatus_GetText(status));
        pthread_mutex_unlock(&o->mutex);
        return status == NATS_OK;
}

bool outbox_full(struct outbox *o)
{
        bool full;

        pthread_mutex_lock(&o->mutex);
        full = o->published - o->acked >= PENDING_MAX;
        pthread_mutex_unlock(&o->mutex);
        return full;
}

/* The caller holds the mutex. */
static enum outbox_result result(struct outbox *o)
{
        if (!o->error[0] && o->acked < o->published && clock_monotonic_ms() - o->published_ms > ACK_MS)
                fail(o, "no ack");
        return o->error[0] ? OUTBOX_FAILED : o->acked < o->published ? OUTBOX_PENDING : OUTBOX_DONE;
}

enum outbox_result outbox_flush(struct outbox *o, int ms)
{
        enum outbox_result r;
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += ms / 1000;
        until.tv_nsec += ms % 1000 * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000L;
        }
        pthread_mutex_lock(&o->mutex);
        while ((r = result(o)) == OUTBOX_PENDING &&
               pthread_cond_timedwait(&o->answered, &o->mutex, &until) == 0)
                ;
        pthread_mutex_unlock(&o->mutex);
        return r;
}

const char *outbox_error(const struct outbox *o)
{
        return o->error;
}

size_t outbox_reply_max(const struct outbox *o)
{
        return (size_t)natsConnection_GetMaxPayload(o->nats->connection);
}

void outbox_reply(struct outbox *o, const char *subject, struct slice text)
{
        (void)natsConnection_Publish(o->nats->connection, subject, text.ptr, (int)text.len);
}

struct outbox *outbox_open(struct nats *nats, const char *rejects_subject)
{
        struct outbox *o = calloc(1, sizeof(*o));

        if (!o)
                abort();
        o->nats = nats;
        o->rejects_subject = rejects_subject;
        pthread_mutex_init(&o->mutex, NULL);
        pthread_cond_init(&o->answered, NULL);
        return o;
}

void outbox_close(struct outbox *o)
{
        inbox_close(o->inbox);
        pthread_cond_destroy(&o->answered);
        pthread_mutex_destroy(&o->mutex);
        buf_deinit(&o->text);
        free(o);
}
