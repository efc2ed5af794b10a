/* SPDX-License-Identifier: Apache-2.0 */
/* One call that leaves over a wire: between the peer that a stub called and the wire. */
#ifndef CORE_REMOTE_CALL_H
#define CORE_REMOTE_CALL_H

#include "remote.h"

/** A peer across a wire. */
struct remote_peer {
    struct berth_remote_peer table;
    LIST_ENTRY(remote_peer) of_caller, of_wire;
    struct remote_caller *caller;
    /** NULL: it is gone. */
    struct remote_wire *wire;
    uint32_t number;
};

struct remote_call {
    LIST_ENTRY(remote_call) link;
    struct remote_caller *caller;
    struct remote_wire *wire;
    uint32_t number;
    uint64_t due_ns;
    bool is_cancelled;
    berth_remote_ended *on_end;
    _Alignas(max_align_t) uint8_t context[BERTH_REMOTE_CONTEXT_MAX];
};

/** When a call that begins now is overdue. */
uint64_t remote_due(uint32_t timeout_ms);

/** @return as struct berth_remote_peer's start; the call is the wire's where this is OK. */
enum berth_code remote_wire_start(struct remote_wire *wire, uint32_t provider, struct remote_call *call,
                                  const struct berth_remote_request *request, struct berth_error *err);
void remote_wire_send_cancel(struct remote_call *call);
void remote_wire_remove(struct remote_call *call);
/** Removed from its wire. Tells the stub, and frees it. */
void remote_call_end(struct remote_call *call, enum berth_code code, const char *message, const void *bytes,
                     size_t length);

#endif
