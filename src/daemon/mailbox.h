#ifndef MAILBOX_H
#define MAILBOX_H

#include <stdbool.h>

#include <uv.h>

#include "base/list.h"

/* What one thread gives another one's loop to do, in the order in which it was posted. */

/* To be embedded in a struct of the sender's, which the receiver frees. */
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

/* In the thread that makes @loop. 0 or a libuv error; where it fails there is nothing to close. */
int mailbox_open(struct mailbox *box, uv_loop_t *loop, void *ctx);

/* In any thread, until mailbox_deinit. False, and *m still the caller's, where the box is closed. */
bool mailbox_post_take(struct mailbox *box, struct message *m);

/* In the loop's thread: what was posted is delivered first, and nothing later. */
void mailbox_close(struct mailbox *box);

/* When nobody posts any more, and the loop has ended. */
void mailbox_deinit(struct mailbox *box);

#endif
