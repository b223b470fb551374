#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>
#include <uv.h>

#include "base/list.h"
#include "base/slice.h"

/* An HTTP server on the loop (libmicrohttpd) for a few readers: GET and HEAD only, no bodies. Only http.c
 * uses the library. */

enum {
        HTTP_ERROR_BYTES = 384,
        HTTP_PATH_BYTES = 128, /* longer paths are answered with 404 */
};

struct http_request {
        char path[HTTP_PATH_BYTES]; /* without the query */
        uint64_t turn;              /* for the owner's use */
        struct list queue;          /* for the owner's use */
        void *connection;           /* MHD_Connection */
        void *response;             /* MHD_Response, once it is answered */
        unsigned status;
        bool suspended;
};

enum http_state {
        HTTP_OFF,     /* not opened, or closed */
        HTTP_WAITING, /* listening failed and is retried */
        HTTP_ON,
};

struct http {
        uv_loop_t *loop;
        enum http_state state;
        const char *setting; /* name of the address for the log: "http.listen" */
        const char *address; /* as configured, borrowed */
        struct sockaddr_storage addr;
        socklen_t addr_len;
        int listen_err;   /* errno of the last failed attempt to listen; the same errno is logged once */
        void *server;     /* MHD_Daemon, while HTTP_ON */
        uv_poll_t poll;   /* on the library's epoll descriptor, while HTTP_ON */
        uv_timer_t timer; /* HTTP_ON: when the library wants to run again; HTTP_WAITING: the next attempt */
        /* only local programs can connect; these include browsers, on behalf of any web page */
        bool loopback;
        struct list connections; /* oldest first */
        unsigned connections_len;
        uint64_t answered; /* requests since the start */
        /* A GET request for a path. The owner calls http_answer, now or later. */
        void (*on_request)(void *ctx, struct http_request *r);
        void *ctx;
};

/* Listens on @address, "host:port" or "[v6]:port", at the first address that the host resolves to; borrows
 * @address and @setting, its name for the log. If the port is in use or listening fails otherwise, logs the
 * reason and retries every few seconds. Returns 0, or ERR_CONFIG with one line in @ret_error if @address has
 * neither form. */
int http_open(struct http *h, uv_loop_t *loop, const char *setting, const char *address,
              void (*on_request)(void *ctx, struct http_request *r), void *ctx,
              char ret_error[HTTP_ERROR_BYTES]);

/* All requests must have been answered. Handles close on the loop's next turn. Does nothing if HTTP_OFF. */
void http_close(struct http *h);

struct http_answer {
        unsigned status;
        const char *type;   /* Content-Type */
        const char *policy; /* Content-Security-Policy; NULL for one that allows nothing */
        struct slice body;  /* copied */
};

/* Answers @r; the caller must not use @r afterwards. */
void http_answer(struct http *h, struct http_request *r, const struct http_answer *answer);

/* As http_answer, with one line of plain text. */
void http_answer_text(struct http *h, struct http_request *r, unsigned status, const char *text);

#endif
