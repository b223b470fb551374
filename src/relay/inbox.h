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

/* Subscriptions that ended are destroyed some seconds later: libnats before 3.5 goes on using one for a moment if
 * a message arrives while it ends (nats.c #637). */
struct ended_subscriptions *ended_subscriptions_new(void);

/* After the connection was destroyed. */
void ended_subscriptions_free(struct ended_subscriptions *e);

#endif
