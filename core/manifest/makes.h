/* SPDX-License-Identifier: Apache-2.0 */
/* The key `makes` of a manifest. */
#ifndef CORE_MANIFEST_MAKES_H
#define CORE_MANIFEST_MAKES_H

#include <config/tree/tree.h>

#include "manifest.h"

/** @return to be destroyed; NULL with an error in `diagnostics`. Other errors may be there too. */
struct manifest_maker *makes_read(const struct config_node *node, struct config_diagnostics *diagnostics);
void makes_destroy(struct manifest_maker *maker);

/** The valid texts of a list, in the arena; what is not one is an error in `diagnostics`. NULL: no list. */
const char **makes_read_list(struct berth_arena *arena, const struct config_node *list, const char *what,
                             bool (*is_valid)(const char *text), size_t *ret_count,
                             struct config_diagnostics *diagnostics);
/** Services of which only the names are known, in the arena. `names` live there too. */
const struct manifest_service *makes_services(struct berth_arena *arena, const char *const *names,
                                              size_t count);

#endif
