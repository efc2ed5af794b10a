/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a library on first use and never unloads it. */
#include "lazy_library.h"

#include <dlfcn.h>
#include <string.h>

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

enum berth_code berth_lazy_functions(const char *soname, const struct berth_lazy_function *functions,
                                     size_t count, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < count && code == BERTH_OK; i++) {
        const void *found;

        code = berth_lazy_library(soname, functions[i].symbol, &found, err);
        if (code == BERTH_OK)
            memcpy(functions[i].place, &found, sizeof(found));
    }
    return code;
}
