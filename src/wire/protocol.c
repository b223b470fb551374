#include "wire/protocol.h"

#include <ctype.h>
#include <string.h>

#include "wire/http_request.h"

struct pattern {
        enum protocol protocol;
        size_t len;
        const char *bytes; /* '?' is any byte */
};

#define PATTERN(protocol, bytes)                                                                             \
        {                                                                                                    \
                protocol, sizeof(bytes) - 1, bytes                                                           \
        }

static bool matches(struct slice text, const struct pattern *p)
{
        if (text.len < p->len)
                return false;
        for (size_t i = 0; i < p->len; i++) {
                if (p->bytes[i] != '?' && p->bytes[i] != text.ptr[i])
                        return false;
        }
        return true;
}

static enum protocol find(struct slice text, const struct pattern *patterns, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                if (matches(text, &patterns[i]))
                        return patterns[i].protocol;
        }
        return PROTOCOL_NONE;
}

enum protocol protocol_of_bytes(struct slice first)
{
        static const struct pattern patterns[] = {
                /* a record with a handshake (RFC 8446, section 5.1) */
                PATTERN(PROTOCOL_TLS, "\x16\x03"),
                /* version 2 of haproxy's proxy-protocol.txt */
                PATTERN(PROTOCOL_PROXY, "\r\n\r\n\0\r\nQUIT\n"),
                /* length, then SSLRequest and its siblings, or version 3 (PostgreSQL's manual, "Message Formats") */
                PATTERN(PROTOCOL_POSTGRESQL, "\0\0??\x04\xd2\x16"),
                PATTERN(PROTOCOL_POSTGRESQL, "\0\0??\0\x03\0"),
                /* length, then ApiVersions, with which its clients begin */
                PATTERN(PROTOCOL_KAFKA, "\0\0??\0\x12\0"),
                PATTERN(PROTOCOL_AMQP, "AMQP\0"),
                PATTERN(PROTOCOL_AMQP, "AMQP\3"),
        };

        return find(first, patterns, sizeof(patterns) / sizeof(patterns[0]));
}

/* The head of an array of strings, as its clients send commands. */
static bool is_redis(struct slice line)
{
        for (size_t i = 1; i < line.len; i++) {
                if (!isdigit((unsigned char)line.ptr[i]))
                        return false;
        }
        return line.len > 1 && line.ptr[0] == '*';
}

enum protocol protocol_of_line(struct slice line, bool cut)
{
        static const struct pattern patterns[] = {
                PATTERN(PROTOCOL_SSH, "SSH-"),
                PATTERN(PROTOCOL_PROXY, "PROXY TCP"),
                PATTERN(PROTOCOL_PROXY, "PROXY UNKNOWN"),
        };

        if (http_request_begins(line, cut))
                return PROTOCOL_HTTP;
        if (is_redis(line))
                return PROTOCOL_REDIS;
        return find(line, patterns, sizeof(patterns) / sizeof(patterns[0]));
}

const char *protocol_mistake(enum protocol p)
{
        static const char *const mistakes[PROTOCOLS] = {
                [PROTOCOL_NONE] = "",
                [PROTOCOL_HTTP] = "it sent an HTTP request",
                [PROTOCOL_TLS] =
                        "it began a TLS handshake on a plain socket (set listen.tls_cert, or connect without TLS)",
                [PROTOCOL_PROXY] = "it sent a PROXY protocol header (switch it off in the load balancer)",
                [PROTOCOL_SSH] = "it speaks SSH",
                [PROTOCOL_POSTGRESQL] =
                        "it speaks PostgreSQL's protocol (database.url has the database's address)",
                [PROTOCOL_REDIS] = "it speaks Redis's protocol",
                [PROTOCOL_KAFKA] = "it speaks Kafka's protocol",
                [PROTOCOL_AMQP] = "it speaks AMQP",
        };

        return mistakes[p];
}
