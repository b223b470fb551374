/* source_step makes the consumer and keeps one pull request open at it, as long as the window has room; libnats's thread
 * queues what comes. A request ends when it brought what it asked for, or by a status message of the server's.
 *
 * A gap in the consumer's own numbers, a status that ends the consumer, silence where the server promised a sign of life, or
 * a new connection: each of them marks the consumer as broken, and the next step makes another one behind the last message
 * that was queued. What an old consumer still sends is told by its generation, and dropped. */
#include "relay/source.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "relay/inbox.h"

enum {
        MESSAGE_BYTES = 512, /* that a message costs besides its data */
        BATCH = 1000,        /* messages of one request */
        REQUEST_MS = 10000,  /* how long it waits for them */
        HEARTBEAT_MS = 1000,
        SILENCE_MS = 3500,
        API_MS = 700, /* source_step asks twice at most: the caller keeps a lease */
        RETRY_MS = 250,
        REFRESH_MS = 2000,
        INACTIVE_MS = 60000, /* the server removes a consumer that nobody asks for so long */
        NO_SUCH_MESSAGE = 10037,
};

static const int64_t NS_PER_MS = 1000000;

struct source {
        struct nats *nats;
        struct source_settings settings;
        jsCtx *js;

        /* the owner's thread */
        struct inbox *inbox;
        char consumer[128];  /* "" for none */
        unsigned reconnects; /* of the connection, when it was made */
        bool verified;       /* the position is that of this stream */
        bool rewound;        /* it is not, and no message has come since */
        int64_t next_try_ms;
        int64_t refreshed_ms;
        struct source_facts facts;
        char error[NATS_ERROR_BYTES];

        /* all threads, with the mutex */
        pthread_mutex_t mutex;
        uint64_t expected;    /* the next message's number, of the consumer */
        struct position last; /* that was queued */
        bool request_open;
        bool unbounded; /* the next message is larger than the window: the next request names no limit */
        unsigned request_left; /* messages */
        int64_t heard_ms;      /* from the consumer, or asked it */
        char broken[128];      /* why; "" while it is as it should be */
        struct source_message *queue;
        size_t queue_first;
        size_t queue_len;
        size_t queue_cap;
        size_t queue_bytes;
        int fd;
};

/* --- libnats's thread --- */

/* What a message's reply subject tells: $JS.ACK[.DOMAIN.ACCOUNT].STREAM.CONSUMER.DELIVERED.SEQUENCE.NUMBER.TIME.PENDING[.TOKEN] */
struct delivered {
        uint64_t sequence;
        uint64_t number;
        uint64_t stored_ns;
        uint64_t pending;
};

static bool read_reply(const char *reply, struct delivered *ret)
{
        const char *tokens[16];
        size_t n = 0;
        size_t first;

        if (!reply || strncmp(reply, "$JS.ACK.", 8) != 0)
                return false;
        for (const char *p = reply; p && n < 16; p = strchr(p, '.'))
                tokens[n++] = p == reply ? p : ++p;
        if (n < 9)
                return false;
        first = n >= 11 ? 7 : 5;
        ret->sequence = strtoull(tokens[first], NULL, 10);
        ret->number = strtoull(tokens[first + 1], NULL, 10);
        ret->stored_ns = strtoull(tokens[first + 2], NULL, 10);
        ret->pending = strtoull(tokens[first + 3], NULL, 10);
        return ret->sequence > 0;
}

static void mark_broken(struct source *s, const char *why)
{
        if (!s->broken[0])
                snprintf(s->broken, sizeof(s->broken), "%s", why);
        s->request_open = false;
}

static void wake(const struct source *s)
{
        ssize_t n = write(s->fd, &(uint64_t){1}, sizeof(uint64_t));

        (void)n; /* it can be read in any case */
}

static struct source_message *queue_place(struct source *s)
{
        if (s->queue_first > 0 && s->queue_first + s->queue_len == s->queue_cap) {
                memmove(s->queue, s->queue + s->queue_first, s->queue_len * sizeof(*s->queue));
                s->queue_first = 0;
        }
        if (s->queue_first + s->queue_len == s->queue_cap)
                s->queue = array_grow(s->queue, &s->queue_cap, sizeof(*s->queue));
        return &s->queue[s->queue_first + s->queue_len++];
}

