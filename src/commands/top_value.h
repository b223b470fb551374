#ifndef TOP_VALUE_H
#define TOP_VALUE_H

#include <cjson/cJSON.h>

#include "commands/human.h"

/* Values of the daemon's status, which may lack any. */

/* Returns the value at "a.b"; NULL if it is absent. */
const cJSON *top_value(const cJSON *status, const char *path);

/* Returns NAN unless @value is a number below 1e18: a status has no larger one. @value may be NULL. */
double top_number_of(const cJSON *value);

/* Returns NAN if it is absent. */
double top_number(const cJSON *status, const char *path);

/* Returns "" if it is absent. */
const char *top_text(const cJSON *status, const char *path);

/* Numbers as text, "-" if absent. */
struct top_shown {
        char text[HUMAN_BYTES];
};

struct top_shown top_show(double n, char *(*how)(double n, char ret[HUMAN_BYTES]));

/* "1,234" */
char *top_count(double n, char ret[HUMAN_BYTES]);

/* "1234" */
char *top_plain(double n, char ret[HUMAN_BYTES]);

#define PLAIN_NUMBER(path) top_show(top_number(status, path), top_plain).text
#define COUNT(path)        top_show(top_number(status, path), top_count).text
#define SIZE(path)         top_show(top_number(status, path), human_size).text
#define SPAN(path)         top_show(top_number(status, path), human_span).text

#endif
