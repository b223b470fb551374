#include "spool/spool_reserve.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
        RESERVE_BYTES = 16 << 20, /* more than one write and the write-ahead log need */
        RESERVE_SHARE = 8,        /* at most 1/8 of the free space */
        RESERVE_LEAST = 256 << 10,
        NO_ROOM_BYTES = 128 << 10,
};

static void make_path(const char *dir, char ret[PATH_MAX])
{
        snprintf(ret, PATH_MAX, "%.*s/spool.reserve", PATH_MAX - 64, dir);
}

/* Free bytes on the disk; the largest number if unknown. */
static unsigned long long free_bytes(const char *dir)
{
        struct statvfs disk;

        if (statvfs(dir, &disk) != 0)
                return ULLONG_MAX;
        return (unsigned long long)disk.f_bavail * disk.f_frsize;
}

bool spool_disk_full(const char *dir)
{
        return free_bytes(dir) < NO_ROOM_BYTES;
}

void spool_reserve_make(const char *dir)
{
        unsigned long long bytes = free_bytes(dir) / RESERVE_SHARE;
        char path[PATH_MAX];
        struct stat st;
        int fd;

        make_path(dir, path);
        if (bytes < RESERVE_LEAST || stat(path, &st) == 0)
                return;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (fd < 0)
                return;
        if (posix_fallocate(fd, 0, (off_t)(bytes < RESERVE_BYTES ? bytes : RESERVE_BYTES)) != 0)
                unlink(path);
        close(fd);
}

bool spool_reserve_give_up(const char *dir)
{
        char path[PATH_MAX];

        make_path(dir, path);
        return unlink(path) == 0;
}
