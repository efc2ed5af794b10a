/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc client against the server in one loop, and against servers that follow a script of bare frames. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/rpc/client.h>
#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#include <ttrpc_message.h>

#include "ttrpc_peer.h"

#define BLOCK (32 * 1024)

struct fixture {
    uv_loop_t loop;
    uv_timer_t timer;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    struct berth_rpc_channel *channel;
    char path[64];
    bool is_drained;

    /* What the handlers saw. */
    unsigned starts;
    unsigned ends;
    enum berth_code last_end;
    char seen[256];
    size_t taken;
    size_t to_send;
    struct berth_call *paused;

    /* What the caller saw. */
    unsigned over;
    unsigned headers;
    unsigned writables;
    unsigned messages;
    size_t received;
    enum berth_code code;
    char message[256];
    char text[256];
    char trailers[256];
    bool pauses;
    bool cancels;
    struct berth_rpc_call *call;

    /* A server that follows a script. */
    int listener;
    uv_thread_t thread;
    void (*script)(int fd);
};

static struct fixture f;

static void on_start(struct berth_call *call)
{
    f.starts++;
    f.seen[0] = '\0';
    for (size_t i = 0; i < call->metadata_count; i++)
        snprintf(f.seen + strlen(f.seen), sizeof(f.seen) - strlen(f.seen), "%s=%s ", call->metadata[i].key,
                 call->metadata[i].value);
    snprintf(f.seen + strlen(f.seen), sizeof(f.seen) - strlen(f.seen), "%s deadline=%d", call->transport,
             call->deadline_ns != 0);
    assert_int_equal(berth_call_add_header(call, "x-lost", "1", 1), BERTH_OK);
}

static void on_handler_end(struct berth_call *call, enum berth_code code)
{
    f.ends++;
    f.last_end = code;
    if (f.paused == call)
        f.paused = NULL;
}

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static void ignore(struct berth_call *call, const void *message, size_t length)
{
    f.taken += length;
}

static void refuse(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish_with_details(call, BERTH_NOT_FOUND, "no such thing", "\x08\x05\x1a\x02\x0a\x00", 6);
}

static void send_blocks(struct berth_call *call)
{
    static const char block[BLOCK];

    while (f.to_send > 0 && berth_call_can_send(call)) {
        assert_int_equal(berth_call_send(call, block, sizeof(block)), BERTH_OK);
        f.to_send--;
    }
    if (f.to_send == 0)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void start_blocks(struct berth_call *call, const void *message, size_t length)
{
    send_blocks(call);
}

static void divide(struct berth_call *call, const void *message, size_t length)
{
    for (size_t i = 0; i < length; i++)
        berth_call_send(call, (const char *)message + i, 1);
    berth_call_finish(call, BERTH_OK, NULL);
}

static void answer_count(struct berth_call *call)
{
    char text[32];

    snprintf(text, sizeof(text), "%zu", f.taken);
    berth_call_reply(call, text, strlen(text));
}

static void take_and_pause(struct berth_call *call, const void *message, size_t length)
{
    f.taken += length;
    f.paused = call;
    berth_call_pause(call);
}

static void send_back(struct berth_call *call, const void *message, size_t length)
{
    berth_call_send(call, message, length);
}

static void finish_well(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

#define HANDLERS .on_start = on_start, .on_end = on_handler_end

static const struct berth_method methods[] = {
    {.name = "Echo", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = echo},
    {.name = "Never", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = ignore},
    {.name = "Refuse", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = refuse},
    {.name = "Divide", .kind = BERTH_METHOD_SERVER_STREAM, HANDLERS, .on_message = divide},
    {.name = "Blocks",
     .kind = BERTH_METHOD_SERVER_STREAM,
     HANDLERS,
     .on_message = start_blocks,
     .on_writable = send_blocks},
    {.name = "Sum",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     HANDLERS,
     .on_message = ignore,
     .on_half_close = answer_count},
    {.name = "Slow",
     .kind = BERTH_METHOD_CLIENT_STREAM,
     HANDLERS,
     .on_message = take_and_pause,
     .on_half_close = answer_count},
    {.name = "Chat",
     .kind = BERTH_METHOD_BIDI_STREAM,
     HANDLERS,
     .on_message = send_back,
     .on_half_close = finish_well},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "t.T",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    f.headers++;
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    f.messages++;
    f.received += length;
    snprintf(f.text + strlen(f.text), sizeof(f.text) - strlen(f.text), "%.*s|",
             (int)(length < 16 ? length : 16), (const char *)message);
    if (f.pauses)
        berth_rpc_call_pause(call);
    if (f.cancels)
        berth_rpc_call_cancel(call);
}

static void on_writable(void *context, struct berth_rpc_call *call)
{
    f.writables++;
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    f.over++;
    f.code = code;
    f.trailers[0] = '\0';
    for (size_t i = 0; i < count; i++)
        snprintf(f.trailers + strlen(f.trailers), sizeof(f.trailers) - strlen(f.trailers), "%s[%zu] ",
                 trailers[i].key, trailers[i].value_length);
    snprintf(f.message, sizeof(f.message), "%s", message);
    f.call = NULL;
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_headers = on_headers,
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

static void start_server(void)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    const struct berth_rpc_unix_options where = {
        .size = sizeof(where), .path = f.path, .protocol = BERTH_RPC_TTRPC};
    const struct berth_rpc_server_options options = {.size = sizeof(options), .max_concurrent_streams = 2000};
    struct berth_error err;

    assert_int_equal(berth_rpc_services_create(&entry, 1, &f.services, &err), BERTH_OK);
    assert_int_equal(
        berth_rpc_server_create(&f.loop, &options, berth_rpc_services_router(f.services), &f.server, &err),
        BERTH_OK);
    assert_int_equal(berth_rpc_server_listen_unix(f.server, &where, &err), BERTH_OK);
}

static int start_client(void **state)
{
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options), .address = f.path, .protocol = BERTH_RPC_TTRPC, .compress = true};
    struct berth_error err;

    f = (struct fixture){.listener = -1};
    snprintf(f.path, sizeof(f.path), "/tmp/ttrpc-calls-%ld", (long)getpid());
    uv_loop_init(&f.loop);
    uv_timer_init(&f.loop, &f.timer);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &options, &f.channel, &err), BERTH_OK);
    return 0;
}

