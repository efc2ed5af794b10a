/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries that few processes need, loaded on first use. */
#ifndef BASE_LAZY_LIBRARY_H
#define BASE_LAZY_LIBRARY_H

#include <stddef.h>

#include <berth/error.h>

/**
 * Loads a library by its soname and finds the table it exports. It stays loaded for the life of the process:
 * OpenSSL registers exit handlers, and callers need not keep a handle. Further calls cost a look-up by name.
 *
 * @param soname     found through the calling file's RUNPATH, the environment or the linker's cache.
 * @param symbol     a constant table of functions.
 * @param ret_table  never freed.
 * @return BERTH_OK; BERTH_UNAVAILABLE with only the loader's reason. From any thread.
 */
enum berth_code berth_lazy_library(const char *soname, const char *symbol, const void **ret_table,
                                   struct berth_error *err);

/** A function of a library, and the pointer to a function of its type that is to point to it. */
struct berth_lazy_function {
    const char *symbol;
    void *place;
};

/**
 * The same for a library that exports no table, such as one of the system's.
 *
 * @return BERTH_OK if all were found; BERTH_UNAVAILABLE with the loader's reason, and some pointers may be
 * set. From any thread.
 */
enum berth_code berth_lazy_functions(const char *soname, const struct berth_lazy_function *functions,
                                     size_t count, struct berth_error *err);

#endif
