#include "commands/http_get.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"

enum { REQUEST_BYTES = 1024, PIECE_BYTES = 16 * 1024, ANSWER_MAX_BYTES = 8 * 1024 * 1024 };

static int fail(const char *why, char ret_error[CONNECT_ERROR_BYTES])
{
        snprintf(ret_error, CONNECT_ERROR_BYTES, "%s", why);
        return ERR_IO;
}

/* Returns 0 or an errno. */
static int wait_for(int fd, short events, int64_t deadline)
{
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left = deadline - clock_monotonic_ms();
        int n = poll(&p, 1, left > 0 ? (int)left : 0);

        return n > 0 ? 0 : n == 0 ? ETIMEDOUT : errno;
}

static int send_request(int fd, const char *request, size_t len, int64_t deadline)
{
        while (len > 0) {
                ssize_t n = send(fd, request, len, MSG_NOSIGNAL);
                int error = n < 0 ? errno : 0;

                if (error == EAGAIN)
                        error = wait_for(fd, POLLOUT, deadline);
                if (error != 0 && error != EINTR)
                        return error;
                if (n > 0) {
                        request += n;
                        len -= (size_t)n;
                }
        }
        return 0;
}

static int receive_answer(int fd, struct buf *answer, int64_t deadline)
{
        for (;;) {
                ssize_t n = recv(fd, buf_reserve(answer, PIECE_BYTES), PIECE_BYTES, 0);
                int error = n < 0 ? errno : 0;

                if (n == 0)
                        return 0;
                if (error == EAGAIN)
                        error = wait_for(fd, POLLIN, deadline);
                if (error != 0 && error != EINTR)
                        return error;
                if (n > 0)
                        answer->len += (size_t)n;
                if (answer->len > ANSWER_MAX_BYTES)
                        return EMSGSIZE;
        }
}

/* Leaves only the body in @answer, if the status is 200. */
static int take_body(struct buf *answer, char ret_error[CONNECT_ERROR_BYTES])
{
        char why[CONNECT_ERROR_BYTES];
        const char *head_end;
        const char *body;
        int status = 0;

        buf_put(answer, "", 1); /* NUL-terminated for sscanf */
        answer->len--;
        head_end = memmem(answer->data, answer->len, "\r\n\r\n", 4);
        if (!head_end || sscanf(answer->data, "HTTP/1.%*1[01] %3d", &status) != 1)
                return fail("the answer is not HTTP", ret_error);
        if (status != 200) {
                snprintf(why, sizeof(why), "the answer is HTTP status %d", status);
                return fail(why, ret_error);
        }
        body = head_end + 4;
        answer->len -= (size_t)(body - answer->data);
        memmove(answer->data, body, answer->len);
        return 0;
}

int http_get(const char *address, const char *path, int timeout_ms, struct buf *ret_body,
             char ret_error[CONNECT_ERROR_BYTES])
{
        int64_t deadline = clock_monotonic_ms() + timeout_ms;
        char request[REQUEST_BYTES];
        int len = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, address);
        int fd;
        int error;

        if (len >= REQUEST_BYTES)
                return fail("the address is too long", ret_error);
        fd = connect_tcp(address, timeout_ms, -1, ret_error);
        if (fd < 0)
                return ERR_IO;
        error = send_request(fd, request, (size_t)len, deadline);
        if (error == 0)
                error = receive_answer(fd, ret_body, deadline);
        close(fd);
        return error == 0 ? take_body(ret_body, ret_error) : fail(strerror(error), ret_error);
}