/* Takes @msg unless it returns false. */
static bool on_data(struct source *s, natsMsg *msg, const struct delivered *d)
{
        size_t bytes = (size_t)natsMsg_GetDataLength(msg) + MESSAGE_BYTES;

        if (d->number != s->expected || d->sequence <= s->last.sequence) {
                mark_broken(s, "the consumer left out a message");
                return false;
        }
        s->expected++;
        s->last = (struct position){d->sequence, (int64_t)d->stored_ns};
        s->facts.pending = d->pending;
        s->rewound = false;
        s->unbounded = false;
        *queue_place(s) = (struct source_message){msg, d->sequence, (int64_t)d->stored_ns, bytes};
        s->queue_bytes += bytes;
        if (s->request_left > 0 && --s->request_left == 0)
                s->request_open = false;
        return true;
}

/* Of a status 409: else it ends the request alone ("Batch Completed", "Message Size Exceeds MaxBytes"). */
static bool ends_consumer(const char *description)
{
        return strstr(description, "Consumer") || strstr(description, "Leadership") ||
               strstr(description, "Shutdown");
}

static void on_status(struct source *s, natsMsg *msg)
{
        const char *status = "";
        const char *description = "";
        char why[128];

        natsMsgHeader_Get(msg, "Status", &status);
        natsMsgHeader_Get(msg, "Description", &description);
        if (strcmp(status, "100") == 0)
                return;
        if (strcmp(status, "404") == 0 || strcmp(status, "408") == 0) {
                s->request_open = false;
        } else if (strcmp(status, "409") == 0 && !ends_consumer(description)) {
                s->request_open = false;
                s->unbounded = strstr(description, "MaxBytes") != NULL;
        } else {
                snprintf(why, sizeof(why), "the consumer ended: status %s %s", status, description);
                mark_broken(s, strcmp(status, "503") == 0 ? "the consumer is gone" : why);
        }
}

static void on_message(void *ctx, natsMsg *msg)
{
        struct source *s = ctx;
        struct delivered d;
        bool taken = false;

        pthread_mutex_lock(&s->mutex);
        if (!s->broken[0]) {
                s->heard_ms = clock_monotonic_ms();
                if (read_reply(natsMsg_GetReply(msg), &d))
                        taken = on_data(s, msg, &d);
                else
                        on_status(s, msg);
                wake(s);
        }
        pthread_mutex_unlock(&s->mutex);
        if (!taken)
                natsMsg_Destroy(msg);
}

/* --- the owner's thread: the consumer --- */

static bool fail(struct source *s, const char *what, natsStatus status)
{
        char why[NATS_ERROR_BYTES];

        nats_explain(status, why);
        snprintf(s->error, sizeof(s->error), "%s: %.400s", what, why);
        return false;
}

static void drop_consumer(struct source *s)
{
        char subject[512];

        inbox_close(s->inbox);
        s->inbox = NULL;
        s->request_open = false;
        s->broken[0] = '\0';
        /* else the server does, after INACTIVE_MS */
        snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.DELETE.%s.%s", s->settings.stream, s->consumer);
        if (s->consumer[0] && nats_connected(s->nats))
                (void)natsConnection_Publish(s->nats->connection, subject, NULL, 0);
        s->consumer[0] = '\0';
}

static bool same_message(struct source *s, const struct position *at, bool *ret_same)
{
        jsErrCode code = 0;
        natsMsg *msg = NULL;
        natsStatus status = js_GetMsg(&msg, s->js, s->settings.stream, at->sequence, NULL, &code);

        *ret_same = true; /* somebody removed it from the middle of the stream */
        if (status != NATS_OK && (int)code != NO_SUCH_MESSAGE && status != NATS_NOT_FOUND)
                return fail(s, "cannot read the message of the position", status);
        if (status == NATS_OK)
                *ret_same = natsMsg_GetTime(msg) == at->stored_ns;
        natsMsg_Destroy(msg);
        return true;
}