static int start(void **state)
{
    start_client(state);
    start_server();
    return 0;
}

static int stop(void **state)
{
    char lock[80];

    if (f.channel != NULL)
        berth_rpc_channel_close(f.channel, NULL, NULL);
    if (f.server != NULL)
        berth_rpc_server_close(f.server, NULL, NULL);
    uv_close((uv_handle_t *)&f.timer, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    berth_rpc_services_destroy(f.services);
    if (f.listener >= 0) {
        uv_thread_join(&f.thread);
        close(f.listener);
    }
    snprintf(lock, sizeof(lock), "%s.lock", f.path);
    unlink(lock);
    unlink(f.path);
    assert_int_equal(f.starts, f.ends);
    return uv_loop_close(&f.loop);
}

static void on_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void run_for(uint64_t timeout_ms)
{
    bool is_late = false;

    f.timer.data = &is_late;
    uv_timer_start(&f.timer, on_timer, timeout_ms, 0);
    while (!is_late)
        uv_run(&f.loop, UV_RUN_ONCE);
}

static void await_text(const char *text)
{
    for (int i = 0; i < 2000 && strcmp(f.text, text) != 0; i++)
        run_for(5);
    assert_string_equal(f.text, text);
}

static void run_until_over(unsigned calls)
{
    bool is_late = false;

    f.timer.data = &is_late;
    uv_timer_start(&f.timer, on_timer, 20000, 0);
    while (f.over < calls && !is_late)
        uv_run(&f.loop, UV_RUN_ONCE);
    uv_timer_stop(&f.timer);
    assert_int_equal(f.over, calls);
}

static struct berth_rpc_call *call_with(struct berth_rpc_call_options options)
{
    struct berth_error err;

    options.size = sizeof(options);
    if (berth_rpc_call_start(f.channel, &options, &handlers, NULL, &f.call, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return f.call;
}

static struct berth_rpc_call *call(const char *path, enum berth_method_kind kind)
{
    return call_with((struct berth_rpc_call_options){.path = path, .kind = kind});
}

static void tell(struct berth_rpc_call *told, const char *message)
{
    assert_int_equal(berth_rpc_call_send(told, message, strlen(message)), BERTH_OK);
}

static void ask(const char *path, enum berth_method_kind kind, const char *request)
{
    struct berth_rpc_call *asked = call(path, kind);

    tell(asked, request);
    berth_rpc_call_half_close(asked);
}

static void assert_ended(enum berth_code code, const char *message)
{
    assert_string_equal(f.message, message);
    assert_int_equal(f.code, code);
}

static void echo_comes_back(void **state)
{
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "hello");
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    assert_string_equal(f.text, "hello|");
    assert_int_equal(f.headers, 0);
    assert_string_equal(f.trailers, "");
}

static void echo_null_comes_back(void **state)
{
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "");
    run_until_over(1);
    assert_int_equal(f.messages, 1);
    assert_int_equal(f.received, 0);
    assert_int_equal(f.code, BERTH_OK);
}

static void echo_stream_comes_back_message_by_message(void **state)
{
    call("/t.T/Chat", BERTH_METHOD_BIDI_STREAM);
    tell(f.call, "one");
    await_text("one|");
    tell(f.call, "two");
    tell(f.call, "three");
    await_text("one|two|three|");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_ended(BERTH_OK, "");
}

static void echo_null_stream_comes_back(void **state)
{
    call("/t.T/Chat", BERTH_METHOD_BIDI_STREAM);
    for (int i = 0; i < 10; i++)
        tell(f.call, "");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_int_equal(f.messages, 10);
    assert_int_equal(f.received, 0);
}

static void a_stream_without_messages_ends(void **state)
{
    berth_rpc_call_half_close(call("/t.T/Chat", BERTH_METHOD_BIDI_STREAM));
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    berth_rpc_call_half_close(call("/t.T/Sum", BERTH_METHOD_CLIENT_STREAM));
    run_until_over(2);
    assert_string_equal(f.text, "0|");
}

static void divide_sends_a_stream(void **state)
{
    ask("/t.T/Divide", BERTH_METHOD_SERVER_STREAM, "abc");
    run_until_over(1);
    assert_string_equal(f.text, "a|b|c|");
    assert_ended(BERTH_OK, "");
}

static void an_empty_payload_begins_a_stream(void **state)
{
    ask("/t.T/Divide", BERTH_METHOD_SERVER_STREAM, "");
    run_until_over(1);
    assert_int_equal(f.messages, 0);
    assert_ended(BERTH_OK, "");
}

static void sum_takes_a_stream(void **state)
{
    call("/t.T/Sum", BERTH_METHOD_CLIENT_STREAM);
    tell(f.call, "abc");
    run_for(10);
    tell(f.call, "de");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_string_equal(f.text, "5|");
}

static void a_failure_arrives_with_code_sentence_and_details(void **state)
{
    ask("/t.T/Refuse", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_NOT_FOUND, "no such thing");
    assert_int_equal(f.messages, 0);
    assert_string_equal(f.trailers, "grpc-status-details-bin[21] ");
}

static void an_unknown_method_is_unimplemented(void **state)
{
    ask("/t.T/Nope", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_UNIMPLEMENTED, "method Nope");
    ask("/no.Such/Nope", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_ended(BERTH_UNIMPLEMENTED, "service no.Such");
}

static void metadata_and_deadline_reach_the_handler(void **state)
{
    const struct berth_metadata metadata[] = {
        {"containerd-namespace-ttrpc", "ns", 2}, {"k", "1", 1}, {"k", "\xc3\xbc", 2}};

    call_with((struct berth_rpc_call_options){
        .path = "/t.T/Echo", .metadata = metadata, .metadata_count = 3, .timeout_ms = 60000});
    tell(f.call, "x");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_int_equal(f.code, BERTH_OK);
    assert_string_equal(f.seen, "containerd-namespace-ttrpc=ns k=1 k=\xc3\xbc ttrpc deadline=1");
}

static void metadata_that_is_no_text_is_refused(void **state)
{
    const struct berth_metadata metadata[] = {{"k-bin", "\xff", 1}};
    const struct berth_metadata upper[] = {{"K", "v", 1}};
    struct berth_rpc_call_options options = {
        .size = sizeof(options), .path = "/t.T/Echo", .metadata = metadata, .metadata_count = 1};
    struct berth_error err;

    assert_int_equal(berth_rpc_call_start(f.channel, &options, &handlers, NULL, &f.call, &err),
                     BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "k-bin"));
    options.metadata = upper;
    assert_int_equal(berth_rpc_call_start(f.channel, &options, &handlers, NULL, &f.call, &err),
                     BERTH_INVALID_ARGUMENT);
}

static void many_calls_share_a_connection(void **state)
{
    for (int i = 0; i < 1000; i++)
        ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1000);
    assert_int_equal(f.messages, 1000);
    assert_int_equal(f.code, BERTH_OK);
}

