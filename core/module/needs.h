/* SPDX-License-Identifier: Apache-2.0 */
/* The libraries of a loaded module that the host does not have itself. */
#ifndef CORE_MODULE_NEEDS_H
#define CORE_MODULE_NEEDS_H

#include <stdbool.h>
#include <stdint.h>

#include <link.h>

struct needs;

/** Everything that a loaded object needs, and what that needs, but for what the program needs too. */
struct needs *needs_find(void *handle);
/** Does one of them import a function of this name? */
bool needs_import(const struct needs *needs, const char *name);
/** Does a loaded object? */
bool needs_object_imports(const struct link_map *map, const char *name);
bool needs_has_address(const struct needs *needs, uintptr_t address);
void needs_destroy(struct needs *needs);

#endif
