#ifndef SOURCE_H
#define SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/lease.h"
#include "relay/nats.h"

/* The messages of one partition, in stream order. They come from an ordered consumer: it acks nothing, lives
 * in the memory of one server, and after any irregularity is created again, starting after the last message
 * received. That is safe because it holds no position. */

struct source_settings {
        const char *stream;
        const char *filter; /* "boris.p.0.>"; NULL: all messages of the stream, without their contents */
        size_t window_bytes;
};

struct source_message {
        natsMsg *msg;
        uint64_t sequence;
        int64_t stored_ns;
        size_t bytes;
};

struct source;

/* @after: where to start. If the stream contains a different message at that position, starts with the
 * messages stored from a minute before it on. */
struct source *source_open(struct nats *nats, const struct source_settings *settings,
                           const struct position *after);

void source_close(struct source *s);

/* Readable when source_take may return something. */
int source_fd(const struct source *s);

/* Returns the next message, whose msg the caller destroys. Returns false if there is none now. */
bool source_take(struct source *s, struct source_message *ret);

/* Maintains the consumer and requests more. @held: bytes of messages that the caller has not settled. May
 * block for a second. Returns false on trouble, see source_error; later calls try again. */
bool source_step(struct source *s, size_t held);

const char *source_error(const struct source *s);

/* True if the last message that it delivered is not in the stream any more: every further step fails. */
bool source_changed(const struct source *s);

/* Replaces the consumer; for a consumer that does not deliver the stream's messages. */
void source_renew(struct source *s);

/* The sequence of the last message that arrived; 0 if there was none. */
uint64_t source_newest(struct source *s);

/* True if everything that arrived was taken, and more was requested. */
bool source_idle(struct source *s);

struct source_facts {
        uint64_t pending;     /* messages in the stream after the last one received */
        double message_bytes; /* average size of a message in the stream */
        uint64_t rewinds;     /* how often the stream contained a different message at the position */
        bool open;
};

struct source_facts source_facts(struct source *s);

#endif
