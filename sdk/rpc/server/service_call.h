/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_SERVICE_CALL_H
#define RPC_SERVER_SERVICE_CALL_H

#include <berth/router.h>

/** Begins a call of `method`, whose handler may have ended it already. @return NULL then, or without memory.
 */
struct berth_call *service_call_open(const struct berth_call_request *request,
                                     const struct berth_service *service, const struct berth_method *method,
                                     void *instance);

void service_call_deliver(struct berth_call *call, const void *message, size_t length);
void service_call_deliver_last(struct berth_call *call, const void *message, size_t length);
void service_call_half_close(struct berth_call *call);
void service_call_writable(struct berth_call *call);
void service_call_cancel(struct berth_call *call, enum berth_code code);

#endif
