/* Parses the command line with argp(3). argp's own error messages and exits are disabled: they quote
 * arguments, which may contain a password. */
#include "commands/arguments.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/memory.h"

/* Keys for argp: options of single commands, then those of all commands. */
enum { KEY_FIRST = 256, KEY_CONFIG = KEY_FIRST + OPTIONS, KEY_SET };

int arguments_usage(const char *what, const char *word)
{
        fprintf(stderr, "boris-ingestd: %s%s%s; see boris-ingestd --help\n", what, word ? " " : "",
                word ? word : "");
        return 2;
}

/* Returns a copy of the argument and overwrites the original: it may contain a password, and everybody can
 * read a process's arguments. */
static char *take_secret(char *argument)
{
        char *copy = must_strdup(argument);

        memset(argument, 'x', strlen(argument));
        return copy;
}

#define COMMON_OPTIONS                                                                                         \
        {"config", KEY_CONFIG, "FILE", 0, "configuration (default: " CONFIG_DEFAULT_PATH ")", 1},              \
                {"set", KEY_SET, "section.key=value", 0, "override a setting; may be given several times", 1}, \
                {"help", 'h', NULL, 0, "print this help", 1},                                                  \
                {"version", 'V', NULL, 0, "print the version", 1},                                             \
        {                                                                                                      \
                0                                                                                              \
        }

static const struct argp_option all_options[] = {
#define X(name, text, value, doc) {text, KEY_FIRST + OPTION_##name, value, 0, doc, 0},
        OPTION_MAP(X)
#undef X
                COMMON_OPTIONS,
};

const char *argument_option_name(enum argument_option option)
{
        static const char *const names[] = {
#define X(name, text, value, doc) "--" text,
                OPTION_MAP(X)
#undef X
        };

        return names[option];
}

static int add_override(struct arguments *a, char *text)
{
        if (a->overrides_len == ARGUMENTS_OVERRIDES_MAX)
                return arguments_usage("too many --set", NULL);
        if (!config_is_override(text)) /* not quoted: it may contain a secret */
                return arguments_usage("--set must be section.key=value", NULL);
        a->overrides[a->overrides_len++] = take_secret(text);
        return 0;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
        struct arguments *a = state->input;

        if (key >= KEY_FIRST && key < KEY_FIRST + (int)OPTIONS) {
                a->options[key - KEY_FIRST] = value ? value : "";
                return 0;
        }
        switch (key) {
        case KEY_CONFIG:
                a->config_path = value;
                return 0;
        case KEY_SET:
                return add_override(a, value) ? ECANCELED : 0;
        case 'h':
                a->help = true;
                return 0;
        case 'V':
                a->version = true;
                return 0;
        case ARGP_KEY_ARGS:
                a->words = state->argv + state->next;
                a->words_len = state->argc - state->next;
                return 0;
        case ARGP_KEY_ERROR:
                a->faulty = state->argv[state->next - 1];
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

/* Reports what is wrong with the option at which the parser stopped. What follows '=' may be a secret. */
static int fail_option(char *argument)
{
        bool has_value = argument[strcspn(argument, "=")] != '\0';

        argument[strcspn(argument, "=")] = '\0';
        for (const struct argp_option *o = all_options; o->name; o++) {
                if (strncmp(argument, "--", 2) != 0 || strcmp(o->name, argument + 2) != 0)
                        continue;
                if (o->arg && !has_value) {
                        fprintf(stderr,
                                "boris-ingestd: option %s requires a value; see boris-ingestd --help\n",
                                argument);
                        return 2;
                }
                return arguments_usage("this option takes no value:", argument);
        }
        return arguments_usage("unknown option", argument);
}

int arguments_parse(struct arguments *ret, int argc, char **argv)
{
        static const struct argp argp = {.options = all_options, .parser = parse};
        error_t err;

        *ret = (struct arguments){0};
        err = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP, NULL, ret);
        if (err == ECANCELED)
                return 2; /* the error was printed */
        if (err)
                return fail_option(ret->faulty ? ret->faulty : argv[0]);
        if (ret->words_len > 0 && strcmp(ret->words[0], "help") == 0) {
                ret->help = true;
                ret->words++;
                ret->words_len--;
        }
        return -1;
}

void arguments_help(const char *usage, unsigned options, const char *doc)
{
        struct argp_option shown[OPTIONS + 8];
        static const struct argp_option common[] = {COMMON_OPTIONS};
        char text[4096];
        struct argp argp = {.options = shown};
        size_t n = 0;

        for (unsigned i = 0; i < OPTIONS; i++) {
                if (options & 1u << i)
                        shown[n++] = all_options[i];
        }
        memcpy(shown + n, common, sizeof(common));
        snprintf(text, sizeof(text), "\v%s", doc);
        argp.doc = text;
        printf("Usage: boris-ingestd %s\n\n", usage);
        argp_help(&argp, stdout, ARGP_HELP_LONG | ARGP_HELP_POST_DOC, "boris-ingestd");
}

void arguments_deinit(struct arguments *a)
{
        for (size_t i = 0; i < a->overrides_len; i++)
                free(a->overrides[i]);
        *a = (struct arguments){0};
}
