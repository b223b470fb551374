#include "relay/partition_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(const char **p, unsigned *ret)
{
        char *end;
        unsigned long n;

        if (**p < '0' || **p > '9')
                return false;
        n = strtoul(*p, &end, 10);
        *p = end;
        *ret = (unsigned)n;
        return n < PARTITIONS_MAX;
}

static bool has(const unsigned *list, size_t len, unsigned n)
{
        for (size_t i = 0; i < len; i++) {
                if (list[i] == n)
                        return true;
        }
        return false;
}

size_t partition_list_read(const char *text, unsigned ret[PARTITIONS_MAX])
{
        static const char blanks[] = " \t,";
        const char *p = text + strspn(text, blanks);
        size_t len = 0;

        while (*p) {
                unsigned first;
                unsigned last;

                if (!read_number(&p, &first))
                        return 0;
                last = first;
                if (*p == '-') {
                        p++;
                        if (!read_number(&p, &last) || last < first)
                                return 0;
                }
                if (*p && !strchr(blanks, *p))
                        return 0;
                for (unsigned n = first; n <= last; n++) {
                        if (has(ret, len, n))
                                return 0;
                        ret[len++] = n;
                }
                p += strspn(p, blanks);
        }
        return len;
}

bool is_subject(const char *text)
{
        size_t len = strlen(text);

        for (const char *p = text; *p; p++) {
                if ((unsigned char)*p <= ' ' || *p == 127 || *p == '*' || *p == '>')
                        return false;
        }
        return len > 0 && len <= SUBJECT_MAX && text[0] != '.' && text[len - 1] != '.' && !strstr(text, "..");
}

static bool is_below(const char *subject, const char *other)
{
        size_t len = strlen(other);

        return strncmp(subject, other, len) == 0 && (subject[len] == '.' || !subject[len]);
}

static bool fail(char *ret_error, const char *key, const char *rule)
{
        snprintf(ret_error, PARTITION_LIST_ERROR_BYTES, "relay.%s %s", key, rule);
        return false;
}

bool relay_settings_check(const struct config *config, char ret_error[PARTITION_LIST_ERROR_BYTES])
{
        unsigned partitions[PARTITIONS_MAX];
        const char *stream = config->relay.stream;

        if (!config->relay.servers[0])
                return fail(ret_error, "servers", "must name a NATS server: nats://host:4222");
        if (!stream[0] || strlen(stream) > 200 || strpbrk(stream, " \t\r\n.*>/\\"))
                return fail(ret_error, "stream",
                            "must be the name of a stream, without spaces, dots and wildcards");
        if (!is_subject(config->relay.subject))
                return fail(ret_error, "subject",
                            "must be a subject without wildcards, of at most 200 bytes");
        if (!is_subject(config->relay.rejects_subject))
                return fail(ret_error, "rejects_subject",
                            "must be a subject without wildcards, of at most 200 bytes");
        if (is_below(config->relay.rejects_subject, config->relay.subject))
                return fail(ret_error, "rejects_subject",
                            "must not be below relay.subject: rejects would be relayed");
        if (partition_list_read(config->relay.partitions, partitions) == 0)
                return fail(ret_error, "partitions",
                            "must be numbers and ranges from 0 to 1023, each once: 0-3,7");
        if (!config->relay.tls_cert[0] != !config->relay.tls_key[0])
                return fail(ret_error, "tls_cert", "and relay.tls_key belong together");
        if (!config->listen.unix_path[0] && !config->listen.tcp[0]) {
                snprintf(ret_error, PARTITION_LIST_ERROR_BYTES,
                         "listen.unix and listen.tcp are empty: the relay does not know where the daemon is");
                return false;
        }
        return true;
}
