/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's settings as bytes, and the same settings again in the worker, without a schema or YAML. */
#ifndef CORE_WIRE_CARRIED_H
#define CORE_WIRE_CARRIED_H

#include <berth/settings.h>

#include "packet.h"

struct carried;

/** Writes all values with their origins, secrets included. */
void carried_write(struct packet_writer *writer, const struct berth_settings *settings);
/** @return to be destroyed; NULL for bytes that are no settings, or without memory. */
struct carried *carried_read(struct packet_reader *reader);
void carried_destroy(struct carried *carried);
/** Lives as long. */
const struct berth_settings *carried_settings(const struct carried *carried);

#endif
