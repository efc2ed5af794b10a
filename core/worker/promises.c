/* SPDX-License-Identifier: Apache-2.0 */
/* Shows what a sandbox promises. */
#include "promises.h"

#include <assert.h>

static_assert((int)SANDBOX_OPEN == (int)BERTH_PROMISE_NOT_REQUESTED &&
                  (int)SANDBOX_MISSING == (int)BERTH_PROMISE_NOT_ENFORCEABLE,
              "both have the same verdicts");

void promises_judge(struct promises *ret_promises, const struct sandbox_wanted *wanted,
                    const struct sandbox_kernel *kernel)
{
    sandbox_judge(wanted, kernel, &ret_promises->report);
    for (size_t i = 0; i < SANDBOX_PROMISES; i++) {
        const struct sandbox_item *item = &ret_promises->report.items[i];

        ret_promises->items[i] = (struct berth_promise){.name = item->name,
                                                        .verdict = (enum berth_promise_verdict)item->verdict,
                                                        .weight = item->weight,
                                                        .text = item->text};
    }
}

struct berth_isolation promises_show(const struct promises *promises)
{
    return (struct berth_isolation){
        .size = sizeof(struct berth_isolation),
        .exposure = promises->report.exposure,
        .exposure_name = sandbox_exposure_name(promises->report.exposure),
        .promises = promises->items,
        .promise_count = SANDBOX_PROMISES,
    };
}
