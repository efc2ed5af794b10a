/* SPDX-License-Identifier: Apache-2.0 */
/* Are the plugins under `required_plugins` there? Ready alone counts. */
#ifndef CORE_REQUIRED_H
#define CORE_REQUIRED_H

#include "registry.h"

/** Logs a line for each that is not. */
bool required_are_ready(const struct registry *registry, const struct plan_uri *required, size_t count);

#endif
