#include "arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static const char help[] =
        "Usage: boris-ingestd [run] [--config FILE] [--set section.key=value ...]\n"
        "       boris-ingestd migrate [--status]        apply (or list) the schema's migrations\n"
        "       boris-ingestd check                     look at configuration, database and schema\n"
        "       boris-ingestd connection create [--id UUID] PLATFORM < credentials.json\n"
        "       boris-ingestd connection list\n"
        "       boris-ingestd --version | --help\n"
        "\n"
        "  --config FILE             instead of " CONFIG_DEFAULT_PATH "\n"
        "  --set section.key=value   instead of what the file says; may be given several times\n"
        "\n"
        "PLATFORM is META, GOOGLE_ADS or TIKTOK. The database is database.url or $DATABASE_URL.\n"
        "Exit status: 0 done; 1 failed; 2 wrong usage.\n";

int arguments_usage(const char *what, const char *word)
{
        fprintf(stderr, "boris-ingestd: %s%s%s; see boris-ingestd --help\n", what, word ? " " : "",
                word ? word : "");
        return 2;
}

/* A copy of the argument, whose own bytes are blotted out: it may hold a password, and everyone can read
 * them. */
static char *take_secret(char *argument)
{
        char *copy = strdup(argument);

        if (!copy)
                abort();
        memset(argument, 'x', strlen(argument));
        return copy;
}

int arguments_parse(struct arguments *ret, int argc, char **argv)
{
        static const struct option options[] = {
                {"config", required_argument, NULL, 'c'},
                {"set", required_argument, NULL, 's'},
                {"id", required_argument, NULL, 'i'},
                {"status", no_argument, NULL, 'l'},
                {"version", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        int option;

        *ret = (struct arguments){0};
        opterr = 0;
        while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                switch (option) {
                case 'c':
                        ret->config_path = optarg;
                        break;
                case 's':
                        if (ret->overrides_len == ARGUMENTS_OVERRIDES_MAX)
                                return arguments_usage("too many --set", NULL);
                        ret->overrides[ret->overrides_len++] = take_secret(optarg);
                        break;
                case 'i':
                        ret->id = optarg;
                        break;
                case 'l':
                        ret->status = true;
                        break;
                case 'v':
                        printf("boris-ingestd " INGESTD_VERSION "\n");
                        return 0;
                case 'h':
                        fputs(help, stdout);
                        return 0;
                case ':':
                        return arguments_usage("a value is missing behind", argv[optind - 1]);
                default: /* what is behind a '=' may be a secret */
                        argv[optind - 1][strcspn(argv[optind - 1], "=")] = '\0';
                        return arguments_usage("unknown option", argv[optind - 1]);
                }
        }
        ret->words = argv + optind;
        ret->words_len = argc - optind;
        return -1;
}

void arguments_deinit(struct arguments *a)
{
        for (size_t i = 0; i < a->overrides_len; i++)
                free(a->overrides[i]);
        *a = (struct arguments){0};
}
