#include "base/err.h"

const char *err_str(int err)
{
        switch (err) {
        case 0:
                return "success";
#define X(name, text)                                                                                        \
        case ERR_##name:                                                                                     \
                return text;
                ERR_MAP(X)
#undef X
        default:
                return "unknown error";
        }
}
