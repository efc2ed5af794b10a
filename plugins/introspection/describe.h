/* SPDX-License-Identifier: Apache-2.0 */
/* One plugin as a message: as containerd's clients know it, and with all that the host knows. */
#ifndef INTROSPECTION_DESCRIBE_H
#define INTROSPECTION_DESCRIBE_H

#include <stdbool.h>

#include <berth/inspect.h>

#include "replies.h"

/** Both append to the replies; false where memory is out. */
bool describe_to_containerd(const struct berth_plugin_info *plugin, struct replies *replies);
bool describe_in_full(const struct berth_plugin_info *plugin, struct replies *replies);

#endif
