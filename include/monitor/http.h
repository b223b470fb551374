#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>
#include <uv.h>

#include "base/list.h"
#include "base/slice.h"

/* An HTTP server on the loop (libmicrohttpd), for a few readers: GET and HEAD only, no bodies. The only file
 * that knows of the library. */

enum {
        HTTP_ERROR_BYTES = 384,
        HTTP_PATH_BYTES = 128, /* longer ones are not found */
};

struct http_request {
        char path[HTTP_PATH_BYTES]; /* without its query */
        uint64_t turn;              /* the owner's note */
        struct list queue;          /* the owner's */
        void *connection;           /* MHD_Connection */
        void *response;             /* MHD_Response, when it is answered */
        unsigned status;
        bool suspended;
};

enum http_state {
        HTTP_OFF,     /* not opened, or closed */
        HTTP_WAITING, /* the address cannot be listened on: retried until it can */
        HTTP_ON,
};

struct http {
        uv_loop_t *loop;
        enum http_state state;
        const char *setting; /* "http.listen", for the log */
        const char *address; /* as configured, borrowed */
        struct sockaddr_storage addr;
        socklen_t addr_len;
        int listen_err;   /* errno of the last failed attempt to listen: logged once until it changes */
        void *server;     /* MHD_Daemon, while HTTP_ON */
        uv_poll_t poll;   /* on its epoll descriptor, while HTTP_ON */
        uv_timer_t timer; /* HTTP_ON: when it wants to be run in any case; HTTP_WAITING: the next attempt */
        bool loopback;    /* only a local program can ask; a browser may be one, on behalf of any page */
        struct list connections; /* oldest first */
        unsigned connections_len;
        uint64_t answered; /* requests since the start */
        /* A GET of a path. To be answered with http_answer, now or later. */
        void (*on_request)(void *ctx, struct http_request *r);
        void *ctx;
};

/* Listens on "host:port" or "[v6]:port", on the first address that the host stands for; @setting, its name for the log, and @address are
 * borrowed. If
 * another program has the port, or listening fails otherwise, the reason is logged and it is retried every few
 * seconds. 0, or ERR_CONFIG with one line in @ret_error if the address is none. */
int http_open(struct http *h, uv_loop_t *loop, const char *setting, const char *address,
              void (*on_request)(void *ctx, struct http_request *r), void *ctx,
              char ret_error[HTTP_ERROR_BYTES]);

/* Every request must have been answered. Handles close on the loop's next turn. Does nothing if HTTP_OFF. */
void http_close(struct http *h);

struct http_answer {
        unsigned status;
        const char *type;   /* Content-Type */
        const char *policy; /* Content-Security-Policy; NULL for one that allows nothing */
        struct slice body;  /* copied */
};

/* Answers @r, which is not the caller's any more. */
void http_answer(struct http *h, struct http_request *r, const struct http_answer *answer);

/* The same with one line of plain text. */
void http_answer_text(struct http *h, struct http_request *r, unsigned status, const char *text);

#endif
