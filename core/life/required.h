/* SPDX-License-Identifier: Apache-2.0 */
/* Are the plugins under `required_plugins` there? Ready alone counts. */
#ifndef CORE_LIFE_REQUIRED_H
#define CORE_LIFE_REQUIRED_H

#include <core/state/registry.h>

/** Logs a line for each that is not. */
bool required_are_ready(const struct registry *registry, const struct settings_uri *required, size_t count);

#endif
