#ifndef MODEL_SESSION_HOST_H
#define MODEL_SESSION_HOST_H

enum { SESSION_HOST_BYTES = 256, SESSION_PORT_BYTES = 8 };

/* One of several hosts of a url; "" for none. */
struct session_host {
        char host[SESSION_HOST_BYTES];
        char port[SESSION_PORT_BYTES];
};

#endif
