/* Sends the records of a reject file to the daemon, as any client would. Writing and reading alternate as
 * poll() says, since a client that does not read its replies is not read, either. */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "buf.h"
#include "command.h"
#include "json.h"

enum { PIECE_BYTES = 256 * 1024, REPLY_BYTES = 64 * 1024 };

struct replay {
        FILE *file;
        off_t left; /* bytes of the file that are to be read: what it had at the start */
        char *line;
        size_t line_cap;
        struct json_scratch scratch;
        int fd;
        struct buf out; /* to be sent, from sent on */
        size_t sent;
        struct buf in; /* replies without their end */
        uint64_t lines;
        uint64_t skipped; /* that no record can be made of */
        uint64_t ack;
        uint64_t stored;
        uint64_t duplicate;
        uint64_t rejected;
};

/* --- the file --- */

/* The record of a line of the file. False where there is none, or not all of it. */
static bool find_record(struct replay *r, struct slice line, struct json_string *ret)
{
        struct json_reader reader;
        struct json_string key;
        struct json_value value;
        bool found = false;

        json_reader_init(&reader, line, &r->scratch);
        if (!json_object_open(&reader))
                return false;
        for (bool first = true; json_object_next(&reader, first, &key); first = false) {
                if (!json_read(&reader, &value))
                        return false;
                if (slice_eq(key.raw, SLICE_LIT("lossy")))
                        return false;
                if (slice_eq(key.raw, SLICE_LIT("record")) && value.type == JSON_STRING && !value.trouble) {
                        *ret = (struct json_string){value.raw, value.escaped};
                        found = true;
                }
        }
        return found && json_finish(&reader);
}

/* Appends the record and a newline to what is to be sent. A record holds no newline: it came as a line. */
static void put_record(struct buf *out, struct json_string record)
{
        char *p = buf_reserve(out, record.raw.len + 1);
        size_t len = json_string_decode(record, p);

        p[len] = '\n';
        out->len += len + 1;
}

/* Reads lines until a piece is full. False at the end. */
static bool read_piece(struct replay *r)
{
        r->out.len = 0;
        r->sent = 0;
        while (r->out.len < PIECE_BYTES && r->left > 0) {
                ssize_t len = getline(&r->line, &r->line_cap, r->file);
                struct json_string record;

                if (len <= 0)
                        break;
                r->left -= len;
                if (len == 1)
                        continue; /* where a write of the daemon's failed */
                if (find_record(r, (struct slice){r->line, (size_t)len}, &record)) {
                        put_record(&r->out, record);
                        r->lines++;
                } else {
                        r->skipped++;
                }
        }
        return r->out.len > 0;
}

/* --- the socket --- */

static int connect_to(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -1;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
            fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
                close(fd);
                return -1;
        }
        return fd;
}

static bool send_some(struct replay *r)
{
        ssize_t n = send(r->fd, r->out.data + r->sent, r->out.len - r->sent, MSG_NOSIGNAL);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        r->sent += (size_t)n;
        return true;
}

static bool get_count(const char *reply, const char *key, uint64_t *ret)
{
        const char *at = strstr(reply, key);

        return at && sscanf(at + strlen(key), "%" SCNu64, ret) == 1;
}

/* An ack is taken, everything else printed as it is. */
static void on_reply(struct replay *r, const char *reply)
{
        static const char ack[] = "{\"ack\":";

        if (strncmp(reply, ack, strlen(ack)) != 0) {
                puts(reply);
                return;
        }
        get_count(reply, "\"ack\":", &r->ack);
        get_count(reply, "\"stored\":", &r->stored);
        get_count(reply, "\"duplicate\":", &r->duplicate);
        get_count(reply, "\"rejected\":", &r->rejected);
}

/* False at the connection's end. */
static bool receive_some(struct replay *r)
{
        char *p = buf_reserve(&r->in, REPLY_BYTES + 1);
        ssize_t n = recv(r->fd, p, REPLY_BYTES, 0);
        char *start = r->in.data;
        char *end;

        if (n <= 0)
                return n < 0 && (errno == EAGAIN || errno == EINTR);
        r->in.len += (size_t)n;
        r->in.data[r->in.len] = '\0';
        while ((end = strchr(start, '\n'))) {
                *end = '\0';
                on_reply(r, start);
                start = end + 1;
        }
        r->in.len -= (size_t)(start - r->in.data);
        memmove(r->in.data, start, r->in.len);
        return true;
}

static void converse(struct replay *r)
{
        bool sending = read_piece(r);
        bool open = true;

        if (!sending)
                shutdown(r->fd, SHUT_WR);
        while (open) {
                struct pollfd p = {.fd = r->fd, .events = (short)(POLLIN | (sending ? POLLOUT : 0))};

                if (poll(&p, 1, -1) < 0 && errno != EINTR)
                        return;
                if (sending && p.revents & POLLOUT && !send_some(r))
                        sending = false;
                if (sending && r->sent == r->out.len && !read_piece(r)) {
                        sending = false;
                        shutdown(r->fd, SHUT_WR);
                }
                if (p.revents & (POLLIN | POLLHUP | POLLERR))
                        open = receive_some(r);
        }
}

/* --- the command --- */

static int tell(const struct replay *r, const char *path)
{
        printf("%" PRIu64 " lines sent: %" PRIu64 " stored, %" PRIu64 " duplicate, %" PRIu64
               " rejected again; %" PRIu64 " without a record left out\n",
               r->lines, r->stored, r->duplicate, r->rejected, r->skipped);
        if (r->ack < r->lines)
                return command_fail(FAILED, "%" PRIu64 " lines of %s were not settled: run it again",
                                    r->lines - r->ack, path);
        if (r->rejected > 0)
                return command_fail(FAILED, "%" PRIu64 " lines are still refused: see above for each",
                                    r->rejected);
        return DONE;
}

int command_rejects_replay(const struct config *config, const char *path)
{
        struct replay r = {.fd = -1};
        struct stat st;
        int status;

        if (!config->listen.unix_path[0])
                return command_fail(FAILED, "listen.unix is empty: the records are sent there");
        r.file = fopen(path, "re");
        if (!r.file || fstat(fileno(r.file), &st) != 0) {
                status = command_fail(FAILED, "%s: %s", path, strerror(errno));
        } else if ((r.fd = connect_to(config->listen.unix_path)) < 0) {
                status = command_fail(FAILED, "cannot connect to %s: %s: does the daemon run?",
                                      config->listen.unix_path, strerror(errno));
        } else {
                r.left = st.st_size;
                converse(&r);
                status = tell(&r, path);
        }
        if (r.fd >= 0)
                close(r.fd);
        if (r.file)
                fclose(r.file);
        free(r.line);
        json_scratch_deinit(&r.scratch);
        buf_deinit(&r.out);
        buf_deinit(&r.in);
        return status;
}
