/* A client that is stopped: whether every line that it sent is settled. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/client.h"

enum { LINES = 10 };

static const char line[] = "{\"kind\":\"x\"}\n";

struct fixture {
        char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
        int listening;
        int stop_fd;
        int connections;
        int stop_at;   /* the connection at which the client is stopped */
        bool acks;     /* the daemon acks what comes over the second connection */
        bool has_read; /* the input */
};

/* The daemon reads lines over a first connection, which breaks, and then over a second one. */
static void *serve(void *ctx)
{
        const struct fixture *f = ctx;
        static const char ack[] = "{\"ack\":10,\"stored\":10,\"duplicate\":0,\"rejected\":0}\n";
        char bytes[4096];
        size_t len = 0;
        int fd = accept(f->listening, NULL, NULL);

        assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0);
        close(fd);
        fd = accept(f->listening, NULL, NULL);
        while (f->acks && len < LINES * strlen(line))
                len += (size_t)recv(fd, bytes, sizeof(bytes), 0);
        if (f->acks)
                assert_int_equal(send(fd, ack, strlen(ack), MSG_NOSIGNAL), strlen(ack));
        while (recv(fd, bytes, sizeof(bytes), 0) > 0)
                ;
        close(fd);
        return NULL;
}

static enum client_input on_read(void *ctx, struct buf *out)
{
        struct fixture *f = ctx;

        for (int i = 0; i < LINES && !f->has_read; i++)
                buf_put(out, line, strlen(line));
        f->has_read = true;
        return CLIENT_INPUT_MORE;
}

static void stop(struct fixture *f)
{
        assert_int_equal(write(f->stop_fd, &(uint64_t){1}, sizeof(uint64_t)), sizeof(uint64_t));
}

static void on_reject(void *ctx, const struct client_reject *reject)
{
        (void)ctx;
        (void)reject;
}

static void on_trouble(void *ctx, int pause_ms, uint64_t anonymous, uint64_t first)
{
        (void)ctx;
        (void)pause_ms;
        (void)anonymous;
        (void)first;
}

static struct client *running;

/* Stops the client once everything is acked. */
static void on_turn(void *ctx)
{
        struct fixture *f = ctx;

        if (f->acks && running->counts.lines == LINES)
                stop(f);
}

static void on_connection(void *ctx, int fd)
{
        struct fixture *f = ctx;

        if (fd >= 0 && ++f->connections == f->stop_at)
                stop(f);
}

/* Returns client_settled of the client once it has stopped. */
static bool run(struct fixture *f, struct client *c)
{
        static const struct client_ops ops = {on_read, on_reject, on_trouble, on_turn, on_connection};
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct client_options options = {.path = f->path,
                                         .retry_ms = 100000,
                                         .retry_at_first = true,
                                         .turn_ms = 20,
                                         .connect_ms = 1000,
                                         .input_fd = -1};
        pthread_t server;
        bool settled;

        snprintf(f->path, sizeof(f->path), "/tmp/ingestd-client-%d.sock", (int)getpid());
        memcpy(address.sun_path, f->path, sizeof(f->path));
        unlink(f->path);
        f->listening = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(bind(f->listening, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(f->listening, 5), 0);
        f->stop_fd = options.stop_fd = eventfd(0, EFD_NONBLOCK);
        assert_int_equal(pthread_create(&server, NULL, serve, f), 0);
        client_init(c, &options, &ops, f);
        running = c;
        assert_int_equal(client_run(c), CLIENT_STOPPED);
        settled = client_settled(c);
        client_deinit(c);
        pthread_join(server, NULL);
        close(f->listening);
        close(f->stop_fd);
        unlink(f->path);
        return settled;
}

/* The daemon may still work on what came over the first connection. */
static void test_stop_before_lines_are_sent_again(void **state)
{
        struct fixture f = {.stop_at = 2};
        struct client c;

        (void)state;
        assert_false(run(&f, &c));
        assert_int_equal(c.counts.lines, 0);
}

static void test_stop_after_lines_were_sent_again(void **state)
{
        struct fixture f = {.acks = true};
        struct client c;

        (void)state;
        assert_true(run(&f, &c));
        assert_int_equal(c.counts.lines, LINES);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stop_before_lines_are_sent_again),
                cmocka_unit_test(test_stop_after_lines_were_sent_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
