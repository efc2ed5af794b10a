/* SPDX-License-Identifier: Apache-2.0 */
/* The settings as JSON, for debugging. */
#ifndef CRI_DESCRIBE_H
#define CRI_DESCRIBE_H

#include <berth/json_writer.h>

#include "cri.h"

/** Writes the settings of the runtime, and where the daemon is, as JSON under the names that containerd gives
 * them. */
void describe_runtime(struct berth_json_writer *json, const struct cri *cri);

#endif
