/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler may do with its call. */
#ifndef SDK_CALLS_OPERATIONS_H
#define SDK_CALLS_OPERATIONS_H

#include <berth/plugin.h>

extern const struct berth_call_ops call_operations;

#endif
