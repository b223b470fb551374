#include "relay/partition.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "base/clock.h"
#include "relay/feed.h"
#include "relay/fence.h"
#include "relay/lease.h"

enum {
        STEP_MS = 400, /* between two attempts to get a lease that another relay has */
        PAUSE_FIRST_MS = 250,
        PAUSE_MAX_MS = 4000,
};

/* Returns false if the partition must stop. */
static bool pause_for(const struct partition *p, int ms)
{
        struct pollfd fd = {.fd = p->stop_fd, .events = POLLIN};

        return poll(&fd, 1, ms) <= 0;
}

static void tell_lease(struct partition *p, const struct lease *l)
{
        static const enum partition_state states[] = {
                [LEASE_CLOSED] = PARTITION_STARTING,
                [LEASE_WANTED] = PARTITION_STANDBY,
                [LEASE_WAITING] = PARTITION_WAITING,
                [LEASE_HELD] = PARTITION_FEEDING,
        };

        pthread_mutex_lock(&p->stats.mutex);
        p->stats.facts.takeovers += l->state == LEASE_WAITING && p->stats.facts.state != PARTITION_WAITING;
        p->stats.facts.position = l->position.sequence;
        pthread_mutex_unlock(&p->stats.mutex);
        partition_stats_set(&p->stats, states[l->state], NULL);
}

/* Waits until the lease is held. Returns false if the partition must stop. */
static bool get_lease(struct partition *p, struct lease *l)
{
        int pause = PAUSE_FIRST_MS;
        char text[PARTITION_TROUBLE_BYTES];

        while (l->state != LEASE_HELD) {
                bool ok = lease_step(l);

                if (ok) {
                        tell_lease(p, l);
                        pause = PAUSE_FIRST_MS;
                } else {
                        snprintf(text, sizeof(text), "the database: %.500s", l->db.error);
                        partition_stats_set(&p->stats, PARTITION_STARTING, text);
                        pause = pause < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
                }
                if (l->state != LEASE_HELD && !pause_for(p, ok ? STEP_MS : pause))
                        return false;
        }
        return true;
}

/* Returns true if the partition was stopped, and every line sent is settled: another relay may feed immediately. */
static bool feed(struct partition *p, struct lease *l)
{
        const struct feed_settings settings = {.config = p->config,
                                               .nats = p->nats,
                                               .partition = p->number,
                                               .stop_fd = p->stop_fd,
                                               .abandon = &p->abandon};
        char error[FEED_ERROR_BYTES];
        enum feed_end end = feed_run(&settings, l, &p->stats, error);

        if (end == FEED_FAILED)
                partition_stats_set(&p->stats, PARTITION_STARTING, error);
        return end == FEED_STOPPED;
}

/* Feeds that fail immediately are restarted after a pause. */
static int pause_after(int64_t begun_ms, int pause)
{
        if (clock_monotonic_ms() - begun_ms > 10000)
                return PAUSE_FIRST_MS;
        return pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
}

static void run(struct partition *p)
{
        int pause = PAUSE_FIRST_MS;
        struct lease l;

        lease_init(&l, p->config->database.url, p->config->relay.stream, p->number, p->config->relay.lease_ms,
                   &p->holder);
        while (get_lease(p, &l)) {
                int64_t begun_ms = clock_monotonic_ms();
                bool orderly = feed(p, &l);

                lease_close(&l, orderly);
                if (orderly)
                        break;
                pause = pause_after(begun_ms, pause);
                if (!pause_for(p, pause))
                        break;
        }
        lease_close(&l, false);
}

static void *thread_main(void *ctx)
{
        struct partition *p = ctx;

        if (fence_init()) {
                run(p);
                fence_deinit();
        } else {
                partition_stats_set(&p->stats, PARTITION_STARTING,
                                    "cannot make a timer (check RLIMIT_SIGPENDING)");
        }
        partition_stats_set(&p->stats, PARTITION_STOPPED, NULL);
        atomic_store(&p->ended, true);
        return NULL;
}

bool partition_start(struct partition *p, const struct config *config, struct nats *nats, unsigned number,
                     const struct uuid *holder)
{
        p->config = config;
        p->nats = nats;
        p->number = number;
        p->holder = *holder;
        p->stats.facts.partition = number;
        pthread_mutex_init(&p->stats.mutex, NULL);
        p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (p->stop_fd < 0)
                return false;
        errno = pthread_create(&p->thread, NULL, thread_main, p);
        return errno == 0;
}

void partition_stop(struct partition *p, bool abandon)
{
        ssize_t n;

        if (abandon)
                atomic_store(&p->abandon, true);
        n = write(p->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)n; /* if it is full it is readable anyway */
}

void partition_join(struct partition *p)
{
        pthread_join(p->thread, NULL);
        close(p->stop_fd);
        pthread_mutex_destroy(&p->stats.mutex);
}
