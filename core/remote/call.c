/* SPDX-License-Identifier: Apache-2.0 */
/* The end of one call that has left over a wire. */
#include "call.h"

#include <stdlib.h>

#define MS UINT64_C(1000000)

uint64_t remote_due(uint32_t timeout_ms)
{
    return uv_hrtime() + (timeout_ms > 0 ? timeout_ms : BERTH_REMOTE_TIMEOUT_MS) * MS;
}

void remote_call_end(struct remote_call *call, enum berth_code code, const char *message, const void *bytes,
                     size_t length)
{
    struct remote_caller *caller = call->caller;

    LIST_REMOVE(call, link);
    if (caller->enter != NULL)
        caller->enter(caller);
    call->on_end(call->context, code, bytes, length, message);
    if (caller->leave != NULL)
        caller->leave(caller);
    free(call);
}
