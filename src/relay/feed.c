/* The client reads lines from the source through on_read; on_turn does the rest. Messages whose lines are
 * all acked leave the front of the list of fed messages, and their rejects are published; then the position
 * advances past them, up to where the audit found that no message was left out; the lease is confirmed, and
 * more messages are requested.
 *
 * Any failure other than the source's or the daemon connection's ends the feed; the next one begins at the
 * position. The source and the client retry by themselves. */
#include "relay/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_put.h"
#include "base/list.h"
#include "base/log.h"
#include "relay/audit.h"
#include "relay/fence.h"
#include "relay/outbox.h"
#include "relay/partition_list.h"
#include "relay/source.h"
#include "relay/stamp.h"
#include "wire/reply.h"

enum {
        PIECE_BYTES = 256 * 1024,
        TURN_MS = 50,
        MOVE_MS = 100, /* minimum time between two updates of the position */
        STATS_MS = 200,
        CONNECT_MS = 1000,
        FLUSH_MS = 200,
        LAST_AUDIT_MS = 2000, /* at a feed's end */
        REPLY_MAX_BYTES = 64 * 1024,
};

/* A message that was passed to the client. */
struct fed {
        struct list list;
        struct source_message message;
        uint64_t first; /* number of lines of this feed before it */
        size_t lines;
        size_t full; /* number of non-empty lines */
        uint64_t rejected;
        struct slice rest;    /* the part of the message after the line of the last reject */
        uint64_t rest_line;   /* number of lines before that part */
        const char *reply_to; /* header Boris-Reply; NULL: none */
        struct buf reply;     /* rejects for the reply */
};

struct feed {
        const struct feed_settings *settings;
        struct lease *lease;
        struct partition_stats *stats;
        struct client_counts before; /* lines of earlier feeds */
        uint64_t rewinds_before;     /* of earlier feeds */
        struct client client;
        struct source *source;
        struct audit *audit;
        struct outbox *outbox;
        struct json_scratch scratch;
        char filter[256];
        struct list fed;         /* oldest first */
        size_t held;             /* bytes of these */
        uint64_t given;          /* number of lines passed to the client */
        struct position settled; /* the last settled message; before the first one the position */
        bool begun;              /* a message was settled */
        struct fed *rejecting;   /* the message of the last reject; NULL: none */
        int64_t moved_ms;
        int64_t told_ms; /* when the stats were last updated */
        char *error;
};

static void give_up(struct feed *f, const char *why)
{
        if (!f->error[0])
                snprintf(f->error, FEED_ERROR_BYTES, "%.*s", FEED_ERROR_BYTES - 1, why);
        client_give_up(&f->client, why);
}

static void keep_lease(struct feed *f, int64_t now)
{
        if (now - f->lease->confirmed_ms >= f->lease->lease_ms / 4 && !lease_step(f->lease))
                give_up(f, f->lease->db.error);
}

static const char *subject_tail(const struct feed *f, const struct fed *m)
{
        const char *subject = natsMsg_GetSubject(m->message.msg);

        return subject + strlen(f->filter) - 1; /* without the '>' */
}

static struct slice data_of(const struct fed *m)
{
        return (struct slice){natsMsg_GetData(m->message.msg), (size_t)natsMsg_GetDataLength(m->message.msg)};
}

/* --- lines to the daemon --- */

/* Replies may only go to a producer's inbox, not to one of our streams or the server's subjects. */
static const char *reply_subject(const struct feed *f, natsMsg *msg)
{
        const struct config *config = f->settings->config;
        const char *to = NULL;

        if (natsMsgHeader_Get(msg, "Boris-Reply", &to) != NATS_OK || !to || !is_subject(to) || to[0] == '$')
                return NULL;
        if (strncmp(to, config->relay.subject, strlen(config->relay.subject)) == 0 ||
            strncmp(to, config->relay.rejects_subject, strlen(config->relay.rejects_subject)) == 0)
                return NULL;
        return to;
}

static void feed_message(struct feed *f, const struct source_message *message, struct buf *out)
{
        struct fed *m = calloc(1, sizeof(*m));
        struct stamped n;

        if (!m)
                abort();
        m->message = *message;
        m->first = f->given;
        m->rest = data_of(m);
        m->reply_to = reply_subject(f, message->msg);
        n = stamp_lines(data_of(m), message->stored_ns / 1000, &f->scratch, out);
        m->lines = n.lines;
        m->full = n.full;
        f->given += n.lines;
        f->held += message->bytes;
        list_append(&f->fed, &m->list);
        pthread_mutex_lock(&f->stats->mutex);
        f->stats->facts.redelivered += message->sequence <= f->stats->facts.newest;
        if (message->sequence > f->stats->facts.newest)
                f->stats->facts.newest = message->sequence;
        pthread_mutex_unlock(&f->stats->mutex);
}

