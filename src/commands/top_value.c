#include "commands/top_value.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const cJSON *top_value(const cJSON *status, const char *path)
{
        const char *dot;
        char key[64];

        while ((dot = strchr(path, '.'))) {
                snprintf(key, sizeof(key), "%.*s", (int)(dot - path), path);
                status = cJSON_GetObjectItemCaseSensitive(status, key);
                path = dot + 1;
        }
        return cJSON_GetObjectItemCaseSensitive(status, path);
}

double top_number_of(const cJSON *value)
{
        return cJSON_IsNumber(value) && fabs(value->valuedouble) < 1e18 ? value->valuedouble : NAN;
}

double top_number(const cJSON *status, const char *path)
{
        return top_number_of(top_value(status, path));
}

const char *top_text(const cJSON *status, const char *path)
{
        const char *text = cJSON_GetStringValue(top_value(status, path));

        return text ? text : "";
}

struct top_shown top_show(double n, char *(*how)(double n, char ret[HUMAN_BYTES]))
{
        struct top_shown s = {"-"};

        if (n >= 0)
                how(n, s.text);
        return s;
}

char *top_count(double n, char ret[HUMAN_BYTES])
{
        return human_count((uint64_t)n, ret);
}

char *top_plain(double n, char ret[HUMAN_BYTES])
{
        snprintf(ret, HUMAN_BYTES, "%.0f", n);
        return ret;
}
