/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of calls that end otherwise than well. */
#include <string.h>

#include "cases.h"

static struct exchange *start_status(struct peer *peer, const Grpc__Testing__EchoStatus *status)
{
    Grpc__Testing__SimpleRequest request = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    struct exchange *exchange =
        exchange_start(peer, &(struct exchange_options){
                                 .path = TEST_SERVICE "UnaryCall",
                                 .reply_type = &grpc__testing__simple_response__descriptor,
                             });

    request.response_status = (Grpc__Testing__EchoStatus *)status;
    return exchange_send(exchange, &request.base) && exchange_half_close(exchange) ? exchange : NULL;
}

static bool await_status(struct exchange *exchange, const char *message)
{
    return exchange_await_end(exchange, BERTH_UNKNOWN, 0) &&
           check(exchange->peer, strcmp(exchange->message, message) == 0, "another message: %s",
                 exchange->message);
}

static bool echo_status(struct peer *peer, const char *message)
{
    Grpc__Testing__EchoStatus status = GRPC__TESTING__ECHO_STATUS__INIT;
    struct exchange *duplex =
        output_start(peer, TEST_SERVICE "FullDuplexCall", BERTH_METHOD_BIDI_STREAM, false, 0);

    status.code = BERTH_UNKNOWN;
    status.message = (char *)message;
    return await_status(start_status(peer, &status), message) && output_send(duplex, NULL, 0, 0, &status) &&
           exchange_half_close(duplex) && await_status(duplex, message);
}

static bool status_code_and_message(struct peer *peer)
{
    return echo_status(peer, "test status message");
}

static bool special_status_message(struct peer *peer)
{
    return echo_status(peer, "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n");
}

static bool call_unimplemented(struct peer *peer, const char *path)
{
    const Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;
    struct exchange *exchange = exchange_start(
        peer, &(struct exchange_options){.path = path, .reply_type = &grpc__testing__empty__descriptor});

    return exchange_send(exchange, &request.base) && exchange_half_close(exchange) &&
           exchange_await_end(exchange, BERTH_UNIMPLEMENTED, 0);
}

static bool unimplemented_method(struct peer *peer)
{
    return call_unimplemented(peer, TEST_SERVICE "UnimplementedCall");
}

static bool unimplemented_service(struct peer *peer)
{
    return call_unimplemented(peer, "/grpc.testing.UnimplementedService/UnimplementedCall");
}

static bool cancel_after_begin(struct peer *peer)
{
    struct exchange *exchange =
        exchange_start(peer, &(struct exchange_options){
                                 .path = TEST_SERVICE "StreamingInputCall",
                                 .kind = BERTH_METHOD_CLIENT_STREAM,
                                 .reply_type = &grpc__testing__streaming_input_call_response__descriptor,
                             });

    return exchange_cancel(exchange) && exchange_await_end(exchange, BERTH_CANCELLED, 0);
}

static bool cancel_after_first_response(struct peer *peer)
{
    const struct wanted wanted = {.size = 31415};
    struct exchange *exchange =
        output_start(peer, TEST_SERVICE "FullDuplexCall", BERTH_METHOD_BIDI_STREAM, false, 0);

    return output_send(exchange, &wanted, 1, 27182, NULL) && exchange_await_replies(exchange, 1) &&
           output_check(exchange, 0, 31415) && exchange_cancel(exchange) &&
           exchange_await_end(exchange, BERTH_CANCELLED, 1);
}

static bool timeout_on_sleeping_server(struct peer *peer)
{
    struct exchange *exchange =
        output_start(peer, TEST_SERVICE "FullDuplexCall", BERTH_METHOD_BIDI_STREAM, false, 1);

    return output_send(exchange, NULL, 0, 27182, NULL) &&
           exchange_await_end(exchange, BERTH_DEADLINE_EXCEEDED, 0);
}

const struct interop_case cases_endings[] = {
    {"status_code_and_message", status_code_and_message},
    {"special_status_message", special_status_message},
    {"unimplemented_method", unimplemented_method},
    {"unimplemented_service", unimplemented_service},
    {"cancel_after_begin", cancel_after_begin},
    {"cancel_after_first_response", cancel_after_first_response},
    {"timeout_on_sleeping_server", timeout_on_sleeping_server},
    {NULL, NULL},
};
