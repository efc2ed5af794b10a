/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a manifest that says which services a plugin exports, and over which transports. */
#ifndef CORE_MANIFEST_SERVICES_H
#define CORE_MANIFEST_SERVICES_H

#include "manifest.h"
#include "reader.h"

/** Reads the keys `services` and `transports` of a plugin. */
void manifest_read_services(struct manifest_reader *reader, const struct config_node *map,
                            struct manifest_plugin *plugin);
void manifest_finish_services(struct manifest_plugin *plugin);

#endif