/* Whether the stream is the one that the position is of, as far as it goes. */
static bool verify(struct source *s)
{
        struct position at = s->last;
        jsStreamInfo *info = NULL;
        jsErrCode code;
        natsStatus status = js_GetStreamInfo(&info, s->js, s->settings.stream, NULL, &code);
        bool same = true;
        bool ok = true;

        if (status != NATS_OK)
                return fail(s, "cannot ask for the stream", status);
        if (info->State.Msgs > 0)
                s->facts.message_bytes = (double)info->State.Bytes / (double)info->State.Msgs;
        if (at.sequence > info->State.LastSeq)
                same = false;
        else if (at.sequence > 0 && at.sequence >= info->State.FirstSeq)
                ok = same_message(s, &at, &same);
        jsStreamInfo_Destroy(info);
        if (!ok)
                return false;
        s->verified = true;
        s->rewound = !same;
        if (same)
                return true;
        s->facts.rewinds++;
        log_warn("stream %s, %s: message %" PRIu64
                 " is not the one that was relayed: the stream was made anew or lost its end; "
                 "continuing with the first message stored after it",
                 s->settings.stream, s->settings.filter, at.sequence);
        pthread_mutex_lock(&s->mutex);
        s->last.sequence = 0;
        pthread_mutex_unlock(&s->mutex);
        return true;
}

static bool subscribe(struct source *s)
{
        natsStatus status;

        s->expected = 1;
        s->inbox = inbox_open(s->nats, false, on_message, s, &status);
        return s->inbox || fail(s, "cannot subscribe", status);
}

static bool make_consumer(struct source *s)
{
        jsConsumerConfig config;
        jsConsumerInfo *info = NULL;
        jsErrCode code;
        natsStatus status;

        jsConsumerConfig_Init(&config);
        config.DeliverPolicy = s->rewound ? js_DeliverByStartTime : js_DeliverByStartSequence;
        if (s->rewound)
                config.OptStartTime = s->last.stored_ns + 1;
        else
                config.OptStartSeq = s->last.sequence + 1;
        config.AckPolicy = js_AckNone;
        config.FilterSubject = s->settings.filter;
        config.InactiveThreshold = INACTIVE_MS * NS_PER_MS;
        config.Replicas = 1;
        config.MemoryStorage = true;
        status = js_AddConsumer(&info, s->js, s->settings.stream, &config, NULL, &code);
        if (status != NATS_OK)
                return fail(s, "cannot make a consumer", status);
        snprintf(s->consumer, sizeof(s->consumer), "%s", info->Name);
        pthread_mutex_lock(&s->mutex);
        s->facts.pending = info->NumPending;
        pthread_mutex_unlock(&s->mutex);
        jsConsumerInfo_Destroy(info);
        return true;
}

static bool open_consumer(struct source *s)
{
        s->reconnects = atomic_load(&s->nats->reconnects);
        if (subscribe(s) && make_consumer(s))
                return true;
        drop_consumer(s);
        return false;
}

/* --- the owner's thread: requests --- */

static size_t room(struct source *s, size_t held)
{
        size_t used = held + s->queue_bytes;

        return used < s->settings.window_bytes ? s->settings.window_bytes - used : 0;
}

static bool request(struct source *s, size_t bytes)
{
        char subject[512];
        char body[160];
        int len = snprintf(body, sizeof(body),
                           "{\"batch\":%d,\"expires\":%" PRId64 ",\"idle_heartbeat\":%" PRId64, BATCH,
                           REQUEST_MS * NS_PER_MS, HEARTBEAT_MS * NS_PER_MS);
        natsStatus status;

        if (bytes > 0)
                len += snprintf(body + len, sizeof(body) - (size_t)len, ",\"max_bytes\":%zu", bytes);
        len += snprintf(body + len, sizeof(body) - (size_t)len, "}");
        snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.%s.%s", s->settings.stream,
                 s->consumer);
        status = natsConnection_PublishRequest(s->nats->connection, subject, inbox_subject(s->inbox), body,
                                               len);
        return status == NATS_OK || fail(s, "cannot ask for messages", status);
}

/* A window that is nearly full is not topped up message by message. A message that alone is larger than the window comes when
 * the window is empty. */
static bool ask_for_more(struct source *s, size_t held)
{
        size_t bytes;
        bool alone;
        bool ask;

        pthread_mutex_lock(&s->mutex);
        bytes = room(s, held);
        alone = held + s->queue_bytes == 0;
        ask = !s->request_open && !s->broken[0] &&
              (alone || (bytes >= s->settings.window_bytes / 4 && !s->unbounded));
        if (ask) {
                s->request_open = true;
                s->request_left = s->unbounded ? 1 : BATCH;
                s->heard_ms = clock_monotonic_ms();
        }
        alone = alone && s->unbounded;
        pthread_mutex_unlock(&s->mutex);
        return !ask || request(s, alone ? 0 : bytes);
}

