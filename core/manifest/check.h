/* SPDX-License-Identifier: Apache-2.0 */
/* Was this module built for this host, and from the manifest that it carries? Loads nothing. */
#ifndef CORE_MANIFEST_CHECK_H
#define CORE_MANIFEST_CHECK_H

#include <berth/plugin.h>

#include "manifest.h"

/**
 * Compares a module's constant and its tables with this host and with the manifest. Touches nothing past each
 * table's `size`.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION with what differs and both values.
 */
enum berth_code module_check(const struct berth_module *module, const struct manifest *manifest,
                             struct berth_error *err);

#endif
