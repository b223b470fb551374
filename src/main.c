#include <stdio.h>

#include "commands/arguments.h"
#include "commands/commands.h"

/* What was printed, a new connection's uuid, say, must have arrived before it counts as done. */
static int finish_output(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        if (status != 0)
                return status;
        fprintf(stderr, "boris-ingestd: what was done could not be printed: look at standard output\n");
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
