#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/buf.h"
#include "server/peers.h"
#include "server/tls.h"

/* A client's byte stream, plain or TLS: bytes in and out, handshake, half-close, and the peer's name. It
 * does not know about lines. */

enum { TRANSPORT_PEER_BYTES = 128 };

struct transport;

/* Only on_closed may free the transport. */
struct transport_ops {
        /* TLS only: the client has shown a trusted certificate. */
        void (*on_greeted)(void *ctx);
        /* TLS only: the client sent plain text. Appends the answer, in plain text; on_broken follows. */
        void (*answer_plain)(void *ctx, struct buf *out);
        /* False if there is no room for more; on_read is then called without new bytes. */
        bool (*may_read)(void *ctx);
        /* As may_read, for the last bytes of a client that is gone, which cannot wait. */
        bool (*may_keep)(void *ctx);
        /* Returns space for received bytes; never none. */
        uv_buf_t (*alloc)(void *ctx);
        /* @len bytes were written to that space; may be 0: reading has paused. */
        void (*on_bytes)(void *ctx, size_t len);
        /* All received bytes were passed on. @ended: the client has shut down its sending side. */
        void (*on_read)(void *ctx, bool ended);
        /* All bytes of transport_send are in the kernel. */
        void (*on_sent)(void *ctx);
        /* The connection is broken: close it. @tls_reason: why TLS failed, else NULL. */
        void (*on_broken)(void *ctx, const char *tls_reason);
        /* Everything was sent, and the client has closed or used up its time: close it. */
        void (*on_lingered)(void *ctx);
        /* The last callback; it may free the transport. */
        void (*on_closed)(void *ctx);
};

enum transport_state {
        TRANSPORT_GREETING, /* TLS: the client has not shown its certificate yet */
        TRANSPORT_OPEN,
        TRANSPORT_LINGERING, /* shut down; further input is discarded */
        TRANSPORT_CLOSED,
};

struct transport {
        const struct transport_ops *ops;
        void *ctx;
        union {
                uv_handle_t handle;
                uv_stream_t stream;
                uv_tcp_t tcp;
                uv_pipe_t pipe;
        } uv;
        uv_timer_t timer; /* for the handshake, and for lingering */
        uv_shutdown_t shutdown;
        uv_write_t write;
        unsigned handles; /* number of handles (stream, timer) not closed yet */
        enum transport_state state;
        bool reading;
        bool tcp;
        bool has_tls;
        bool tls_finished;               /* the end of our data was announced */
        const struct tls_server *server; /* with TLS */
        struct tls tls;                  /* used from the first byte on */
        struct buf wire;                 /* TLS: encrypted bytes to send, the handshake included */
        struct buf sending;              /* bytes given to libuv; empty if none are */
        uint64_t writes;                 /* number of writes that libuv has completed */
};

/* Takes over @fd. @tls is NULL for plain. Returns 0 or a libuv error; in that case on_closed follows if the
 * transport has handles (transport_alive). */
int transport_open_take(struct transport *t, uv_loop_t *loop, int fd, bool tcp, const struct tls_server *tls,
                        const struct transport_ops *ops, void *ctx);

/* True if on_closed is still to come. */
static inline bool transport_alive(const struct transport *t)
{
        return t->handles > 0;
}

/* Who the client is, for display: "uid 1000, pid 4711", "127.0.0.1 port 5000", followed by the name in its
 * certificate. */
void transport_peer(const struct transport *t, char ret[TRANSPORT_PEER_BYTES]);

/* Identifies the client: by the credentials that the kernel reports for a Unix socket, and by its certificate. The caller
 * deinitialises @ret. */
void transport_identify(const struct transport *t, struct peer *ret);

/* Whether the client's certificate is on a revocation list that the server has now. */
bool transport_is_revoked(const struct transport *t);

/* A number that identifies the remote host of a TCP client (for IPv6 its /64 network); 0 for others. */
uint64_t transport_source(const struct transport *t);

/* Both may be called at any time. */
void transport_start_reading(struct transport *t);
void transport_stop_reading(struct transport *t);

/* True if bytes given to libuv are not sent yet: wait for on_sent before transport_send. */
static inline bool transport_sending(const struct transport *t)
{
        return t->sending.len > 0;
}

/* Number of bytes accepted and not yet in the kernel. */
size_t transport_unsent(const struct transport *t);

/* Size of its buffers, however full they are. */
size_t transport_bytes(const struct transport *t);

/* A number that changes whenever the client has read something. */
uint64_t transport_progress(const struct transport *t);

/* True if bytes have arrived that are not read yet. */
bool transport_has_unread(const struct transport *t);

/* -1 for none. */
int transport_fd(const struct transport *t);

/* For a client that is gone: passes on the remaining input as far as there is room. */
void transport_read_rest(struct transport *t);

enum transport_sent {
        TRANSPORT_NOTHING, /* there was nothing to send */
        TRANSPORT_SENT,    /* everything is in the kernel */
        TRANSPORT_LATER,   /* on_sent will follow, or on_broken was called */
};

/* Sends @out, which is then empty, and what TLS has to send. @last: nothing follows. Only while
 * transport_sending is false. */
enum transport_sent transport_send(struct transport *t, struct buf *out, bool last);

/* To be called after everything was sent: shuts down and waits until the client closes, then calls
 * on_lingered. Closing with unread input would make the kernel reset the connection, and the client might
 * lose replies. */
void transport_linger(struct transport *t);

/* Ends the connection; on_closed follows. */
void transport_close(struct transport *t);

/* To be called after on_closed. */
void transport_deinit(struct transport *t);

#endif
