#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/buf.h"
#include "server/peers.h"
#include "server/tls.h"

/* A client's byte stream, plain or TLS: bytes in and out, the greeting, the half-close, and the peer's name.
 * It knows nothing of lines. */

enum { TRANSPORT_PEER_BYTES = 128 };

struct transport;

/* None of them may free the transport, but on_closed. */
struct transport_ops {
        /* TLS only: the client has shown a certificate that is trusted. */
        void (*on_greeted)(void *ctx);
        /* Whether there is room for more; where not, on_read comes with nothing new. */
        bool (*may_read)(void *ctx);
        /* The same for the last bytes of a client that is gone, which cannot wait. */
        bool (*may_keep)(void *ctx);
        /* Where received bytes go; some room is always given. */
        uv_buf_t (*alloc)(void *ctx);
        /* So many bytes were put where alloc said, maybe 0: reading has come to a pause. */
        void (*on_bytes)(void *ctx, size_t len);
        /* All that came is handed over. With @ended the client has shut down its sending side. */
        void (*on_read)(void *ctx, bool ended);
        /* All bytes that transport_send took are in the kernel. */
        void (*on_sent)(void *ctx);
        /* The connection is no good any more; to be closed. @tls_reason: why TLS failed, else NULL. */
        void (*on_broken)(void *ctx, const char *tls_reason);
        /* Everything was sent and the client has closed, too, or had its time to. To be closed. */
        void (*on_lingered)(void *ctx);
        /* The last call; the transport may be freed. */
        void (*on_closed)(void *ctx);
};

enum transport_state {
        TRANSPORT_GREETING, /* TLS: the client has not shown its certificate yet */
        TRANSPORT_OPEN,
        TRANSPORT_LINGERING, /* shut down; what the client still sends is thrown away */
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
        uv_timer_t timer; /* of the greeting, and of lingering */
        uv_shutdown_t shutdown;
        uv_write_t write;
        unsigned handles; /* stream and timer, not closed yet */
        enum transport_state state;
        bool reading;
        bool tcp;
        bool has_tls;
        bool tls_finished;               /* it was said that no more is sent */
        const struct tls_server *server; /* with TLS */
        struct tls tls;                  /* from the first byte on */
        struct buf wire;                 /* TLS: bytes to send, encrypted, and the greeting */
        struct buf sending;              /* bytes given to libuv; empty when none are */
        uint64_t writes;                 /* that libuv has finished */
};

/* Takes over @fd. @tls is NULL for none. 0 or a libuv error, and then on_closed comes where the transport has
 * handles (transport_alive). */
int transport_open_take(struct transport *t, uv_loop_t *loop, int fd, bool tcp, const struct tls_server *tls,
                        const struct transport_ops *ops, void *ctx);

/* Whether on_closed is still to come. */
static inline bool transport_alive(const struct transport *t)
{
        return t->handles > 0;
}

/* Who the client is, for people: "uid 1000, pid 4711", "127.0.0.1 port 5000", and behind it the name in its
 * certificate. */
void transport_peer(const struct transport *t, char ret[TRANSPORT_PEER_BYTES]);

/* Who the client is, for rules: by the kernel's word of a Unix socket, and by its certificate. To be deinitialised. */
void transport_identify(const struct transport *t, struct peer *ret);

/* Whether the client's certificate is on a revocation list that the server has now. */
bool transport_is_revoked(const struct transport *t);

/* The host that a TCP client came from, of IPv6 the network of 64 bits; 0 for others. */
uint64_t transport_source(const struct transport *t);

/* Both may be called at any time. */
void transport_start_reading(struct transport *t);
void transport_stop_reading(struct transport *t);

/* Whether bytes given to libuv are still on their way: transport_send waits for on_sent. */
static inline bool transport_sending(const struct transport *t)
{
        return t->sending.len > 0;
}

/* Bytes that were taken and are not in the kernel. */
size_t transport_unsent(const struct transport *t);

/* Bytes of its buffers, however full they are. */
size_t transport_bytes(const struct transport *t);

/* Any other number than before where the client has read something meanwhile. */
uint64_t transport_progress(const struct transport *t);

/* Whether bytes have come that are not read yet. */
bool transport_has_unread(const struct transport *t);

/* -1 for none. */
int transport_fd(const struct transport *t);

/* Of a client that is gone: hands over what is left to read, as far as there is room. */
void transport_read_rest(struct transport *t);

enum transport_sent {
        TRANSPORT_NOTHING, /* there was nothing to send */
        TRANSPORT_SENT,    /* everything is in the kernel */
        TRANSPORT_LATER,   /* on_sent will come, or on_broken has */
};

/* Sends @out, which is empty then, and what TLS has to say; with @last nothing follows. Only while
 * transport_sending is false. */
enum transport_sent transport_send(struct transport *t, struct buf *out, bool last);

/* Everything was sent: shuts down, and waits until the client closes, too, for on_lingered. A close with
 * bytes unread would make the kernel reset the connection, and the client might lose the replies. */
void transport_linger(struct transport *t);

/* The connection ends here; on_closed follows. */
void transport_close(struct transport *t);

/* Behind on_closed. */
void transport_deinit(struct transport *t);

#endif