static void a_message_fits_a_frame_or_is_refused(void **state)
{
    static char big[TTRPC_DATA_MAX + 1];

    call("/t.T/Echo", BERTH_METHOD_UNARY);
    assert_int_equal(berth_rpc_call_send(f.call, big, TTRPC_DATA_MAX), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(berth_rpc_call_send(f.call, big, TTRPC_DATA_MAX - 64), BERTH_OK);
    assert_int_equal(berth_rpc_call_send(f.call, big, 1), BERTH_FAILED_PRECONDITION);
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    assert_int_equal(f.received, TTRPC_DATA_MAX - 64);
    call("/t.T/Sum", BERTH_METHOD_CLIENT_STREAM);
    assert_int_equal(berth_rpc_call_send(f.call, big, TTRPC_DATA_MAX + 1), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(berth_rpc_call_send(f.call, big, TTRPC_DATA_MAX), BERTH_OK);
    berth_rpc_call_half_close(f.call);
    run_until_over(2);
    assert_non_null(strstr(f.text, "4194304"));
}

static void a_deadline_ends_the_call_here_and_there(void **state)
{
    call_with((struct berth_rpc_call_options){.path = "/t.T/Never", .timeout_ms = 50});
    tell(f.call, "x");
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_int_equal(f.code, BERTH_DEADLINE_EXCEEDED);
    run_for(100);
    assert_int_equal(f.ends, 1);
    assert_int_equal(f.last_end, BERTH_DEADLINE_EXCEEDED);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "late answers are harmless");
    run_until_over(2);
    assert_int_equal(f.code, BERTH_OK);
}

static void a_cancelled_call_hears_nothing_more(void **state)
{
    f.cancels = true;
    f.to_send = 100;
    ask("/t.T/Blocks", BERTH_METHOD_SERVER_STREAM, "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_CANCELLED);
    assert_int_equal(f.messages, 1);
    f.cancels = false;
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_int_equal(f.code, BERTH_OK);
    assert_int_equal(f.messages, 2);
}

static void a_long_stream_waits_for_room(void **state)
{
    f.to_send = 1000;
    ask("/t.T/Blocks", BERTH_METHOD_SERVER_STREAM, "x");
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    assert_int_equal(f.received, (size_t)1000 * BLOCK);
}

static void a_paused_caller_gets_what_waits_when_it_resumes(void **state)
{
    f.pauses = true;
    ask("/t.T/Divide", BERTH_METHOD_SERVER_STREAM, "abcdef");
    await_text("a|");
    run_for(50);
    for (unsigned i = 2; i <= 6; i++) {
        assert_string_equal(f.text + 2 * (size_t)(i - 1), "");
        assert_int_equal(f.over, 0);
        berth_rpc_call_resume(f.call);
        while (f.messages < i)
            run_for(5);
    }
    assert_string_equal(f.text, "a|b|c|d|e|f|");
    run_until_over(1);
    assert_ended(BERTH_OK, "");
}

static void a_caller_that_takes_nothing_loses_its_call_and_no_other(void **state)
{
    f.pauses = true;
    f.to_send = 1000;
    ask("/t.T/Blocks", BERTH_METHOD_SERVER_STREAM, "x");
    run_until_over(1);
    assert_ended(BERTH_RESOURCE_EXHAUSTED, "stream buffer full: the caller does not take its messages");
    f.pauses = false;
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_ended(BERTH_OK, "");
}

static void a_slow_handler_slows_its_caller(void **state)
{
    char block[1024] = {0};

    call("/t.T/Slow", BERTH_METHOD_CLIENT_STREAM);
    for (int i = 0; i < 200; i++)
        assert_int_equal(berth_rpc_call_send(f.call, block, sizeof(block)), BERTH_OK);
    berth_rpc_call_half_close(f.call);
    for (int i = 0; i < 400 && f.over == 0; i++) {
        run_for(1);
        if (f.paused != NULL)
            berth_call_resume(f.paused);
    }
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    assert_string_equal(f.text, "204800|");
}

static void the_calls_of_a_server_that_goes_are_unavailable(void **state)
{
    ask("/t.T/Never", BERTH_METHOD_UNARY, "x");
    while (f.starts == 0)
        run_for(5);
    berth_rpc_server_close(f.server, NULL, NULL);
    f.server = NULL;
    run_until_over(1);
    assert_ended(BERTH_UNAVAILABLE, "the server is shutting down");
}

static void on_drained(void *context)
{
    f.is_drained = true;
}

static void a_drain_waits_for_the_calls_that_run(void **state)
{
    call("/t.T/Sum", BERTH_METHOD_CLIENT_STREAM);
    tell(f.call, "abc");
    while (f.starts == 0)
        run_for(5);
    berth_rpc_server_drain(f.server, on_drained, NULL);
    run_for(20);
    assert_false(f.is_drained);
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    for (int i = 0; i < 2000 && !f.is_drained; i++)
        run_for(5);
    assert_true(f.is_drained);
}

static void connections_do_not_pile_up(void **state)
{
    struct berth_rpc_server_stats stats = {.size = sizeof(stats)};

    for (unsigned i = 0; i < 20; i++) {
        const struct berth_rpc_channel_options options = {
            .size = sizeof(options), .address = f.path, .protocol = BERTH_RPC_TTRPC};
        struct berth_error err;

        ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
        run_until_over(i + 1);
        berth_rpc_channel_close(f.channel, NULL, NULL);
        assert_int_equal(berth_rpc_channel_create(&f.loop, &options, &f.channel, &err), BERTH_OK);
    }
    for (int i = 0; i < 2000 && (i == 0 || stats.connections > 0); i++) {
        run_for(5);
        berth_rpc_server_get_stats(f.server, &stats);
    }
    assert_int_equal(stats.connections_accepted, 20);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.calls, 0);
    assert_int_equal(stats.calls_ended[BERTH_OK], 20);
}

static void one_server_listens_for_both_protocols(void **state)
{
    char path[80];
    const struct berth_rpc_unix_options where = {.size = sizeof(where), .path = path};
    const struct berth_rpc_channel_options options = {.size = sizeof(options), .address = path};
    struct berth_rpc_channel *ttrpc = f.channel;
    struct berth_error err;

    snprintf(path, sizeof(path), "%s.grpc", f.path);
    assert_int_equal(berth_rpc_server_listen_unix(f.server, &where, &err), BERTH_OK);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &options, &f.channel, &err), BERTH_OK);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "grpc");
    run_until_over(1);
    assert_non_null(strstr(f.seen, " grpc deadline=0"));
    berth_rpc_channel_close(f.channel, NULL, NULL);
    f.channel = ttrpc;
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "ttrpc");
    run_until_over(2);
    assert_string_equal(f.seen, "ttrpc deadline=0");
    assert_string_equal(f.text, "grpc|ttrpc|");
    strncat(path, ".lock", sizeof(path) - strlen(path) - 1);
    unlink(path);
}

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(f.message, f.path));
}

