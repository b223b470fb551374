/* Sessions on a real socket with an awkward sink: it settles lines late and in any order, and has no room at
 * random. Nevertheless every line is delivered once and acked once, nothing is left waiting, and all memory
 * is returned. */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/sessions.h"

enum { MAX_LINE = 300, LINES = 3000, IN_FLIGHT = 500 };

struct pending {
        struct session *session;
        uint64_t line_no;
        struct block *block;
};

struct fixture {
        uv_loop_t loop;
        uint64_t connected;
        struct memory memory;
        struct sessions sessions;
        struct pending pending[IN_FLIGHT];
        size_t pending_len;
        uint64_t handed_over;
        unsigned gone;
        int room_in_percent;
        bool room; /* random for each turn of the loop */
        const char *refuse;
};

static void on_line(void *ctx, struct session *s, uint64_t line_no, struct slice line, struct block *block)
{
        struct fixture *f = ctx;

        assert_true(line.len > 0 && line.len <= MAX_LINE);
        assert_true(line.ptr >= block->data && line.ptr + line.len <= block->data + block->len);
        f->handed_over++;
        f->pending[f->pending_len++] = (struct pending){s, line_no, block_ref(block)};
}

static bool has_room(const struct fixture *f)
{
        return f->pending_len < IN_FLIGHT && f->room;
}

static const char *admit(void *ctx, struct session *s)
{
        struct fixture *f = ctx;

        (void)s;
        return f->refuse;
}

static void on_too_long(void *ctx, struct session *s, uint64_t line_no)
{
        struct reject reject;

        (void)ctx;
        reject_set(&reject, REJECT_LINE_TOO_LONG, NULL, "too long");
        session_settle(s, line_no, LINE_REJECTED, &reject);
}

/* Every second session is refused room earlier than the others. */
static bool has_room_for(const struct fixture *f, const struct session *s)
{
        return s->number % 2 == 0 || f->pending_len < IN_FLIGHT / 2;
}

static enum pause_reason why_paused(void *ctx, const struct session *s)
{
        const struct fixture *f = ctx;

        return has_room(f) && (!s || has_room_for(f, s)) ? PAUSE_NONE : PAUSE_DATABASE;
}

static void on_ended(void *ctx, const struct session *s)
{
        (void)ctx;
        (void)s;
}

static void on_gone(void *ctx)
{
        struct fixture *f = ctx;

        f->gone++;
}

static int setup(void **state)
{
        static const struct session_ops ops = {.admit = admit, .on_gone = on_gone};
        static const struct session_sink_ops sink_ops = {.on_line = on_line,
                                                         .on_too_long = on_too_long,
                                                         .on_ended = on_ended,
                                                         .why_paused = why_paused};
        static const struct session_limits limits = {.max_line = MAX_LINE};
        struct fixture *f = calloc(1, sizeof(*f));
        const struct session_sink sink = {.ops = &sink_ops, .ctx = f, .memory = &f->memory};

        signal(SIGPIPE, SIG_IGN);
        uv_loop_init(&f->loop);
        memory_init(&f->memory, SIZE_MAX);
        sessions_init(&f->sessions, &f->loop, &ops, f, &sink, &limits);
        f->room_in_percent = 100;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        assert_true(sessions_empty(&f->sessions));
        sessions_deinit(&f->sessions);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&f->loop), 0);
        memory_deinit(&f->memory); /* asserts that nothing is left */
        free(f);
        return 0;
}

static void turn_loop(struct fixture *f)
{
        f->room = random() % 100 < f->room_in_percent;
        /* replies to callbacks of the first turn are sent in the second */
        uv_run(&f->loop, UV_RUN_NOWAIT);
        uv_run(&f->loop, UV_RUN_NOWAIT);
}

static int connect_client(struct fixture *f)
{
        struct session_socket ours = {.number = ++f->connected};
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        ours.fd = pair[0];
        assert_int_equal(session_accept_take(&f->sessions, &ours), 0);
        return pair[1];
}

/* Settles a pending line, any one. */
static void settle_one(struct fixture *f)
{
        struct reject reject;
        size_t i = (size_t)random() % f->pending_len;
        struct pending p = f->pending[i];

        f->pending[i] = f->pending[--f->pending_len];
        reject_set(&reject, REJECT_BAD_VALUE, "x", "chance");
        session_settle(p.session, p.line_no, random() % 4 ? LINE_STORED : LINE_REJECTED, &reject);
        block_unref(p.block);
}

/* The conversation: LINES lines, some empty, some too long, the last one without its end. */
static char *make_lines(size_t *ret_len, uint64_t *ret_too_long, uint64_t *ret_empty)
{
        char *text = malloc((size_t)LINES * 1000);
        size_t len = 0;

        *ret_too_long = 0;
        *ret_empty = 0;
        for (int i = 0; i < LINES; i++) {
                size_t line = (size_t)random() % 50 == 0 ? MAX_LINE + 1 + (size_t)random() % 500
                                                         : (size_t)random() % (MAX_LINE + 1);

                if (i == LINES - 1)
                        line = 7;
                *ret_too_long += line > MAX_LINE;
                *ret_empty += line == 0;
                memset(text + len, 'x', line);
                len += line;
                if (i < LINES - 1)
                        text[len++] = '\n';
        }
        *ret_len = len;
        return text;
}

