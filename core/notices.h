/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what the configuration said that is to be given up, for services that tell of it. */
#ifndef CORE_NOTICES_H
#define CORE_NOTICES_H

#include <berth/inspect.h>
#include <config/diagnostics.h>

/** Zero-initialise. */
struct notices {
    struct berth_notice *items;
    size_t count;
};

/** Adds a copy of each deprecation among them. Aborts when memory is out. */
void notices_take(struct notices *notices, const struct config_diagnostics *diagnostics);
void notices_finish(struct notices *notices);

#endif
