/* SPDX-License-Identifier: Apache-2.0 */
/* What the sandbox of one process promises, as listings show it. */
#ifndef CORE_WORKER_PROMISES_H
#define CORE_WORKER_PROMISES_H

#include <berth/isolation.h>

#include <core/sandbox/sandbox.h>

/** The texts of `items` are in `report`: it stays where it is. */
struct promises {
    struct sandbox_report report;
    struct berth_promise items[SANDBOX_PROMISES];
};

void promises_judge(struct promises *ret_promises, const struct sandbox_wanted *wanted,
                    const struct sandbox_kernel *kernel);
/** @return with nothing but the sandbox; borrows from the promises. */
struct berth_isolation promises_show(const struct promises *promises);

#endif
