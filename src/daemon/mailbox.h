#ifndef MAILBOX_H
#define MAILBOX_H

#include <stdbool.h>

#include <uv.h>

#include "base/list.h"

/* Messages from other threads to a loop, delivered in the order in which they were posted. */

/* A member of a struct of the sender's, which the receiver frees. */
struct message {
        struct list link;
        void (*deliver)(struct message *m, void *ctx); /* in the receiver's thread; takes over @m */
};

struct mailbox {
        uv_mutex_t lock;
        uv_async_t wake;
        struct list messages;
        bool closed;
        void *ctx; /* for deliver */
};

/* To be called in the loop's thread. Returns 0 or a libuv error, and then there is nothing to close. */
int mailbox_open(struct mailbox *box, uv_loop_t *loop, void *ctx);

/* May be called in any thread until mailbox_deinit. Returns false, with *m still the caller's, if the box is
 * closed. */
bool mailbox_post_take(struct mailbox *box, struct message *m);

/* To be called in the loop's thread. Delivers what was posted, and nothing later. */
void mailbox_close(struct mailbox *box);

/* To be called when nobody posts any more and the loop has ended. */
void mailbox_deinit(struct mailbox *box);

#endif
