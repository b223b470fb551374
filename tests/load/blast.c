/* Sends a file of JSON lines to the daemon over several connections, as fast as it takes them or at a rate, and
 * reads the acks. The same conversation as that of replay, which says more about it and can do more; this one
 * costs so little that the daemon and the server have the machine for themselves.
 *
 *   blast SOCKET CONNECTIONS LINES [RATE [BUFFER]]
 *
 * Pieces of whole lines go, in the file's order, to whatever connection has room. At a RATE, in lines per
 * second over all connections, each line is a piece, and the connections take turns; 0 sets no rate. BUFFER, in bytes, is
 * the size of a piece and of each socket's send buffer, instead of 64 KiB and what the system gives. Latency is the time from
 * the moment when a line's piece began to be sent, or was due, to the ack that covers it. Prints what became of
 * the lines; exit status 1 where some are not settled. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "mapped_file.h"
#include "timing.h"

enum {
        PIECE_BYTES = 64 * 1024, /* about: cut at a line's end */
        REPLY_BYTES = 64 * 1024, /* longer than any reply */
        LATENCY_STEPS = 2048,
        EVENTS = 64,
};

struct piece {
        struct slice bytes;
        uint64_t lines;
        uint64_t last; /* the number of its last line on its connection */
        double at;     /* when it began to be sent, or was due */
        struct piece *next;
};

struct connection {
        int fd;
        struct slice out; /* of the piece that is being sent */
        struct piece *unacked;
        struct piece **unacked_end;
        uint64_t sent; /* lines, those of the piece in @out included */
        uint64_t acked;
        uint64_t stored, duplicate, rejected; /* as of the last ack */
        bool half_closed;
        size_t reply_len;
        char reply[REPLY_BYTES];
};

struct blast {
        struct piece *pieces;
        size_t pieces_len;
        size_t next; /* the piece that is to be sent next */
        struct connection *connections;
        size_t connections_len;
        size_t open;
        int epoll;
        double rate; /* lines per second; 0: as fast as the daemon takes them */
        int buffer;  /* bytes of each send buffer; 0: the system's default */
        int timer;   /* of the line that is due next */
        double began;
        uint64_t latency[LATENCY_STEPS]; /* lines, by latency_step */
        double latency_max;
};

static _Noreturn void die(const char *what)
{
        fprintf(stderr, "blast: %s: %s\n", what, strerror(errno));
        exit(1);
}

/* --- latency --- */

/* Steps that are 1 % wide, from a microsecond on. */
static const double LATENCY_STEP = 1.01;
static const double LATENCY_FIRST = 1e-6;

static void add_latency(struct blast *b, double latency, uint64_t lines)
{
        double limit = LATENCY_FIRST;
        size_t step = 0;

        while (limit < latency && step < LATENCY_STEPS - 1) {
                limit *= LATENCY_STEP;
                step++;
        }
        b->latency[step] += lines;
        if (latency > b->latency_max)
                b->latency_max = latency;
}

static double latency_quantile(const struct blast *b, double quantile)
{
        double limit = LATENCY_FIRST;
        double left = 0;

        for (size_t i = 0; i < LATENCY_STEPS; i++)
                left += (double)b->latency[i] * quantile;
        for (size_t i = 0; i < LATENCY_STEPS && limit < b->latency_max; i++, limit *= LATENCY_STEP) {
                left -= (double)b->latency[i];
                if (left <= 0)
                        return limit;
        }
        return b->latency_max;
}

/* --- sending --- */

static struct piece cut(struct slice rest, size_t max)
{
        struct piece piece = {.bytes = {rest.ptr, 0}};
        struct slice line;

        while (piece.bytes.len < max && mapped_line(&rest, &line)) {
                piece.lines++;
                piece.bytes.len = (size_t)(rest.ptr - piece.bytes.ptr);
        }
        return piece;
}

static void cut_all(struct blast *b, struct slice lines)
{
        size_t max = b->rate > 0 ? 1 : b->buffer > 0 ? (size_t)b->buffer : PIECE_BYTES;
        size_t room = 0;

        while (lines.len > 0) {
                struct piece piece = cut(lines, max);

                if (b->pieces_len == room) {
                        room = room * 2 + 1024;
                        b->pieces = realloc(b->pieces, room * sizeof(*b->pieces));
                        if (!b->pieces)
                                die("memory");
                }
                b->pieces[b->pieces_len++] = piece;
                lines.ptr += piece.bytes.len;
                lines.len -= piece.bytes.len;
        }
}