struct heard {
        char rest[4096];
        size_t rest_len;
        uint64_t acked;
        uint64_t rejects;
        int closed;
};

static void hear(struct heard *h, int fd, size_t at_most)
{
        ssize_t n = recv(fd, h->rest + h->rest_len, at_most, 0);
        char *line = h->rest;
        char *end;

        if (n <= 0) {
                h->closed = n == 0;
                return;
        }
        h->rest_len += (size_t)n;
        while ((end = memchr(line, '\n', h->rest_len - (size_t)(line - h->rest)))) {
                unsigned long long ack;

                *end = '\0';
                if (sscanf(line, "{\"ack\":%llu", &ack) == 1) {
                        assert_true(ack > h->acked || ack == 0);
                        h->acked = ack;
                } else {
                        assert_non_null(strstr(line, "{\"reject\":"));
                        h->rejects++;
                }
                line = end + 1;
        }
        h->rest_len -= (size_t)(line - h->rest);
        memmove(h->rest, line, h->rest_len);
}

static void converse(struct fixture *f, int room_in_percent)
{
        struct heard heard = {.closed = 0};
        uint64_t too_long;
        uint64_t empty;
        size_t len;
        size_t sent = 0;
        char *text = make_lines(&len, &too_long, &empty);
        int fd = connect_client(f);
        int half_closed = 0;

        f->room_in_percent = room_in_percent;
        f->handed_over = 0;
        for (long idle = 0; !heard.closed; idle++) {
                uint64_t before = heard.acked + heard.rejects + f->handed_over + sent;

                if (sent < len) {
                        size_t piece = (size_t)random() % 5000 + 1;
                        ssize_t n =
                                send(fd, text + sent, piece < len - sent ? piece : len - sent, MSG_NOSIGNAL);

                        sent += n > 0 ? (size_t)n : 0;
                } else if (!half_closed) {
                        half_closed = 1;
                        shutdown(fd, SHUT_WR);
                }
                turn_loop(f);
                for (long i = random() % 20; i > 0 && f->pending_len > 0; i--)
                        settle_one(f);
                if (random() % 3)
                        hear(&heard, fd, (size_t)random() % 2000 + 1);
                if (heard.acked + heard.rejects + f->handed_over + sent != before)
                        idle = 0;
                if (idle == 10000)
                        fail_msg("stalled: %zu of %zu bytes sent, %zu in flight, %llu acked", sent, len,
                                 f->pending_len, (unsigned long long)heard.acked);
        }
        assert_true(heard.acked == LINES);
        assert_true(f->handed_over == LINES - too_long - empty);
        assert_true(heard.rejects >= too_long);
        assert_int_equal(heard.rest_len, 0);
        close(fd);
        free(text);
        for (int i = 0; i < 5; i++)
                turn_loop(f);
}

static void test_every_line_is_acked_once(void **state)
{
        struct fixture *f = *state;

        srandom(11);
        converse(f, 100);
        converse(f, 50);
        converse(f, 5);
        assert_int_equal(f->gone, 3);
}

/* The connection breaks while lines are in flight: the session exists until the last of them is settled. */
static void test_broken_connection(void **state)
{
        struct fixture *f = *state;
        int fd = connect_client(f);

        assert_int_equal(send(fd, "a\nb\nc\nunfinished", 16, 0), 16);
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        assert_int_equal(f->pending_len, 3);
        close(fd); /* an end of file: "unfinished" is a line, too */
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        assert_int_equal(f->gone, 0);
        while (f->pending_len > 0)
                settle_one(f);
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        assert_int_equal(f->gone, 1);
}

/* Stopping: received lines are settled, the unfinished line is not waited for, the client is notified. */
static void test_drain(void **state)
{
        struct fixture *f = *state;
        int fd = connect_client(f);
        char reply[256] = "";

        assert_int_equal(send(fd, "a\nunfinished", 12, 0), 12);
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        sessions_drain(&f->sessions);
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        assert_int_equal(recv(fd, reply, sizeof(reply), 0), -1);
        assert_int_equal(errno, EAGAIN);
        session_settle(f->pending[0].session, 1, LINE_STORED, NULL);
        block_unref(f->pending[0].block);
        f->pending_len = 0;
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        assert_true(recv(fd, reply, sizeof(reply) - 1, 0) > 0);
        assert_string_equal(
                reply,
                "{\"ack\":1,\"stored\":1,\"duplicate\":0,\"rejected\":0}\n{\"closing\":\"shutdown\"}\n");
        assert_int_equal(recv(fd, reply, sizeof(reply), 0), 0);
        assert_int_equal(f->gone, 0); /* it lingers for further input of the client */
        close(fd);
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        assert_int_equal(f->gone, 1);
}

static void test_refused(void **state)
{
        struct fixture *f = *state;
        char reply[256] = "";
        int fd;

        f->refuse = "too_many_connections";
        fd = connect_client(f);
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        assert_true(recv(fd, reply, sizeof(reply) - 1, 0) > 0);
        assert_string_equal(reply, "{\"closing\":\"too_many_connections\"}\n");
        close(fd);
        for (int i = 0; i < 5; i++)
                turn_loop(f);
        assert_int_equal(f->gone, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_line_is_acked_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_broken_connection, setup, teardown),
                cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
