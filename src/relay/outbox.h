#ifndef OUTBOX_H
#define OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "relay/nats.h"

/* What the relay publishes: rejects, which a stream must have stored before the position moves past them, and replies to
 * producers that asked for one. Rejects are published without waiting for each; outbox_flush waits for all. */

struct outbox;

struct outbox_reject {
        const char *stream; /* where the message is */
        uint64_t sequence;
        const char *subject; /* of the message, behind its partition: "META.act_1" */
        uint64_t line;       /* of the message, from 1; 0: the message as a whole */
        const char *code;
        const char *field; /* "" for none */
        const char *reason;
        struct slice record; /* the line as it was published */
};

struct outbox *outbox_open(struct nats *nats, const char *rejects_subject);

void outbox_close(struct outbox *o);

/* False where the reject cannot be published: outbox_error says why. The outbox is of no more use then. */
bool outbox_reject(struct outbox *o, const struct outbox_reject *reject);

/* Whether so many rejects wait for their acks that outbox_flush must come before the next. */
bool outbox_full(struct outbox *o);

enum outbox_result { OUTBOX_DONE, OUTBOX_PENDING, OUTBOX_FAILED };

/* Waits up to @ms until a stream has stored every reject. */
enum outbox_result outbox_flush(struct outbox *o, int ms);

const char *outbox_error(const struct outbox *o);

/* Sends @text to @subject. Nobody may be there to read it: nothing waits for it. */
void outbox_reply(struct outbox *o, const char *subject, struct slice text);

#endif
