/* Two buffers: callers fill one while the thread writes the other. */
#include "base/log_queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"

enum {
        QUEUE_BYTES = 512 << 10, /* capacity of each buffer */
        URGENT_BYTES = 64 << 10, /* extra capacity for urgent items */
        FLUSH_SECONDS = 5,
        STOP_PATIENCE_MS = 1000, /* without progress, until log_queue_stop gives up */
        STOP_MS = 5000,
        STOP_LOOK_MS = 10,
};

static struct {
        pthread_mutex_t lock;
        pthread_cond_t wake;
        pthread_t thread;
        const struct log_queue_ops *ops;
        struct buf gathering; /* headers, each followed by its texts */
        struct buf writing;   /* used by the thread alone */
        uint64_t gap_size;    /* number of items dropped after those in gathering */
        bool stopping;
        bool holding; /* the thread holds an item back */
        _Atomic bool running;
        _Atomic bool ended; /* the thread has ended */
        _Atomic uint64_t dropped;
        _Atomic uint64_t written; /* number of items */
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

struct header {
        unsigned level;
        size_t prefix_len;
        size_t line_len;
        size_t entry_len;
};

/* --- the thread --- */

static void write_all(const struct buf *items)
{
        for (size_t at = 0; at < items->len;) {
                struct header header;
                struct log_item item;

                memcpy(&header, items->data + at, sizeof(header));
                at += sizeof(header);
                item = (struct log_item){.level = header.level,
                                         .prefix_len = header.prefix_len,
                                         .line = items->data + at,
                                         .line_len = header.line_len,
                                         .entry = items->data + at + header.line_len,
                                         .entry_len = header.entry_len};
                queue.holding = queue.ops->write(&item);
                queue.written++;
                at += header.line_len + header.entry_len;
        }
}

static bool nothing_gathered(void)
{
        return queue.gathering.len == 0 && queue.gap_size == 0;
}

/* Waits until an item is queued, or until it is time to write a held-back item. */
static void wait_for_items(void)
{
        struct timespec until;
        int err = 0;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += FLUSH_SECONDS;
        while (nothing_gathered() && !queue.stopping && err == 0)
                err = queue.holding ? pthread_cond_timedwait(&queue.wake, &queue.lock, &until)
                                    : pthread_cond_wait(&queue.wake, &queue.lock);
}

/* Swaps the buffers; false when the queue was stopped and is empty. */
static bool take(uint64_t *ret_gap)
{
        struct buf swap;
        bool more;

        pthread_mutex_lock(&queue.lock);
        wait_for_items();
        more = !nothing_gathered() || !queue.stopping;
        swap = queue.writing;
        queue.writing = queue.gathering;
        queue.gathering = swap;
        queue.gathering.len = 0;
        *ret_gap = queue.gap_size;
        queue.gap_size = 0;
        pthread_mutex_unlock(&queue.lock);
        return more;
}

static void *run(void *ctx)
{
        uint64_t gap;

        (void)ctx;
        while (take(&gap)) {
                if (queue.writing.len == 0 || gap > 0)
                        queue.holding = false;
                if (queue.writing.len == 0)
                        queue.ops->flush();
                write_all(&queue.writing);
                if (gap > 0)
                        queue.ops->gap(gap);
        }
        queue.ops->flush();
        queue.ended = true;
        return NULL;
}

/* --- for all threads --- */

bool log_queue_start(const struct log_queue_ops *ops)
{
        sigset_t all;
        sigset_t before;
        int err;

        queue.ops = ops;
        queue.stopping = false;
        queue.ended = false;
        buf_reserve(&queue.gathering, QUEUE_BYTES + URGENT_BYTES);
        buf_reserve(&queue.writing, QUEUE_BYTES + URGENT_BYTES);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* other threads handle signals */
        err = pthread_create(&queue.thread, NULL, run, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        queue.running = err == 0;
        return err == 0;
}

bool log_queue_running(void)
{
        return queue.running;
}

uint64_t log_queue_dropped(void)
{
        return queue.dropped;
}

void log_queue_put(const struct log_item *item, bool urgent)
{
        const struct header header = {item->level, item->prefix_len, item->line_len, item->entry_len};
        size_t bytes = sizeof(header) + item->line_len + item->entry_len;
        size_t limit = urgent ? QUEUE_BYTES + URGENT_BYTES : QUEUE_BYTES;

        pthread_mutex_lock(&queue.lock);
        /* after a gap nothing is queued until the gap itself is */
        if (queue.gathering.len + bytes > limit || (queue.gap_size > 0 && !urgent)) {
                queue.gap_size++;
                queue.dropped++;
        } else {
                buf_put(&queue.gathering, &header, sizeof(header));
                buf_put(&queue.gathering, item->line, item->line_len);
                buf_put(&queue.gathering, item->entry, item->entry_len);
        }
        pthread_cond_signal(&queue.wake);
        pthread_mutex_unlock(&queue.lock);
}

void log_queue_stop(void)
{
        const struct timespec look = {.tv_nsec = STOP_LOOK_MS * 1000000L};
        uint64_t written = queue.written;
        int idle = 0;

        if (!queue.running)
                return;
        pthread_mutex_lock(&queue.lock);
        queue.stopping = true;
        pthread_cond_signal(&queue.wake);
        pthread_mutex_unlock(&queue.lock);
        for (int ms = 0; ms < STOP_MS && idle < STOP_PATIENCE_MS && !queue.ended; ms += STOP_LOOK_MS) {
                nanosleep(&look, NULL);
                idle = queue.written == written ? idle + STOP_LOOK_MS : 0;
                written = queue.written;
        }
        if (!queue.ended)
                return; /* the thread is stuck in write(2) and ends with the process */
        queue.running = false;
        pthread_join(queue.thread, NULL);
        buf_deinit(&queue.gathering);
        buf_deinit(&queue.writing);
}
