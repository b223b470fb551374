#include "test.h"

#include <string.h>

#include "wire/http_request.h"

static bool begins(const char *line)
{
        return http_request_begins((struct slice){line, strlen(line)}, false);
}

static void test_requests(void **state)
{
        static const char *const requests[] = {"POST / HTTP/1.1",
                                               "GET / HTTP/1.0\r",
                                               "PRI * HTTP/2.0",
                                               "OPTIONS * HTTP/1.1",
                                               "CONNECT a.b:443 HTTP/1.1",
                                               "post / http/1.1",
                                               "M-SEARCH * HTTP/1.1",
                                               "GET http://a/{} HTTP/1.1",
                                               "POST\t/\tHTTP/1.1",
                                               "POST  /a?{\"x\":1} HTTP/1.1",
                                               "GET /",
                                               "X!#$%&'*+.^_`|~ a HTTP/3"};

        (void)state;
        for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
                if (!begins(requests[i]))
                        fail_msg("not taken for a request: %s", requests[i]);
        }
        assert_true(http_request_begins(slice_str("POST /x"), true));
        assert_true(http_request_begins(slice_str("GET http://a/x"), true));
}

static void test_others(void **state)
{
        static const char *const others[] = {"",
                                             "{}",
                                             "{\"a\": \"GET / HTTP/1.1\"}",
                                             " POST / HTTP/1.1",
                                             "garbage",
                                             "POST",
                                             "POST ",
                                             "two words",
                                             "[1, 2]",
                                             "null ",
                                             "HTTP/1.1 200 OK",
                                             "# /data/export.jsonl",
                                             "foo /bar",
                                             "x *",
                                             "GET it",
                                             "GETS /"};

        (void)state;
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                if (begins(others[i]))
                        fail_msg("taken for a request: %s", others[i]);
        }
        assert_false(http_request_begins(slice_str("{\"a\": "), true));
        assert_false(http_request_begins(slice_str("two words"), true));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_requests),
                cmocka_unit_test(test_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
