#ifndef INBOX_H
#define INBOX_H

#include <stdbool.h>

#include "relay/nats.h"

/* A subject of our own that answers come to, in a thread of libnats's. */

struct inbox;

/* Of each message; it is the receiver's to destroy. */
typedef void inbox_cb(void *ctx, natsMsg *msg);

/* With @many, answers may come to SUBJECT.anything instead. NULL, with *ret_status, where it cannot be subscribed. */
struct inbox *inbox_open(struct nats *nats, bool many, inbox_cb *on_message, void *ctx,
                         natsStatus *ret_status);

/* No callback runs any more when it returns. NULL is nothing. */
void inbox_close(struct inbox *inbox);

const char *inbox_subject(const struct inbox *inbox);

#endif
