#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

/* A configuration file of a test's own. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

#include "base/config.h"

static char config_path[] = "/tmp/test_config-XXXXXX";

static inline int setup(void **state)
{
        int fd = mkstemp(config_path);

        (void)state;
        unsetenv("DATABASE_URL");
        return fd < 0 ? -1 : close(fd);
}

static inline int teardown(void **state)
{
        (void)state;
        return unlink(config_path);
}

static inline void write_file(const char *text, size_t len)
{
        FILE *f = fopen(config_path, "w");

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, len, f), len);
        fclose(f);
}

static inline int load(struct config *config, const char *text, const char *override, char *error)
{
        int err;

        write_file(text, strlen(text));
        err = config_load(config, config_path, &override, override ? 1 : 0, error);
        return err ? err : config_read_password(config, error);
}

#endif
