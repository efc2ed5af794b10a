/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call from open to its end: between the server's events and the handler's operations are the
 * interceptors.
 */
#ifndef SDK_CALLS_CALL_H
#define SDK_CALLS_CALL_H

#include "calls.h"

/**
 * Opens a call of a method and runs it as far as possible. Takes a reference to the chain, which on_gone
 * returns.
 *
 * @return NULL if it has ended, also without memory; the stream has been told.
 */
struct berth_call *call_open(struct calls *calls, struct chain *chain, const struct route_method *method,
                             const struct berth_call_request *request);

/** The same, but it waits before the first interceptor until call_pass_gate. */
struct berth_call *call_open_gated(struct calls *calls, struct chain *chain,
                                   const struct route_method *method,
                                   const struct berth_call_request *request);
/** Runs a call that waited at the gate, with this chain. */
void call_pass_gate(struct call *call, struct chain *chain);

/** As in struct berth_router. */
void call_deliver(struct berth_call *public, const void *message, size_t length);
void call_deliver_last(struct berth_call *public, const void *message, size_t length);
void call_half_close(struct berth_call *public);
void call_writable(struct berth_call *public);
void call_cancel(struct berth_call *public, enum berth_code code);

/** The result of an interceptor that returned BERTH_PENDING. `owner` and `caller` are for the observer. */
void call_admit(struct berth_call *public, enum berth_code code, const char *message, const void *owner,
                const void *caller);
/** Lets a held call try its route again. */
void call_retry(struct call *call);
/** Ends a call from the host's side. */
void call_end(struct call *call, enum berth_code code, const char *message);
/** Tells the hooks of `owner`, which are being removed, that they get no further callbacks for this call. */
void call_forget_hooks(struct call *call, const void *owner);
/** Frees the abandoned calls, unless an engine function is on the stack. */
void call_reap(struct calls *calls);

/**
 * The parts that the handler's operations are made of; call.c has the rules. Enter, then leave in one of two
 * ways.
 */
void call_enter(struct call *call);
/** Frees the call if it has ended and nobody else works on it. */
void call_leave(struct call *call);
/** Returns to the handler, which may continue to use the call even if it has ended. */
void call_leave_to_handler(struct call *call);
/** Decides the end, tells the interceptors and then the server. The handler is told when the call is left. */
void call_decide(struct call *call, enum berth_code code, const char *message, const void *details,
                 size_t details_length);
/** Pauses or resumes the server's stream as the call's state demands. */
void call_update_pause(struct call *call);
/** Passes the one request to the handler if it is there, complete, and the handler is not paused. */
void call_pass_kept_request(struct call *call);

#endif
