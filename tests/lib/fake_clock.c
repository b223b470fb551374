/* LD_PRELOAD: shifts the wall clock of a process by the number of seconds in the file $FAKE_CLOCK, or stops
 * it at the second given there after an "@". The file may be replaced at any time. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *ret)
{
        static int (*real)(clockid_t, struct timespec *);
        const char *path = getenv("FAKE_CLOCK");
        char text[32] = "";
        int fd;
        int r;

        if (!real)
                real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        r = real(id, ret);
        if (id != CLOCK_REALTIME || !path)
                return r;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return r;
        if (read(fd, text, sizeof(text) - 1) > 0) {
                if (text[0] == '@')
                        *ret = (struct timespec){.tv_sec = atol(text + 1)};
                else
                        ret->tv_sec += atol(text);
        }
        close(fd);
        return r;
}
