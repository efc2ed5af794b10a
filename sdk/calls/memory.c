/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks for calls: those that ended are kept for those that begin, so that a busy router needs no malloc. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

/* What a call takes as a rule, its copies of a request's headers included; larger ones are not kept. */
#define KEPT_BYTES 1024

/* A few busy connections' worth. */
#define KEPT_MAX 256

/* Under AddressSanitizer every call has memory of its own, so that it sees who touches one that has ended. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_NONE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_NONE 1
#endif
#endif
#ifndef KEEPS_NONE
#define KEEPS_NONE 0
#endif

struct call *calls_take_block(struct calls *calls, size_t fixed, size_t more)
{
    size_t size = fixed + more > KEPT_BYTES ? fixed + more : KEPT_BYTES;
    struct call *call = size == KEPT_BYTES ? LIST_FIRST(&calls->kept) : NULL;

    if (call != NULL) {
        LIST_REMOVE(call, link);
        calls->kept_count--;
    } else {
        call = malloc(size);
    }
    if (call == NULL)
        return NULL;
    memset(call, 0, fixed);
    call->block_bytes = size;
    return call;
}

void calls_give_block(struct calls *calls, struct call *call)
{
    if (KEEPS_NONE || call->block_bytes != KEPT_BYTES || calls->kept_count >= KEPT_MAX) {
        free(call);
        return;
    }
    LIST_INSERT_HEAD(&calls->kept, call, link);
    calls->kept_count++;
}

void calls_finish(struct calls *calls)
{
    while (!LIST_EMPTY(&calls->kept)) {
        struct call *call = LIST_FIRST(&calls->kept);

        LIST_REMOVE(call, link);
        free(call);
    }
    calls->kept_count = 0;
}