static enum client_input on_read(void *ctx, struct buf *out)
{
        struct feed *f = ctx;
        size_t enough = out->len + PIECE_BYTES;
        struct source_message message;

        while (out->len < enough && !audit_full(f->audit) && source_take(f->source, &message)) {
                audit_add(f->audit, &(struct position){message.sequence, message.stored_ns});
                feed_message(f, &message, out);
        }
        return CLIENT_INPUT_MORE;
}

/* --- rejects --- */

/* Waits until all are published, keeping the lease meanwhile. */
static bool flush_rejects(struct feed *f)
{
        enum outbox_result r;

        while ((r = outbox_flush(f->outbox, FLUSH_MS)) == OUTBOX_PENDING &&
               !atomic_load(f->settings->abandon)) {
                if (!lease_step(f->lease)) {
                        give_up(f, f->lease->db.error);
                        return false;
                }
        }
        if (r != OUTBOX_DONE)
                give_up(f, r == OUTBOX_FAILED ? outbox_error(f->outbox) : "stopped");
        return r == OUTBOX_DONE;
}

static void publish_reject(struct feed *f, const struct fed *m, uint64_t line,
                           const struct client_reject *reject, struct slice record)
{
        const struct outbox_reject r = {
                .stream = f->settings->config->relay.stream,
                .sequence = m->message.sequence,
                .subject = subject_tail(f, m),
                .line = line,
                .code = reject->code,
                .field = reject->field,
                .reason = reject->message,
                .record = record,
        };

        if (outbox_full(f->outbox) && flush_rejects(f))
                keep_lease(f, clock_monotonic_ms());
        if (f->error[0])
                return;
        if (!outbox_reject(f->outbox, &r))
                give_up(f, outbox_error(f->outbox));
        pthread_mutex_lock(&f->stats->mutex);
        f->stats->facts.rejects++;
        pthread_mutex_unlock(&f->stats->mutex);
}

/* Returns the line as the producer published it. Rejects arrive in line order. */
static struct slice find_line(struct fed *m, uint64_t line)
{
        struct slice found = {0};

        while (m->rest_line < line && stamp_next_line(&m->rest, &found))
                m->rest_line++;
        return found;
}

static struct fed *message_of(struct feed *f, uint64_t line)
{
        struct list *l = f->rejecting ? &f->rejecting->list : f->fed.next;

        for (; l != &f->fed; l = l->next) {
                struct fed *m = container_of(l, struct fed, list);

                if (line <= m->first + m->lines)
                        return m;
        }
        return NULL; /* the client only reports lines that it was given */
}

static void on_reject(void *ctx, const struct client_reject *reject)
{
        struct feed *f = ctx;
        struct fed *m = message_of(f, reject->line);
        uint64_t line = reject->line - m->first;

        f->rejecting = m;
        m->rejected++;
        if (m->reply_to && m->reply.len < REPLY_MAX_BYTES)
                reply_reject_texts(&m->reply, line, reject->code, reject->field, reject->message);
        publish_reject(f, m, line, reject, find_line(m, line));
}

/* --- settled messages --- */

static const struct client_reject no_lines = {
        .code = "bad_json", .field = "", .message = "the message holds no lines"};

static void send_reply(struct feed *f, struct fed *m)
{
        char ack[96];
        int len = snprintf(ack, sizeof(ack),
                           "{\"ack\":%zu,\"rejected\":%" PRIu64 ",\"sequence\":%" PRIu64 "}\n", m->lines,
                           m->rejected, m->message.sequence);

        if (m->reply.len + (size_t)len > outbox_reply_max(f->outbox))
                m->reply.len = 0; /* the ack alone */
        buf_put(&m->reply, ack, (size_t)len);
        outbox_reply(f->outbox, m->reply_to, (struct slice){m->reply.data, m->reply.len});
        pthread_mutex_lock(&f->stats->mutex);
        f->stats->facts.replies++;
        pthread_mutex_unlock(&f->stats->mutex);
}

static void settle(struct feed *f, struct fed *m)
{
        if (m->full == 0) {
                m->rejected++;
                if (m->reply_to)
                        reply_reject_texts(&m->reply, 0, no_lines.code, no_lines.field, no_lines.message);
                publish_reject(f, m, 0, &no_lines, data_of(m));
        }
        if (f->error[0])
                return;
        if (m->reply_to)
                send_reply(f, m);
        f->settled = (struct position){m->message.sequence, m->message.stored_ns};
        f->begun = true;
        f->held -= m->message.bytes;
}

