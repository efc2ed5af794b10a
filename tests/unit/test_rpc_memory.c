/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No allocation of a server or a channel may fail without an end: each test makes calls again and again, and
 * each time the next allocation of all fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <berth/rpc/client.h>
#include <berth/rpc/http.h>
#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#include "failing_malloc.h"

#define CALLS 2
#define PATIENCE_MS 20000

static struct {
    uv_loop_t loop;
    uv_timer_t timer;
    struct berth_rpc_server *server;
    struct berth_rpc_channel *channel;
    enum berth_rpc_protocol protocol;
    char path[64];
    unsigned started;
    unsigned over;
    enum berth_code codes[CALLS];
    unsigned handlers_started;
    unsigned handlers_ended;
    bool is_late;
    /* More than all allocations went well. */
    bool is_past;
} f;

static void count_start(struct berth_call *call)
{
    f.handlers_started++;
}

static void count_end(struct berth_call *call, enum berth_code code)
{
    f.handlers_ended++;
}

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_add_header(call, "x-header", "1", 1);
    berth_call_add_trailer(call, "x-trailer", "1", 1);
    berth_call_reply(call, message, length);
}

static void send_back(struct berth_call *call, const void *message, size_t length)
{
    enum berth_code code = berth_call_send(call, message, length);

    if (code != BERTH_OK)
        berth_call_finish(call, code, NULL);
}

static void fail_with_details(struct berth_call *call)
{
    berth_call_finish_with_details(call, BERTH_NOT_FOUND, "no such thing", "\x08\x05", 2);
}

static void fail_with_metadata(struct berth_call *call)
{
    berth_call_add_trailer(call, "x-trailer", "1", 1);
    fail_with_details(call);
}

static const struct berth_method methods[] = {
    {.name = "Echo",
     .kind = BERTH_METHOD_UNARY,
     .on_start = count_start,
     .on_message = echo,
     .on_end = count_end},
    {.name = "Chat",
     .kind = BERTH_METHOD_BIDI_STREAM,
     .on_start = count_start,
     .on_message = send_back,
     .on_half_close = fail_with_details,
     .on_end = count_end},
    {.name = "Sum",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     .on_start = count_start,
     .on_message = send_back,
     .on_half_close = fail_with_metadata,
     .on_end = count_end},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "t.T",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

/* One message more in the stream, then its end. */
static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    if (context == &f.codes[1] && length == 1 && berth_rpc_call_send(call, "22", 2) != BERTH_OK)
        berth_rpc_call_cancel(call);
    else if (context == &f.codes[1] && length == 2)
        berth_rpc_call_half_close(call);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    *(enum berth_code *)context = code;
    if (++f.over == f.started)
        uv_stop(&f.loop);
}

static void on_late(uv_timer_t *timer)
{
    f.is_late = true;
    uv_stop(&f.loop);
}

/* What JSON would be: the same bytes in memory of their own. */
static enum berth_code find_types(void *context, const struct berth_method_info *method,
                                  const struct berth_route_info *route, void **ret_types,
                                  struct berth_error *err)
{
    *ret_types = malloc(1);
    return *ret_types != NULL ? BERTH_OK : berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory");
}

static void release_types(void *context, void *types)
{
    free(types);
}

