#ifndef INBOX_H
#define INBOX_H

#include <stdbool.h>

#include "relay/nats.h"

/* Subjects of our own for answers, which a thread of libnats delivers. All are below one subscription, which lasts
 * as long as the connection: libnats before 3.5 uses freed memory if a message arrives while its subscription
 * is destroyed (nats.c #637). */

struct inbox;

/* Called for each message; the callback must destroy it. It must be short, and open or close no inbox. */
typedef void inbox_cb(void *ctx, natsMsg *msg);

/* Answers may also arrive at SUBJECT.anything. Returns NULL, with *ret_status, if subscribing fails. */
struct inbox *inbox_open(struct nats *nats, inbox_cb *on_message, void *ctx, natsStatus *ret_status);

/* After it returns no callback runs any more. @inbox may be NULL. */
void inbox_close(struct inbox *inbox);

const char *inbox_subject(const struct inbox *inbox);

/* For the connection: all inboxes of @nats. */
struct inboxes *inboxes_new(void);

/* After the connection was destroyed, and its threads have ended. */
void inboxes_free(struct inboxes *inboxes);

/* Ends the subscription, after the connection was destroyed. */
void inboxes_end(struct inboxes *inboxes);

#endif