static void free_fed(struct feed *f, struct fed *m)
{
        if (f->rejecting == m)
                f->rejecting = NULL;
        list_remove(&m->list);
        natsMsg_Destroy(m->message.msg);
        buf_deinit(&m->reply);
        free(m);
}

static void settle_messages(struct feed *f)
{
        uint64_t n = 0;

        while (!list_empty(&f->fed) && !f->error[0]) {
                struct fed *m = container_of(f->fed.next, struct fed, list);

                if (m->first + m->lines > f->client.counts.lines)
                        break;
                settle(f, m);
                if (f->error[0])
                        break; /* it will be delivered again */
                free_fed(f, m);
                n++;
        }
        pthread_mutex_lock(&f->stats->mutex);
        f->stats->facts.messages += n;
        pthread_mutex_unlock(&f->stats->mutex);
}

/* --- position and lease --- */

/* To where the position may move. The position may be of another stream (source.h), so its sequence is never compared
 * with those of messages. */
static struct position movable(const struct feed *f)
{
        struct position passed;

        if (!f->begun || !audit_passed(f->audit, &passed))
                return f->lease->position;
        return f->settled.sequence < passed.sequence ? f->settled : passed;
}

static bool differ(struct position a, struct position b)
{
        return a.sequence != b.sequence || a.stored_ns != b.stored_ns;
}

static bool has_moved(const struct feed *f)
{
        return differ(movable(f), f->lease->position);
}

static void move_position(struct feed *f)
{
        struct position to = movable(f);

        if (f->error[0] || !flush_rejects(f))
                return;
        if (has_moved(f) && !lease_move(f->lease, &to))
                give_up(f, f->lease->db.error);
        f->moved_ms = clock_monotonic_ms();
}

/* --- messages from NATS --- */

static void step_audit(struct feed *f)
{
        enum audit_result result = audit_step(f->audit, source_idle(f->source));

        if (result != AUDIT_STALLED && result != AUDIT_SKIPPED)
                return;
        pthread_mutex_lock(&f->stats->mutex);
        f->stats->facts.skips++;
        pthread_mutex_unlock(&f->stats->mutex);
        if (result == AUDIT_SKIPPED) {
                give_up(f, audit_error(f->audit));
                return;
        }
        log_warn("partition %u: %s", f->settings->partition, audit_error(f->audit));
        source_renew(f->source);
}

static void step_source(struct feed *f, int64_t now)
{
        source_step(f->source, f->held);
        if (source_changed(f->source))
                give_up(f, source_error(f->source));
        else if (clock_monotonic_ms() - now < TURN_MS) /* else the lease comes first */
                step_audit(f);
}

/* So that as little as possible is fed again. */
static void end_audit(struct feed *f)
{
        int64_t until = clock_monotonic_ms() + LAST_AUDIT_MS;

        while (!f->error[0] && differ(movable(f), f->settled) && clock_monotonic_ms() < until &&
               !atomic_load(f->settings->abandon)) {
                step_audit(f);
                keep_lease(f, clock_monotonic_ms());
                nats_Sleep(5);
        }
}

/* --- stats --- */

static void add_counts(struct client_counts *to, const struct client_counts *more)
{
        to->lines += more->lines;
        to->stored += more->stored;
        to->duplicate += more->duplicate;
        to->rejected += more->rejected;
        to->spooled += more->spooled;
}

static void tell_stats(struct feed *f, int64_t now)
{
        struct source_facts source = source_facts(f->source);
        struct partition_facts *facts = &f->stats->facts;
        uint64_t waiting = 0;

        for (struct list *l = f->fed.next; l != &f->fed; l = l->next)
                waiting++;
        pthread_mutex_lock(&f->stats->mutex);
        facts->position = f->lease->position.sequence;
        facts->rewinds = f->rewinds_before + source.rewinds;
        facts->lines = f->before;
        add_counts(&facts->lines, &f->client.counts);
        facts->held_bytes = f->held;
        facts->lag_messages = source.pending + waiting;
        facts->lag_bytes = (double)f->held + (double)source.pending * source.message_bytes;
        facts->oldest_us = list_empty(&f->fed)
                                   ? 0
                                   : container_of(f->fed.next, struct fed, list)->message.stored_ns / 1000;
        pthread_mutex_unlock(&f->stats->mutex);
        f->told_ms = now;
}

/* --- the client's turns --- */

