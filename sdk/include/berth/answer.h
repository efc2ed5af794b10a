/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For unary handlers that answer once something else has ended, by when the caller may have gone. The
 * method's on_end is berth_answer_on_end; its on_message puts the answer off:
 *
 *     struct berth_answer *answer = berth_answer_later(call);
 *
 *     if (answer != NULL)
 *         store_something(…, on_stored, answer);
 *
 * and on_stored gives it:
 *
 *     struct berth_call *call = berth_answer_take(answer);
 *
 *     if (call != NULL)
 *         berth_call_finish(call, …);
 *
 * All on the loop's thread.
 */
#ifndef BERTH_ANSWER_H
#define BERTH_ANSWER_H

#include <stdlib.h>

#include <berth/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The call that is to be answered; NULL once it is over. */
struct berth_answer {
    struct berth_call *call;
};

/**
 * Puts the answer off; `call->state` is taken for it.
 * @return to be given to berth_answer_take or berth_answer_finish exactly once; NULL without memory, and then
 * the call is finished.
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

/** The time has come. Frees the answer. @return the call, to be finished; NULL where it is over. */
static inline struct berth_call *berth_answer_take(struct berth_answer *answer)
{
    struct berth_call *call = answer->call;

    if (call != NULL)
        call->state = NULL;
    free(answer);
    return call;
}

/**
 * The same where there is nothing to tell but how it ended: frees the answer, and finishes the call unless it
 * is over.
 * @param code     BERTH_OK is answered with a message without fields, as google.protobuf.Empty is.
 * @param message  the sentence for any other code.
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
