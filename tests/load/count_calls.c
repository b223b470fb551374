/* Preloaded into the daemon (LD_PRELOAD): counts its allocations and system calls in the file $COUNT_CALLS,
 * which a test maps, too. Calls by libuv and libpq are counted; calls inside libc are not. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* The file: two numbers, in the machine's order. */
struct counts {
        _Atomic uint64_t allocations;
        _Atomic uint64_t system_calls;
};

static struct counts unmapped;
static struct counts *counts = &unmapped;

static void *real(const char *name)
{
        void *found = dlsym(RTLD_NEXT, name);

        if (!found)
                abort();
        return found;
}

__attribute__((constructor)) static void map_counts(void)
{
        const char *path = getenv("COUNT_CALLS");
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        void *map =
                fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (map != MAP_FAILED)
                counts = map;
        if (fd >= 0)
                close(fd);
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
        counts->allocations++;
        return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
        counts->allocations++;
        return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
        counts->allocations++;
        return __libc_realloc(old, size);
}

#define COUNT(type, name, params, args)                                                                      \
        type name params                                                                                     \
        {                                                                                                    \
                static type(*call) params;                                                                   \
                                                                                                             \
                if (!call)                                                                                   \
                        *(void **)&call = real(#name);                                                       \
                counts->system_calls++;                                                                      \
                return call args;                                                                            \
        }

COUNT(ssize_t, read, (int fd, void *to, size_t len), (fd, to, len))
COUNT(ssize_t, write, (int fd, const void *from, size_t len), (fd, from, len))
COUNT(ssize_t, writev, (int fd, const struct iovec *from, int len), (fd, from, len))
COUNT(ssize_t, recv, (int fd, void *to, size_t len, int flags), (fd, to, len, flags))
COUNT(ssize_t, send, (int fd, const void *from, size_t len, int flags), (fd, from, len, flags))
COUNT(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))
COUNT(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags))
COUNT(int, epoll_wait, (int fd, struct epoll_event *to, int max, int timeout), (fd, to, max, timeout))
COUNT(int, epoll_pwait, (int fd, struct epoll_event *to, int max, int timeout, const sigset_t *mask),
      (fd, to, max, timeout, mask))
COUNT(int, epoll_ctl, (int fd, int op, int of, struct epoll_event *event), (fd, op, of, event))
