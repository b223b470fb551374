#include "relay/inbox.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

enum { GRACE_MS = 10000 };

struct inbox {
        struct nats *nats;
        inbox_cb *on_message;
        void *ctx;
        char subject[128];
        natsSubscription *subscription;
        pthread_mutex_t mutex;
        pthread_cond_t ended;
        bool running; /* callbacks may be called */
};

static void on_message(natsConnection *connection, natsSubscription *subscription, natsMsg *msg, void *ctx)
{
        struct inbox *inbox = ctx;

        (void)connection;
        (void)subscription;
        inbox->on_message(inbox->ctx, msg);
}

static void on_complete(void *ctx)
{
        struct inbox *inbox = ctx;

        pthread_mutex_lock(&inbox->mutex);
        inbox->running = false;
        pthread_cond_signal(&inbox->ended);
        pthread_mutex_unlock(&inbox->mutex);
}

static natsStatus subscribe(struct inbox *inbox, struct nats *nats, bool many)
{
        natsInbox *made = NULL;
        char pattern[sizeof(inbox->subject) + 2];
        natsStatus s = natsInbox_Create(&made);

        if (s != NATS_OK)
                return s;
        snprintf(inbox->subject, sizeof(inbox->subject), "%s", made);
        natsInbox_Destroy(made);
        snprintf(pattern, sizeof(pattern), "%s%s", inbox->subject, many ? ".*" : "");
        s = natsConnection_Subscribe(&inbox->subscription, nats->connection, pattern, on_message, inbox);
        if (s != NATS_OK)
                return s;
        natsSubscription_SetPendingLimits(inbox->subscription, -1,
                                          -1); /* no limit: the owner's requests are the limit */
        s = natsSubscription_SetOnCompleteCB(inbox->subscription, on_complete, inbox);
        inbox->running = s == NATS_OK;
        return s;
}

struct inbox *inbox_open(struct nats *nats, bool many, inbox_cb *on_message_cb, void *ctx,
                         natsStatus *ret_status)
{
        struct inbox *inbox = calloc(1, sizeof(*inbox));

        if (!inbox)
                abort();
        inbox->nats = nats;
        inbox->on_message = on_message_cb;
        inbox->ctx = ctx;
        pthread_mutex_init(&inbox->mutex, NULL);
        pthread_cond_init(&inbox->ended, NULL);
        *ret_status = subscribe(inbox, nats, many);
        if (*ret_status == NATS_OK)
                return inbox;
        inbox_close(inbox);
        return NULL;
}

/* --- subscriptions that ended --- */

struct ended {
        natsSubscription *subscription;
        int64_t ended_ms;
};

struct ended_subscriptions {
        pthread_mutex_t mutex;
        struct ended *items; /* oldest first */
        size_t len;
        size_t cap;
};

static void destroy_first(struct ended_subscriptions *e, size_t n)
{
        for (size_t i = 0; i < n; i++)
                natsSubscription_Destroy(e->items[i].subscription);
        e->len -= n;
        if (n > 0)
                memmove(e->items, e->items + n, e->len * sizeof(*e->items));
}

static void add_ended(struct ended_subscriptions *e, natsSubscription *subscription)
{
        int64_t now = clock_monotonic_ms();
        size_t old = 0;

        pthread_mutex_lock(&e->mutex);
        while (old < e->len && now - e->items[old].ended_ms > GRACE_MS)
                old++;
        destroy_first(e, old);
        if (e->len == e->cap)
                e->items = array_grow(e->items, &e->cap, sizeof(*e->items));
        e->items[e->len++] = (struct ended){subscription, now};
        pthread_mutex_unlock(&e->mutex);
}

struct ended_subscriptions *ended_subscriptions_new(void)
{
        struct ended_subscriptions *e = must_calloc(1, sizeof(*e));

        pthread_mutex_init(&e->mutex, NULL);
        return e;
}

void ended_subscriptions_free(struct ended_subscriptions *e)
{
        destroy_first(e, e->len);
        pthread_mutex_destroy(&e->mutex);
        free(e->items);
        free(e);
}

void inbox_close(struct inbox *inbox)
{
        if (!inbox)
                return;
        natsSubscription_Unsubscribe(inbox->subscription);
        pthread_mutex_lock(&inbox->mutex);
        while (inbox->running)
                pthread_cond_wait(&inbox->ended, &inbox->mutex);
        pthread_mutex_unlock(&inbox->mutex);
        if (inbox->subscription)
                add_ended(inbox->nats->ended, inbox->subscription);
        pthread_cond_destroy(&inbox->ended);
        pthread_mutex_destroy(&inbox->mutex);
        free(inbox);
}

const char *inbox_subject(const struct inbox *inbox)
{
        return inbox->subject;
}
