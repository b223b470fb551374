/* Linked into every cmocka test: $TEST_FILTER, a cmocka pattern ("*name*"), selects tests by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void set_filter(void)
{
        const char *pattern = getenv("TEST_FILTER");

        if (pattern)
                cmocka_set_test_filter(pattern);
}
