/* Sends a file of lines, or standard input. */
#include "commands/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "commands/command.h"
#include "commands/delivery.h"

enum { PIECE_BYTES = 256 * 1024 };

static enum client_input read_piece(void *ctx, struct buf *out)
{
        struct delivery_source *source = ctx;
        char *p = buf_reserve(out, PIECE_BYTES);
        ssize_t n = read(source->fd, p, PIECE_BYTES);

        if (n > 0)
                out->len += (size_t)n;
        if (n >= 0)
                return n > 0 ? CLIENT_INPUT_MORE : CLIENT_INPUT_END;
        if (errno == EINTR || errno == EAGAIN)
                return CLIENT_INPUT_MORE;
        source->error = strerror(errno);
        return CLIENT_INPUT_FAILED;
}

/* Bytes left in a file; 0 if it is not a regular file. */
static uint64_t bytes_left(int fd)
{
        struct stat st;
        off_t at = lseek(fd, 0, SEEK_CUR);

        if (at < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= at)
                return 0;
        return (uint64_t)(st.st_size - at);
}

int command_send(const struct config *config, const char *path, const struct delivery_options *options)
{
        bool is_stdin = strcmp(path, "-") == 0;
        const char *slash = strrchr(path, '/');
        struct delivery_source source = {
                .name = is_stdin ? "standard input"
                        : slash  ? slash + 1
                                 : path,
                .read = read_piece,
                .ctx = &source,
                .fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC),
        };
        int status;

        if (source.fd < 0)
                return command_fail(FAILED, "%s: %s", path, strerror(errno));
        source.bytes_total = bytes_left(source.fd);
        status = deliver(&source, config, options);
        if (!is_stdin)
                close(source.fd);
        return status;
}
