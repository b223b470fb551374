#ifndef OUTBOX_H
#define OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "relay/nats.h"

/* What the relay publishes: rejects, which a stream must have stored before the position advances past them,
 * and replies to producers that asked for one. Rejects are published without waiting for each; outbox_flush
 * waits for all. */

struct outbox;

struct outbox_reject {
        const char *stream; /* the stream of the message */
        uint64_t sequence;
        const char *subject; /* of the message, after its partition: "META.act_1" */
        uint64_t line;       /* line within the message, from 1; 0: the whole message */
        const char *code;
        const char *field; /* "" for none */
        const char *reason;
        struct slice record; /* the line as published */
};

struct outbox *outbox_open(struct nats *nats, const char *rejects_subject);

void outbox_close(struct outbox *o);

/* Returns false if the reject cannot be published: see outbox_error. The outbox is then unusable. */
bool outbox_reject(struct outbox *o, const struct outbox_reject *reject);

/* True if the number of unacked rejects requires outbox_flush before the next one. */
bool outbox_full(struct outbox *o);

enum outbox_result { OUTBOX_DONE, OUTBOX_PENDING, OUTBOX_FAILED };

/* Waits up to @ms until a stream has stored every reject. */
enum outbox_result outbox_flush(struct outbox *o, int ms);

const char *outbox_error(const struct outbox *o);

/* Bytes that a reply may have: the server's limit. */
size_t outbox_reply_max(const struct outbox *o);

/* Publishes @text to @subject without waiting; there may be no reader. */
void outbox_reply(struct outbox *o, const char *subject, struct slice text);

#endif
