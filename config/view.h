/* SPDX-License-Identifier: Apache-2.0 */
/* The functions through which a plugin reads its settings. */
#ifndef CONFIG_VIEW_H
#define CONFIG_VIEW_H

#include "value.h"

/** A table for the values below `root`. */
struct berth_settings view_of(const struct berth_value *root);

#endif
