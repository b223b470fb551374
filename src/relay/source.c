/* source_step creates the consumer and keeps one pull request open at it as long as the window has room;
 * libnats's thread queues what arrives. A request ends when it has delivered what it asked for, or by a
 * status message of the server.
 *
 * A gap in the consumer's own numbers, a status that ends the consumer, silence when the server promised
 * heartbeats, or a new connection mark the consumer as broken, and the next step creates another one that
 * starts after the last queued message. Each consumer has an inbox of its own, so no late message of an old one
 * arrives.
 *
 * A consumer reads the files of the server that it lives on, which may differ from the leader's: the last
 * message is compared with the leader's before each new consumer. */
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
#include "relay/delivered.h"
#include "relay/inbox.h"

enum {
        MESSAGE_BYTES = 512, /* memory that a message uses besides its data */
        BATCH = 1000,        /* messages per request */
        REQUEST_MS = 10000,  /* how long a request waits for messages */
        HEARTBEAT_MS = 1000,
        SILENCE_MS = 3500,
        API_MS = 700, /* short, since source_step asks up to twice while the caller keeps a lease */
        RETRY_MS = 250,
        REFRESH_MS = 2000,
        INACTIVE_MS = 60000, /* after this time without requests the server removes a consumer */
        NO_SUCH_MESSAGE = 10037,
};

static const int64_t NS_PER_MS = 1000000;
/* by how much the servers' clocks may differ: after a rewind that much is relayed again */
static const int64_t CLOCKS_NS = 60 * INT64_C(1000000000);

struct source {
        struct nats *nats;
        struct source_settings settings;
        jsCtx *js;

        /* used by the owner's thread only */
        struct inbox *inbox;
        char consumer[128];  /* "" for none */
        unsigned reconnects; /* reconnects of the connection when the consumer was created */
        bool verified;       /* the last message belongs to this stream, as its leader has it */
        bool rewound;        /* it does not, and no message has arrived since */
        bool changed;        /* it did when it was received, and does not any more */
        int64_t next_try_ms;
        int64_t refreshed_ms;
        struct source_facts facts;
        char error[NATS_ERROR_BYTES];

        /* used by all threads, with the mutex */
        pthread_mutex_t mutex;
        uint64_t expected;    /* consumer's number of the next message */
        struct position last; /* the last queued message */
        bool begun;           /* a message was queued */
        bool request_open;
        bool unbounded;        /* the next message is larger than the window: the next request has no limit */
        unsigned request_left; /* messages still to come */
        int64_t heard_ms;      /* when the consumer last sent something, or was asked */
        char broken[128];      /* why it is broken; "": it is not */
        struct source_message *queue;
        size_t queue_first;
        size_t queue_len;
        size_t queue_cap;
        size_t queue_bytes;
        int fd;
};

/* --- libnats's thread --- */

static void mark_broken(struct source *s, const char *why)
{
        if (!s->broken[0])
                snprintf(s->broken, sizeof(s->broken), "%s", why);
        s->request_open = false;
}

static void wake(const struct source *s)
{
        ssize_t n = write(s->fd, &(uint64_t){1}, sizeof(uint64_t));

        (void)n; /* if it is full it is readable anyway */
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

/* Takes over @msg unless it returns false. */
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
        s->begun = true;
        s->rewound = false;
        s->unbounded = false;
        *queue_place(s) = (struct source_message){msg, d->sequence, (int64_t)d->stored_ns, bytes};
        s->queue_bytes += bytes;
        if (s->request_left > 0 && --s->request_left == 0)
                s->request_open = false;
        return true;
}

/* For status 409: true if it ends the consumer; otherwise it only ends the request ("Message Size Exceeds
 * MaxBytes"). */
static bool ends_consumer(const char *description)
{
        return strstr(description, "Consumer") || strstr(description, "Leadership") ||
               strstr(description, "Shutdown");
}

