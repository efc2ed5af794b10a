/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the deprecations found in the configuration, for services that list them. */
#ifndef CORE_NOTICES_H
#define CORE_NOTICES_H

#include <berth/inspect.h>
#include <config/diagnostics.h>

/** Zero-initialise. */
struct notices {
    struct berth_notice *items;
    size_t count;
};

/** Copies each deprecation among the diagnostics. Aborts when out of memory. */
void notices_take(struct notices *notices, const struct config_diagnostics *diagnostics);
void notices_finish(struct notices *notices);

#endif