static void begin_piece(struct blast *b, struct connection *c, double at)
{
        struct piece *piece = &b->pieces[b->next++];

        c->sent += piece->lines;
        c->out = piece->bytes;
        piece->last = c->sent;
        piece->at = at;
        *c->unacked_end = piece;
        c->unacked_end = &piece->next;
}

/* Nothing is left to send: waits for replies only. */
static void half_close(struct blast *b, struct connection *c)
{
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};

        c->half_closed = true;
        epoll_ctl(b->epoll, EPOLL_CTL_MOD, c->fd, &event);
        if (shutdown(c->fd, SHUT_WR) < 0)
                die("shutdown");
}

/* Returns false if the socket has no more room. */
static bool send_out(struct connection *c)
{
        while (c->out.len > 0) {
                ssize_t sent = send(c->fd, c->out.ptr, c->out.len, MSG_NOSIGNAL);

                if (sent < 0 && errno == EAGAIN)
                        return false;
                if (sent < 0)
                        die("sending");
                c->out.ptr += sent;
                c->out.len -= (size_t)sent;
        }
        return true;
}

static void send_pieces(struct blast *b, struct connection *c)
{
        while (send_out(c)) {
                if (b->next == b->pieces_len) {
                        half_close(b, c);
                        return;
                }
                begin_piece(b, c, seconds(CLOCK_MONOTONIC));
        }
}

/* --- at a rate --- */

static double next_due(const struct blast *b)
{
        return b->began + (double)b->next / b->rate;
}

/* Sends the lines that are due, in order. Returns false if a connection has no room: the lines of the other
 * connections then wait, too. */
static bool send_due(struct blast *b)
{
        while (b->next < b->pieces_len && next_due(b) <= seconds(CLOCK_MONOTONIC)) {
                struct connection *c = &b->connections[b->next % b->connections_len];

                if (!send_out(c))
                        return false;
                begin_piece(b, c, next_due(b));
                send_out(c);
        }
        return true;
}

static bool all_sent(struct blast *b)
{
        bool sent = b->next == b->pieces_len;

        for (size_t i = 0; i < b->connections_len; i++)
                sent &= send_out(&b->connections[i]);
        return sent;
}

static void set_timer(struct blast *b, double at)
{
        struct itimerspec due = {.it_value = {.tv_sec = (time_t)at}};

        due.it_value.tv_nsec = (long)((at - (double)due.it_value.tv_sec) * 1e9);
        if (timerfd_settime(b->timer, TFD_TIMER_ABSTIME, &due, NULL) < 0)
                die("timer");
}

static void on_timer(struct blast *b)
{
        bool room = send_due(b);
        double soon = seconds(CLOCK_MONOTONIC) + 1e-3;

        if (all_sent(b)) {
                for (size_t i = 0; i < b->connections_len; i++)
                        half_close(b, &b->connections[i]);
                set_timer(b, soon + 1e6);
                return;
        }
        set_timer(b, room && b->next < b->pieces_len ? next_due(b) : soon);
}

static void open_timer(struct blast *b)
{
        struct epoll_event event = {.events = EPOLLIN};

        b->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        if (b->timer < 0 || epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->timer, &event) < 0)
                die("timer");
        b->began = seconds(CLOCK_MONOTONIC);
        set_timer(b, b->began);
}

/* --- replies --- */