static void run_script(void *context)
{
    int fd = accept(f.listener, NULL, NULL);

    if (fd >= 0)
        f.script(fd);
    close(fd);
}

/* A server that does as it is told once the Request has come. */
static void serve(void (*script)(int fd))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    f.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    f.script = script;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", f.path);
    assert_int_equal(bind(f.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(f.listener, 4), 0);
    uv_thread_create(&f.thread, run_script, NULL);
}

static void await_request(int fd, uint32_t *ret_id, uint8_t *ret_flags)
{
    struct ttrpc_answer *request = malloc(sizeof(*request));

    *ret_id = 0;
    if (request != NULL && ttrpc_peer_read(fd, request, 5000)) {
        *ret_id = request->id;
        *ret_flags = request->flags;
    }
    free(request);
}

/* Reads until the client has gone. */
static void wait_for_the_end(int fd)
{
    char byte;

    while (recv(fd, &byte, 1, 0) > 0)
        ;
}

static void answer_with_everything_odd(int fd)
{
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, 2, TTRPC_RESPONSE, 0, "", 0);
    ttrpc_peer_frame(fd, 77, TTRPC_RESPONSE, 0, "\xff", 1);
    ttrpc_peer_frame(fd, 77, TTRPC_DATA, 0, "junk", 4);
    ttrpc_peer_frame(fd, id, TTRPC_REQUEST, 0, "junk", 4);
    ttrpc_peer_frame(fd, id, 200, 0xff, "junk", 4);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x12\x02ok", 4);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x12\x04late", 6);
    wait_for_the_end(fd);
}

