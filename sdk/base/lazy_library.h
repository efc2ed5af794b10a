/* SPDX-License-Identifier: Apache-2.0 */
/* Private libraries that few processes need, loaded on first use. */
#ifndef BASE_LAZY_LIBRARY_H
#define BASE_LAZY_LIBRARY_H

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

#endif