static void on_trouble(void *ctx, int pause_ms, uint64_t anonymous, uint64_t first)
{
        struct feed *f = ctx;
        char text[PARTITION_TROUBLE_BYTES];

        (void)pause_ms;
        (void)anonymous;
        (void)first;
        snprintf(text, sizeof(text), "the daemon: %s", f->client.error);
        partition_stats_set(f->stats, PARTITION_FEEDING, text);
}

/* Reports trouble that does not end the feed. */
static void tell_trouble(struct feed *f)
{
        const char *why = source_error(f->source);
        char text[PARTITION_TROUBLE_BYTES];

        if (!why[0])
                why = audit_error(f->audit);
        if (why[0]) {
                snprintf(text, sizeof(text), "NATS: %.500s", why);
                partition_stats_set(f->stats, PARTITION_FEEDING, text);
        } else if (f->stats->facts.trouble[0] && (f->client.connected || list_empty(&f->fed))) {
                partition_stats_set(f->stats, PARTITION_FEEDING, NULL);
        }
}

static void on_turn(void *ctx)
{
        struct feed *f = ctx;
        int64_t now = clock_monotonic_ms();

        if (f->error[0])
                return;
        if (atomic_load(f->settings->abandon)) {
                give_up(f, "stopped before everything was settled");
                return;
        }
        settle_messages(f);
        if (has_moved(f) && now - f->moved_ms >= MOVE_MS)
                move_position(f);
        keep_lease(f, now);
        if (f->error[0])
                return;
        if (!f->client.stopped) {
                step_source(f, now);
                tell_trouble(f);
        }
        if (now - f->told_ms >= STATS_MS)
                tell_stats(f, now);
}

static void on_connection(void *ctx, int fd)
{
        (void)ctx;
        fence_guard(fd);
}

/* --- the whole --- */

static void open_feed(struct feed *f)
{
        const struct config *config = f->settings->config;
        struct source_settings source = {.stream = config->relay.stream,
                                         .filter = f->filter,
                                         .window_bytes = config->relay.window_bytes};

        snprintf(f->filter, sizeof(f->filter), "%s.%u.>", config->relay.subject, f->settings->partition);
        list_init(&f->fed);
        f->settled = f->lease->position;
        f->before = partition_stats_read(f->stats).lines;
        f->rewinds_before = partition_stats_read(f->stats).rewinds;
        f->source = source_open(f->settings->nats, &source, &f->lease->position);
        f->audit = audit_open(f->settings->nats, config->relay.stream, f->filter, &f->lease->position);
        f->outbox = outbox_open(f->settings->nats, config->relay.rejects_subject);
}

static void close_feed(struct feed *f)
{
        while (!list_empty(&f->fed))
                free_fed(f, container_of(f->fed.next, struct fed, list));
        client_deinit(&f->client);
        source_close(f->source);
        audit_close(f->audit);
        outbox_close(f->outbox);
        json_scratch_deinit(&f->scratch);
}

static enum feed_end end_feed(struct feed *f, enum client_end end)
{
        settle_messages(f);
        end_audit(f);
        move_position(f);
        tell_stats(f, clock_monotonic_ms());
        if (end == CLIENT_STOPPED && client_settled(&f->client) && !f->error[0])
                return FEED_STOPPED;
        if (!f->error[0])
                snprintf(f->error, FEED_ERROR_BYTES, "the daemon: %s",
                         end == CLIENT_STOPPED ? "not every line sent was settled before the stop"
                                               : f->client.error);
        return FEED_FAILED;
}

enum feed_end feed_run(const struct feed_settings *settings, struct lease *lease,
                       struct partition_stats *stats, char ret_error[FEED_ERROR_BYTES])
{
        static const struct client_ops ops = {on_read, on_reject, on_trouble, on_turn, on_connection};
        static const char hello[] =
                "{\"kind\":\"hello\",\"client\":\"boris-ingestd-relay\",\"version\":\"" INGESTD_VERSION
                "\"}\n";
        const struct config *config = settings->config;
        struct feed f = {.settings = settings, .lease = lease, .stats = stats, .error = ret_error};
        struct client_options options = {.path = config->listen.unix_path[0] ? config->listen.unix_path
                                                                             : NULL,
                                         .tcp = config->listen.tcp,
                                         .retry_ms = INT64_MAX / 2,
                                         .retry_at_first = true,
                                         .stop_fd = settings->stop_fd,
                                         .turn_ms = TURN_MS,
                                         .connect_ms = CONNECT_MS,
                                         .hello = hello};
        enum feed_end end;

        ret_error[0] = '\0';
        open_feed(&f);
        options.input_fd = source_fd(f.source);
        client_init(&f.client, &options, &ops, &f);
        end = end_feed(&f, client_run(&f.client));
        close_feed(&f);
        return end;
}
