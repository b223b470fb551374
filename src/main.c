#include <stdio.h>

#include "commands/arguments.h"
#include "commands/commands.h"

/* A command counts as done only if its output, a new connection's uuid, say, could be written. */
static int finish_output(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        if (status != 0)
                return status;
        fprintf(stderr,
                "boris-ingestd: write error on standard output: the command itself was carried out\n");
        return 1;
}

int main(int argc, char **argv)
{
        struct arguments arguments;
        int status;

        status = arguments_parse(&arguments, argc, argv);
        if (status < 0)
                status = commands_run(&arguments);
        status = finish_output(status);
        arguments_deinit(&arguments);
        return status;
}
