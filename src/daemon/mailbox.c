#include "daemon/mailbox.h"

static void deliver_all(struct mailbox *box)
{
        struct list now;

        list_init(&now);
        uv_mutex_lock(&box->lock);
        list_splice(&now, &box->messages);
        uv_mutex_unlock(&box->lock);
        while (!list_empty(&now)) {
                struct message *m = container_of(now.next, struct message, link);

                list_remove(&m->link);
                m->deliver(m, box->ctx);
        }
}

static void on_wake(uv_async_t *wake)
{
        deliver_all(wake->data);
}

int mailbox_open(struct mailbox *box, uv_loop_t *loop, void *ctx)
{
        int r;

        *box = (struct mailbox){.ctx = ctx};
        list_init(&box->messages);
        r = uv_mutex_init(&box->lock);
        if (r != 0)
                return r;
        r = uv_async_init(loop, &box->wake, on_wake);
        if (r != 0)
                uv_mutex_destroy(&box->lock);
        box->wake.data = box;
        return r;
}

bool mailbox_post_take(struct mailbox *box, struct message *m)
{
        bool open;

        uv_mutex_lock(&box->lock);
        open = !box->closed;
        if (open) {
                list_append(&box->messages, &m->link);
                uv_async_send(&box->wake); /* within the lock, so that the box cannot be closed before */
        }
        uv_mutex_unlock(&box->lock);
        return open;
}

void mailbox_close(struct mailbox *box)
{
        uv_mutex_lock(&box->lock);
        box->closed = true;
        uv_mutex_unlock(&box->lock);
        deliver_all(box);
        uv_close((uv_handle_t *)&box->wake, NULL);
}

void mailbox_deinit(struct mailbox *box)
{
        uv_mutex_destroy(&box->lock);
}
