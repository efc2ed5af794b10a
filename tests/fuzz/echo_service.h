/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service "s" behind a worker's calls: "U" answers with its request, "B" with each message. The first
 * byte of a message of "B" may pause the call (p), end it (e) or have it go on (r).
 */
#ifndef TESTS_FUZZ_ECHO_SERVICE_H
#define TESTS_FUZZ_ECHO_SERVICE_H

#include <berth/router.h>

static void echo_on_message(struct berth_call *call, const void *message, size_t length)
{
    if (length > 0 && *(const char *)message == 'p')
        berth_call_pause(call);
    berth_call_add_header(call, "k", "v", 1);
    berth_call_send(call, message, length);
    if (length > 0 && *(const char *)message == 'e')
        berth_call_finish(call, BERTH_ABORTED, "asked to");
    if (length > 0 && *(const char *)message == 'r')
        berth_call_resume(call);
}

static void echo_on_whole(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static void echo_on_half_close(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static const struct berth_method echo_methods[] = {
    {.name = "U", .kind = BERTH_METHOD_UNARY, .on_message = echo_on_whole},
    {.name = "B",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_message = echo_on_message,
     .on_half_close = echo_on_half_close},
};

static const struct berth_service echo_service = {
    .size = sizeof(echo_service),
    .method_size = sizeof(echo_methods[0]),
    .name = "s",
    .methods = echo_methods,
    .method_count = 2,
};

#endif
