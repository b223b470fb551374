/* Any bytes as a configuration file: settings, or one line that says what is wrong. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
        if (!condition)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static int fd = -1;
        static char path[64];
        char error[CONFIG_ERROR_BYTES] = "";
        struct config config;
        int err;

        if (fd < 0) {
                fd = memfd_create("config", 0);
                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        }
        require(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
        err = config_load(&config, path, NULL, 0, error);
        require((err == 0) == (error[0] == '\0'));
        require(!strchr(error, '\n'));
        config_deinit(&config);
        return 0;
}
