#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool mapped_file(const char *path, struct slice *ret)
{
        struct stat st;
        void *data = MAP_FAILED;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return false;
        if (fstat(fd, &st) == 0 && st.st_size > 0)
                data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        close(fd);
        if (data == MAP_FAILED)
                return false;
        *ret = (struct slice){data, (size_t)st.st_size};
        return true;
}

bool mapped_line(struct slice *rest, struct slice *ret_line)
{
        const char *end;
        size_t len;

        if (rest->len == 0)
                return false;
        end = memchr(rest->ptr, '\n', rest->len);
        len = end ? (size_t)(end - rest->ptr) : rest->len;
        *ret_line = (struct slice){rest->ptr, len};
        rest->ptr += len + (end != NULL);
        rest->len -= len + (end != NULL);
        if (ret_line->len > 0 && ret_line->ptr[ret_line->len - 1] == '\r')
                ret_line->len--;
        return true;
}
