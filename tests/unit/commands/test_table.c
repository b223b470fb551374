#include "test.h"

#include <stdlib.h>

#include "commands/table.h"

static const struct table_column columns[] = {
        {"who", TABLE_KEEP, false}, {"n", TABLE_KEEP, true}, {"note", TABLE_SHRINK, false}};

static void assert_prints(const struct table *t, enum table_format format, const struct table_bars *bars,
                          const char *want)
{
        char got[4096];
        FILE *out = tmpfile();

        assert_non_null(out);
        table_print(t, out, format, bars);
        rewind(out);
        got[fread(got, 1, sizeof(got) - 1, out)] = '\0';
        fclose(out);
        assert_string_equal(got, want);
}

static void add(struct table *t, const char *who, const char *n, const char *note)
{
        const char *cells[] = {who, n, note};

        table_add(t, cells);
}

static void test_formats(void **state)
{
        struct table t = {.columns = columns, .columns_len = ARRAY_LEN(columns)};

        (void)state;
        assert_prints(&t, TABLE_TEXT, NULL, "who  n  note\n");
        assert_prints(&t, TABLE_CSV, NULL, "who,n,note\n");
        assert_prints(&t, TABLE_JSON, NULL, "[\n]\n");
        add(&t, "Zoë", "12345678901234567890", "a,\"b\"\n");
        add(&t, "x\x1b\xc2\x9bx", NULL, NULL);
        assert_prints(&t, TABLE_TEXT, NULL,
                      "who                      n  note\n"
                      "Zoë   12345678901234567890  a,\"b\"?\n"
                      "x??x                        \n");
        assert_prints(&t, TABLE_CSV, NULL,
                      "who,n,note\n"
                      "Zoë,12345678901234567890,\"a,\"\"b\"\"\n\"\n"
                      "x??x,,\n");
        assert_prints(&t, TABLE_JSON, NULL,
                      "[\n"
                      "{\"who\":\"Zoë\",\"n\":12345678901234567890,\"note\":\"a,\\\"b\\\"\\n\"},\n"
                      "{\"who\":\"x\\u001b\xc2\x9bx\",\"n\":null,\"note\":null}\n"
                      "]\n");
        table_deinit(&t);
}

static void test_bars(void **state)
{
        const struct table_bars bars = {.number_column = 1, .group_column = 0};
        struct table t = {.columns = columns, .columns_len = 2};

        (void)state;
        add(&t, "a", "96", NULL);
        add(&t, "b", "1", NULL);
        add(&t, "a", "9", NULL);
        add(&t, "a", "-5", NULL);
        add(&t, "c", "0", NULL);
        add(&t, "a", "1000", NULL); /* a total: no bar, and no measure */
        t.totals = 1;
        assert_prints(&t, TABLE_TEXT, &bars,
                      "who     n\n"
                      "a      96  ████████████\n"
                      "b       1  ████████████\n"
                      "a       9  █▏\n"
                      "a      -5  \n"
                      "c       0  \n"
                      "a    1000\n");
        table_deinit(&t);
}

static void test_fits(void **state)
{
        struct table t = {.columns = columns, .columns_len = ARRAY_LEN(columns)};

        (void)state;
        setenv("COLUMNS", "16", 1);
        add(&t, "東京", "1", "スポーツ用品");
        add(&t, "=x", "-2", "-2");
        assert_prints(&t, TABLE_TEXT, NULL,
                      "who    n  note\n"
                      "東京   1  スポー…\n"
                      "=x    -2  -2\n");
        assert_prints(&t, TABLE_CSV, NULL,
                      "who,n,note\n"
                      "東京,1,スポーツ用品\n"
                      "'=x,-2,'-2\n");
        unsetenv("COLUMNS");
        table_deinit(&t);
}

/* A text that explains is never cut. */
static void test_below(void **state)
{
        static const struct table_column explained[] = {
                {"n", TABLE_KEEP, true}, {"id", TABLE_KEEP, false}, {"reason", TABLE_BELOW, false}};
        struct table t = {.columns = explained, .columns_len = ARRAY_LEN(explained)};

        (void)state;
        setenv("COLUMNS", "20", 1);
        add(&t, "1", "ab", "left out: ads explain 東京 fully");
        add(&t, "-2", "c", "left out: ads explain 東京 fully");
        assert_prints(&t, TABLE_TEXT, NULL,
                      " n  id\n"
                      " 1  ab\n"
                      "    left out: ads\n"
                      "    explain 東京\n"
                      "    fully\n"
                      "-2  c\n"
                      "    left out: ads\n"
                      "    explain 東京\n"
                      "    fully\n");
        setenv("COLUMNS", "60", 1);
        assert_prints(&t, TABLE_TEXT, NULL,
                      " n  id  reason\n"
                      " 1  ab  left out: ads explain 東京 fully\n"
                      "-2  c   left out: ads explain 東京 fully\n");
        unsetenv("COLUMNS");
        table_deinit(&t);
}

/* Texts that a spreadsheet would calculate; numbers may be negative. */
static void test_formulas(void **state)
{
        struct table t = {.columns = columns, .columns_len = ARRAY_LEN(columns)};

        (void)state;
        add(&t, "=1+1", "-5", "@x");
        add(&t, "-2,3", "5", "a=b");
        assert_prints(&t, TABLE_CSV, NULL, "who,n,note\n'=1+1,-5,'@x\n\"'-2,3\",5,a=b\n");
        table_deinit(&t);
}

static void test_format_names(void **state)
{
        enum table_format format = TABLE_CSV;

        (void)state;
        assert_true(table_format_parse(SLICE_LIT("json"), &format) && format == TABLE_JSON);
        assert_true(table_format_parse(SLICE_LIT("table"), &format) && format == TABLE_TEXT);
        assert_false(table_format_parse(SLICE_LIT("xml"), &format));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_formats), cmocka_unit_test(test_bars),
                cmocka_unit_test(test_fits),    cmocka_unit_test(test_formulas),
                cmocka_unit_test(test_below),   cmocka_unit_test(test_format_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