static enum berth_code to_message(void *types, const char *text, size_t length, size_t max,
                                  void **ret_message, size_t *ret_length, struct berth_error *err)
{
    *ret_message = malloc(length + 1);
    if (*ret_message == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory");
    memcpy(*ret_message, text, length);
    *ret_length = length;
    return BERTH_OK;
}

static enum berth_code from_message(void *types, const void *message, size_t length, size_t max,
                                    char **ret_text, size_t *ret_length, struct berth_error *err)
{
    void *text;
    enum berth_code code = to_message(types, message, length, max, &text, ret_length, err);

    if (code == BERTH_OK)
        *ret_text = text;
    return code;
}

static const struct berth_rpc_connect_json json = {
    .size = sizeof(json),
    .find = find_types,
    .release = release_types,
    .to_message = to_message,
    .from_message = from_message,
};

static bool serve_connect(void)
{
    static const char *const origins[] = {"https://a.example"};
    const struct berth_rpc_connect_options connect = {
        .size = sizeof(connect), .json = &json, .origins = origins, .origin_count = 1};
    const struct berth_rpc_http_options http = {.size = sizeof(http), .connect = &connect};
    struct berth_error err;

    return berth_rpc_server_set_http(f.server, &http, &err) == BERTH_OK;
}

static bool start_server(struct berth_rpc_services *services)
{
    const struct berth_rpc_server_options options = {.size = sizeof(options),
                                                     .compression = BERTH_RPC_COMPRESS_ALWAYS};
    const struct berth_rpc_unix_options where = {
        .size = sizeof(where), .path = f.path, .protocol = f.protocol};
    struct berth_error err;

    return berth_rpc_server_create(&f.loop, &options, berth_rpc_services_router(services), &f.server, &err) ==
               BERTH_OK &&
           (f.protocol != BERTH_RPC_HTTP || serve_connect()) &&
           berth_rpc_server_listen_unix(f.server, &where, &err) == BERTH_OK;
}

static bool open_channel(void)
{
    const struct berth_rpc_channel_options options = {.size = sizeof(options),
                                                      .address = f.path,
                                                      .protocol = f.protocol,
                                                      .compress = true,
                                                      .connect_timeout_ms = 200,
                                                      .keepalive_time_ms = PATIENCE_MS};
    struct berth_error err;

    return berth_rpc_channel_create(&f.loop, &options, &f.channel, &err) == BERTH_OK;
}

static void ask(const char *path, enum berth_method_kind kind, const char *text, size_t length,
                enum berth_code *ret_code)
{
    static const struct berth_rpc_call_handlers handlers = {
        .size = sizeof(handlers), .on_message = on_message, .on_end = on_end};
    static const struct berth_metadata metadata = {"x-key", "value", 5};
    const struct berth_rpc_call_options options = {.size = sizeof(options),
                                                   .path = path,
                                                   .kind = kind,
                                                   .timeout_ms = 2 * PATIENCE_MS,
                                                   .metadata = &metadata,
                                                   .metadata_count = 1};
    struct berth_rpc_call *call;
    struct berth_error err;

    if (berth_rpc_call_start(f.channel, &options, &handlers, ret_code, &call, &err) != BERTH_OK)
        return;
    f.started++;
    if (berth_rpc_call_send(call, text, length) != BERTH_OK)
        berth_rpc_call_cancel(call);
    else if (kind == BERTH_METHOD_UNARY)
        berth_rpc_call_half_close(call);
}

static void make_calls(void)
{
    static char large[3000];

    ask("/t.T/Echo", BERTH_METHOD_UNARY, large, sizeof(large), &f.codes[0]);
    ask("/t.T/Chat", BERTH_METHOD_BIDI_STREAM, "1", 1, &f.codes[1]);
    uv_timer_start(&f.timer, on_late, PATIENCE_MS, 0);
    if (f.started > 0)
        uv_run(&f.loop, UV_RUN_DEFAULT);
}

#define HEAD(path, type)                                                                                     \
    "POST /t.T/" path                                                                                        \
    " HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nX-Key: value\r\nContent-Type: " type               \
    "\r\nAccept-Encoding: gzip\r\nConnect-Accept-Encoding: gzip\r\n"
#define SOME_TEXT "0123456789012345678901234567890123456789"

/* Requests of both kinds on one connection, which ends with the last answer or with a failure. */
static void make_connect_calls(void)
{
    static const char requests[] = HEAD("Echo", "application/json") "Content-Length: 40\r\n\r\n" SOME_TEXT
        HEAD("Echo", "application/proto") "Content-Length: 40\r\n\r\n" SOME_TEXT HEAD(
            "Sum", "application/connect+json") "Connection: close\r\nContent-Length: 45\r\n\r\n"
                                               "\0\0\0\0\x28" SOME_TEXT;
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    static char answers[16 * 1024];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    size_t length = 0;
    ssize_t more = -1;

    snprintf(place.sun_path, sizeof(place.sun_path), "%s", f.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof(place)), 0);
    assert_int_equal(send(fd, requests, sizeof(requests) - 1, MSG_NOSIGNAL), sizeof(requests) - 1);
    uv_timer_start(&f.timer, on_late, PATIENCE_MS, 0);
    while (more != 0 && !f.is_late) {
        uv_run(&f.loop, UV_RUN_NOWAIT);
        more = recv(fd, answers + length, sizeof(answers) - length, MSG_DONTWAIT);
        length += more > 0 ? (size_t)more : 0;
        more = more < 0 && errno == ECONNRESET ? 0 : more;
    }
    close(fd);
    /* Without a failure, every call was answered, and the last with an error behind its message. */
    f.codes[0] = memmem(answers, length, "\"code\":\"not_found\"", 18) != NULL ? BERTH_OK : BERTH_UNAVAILABLE;
}

