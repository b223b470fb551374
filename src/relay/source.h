#ifndef SOURCE_H
#define SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/lease.h"
#include "relay/nats.h"

/* The messages of one partition, in the order of the stream. They come from an ordered consumer: it acks nothing, lives in
 * the memory of one server, and is made anew, behind the last message that came, whenever anything about it is not as it
 * should be. That is safe because no position is kept in it. */

struct source_settings {
        const char *stream;
        const char *filter; /* "boris.p.0.>" */
        size_t window_bytes;
};

struct source_message {
        natsMsg *msg;
        uint64_t sequence;
        int64_t stored_ns;
        size_t bytes;
};

struct source;

/* @after: where to begin. If the stream holds another message there than the position says, it begins with the
 * first message that was stored after it. */
struct source *source_open(struct nats *nats, const struct source_settings *settings,
                           const struct position *after);

void source_close(struct source *s);

/* Can be read when source_take may return something. */
int source_fd(const struct source *s);

/* The next message, whose msg is the caller's to destroy. False where there is none now. */
bool source_take(struct source *s, struct source_message *ret);

/* Keeps the consumer and asks for more. @held: bytes of messages that the caller has not settled. May block for a second. False
 * if something is amiss: source_error says what; it is tried again by the next calls. */
bool source_step(struct source *s, size_t held);

const char *source_error(const struct source *s);

struct source_facts {
        uint64_t pending;     /* messages in the stream behind the last that came */
        double message_bytes; /* of a message of the stream, on average */
        uint64_t rewinds;     /* the stream held another message at the position */
        bool open;
};

struct source_facts source_facts(struct source *s);

#endif