/* "" if it has none: libnats sets NULL. */
static const char *header(natsMsg *msg, const char *key)
{
        const char *value = NULL;

        return natsMsgHeader_Get(msg, key, &value) == NATS_OK && value ? value : "";
}

static void on_status(struct source *s, natsMsg *msg)
{
        const char *status = header(msg, "Status");
        const char *description = header(msg, "Description");
        char why[128];

        /* a request's last message has ended it already; another one may be open */
        if (strcmp(status, "100") == 0 || strcmp(description, "Batch Completed") == 0)
                return;
        if (strcmp(status, "404") == 0 || strcmp(status, "408") == 0) {
                s->request_open = false;
        } else if (strcmp(status, "409") == 0 && !ends_consumer(description)) {
                s->request_open = false;
                s->unbounded = strstr(description, "MaxBytes") != NULL;
        } else {
                snprintf(why, sizeof(why), "the consumer ended: status %s %s", status, description);
                mark_broken(s, strcmp(status, "503") == 0 ? "the consumer no longer exists" : why);
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
                if (delivered_read(natsMsg_GetReply(msg), &d))
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

static const char *name_of(const struct source *s)
{
        return s->settings.filter ? s->settings.filter : "audit";
}

static void drop_consumer(struct source *s)
{
        char subject[512];

        inbox_close(s->inbox);
        s->inbox = NULL;
        s->request_open = false;
        s->broken[0] = '\0';
        s->verified = false;
        /* otherwise the server does, after INACTIVE_MS */
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

        *ret_same = true; /* it was removed from the middle of the stream */
        if (status != NATS_OK && (int)code != NO_SUCH_MESSAGE && status != NATS_NOT_FOUND)
                return fail(s, "cannot read the message of the position", status);
        if (status == NATS_OK)
                *ret_same = natsMsg_GetTime(msg) == at->stored_ns;
        natsMsg_Destroy(msg);
        return true;
}

/* The stream ends before the position. A server that leads it since a moment ago may not have read all of its
 * log yet; it is certain only once the stream is newer than the position, or has newer messages. */
static bool has_lost_end(struct source *s, const struct position *at, const jsStreamInfo *info,
                         bool *ret_same)
{
        *ret_same = false;
        if (info->Created > at->stored_ns || info->State.LastTime > at->stored_ns)
                return true;
        snprintf(s->error, sizeof(s->error),
                 "the stream ends at message %" PRIu64 ", before the position %" PRIu64
                 ": waiting for the rest of it, or for newer messages",
                 info->State.LastSeq, at->sequence);
        return false;
}

static bool compare(struct source *s, const struct position *at, const jsStreamInfo *info, bool *ret_same)
{
        *ret_same = true;
        if (at->sequence > info->State.LastSeq)
                return has_lost_end(s, at, info, ret_same);
        return at->sequence == 0 || at->sequence < info->State.FirstSeq || same_message(s, at, ret_same);
}

/* The stream has another message in the place of the last one. */
static bool rewind_from(struct source *s, uint64_t sequence)
{
        static const char why[] = "the stream was created again or lost its end";

        if (s->begun) {
                s->changed = true;
                snprintf(s->error, sizeof(s->error), "%s", why);
                return false;
        }
        if (s->settings.filter)
                log_warn("stream %s, %s: message %" PRIu64
                         " is not the one that was relayed: %s; relaying again from a minute before it",
                         s->settings.stream, s->settings.filter, sequence, why);
        s->rewound = true;
        s->facts.rewinds++;
        pthread_mutex_lock(&s->mutex);
        s->last.sequence = 0;
        pthread_mutex_unlock(&s->mutex);
        return true;
}

/* Checks, as far as possible, that the last message belongs to this stream. */
static bool verify(struct source *s)
{
        struct position at = s->last;
        jsStreamInfo *info = NULL;
        jsErrCode code;
        natsStatus status = js_GetStreamInfo(&info, s->js, s->settings.stream, NULL, &code);
        bool same;
        bool ok;

        if (status != NATS_OK)
                return fail(s, "cannot ask for the stream", status);
        if (info->State.Msgs > 0)
                s->facts.message_bytes = (double)info->State.Bytes / (double)info->State.Msgs;
        ok = compare(s, &at, info, &same);
        jsStreamInfo_Destroy(info);
        if (!ok)
                return false;
        s->verified = true;
        return same || rewind_from(s, at.sequence);
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
                config.OptStartTime = s->last.stored_ns > CLOCKS_NS ? s->last.stored_ns - CLOCKS_NS : 1;
        else
                config.OptStartSeq = s->last.sequence + 1;
        config.AckPolicy = js_AckNone;
        config.FilterSubject = s->settings.filter;
        config.HeadersOnly = !s->settings.filter;
        config.InactiveThreshold = INACTIVE_MS * NS_PER_MS;
        config.Replicas = 1;
        config.MemoryStorage = true;
        status = js_AddConsumer(&info, s->js, s->settings.stream, &config, NULL, &code);
        if (status != NATS_OK)
                return fail(s, "cannot make a consumer", status);
        snprintf(s->consumer, sizeof(s->consumer), "%s", info->Name);
        log_debug("%s: consumer %s on %s after message %" PRIu64 ", %" PRIu64 " pending", name_of(s),
                  info->Name, info->Cluster && info->Cluster->Leader ? info->Cluster->Leader : "the server",
                  s->last.sequence, info->NumPending);
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

/* @bytes: 0 for no limit. */
static bool request(struct source *s, unsigned messages, size_t bytes)
{
        char subject[512];
        char body[160];
        int len = snprintf(body, sizeof(body),
                           "{\"batch\":%u,\"expires\":%" PRId64 ",\"idle_heartbeat\":%" PRId64, messages,
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

/* A nearly full window is not refilled message by message. A message larger than the window is requested
 * when the window is empty. */
static bool ask_for_more(struct source *s, size_t held)
{
        unsigned messages;
        size_t bytes;
        bool alone;
        bool ask;

        pthread_mutex_lock(&s->mutex);
        bytes = room(s, held);
        alone = held + s->queue_bytes == 0;
        messages = s->unbounded ? 1 : BATCH;
        ask = !s->request_open && !s->broken[0] &&
              (alone || (bytes >= s->settings.window_bytes / 4 && !s->unbounded));
        if (ask) {
                s->request_open = true;
                s->request_left = messages;
                s->heard_ms = clock_monotonic_ms();
        }
        if (s->unbounded)
                bytes = 0;
        pthread_mutex_unlock(&s->mutex);
        return !ask || request(s, messages, bytes);
}

/* While the window is full no messages arrive, so the number of pending messages must be asked for. */
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
                mark_broken(s, "the consumer sent no heartbeat");
        if (s->broken[0]) {
                snprintf(s->error, sizeof(s->error), "%s", s->broken);
                log_debug("%s: consumer %s: %s", name_of(s), s->consumer, s->broken);
                usable = false;
        }
        pthread_mutex_unlock(&s->mutex);
        return usable;
}

static bool step(struct source *s, size_t held)
{
        bool full;

        if (s->changed)
                return false;
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
                /* no newer one was stored: fine */
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

bool source_changed(const struct source *s)
{
        return s->changed;
}

void source_renew(struct source *s)
{
        pthread_mutex_lock(&s->mutex);
        mark_broken(s, "it stalls");
        pthread_mutex_unlock(&s->mutex);
}

uint64_t source_newest(struct source *s)
{
        uint64_t newest;

        pthread_mutex_lock(&s->mutex);
        newest = s->begun ? s->last.sequence : 0;
        pthread_mutex_unlock(&s->mutex);
        return newest;
}

bool source_idle(struct source *s)
{
        bool idle;

        pthread_mutex_lock(&s->mutex);
        idle = s->request_open && s->queue_len == 0 && !s->broken[0];
        pthread_mutex_unlock(&s->mutex);
        return idle;
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
                abort(); /* out of memory or descriptors */
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
