#ifndef INBOX_H
#define INBOX_H

#include <stdbool.h>

#include "relay/nats.h"

/* A subject of our own for answers, which a thread of libnats delivers. */

struct inbox;

/* Called for each message; the callback must destroy it. */
typedef void inbox_cb(void *ctx, natsMsg *msg);

/* @many: answers may arrive at SUBJECT.anything instead. Returns NULL, with *ret_status, if subscribing
 * fails. */
struct inbox *inbox_open(struct nats *nats, bool many, inbox_cb *on_message, void *ctx,
                         natsStatus *ret_status);

/* After it returns no callback runs any more. @i may be NULL. */
void inbox_close(struct inbox *inbox);

const char *inbox_subject(const struct inbox *inbox);

#endif