static void frames_that_nobody_waits_for_are_ignored(void **state)
{
    serve(answer_with_everything_odd);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_OK, "");
    run_for(20);
    assert_string_equal(f.text, "ok|");
}

static void answer_with_junk(int fd)
{
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x0a\x7f", 2);
    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_DATA, 0, "data", 4);
    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x0a\x03\x08\xe7\x07", 5);
    wait_for_the_end(fd);
}

static void an_answer_that_cannot_be_is_internal(void **state)
{
    serve(answer_with_junk);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_INTERNAL, "the server sent a Response that cannot be read: unexpected EOF");
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_ended(BERTH_INTERNAL, "the server sent stream data to a call that has one answer");
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(3);
    assert_ended(BERTH_UNKNOWN, "");
}

static void answer_too_much(int fd)
{
    static char block[TTRPC_DATA_MAX + 5];
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, block, sizeof(block));
    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "", 0);
    wait_for_the_end(fd);
}

static void an_oversize_answer_ends_its_call_only(void **state)
{
    serve(answer_too_much);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_ended(BERTH_RESOURCE_EXHAUSTED, "the server sent a message that is larger than any of ttrpc");
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(2);
    assert_ended(BERTH_OK, "");
    assert_int_equal(f.messages, 1);
}

static void go_away(int fd)
{
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
}

