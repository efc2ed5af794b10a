/* SPDX-License-Identifier: Apache-2.0 */
/* How both sides use nghttp2: who hears of data, who opens the window, and how many answers may pile up. */
#include "profile.h"

#include <string.h>

#include "outflow.h"

/* PING and SETTINGS acknowledgements that a peer leaves unread. */
#define OUTBOUND_ACKS_MAX 1000

int profile_option_create(nghttp2_option **ret_option)
{
    int result = nghttp2_option_new(ret_option);

    if (result != 0)
        return result;
    nghttp2_option_set_no_auto_window_update(*ret_option, 1);
    nghttp2_option_set_no_closed_streams(*ret_option, 1);
    nghttp2_option_set_max_outbound_ack(*ret_option, OUTBOUND_ACKS_MAX);
    /* Blanks around values are stripped by whoever takes them. */
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(*ret_option, 1);
    return 0;
}

int profile_create(nghttp2_session_callbacks **ret_callbacks, nghttp2_option **ret_option)
{
    nghttp2_session_callbacks *callbacks;
    int result = nghttp2_session_callbacks_new(&callbacks);

    if (result != 0)
        return result;
    result = profile_option_create(ret_option);
    if (result != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return result;
    }
    http2_set_callbacks(callbacks);
    outflow_set_callbacks(callbacks);
    *ret_callbacks = callbacks;
    return 0;
}

static void *allocate(size_t size, void *pool)
{
    return pool_take(pool, size);
}

static void release(void *memory, void *pool)
{
    (void)pool;
    pool_give(memory);
}

static void *allocate_zeroed(size_t count, size_t size, void *pool)
{
    void *memory = size > 0 && count > SIZE_MAX / size ? NULL : pool_take(pool, count * size);

    return memory == NULL ? NULL : memset(memory, 0, count * size);
}

static void *resize(void *memory, size_t size, void *pool)
{
    return pool_resize(pool, memory, size);
}

nghttp2_mem profile_memory(struct pool *pool)
{
    return (nghttp2_mem){pool, allocate, release, allocate_zeroed, resize};
}

void profile_destroy(nghttp2_session_callbacks *callbacks, nghttp2_option *option)
{
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
}
