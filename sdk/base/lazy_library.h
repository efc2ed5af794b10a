/* SPDX-License-Identifier: Apache-2.0 */
/* Private libraries that few processes need, loaded when the first of their functions is called for. */
#ifndef BASE_LAZY_LIBRARY_H
#define BASE_LAZY_LIBRARY_H

#include <berth/error.h>

/**
 * Loads a library by its soname and finds the table it exports. It stays for the life of the process: OpenSSL
 * leaves functions that run at exit, and callers need not keep a handle. A further call costs a look-up by
 * name.
 *
 * @param soname     where the calling file's RUNPATH, the environment or the linker's cache have it.
 * @param symbol     a constant table of functions.
 * @param ret_table  never freed.
 * @return BERTH_OK; BERTH_UNAVAILABLE with the loader's reason alone. From any thread.
 */
enum berth_code berth_lazy_library(const char *soname, const char *symbol, const void **ret_table,
                                   struct berth_error *err);

#endif