static void a_server_that_goes_ends_its_calls(void **state)
{
    serve(go_away);
    ask("/t.T/Echo", BERTH_METHOD_UNARY, "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(f.message, f.path));
}

static void answer_pong(int fd)
{
    uint32_t id;
    uint8_t flags;

    await_request(fd, &id, &flags);
    ttrpc_peer_frame(fd, id, TTRPC_RESPONSE, 0, "\x12\x04pong", 6);
    wait_for_the_end(fd);
}

static void a_blocking_call_needs_no_loop(void **state)
{
    const struct berth_rpc_unary_options options = {.size = sizeof(options),
                                                    .address = f.path,
                                                    .path = "/t.T/Echo",
                                                    .timeout_ms = 10000,
                                                    .request = "ping",
                                                    .request_length = 4,
                                                    .protocol = BERTH_RPC_TTRPC};
    struct berth_error err;
    void *response = NULL;
    size_t length = 0;

    serve(answer_pong);
    if (berth_rpc_unary_blocking(&options, &response, &length, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(length, 4);
    assert_string_equal(response, "pong");
    free(response);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define ALONE(name) cmocka_unit_test_setup_teardown(name, start_client, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(echo_comes_back),
        CASE(echo_null_comes_back),
        CASE(echo_stream_comes_back_message_by_message),
        CASE(echo_null_stream_comes_back),
        CASE(a_stream_without_messages_ends),
        CASE(divide_sends_a_stream),
        CASE(an_empty_payload_begins_a_stream),
        CASE(sum_takes_a_stream),
        CASE(a_failure_arrives_with_code_sentence_and_details),
        CASE(an_unknown_method_is_unimplemented),
        CASE(metadata_and_deadline_reach_the_handler),
        CASE(metadata_that_is_no_text_is_refused),
        CASE(many_calls_share_a_connection),
        CASE(a_message_fits_a_frame_or_is_refused),
        CASE(a_deadline_ends_the_call_here_and_there),
        CASE(a_cancelled_call_hears_nothing_more),
        CASE(a_long_stream_waits_for_room),
        CASE(a_paused_caller_gets_what_waits_when_it_resumes),
        CASE(a_caller_that_takes_nothing_loses_its_call_and_no_other),
        CASE(a_slow_handler_slows_its_caller),
        CASE(the_calls_of_a_server_that_goes_are_unavailable),
        CASE(a_drain_waits_for_the_calls_that_run),
        CASE(connections_do_not_pile_up),
        CASE(one_server_listens_for_both_protocols),
        ALONE(a_server_that_is_not_there_is_unavailable),
        ALONE(frames_that_nobody_waits_for_are_ignored),
        ALONE(an_answer_that_cannot_be_is_internal),
        ALONE(an_oversize_answer_ends_its_call_only),
        ALONE(a_server_that_goes_ends_its_calls),
        ALONE(a_blocking_call_needs_no_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