static uint64_t number_behind(const char *reply, const char *key)
{
        const char *at = strstr(reply, key);

        return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void on_ack(struct blast *b, struct connection *c, uint64_t acked)
{
        double now = seconds(CLOCK_MONOTONIC);

        while (c->unacked && c->acked < acked) {
                struct piece *piece = c->unacked;
                uint64_t upto = acked < piece->last ? acked : piece->last;

                add_latency(b, now - piece->at, upto - c->acked);
                c->acked = upto;
                if (c->acked == piece->last)
                        c->unacked = piece->next;
        }
        if (!c->unacked)
                c->unacked_end = &c->unacked;
}

static void on_reply(struct blast *b, struct connection *c, const char *reply)
{
        if (strncmp(reply, "{\"ack\":", 7) != 0) {
                fprintf(stderr, "blast: %s\n", reply);
                return;
        }
        on_ack(b, c, number_behind(reply, "\"ack\":"));
        c->stored = number_behind(reply, "\"stored\":");
        c->duplicate = number_behind(reply, "\"duplicate\":");
        c->rejected = number_behind(reply, "\"rejected\":");
}

static void receive(struct blast *b, struct connection *c)
{
        ssize_t len = recv(c->fd, c->reply + c->reply_len, sizeof(c->reply) - c->reply_len, 0);
        char *reply = c->reply;
        char *end;

        if (len < 0 && errno == EAGAIN)
                return;
        if (len <= 0) {
                close(c->fd);
                b->open--;
                return;
        }
        c->reply_len += (size_t)len;
        while ((end = memchr(reply, '\n', c->reply_len - (size_t)(reply - c->reply)))) {
                *end = '\0';
                on_reply(b, c, reply);
                reply = end + 1;
        }
        c->reply_len -= (size_t)(reply - c->reply);
        memmove(c->reply, reply, c->reply_len);
}

/* --- the whole --- */

static void open_connection(struct blast *b, struct connection *c, const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct epoll_event event = {.events = EPOLLIN | (b->rate > 0 ? 0 : EPOLLOUT), .data = {.ptr = c}};

        if (strlen(path) >= sizeof(address.sun_path)) {
                errno = ENAMETOOLONG;
                die(path);
        }
        memcpy(address.sun_path, path, strlen(path) + 1);
        c->unacked_end = &c->unacked;
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (b->buffer > 0 && setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &b->buffer, sizeof(b->buffer)) < 0)
                die("send buffer");
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                die(path);
        /* not before: connect would fail while the daemon's backlog is full */
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
                die("connection");
        b->open++;
}

static void run(struct blast *b)
{
        struct epoll_event events[EVENTS];

        while (b->open > 0) {
                int len = epoll_wait(b->epoll, events, EVENTS, -1);

                for (int i = 0; i < len; i++) {
                        struct connection *c = events[i].data.ptr;

                        if (!c) {
                                on_timer(b);
                                continue;
                        }
                        if (events[i].events & EPOLLOUT && !c->half_closed)
                                send_pieces(b, c);
                        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                                receive(b, c);
                }
        }
}

/* Returns whether all lines are settled. */
static bool print_result(const struct blast *b, double wall, double cpu)
{
        uint64_t lines = 0;
        uint64_t acked = 0;
        uint64_t stored = 0;
        uint64_t duplicate = 0;
        uint64_t rejected = 0;

        for (size_t i = 0; i < b->pieces_len; i++)
                lines += b->pieces[i].lines;
        for (size_t i = 0; i < b->connections_len; i++) {
                acked += b->connections[i].acked;
                stored += b->connections[i].stored;
                duplicate += b->connections[i].duplicate;
                rejected += b->connections[i].rejected;
        }
        printf("{\"lines\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicate\":%" PRIu64
               ",\"rejected\":%" PRIu64 ",\"seconds\":%.6f,\"cpu_seconds\":%.6f,"
               "\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}}\n",
               lines, acked, stored, duplicate, rejected, wall, cpu, 1e3 * latency_quantile(b, 0.5),
               1e3 * latency_quantile(b, 0.99), 1e3 * b->latency_max);
        return acked == lines;
}

/* A descriptor each: the usual limit is lower than the daemon's. */
static void raise_limit(void)
{
        struct rlimit limit;

        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
        static struct blast b;
        struct slice lines;
        double began;
        double cpu;
        bool settled;

        b.connections_len = argc >= 4 && argc <= 6 ? strtoul(argv[2], NULL, 10) : 0;
        b.rate = argc >= 5 ? strtod(argv[4], NULL) : 0;
        b.buffer = argc == 6 ? (int)strtol(argv[5], NULL, 10) : 0;
        if (b.connections_len < 1 || b.rate < 0 || b.buffer < 0) {
                fprintf(stderr, "Usage: blast SOCKET CONNECTIONS LINES [RATE [BUFFER]]\n");
                return 2;
        }
        if (!mapped_file(argv[3], &lines))
                die(argv[3]);
        cut_all(&b, lines);
        raise_limit();
        b.connections = calloc(b.connections_len, sizeof(*b.connections));
        b.epoll = epoll_create1(EPOLL_CLOEXEC);
        if (!b.connections || b.epoll < 0)
                die("set-up");
        for (size_t i = 0; i < b.connections_len; i++)
                open_connection(&b, &b.connections[i], argv[1]);

        began = seconds(CLOCK_MONOTONIC);
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (b.rate > 0)
                open_timer(&b);
        run(&b);
        settled = print_result(&b, seconds(CLOCK_MONOTONIC) - began, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
        free(b.pieces);
        free(b.connections);
        return settled ? 0 : 1;
}
