/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For unary handlers that reply after another operation completes, when the call may already have ended. The
 * method's on_end is berth_answer_on_end; its on_message defers the reply:
 *
 *     struct berth_answer *answer = berth_answer_later(call);
 *
 *     if (answer != NULL)
 *         store_something(…, on_stored, answer);
 *
 * and on_stored sends it:
 *
 *     struct berth_call *call = berth_answer_take(answer);
 *
 *     if (call != NULL)
 *         berth_call_finish(call, …);
 *
 * Everything on the loop's thread.
 */
#ifndef BERTH_ANSWER_H
#define BERTH_ANSWER_H

#include <stdlib.h>

#include <berth/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The call to reply to; NULL once it has ended. */
struct berth_answer {
    struct berth_call *call;
};

/**
 * Defers the reply. Uses `call->state`.
 * @return to be passed to berth_answer_take or berth_answer_finish exactly once; NULL without memory, after
 *         finishing the call.
 */
static inline struct berth_answer *berth_answer_later(struct berth_call *call)
{
    struct berth_answer *answer = (struct berth_answer *)malloc(sizeof(*answer));

    if (answer == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a call");
        return NULL;
    }
    answer->call = call;
    call->state = answer;
    return answer;
}

/** The method's on_end. */
static inline void berth_answer_on_end(struct berth_call *call, enum berth_code code)
{
    struct berth_answer *answer = (struct berth_answer *)call->state;

    (void)code;
    if (answer != NULL)
        answer->call = NULL;
}

/** Frees the answer. @return the call, to be finished now; NULL if it has ended. */
static inline struct berth_call *berth_answer_take(struct berth_answer *answer)
{
    struct berth_call *call = answer->call;

    if (call != NULL)
        call->state = NULL;
    free(answer);
    return call;
}

/**
 * Frees the answer and finishes the call, unless it has ended.
 * @param code     BERTH_OK sends a message without fields, such as google.protobuf.Empty.
 * @param message  the error message for any other code.
 */
static inline void berth_answer_finish(struct berth_answer *answer, enum berth_code code, const char *message)
{
    struct berth_call *call = berth_answer_take(answer);

    if (call != NULL && code == BERTH_OK)
        berth_call_reply(call, "", 0);
    else if (call != NULL)
        berth_call_finish(call, code, message);
}

#ifdef __cplusplus
}
#endif

#endif
