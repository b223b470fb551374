/* The subject of an inbox is PREFIX.SLOT.GENERATION: the slot finds it, and a message for an inbox that had the
 * slot before has another generation. */
#include "relay/inbox.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct inbox {
        struct inboxes *all;
        unsigned slot;
        unsigned generation;
        inbox_cb *on_message;
        void *ctx;
        char subject[160];
};

struct inboxes {
        pthread_mutex_t mutex;
        natsSubscription *subscription; /* NULL until the first is opened */
        char prefix[120];
        struct inbox **slots; /* NULL where one is free */
        size_t len;
        size_t cap;
        unsigned generation;
};

/* --- all inboxes --- */

/* Returns NULL if it is closed. */
static struct inbox *find(const struct inboxes *all, const char *subject)
{
        size_t len = strlen(all->prefix);
        struct inbox *inbox;
        char *end;
        unsigned long slot;

        if (strncmp(subject, all->prefix, len) != 0 || subject[len] != '.')
                return NULL;
        slot = strtoul(subject + len + 1, &end, 10);
        inbox = *end == '.' && slot < all->len ? all->slots[slot] : NULL;
        return inbox && strtoul(end + 1, NULL, 10) == inbox->generation ? inbox : NULL;
}

/* In libnats's thread. */
static void on_message(natsConnection *connection, natsSubscription *subscription, natsMsg *msg, void *ctx)
{
        struct inboxes *all = ctx;
        struct inbox *inbox;

        (void)connection;
        (void)subscription;
        pthread_mutex_lock(&all->mutex);
        inbox = find(all, natsMsg_GetSubject(msg));
        if (inbox)
                inbox->on_message(inbox->ctx, msg);
        pthread_mutex_unlock(&all->mutex);
        if (!inbox)
                natsMsg_Destroy(msg);
}

static natsStatus subscribe(struct inboxes *all, struct nats *nats)
{
        natsInbox *made = NULL;
        char pattern[sizeof(all->prefix) + 2];
        natsStatus s = natsInbox_Create(&made);

        if (s != NATS_OK)
                return s;
        snprintf(all->prefix, sizeof(all->prefix), "%s", made);
        natsInbox_Destroy(made);
        snprintf(pattern, sizeof(pattern), "%s.>", all->prefix);
        s = natsConnection_Subscribe(&all->subscription, nats->connection, pattern, on_message, all);
        if (s == NATS_OK) /* no limit: the requests of the inboxes' owners are the limit */
                natsSubscription_SetPendingLimits(all->subscription, -1, -1);
        return s;
}

static unsigned free_slot(struct inboxes *all)
{
        for (unsigned i = 0; i < all->len; i++) {
                if (!all->slots[i])
                        return i;
        }
        if (all->len == all->cap)
                all->slots = array_grow(all->slots, &all->cap, sizeof(struct inbox *));
        all->slots[all->len] = NULL;
        return (unsigned)all->len++;
}

struct inboxes *inboxes_new(void)
{
        struct inboxes *all = must_calloc(1, sizeof(*all));

        pthread_mutex_init(&all->mutex, NULL);
        return all;
}

void inboxes_end(struct inboxes *all)
{
        natsSubscription_Destroy(all->subscription);
        all->subscription = NULL;
}

void inboxes_free(struct inboxes *all)
{
        pthread_mutex_destroy(&all->mutex);
        free(all->slots);
        free(all);
}

/* --- one --- */

struct inbox *inbox_open(struct nats *nats, inbox_cb *on_message_cb, void *ctx, natsStatus *ret_status)
{
        struct inboxes *all = nats->inboxes;
        struct inbox *inbox = NULL;

        pthread_mutex_lock(&all->mutex);
        *ret_status = all->subscription ? NATS_OK : subscribe(all, nats);
        if (*ret_status == NATS_OK) {
                inbox = must_calloc(1, sizeof(*inbox));
                *inbox = (struct inbox){.all = all,
                                        .slot = free_slot(all),
                                        .generation = ++all->generation,
                                        .on_message = on_message_cb,
                                        .ctx = ctx};
                snprintf(inbox->subject, sizeof(inbox->subject), "%s.%u.%u", all->prefix, inbox->slot,
                         inbox->generation);
                all->slots[inbox->slot] = inbox;
        }
        pthread_mutex_unlock(&all->mutex);
        return inbox;
}

void inbox_close(struct inbox *inbox)
{
        if (!inbox)
                return;
        pthread_mutex_lock(&inbox->all->mutex);
        inbox->all->slots[inbox->slot] = NULL;
        pthread_mutex_unlock(&inbox->all->mutex);
        free(inbox);
}

const char *inbox_subject(const struct inbox *inbox)
{
        return inbox->subject;
}
