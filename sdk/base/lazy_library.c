/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a private library on first use and never unloads it. */
#include "lazy_library.h"

#include <dlfcn.h>

enum berth_code berth_lazy_library(const char *soname, const char *symbol, const void **ret_table,
                                   struct berth_error *err)
{
    void *handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const void *table = handle == NULL ? NULL : dlsym(handle, symbol);
    enum berth_code code = BERTH_OK;

    if (table != NULL)
        *ret_table = table;
    else
        code = berth_error_set(err, BERTH_UNAVAILABLE, "%s", dlerror());
    if (handle != NULL)
        dlclose(handle);
    return code;
}