/* Where no messages come because the window is full, nothing else says how many there are. */
static void refresh_pending(struct source *s)
{
        jsConsumerInfo *info = NULL;
        jsErrCode code;
        int64_t now = clock_monotonic_ms();

        if (now - s->refreshed_ms < REFRESH_MS)
                return;
        s->refreshed_ms = now;
        if (js_GetConsumerInfo(&info, s->js, s->settings.stream, s->consumer, NULL, &code) != NATS_OK)
                return;
        pthread_mutex_lock(&s->mutex);
        s->facts.pending = info->NumPending;
        pthread_mutex_unlock(&s->mutex);
        jsConsumerInfo_Destroy(info);
}

static bool is_usable(struct source *s)
{
        bool usable = true;

        pthread_mutex_lock(&s->mutex);
        if (atomic_load(&s->nats->reconnects) != s->reconnects)
                mark_broken(s, "the connection to NATS was lost");
        else if (s->request_open && clock_monotonic_ms() - s->heard_ms > SILENCE_MS)
                mark_broken(s, "no sign of life from the consumer");
        if (s->broken[0]) {
                snprintf(s->error, sizeof(s->error), "%s", s->broken);
                usable = false;
        }
        pthread_mutex_unlock(&s->mutex);
        return usable;
}

static bool step(struct source *s, size_t held)
{
        bool full;

        if (!nats_connected(s->nats)) {
                snprintf(s->error, sizeof(s->error), "not connected");
                return false;
        }
        if (!s->verified)
                return verify(s);
        if (!s->consumer[0] && !open_consumer(s))
                return false;
        if (!is_usable(s)) {
                drop_consumer(s);
                return false;
        }
        pthread_mutex_lock(&s->mutex);
        full = !s->request_open && room(s, held) < s->settings.window_bytes / 4;
        pthread_mutex_unlock(&s->mutex);
        if (full)
                refresh_pending(s);
        return ask_for_more(s, held);
}

bool source_step(struct source *s, size_t held)
{
        int64_t now = clock_monotonic_ms();
        bool ok;

        if (now < s->next_try_ms)
                return true;
        ok = step(s, held);
        s->next_try_ms = ok ? 0 : clock_monotonic_ms() + RETRY_MS;
        s->facts.open = ok;
        if (ok)
                s->error[0] = '\0';
        return ok;
}

/* --- the owner's thread: the rest --- */

bool source_take(struct source *s, struct source_message *ret)
{
        uint64_t ignored;
        bool any;

        pthread_mutex_lock(&s->mutex);
        any = s->queue_len > 0;
        if (any) {
                *ret = s->queue[s->queue_first++];
                s->queue_bytes -= ret->bytes;
                if (--s->queue_len == 0)
                        s->queue_first = 0;
        } else if (read(s->fd, &ignored, sizeof(ignored)) < 0) {
                /* nothing came since: all right */
        }
        pthread_mutex_unlock(&s->mutex);
        return any;
}

int source_fd(const struct source *s)
{
        return s->fd;
}

const char *source_error(const struct source *s)
{
        return s->error;
}

struct source_facts source_facts(struct source *s)
{
        struct source_facts facts;

        pthread_mutex_lock(&s->mutex);
        facts = s->facts;
        facts.pending += s->queue_len;
        pthread_mutex_unlock(&s->mutex);
        return facts;
}

struct source *source_open(struct nats *nats, const struct source_settings *settings,
                           const struct position *after)
{
        struct source *s = calloc(1, sizeof(*s));
        jsOptions options;

        if (!s)
                abort();
        s->nats = nats;
        s->settings = *settings;
        s->last = *after;
        s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        pthread_mutex_init(&s->mutex, NULL);
        jsOptions_Init(&options);
        options.Wait = API_MS;
        if (s->fd < 0 || natsConnection_JetStream(&s->js, nats->connection, &options) != NATS_OK)
                abort(); /* memory, or descriptors */
        return s;
}

void source_close(struct source *s)
{
        struct source_message m;

        drop_consumer(s);
        while (source_take(s, &m))
                natsMsg_Destroy(m.msg);
        jsCtx_Destroy(s->js);
        close(s->fd);
        pthread_mutex_destroy(&s->mutex);
        free(s->queue);
        free(s);
}