/* @return how many pieces of memory it left behind. */
static long run_with_failure(enum berth_rpc_protocol protocol, long number)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    struct berth_rpc_services *services;
    struct berth_error err;
    long before = held;
    char lock[80];

    memset(&f, 0, sizeof(f));
    f.protocol = protocol;
    snprintf(f.path, sizeof(f.path), "/tmp/rpc-memory-%ld", (long)getpid());
    snprintf(lock, sizeof(lock), "%s.lock", f.path);
    uv_loop_init(&f.loop);
    uv_timer_init(&f.loop, &f.timer);
    assert_int_equal(berth_rpc_services_create(&entry, 1, &services, &err), BERTH_OK);
    countdown = number;
    if (start_server(services)) {
        if (f.protocol == BERTH_RPC_HTTP)
            make_connect_calls();
        else if (open_channel())
            make_calls();
    }
    f.is_past = countdown > 0;
    countdown = 0;
    if (f.channel != NULL)
        berth_rpc_channel_close(f.channel, NULL, NULL);
    if (f.server != NULL)
        berth_rpc_server_close(f.server, NULL, NULL);
    uv_close((uv_handle_t *)&f.timer, NULL);
    while (uv_run(&f.loop, UV_RUN_DEFAULT) != 0)
        continue;
    berth_rpc_services_destroy(services);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    unlink(lock);
    return held - before;
}

static void fail_each(enum berth_rpc_protocol protocol)
{
    bool is_done = false;

    if (HAS_OWN_MALLOC)
        skip();
    run_with_failure(protocol, 0);
    for (long number = 1; !is_done; number++) {
        long left = run_with_failure(protocol, number);

        is_done = f.is_past;
        if (left != 0 || f.is_late || f.over != f.started || f.handlers_started != f.handlers_ended)
            fail_msg("allocation %ld: %ld pieces left, %u of %u calls over, %u of %u handlers ended", number,
                     left, f.over, f.started, f.handlers_ended, f.handlers_started);
    }
    assert_int_equal(f.codes[0], BERTH_OK);
    assert_int_equal(f.codes[1], BERTH_NOT_FOUND);
}

static void any_failed_allocation_of_grpc_ends_the_calls_and_leaves_nothing(void **state)
{
    fail_each(BERTH_RPC_GRPC);
}

static void any_failed_allocation_of_ttrpc_ends_the_calls_and_leaves_nothing(void **state)
{
    fail_each(BERTH_RPC_TTRPC);
}

static void any_failed_allocation_of_connect_ends_the_calls_and_leaves_nothing(void **state)
{
    bool is_done = false;

    if (HAS_OWN_MALLOC)
        skip();
    run_with_failure(BERTH_RPC_HTTP, 0);
    assert_int_equal(f.codes[0], BERTH_OK);
    assert_int_equal(f.handlers_started, 3);
    for (long number = 1; !is_done; number++) {
        long left = run_with_failure(BERTH_RPC_HTTP, number);

        is_done = f.is_past;
        if (left != 0 || f.is_late || f.handlers_started != f.handlers_ended)
            fail_msg("allocation %ld: %ld pieces left, %u of %u handlers ended", number, left,
                     f.handlers_ended, f.handlers_started);
    }
    assert_int_equal(f.codes[0], BERTH_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_failed_allocation_of_grpc_ends_the_calls_and_leaves_nothing),
        cmocka_unit_test(any_failed_allocation_of_ttrpc_ends_the_calls_and_leaves_nothing),
        cmocka_unit_test(any_failed_allocation_of_connect_ends_the_calls_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, spare_libuv, NULL);
}
