/* SPDX-License-Identifier: Apache-2.0 */
/* Client and server in one loop: calls of all kinds, their ends, and both sides waiting for each other. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/rpc/client.h>
#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#define BLOCK (32 * 1024)

struct fixture {
    uv_loop_t loop;
    uv_timer_t timer;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    struct berth_rpc_channel *channel;
    char path[64];
    bool has_server;
    bool is_drained;
    bool is_closed;

    /* What the handlers saw. */
    unsigned starts;
    unsigned ends;
    enum berth_code last_end;
    size_t taken;
    size_t to_send;
    struct berth_call *paused;

    /* What the caller saw. */
    unsigned over;
    unsigned headers;
    unsigned writables;
    enum berth_code code;
    char message[256];
    char text[256];
    size_t received;
    size_t messages;
    size_t trailers;
    bool pauses;
    bool cancels;
    struct berth_rpc_call *call;
};

static struct fixture f;

static void on_start(struct berth_call *call)
{
    f.starts++;
    berth_call_add_header(call, "x-seen", "header", 6);
    berth_call_add_trailer(call, "x-raw-bin", "\0\xff", 2);
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

static void refuse(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish(call, BERTH_NOT_FOUND, "no \"\xc3\xa4pfel\" here: 100 %\n");
}

static void finish_in_start(struct berth_call *call)
{
    berth_call_finish(call, BERTH_UNAUTHENTICATED, "who are you?");
}

static void finish_without_answer(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static void close_the_server(struct berth_call *call, const void *message, size_t length)
{
    berth_rpc_server_close(f.server, NULL, NULL);
    f.has_server = false;
}

static void answer_twice(struct berth_call *call, const void *message, size_t length)
{
    assert_int_equal(berth_call_send(call, "1", 1), BERTH_OK);
    assert_int_equal(berth_call_send(call, "2", 1), BERTH_FAILED_PRECONDITION);
    berth_call_finish(call, BERTH_OK, NULL);
}

#define HANDLERS .on_start = on_start, .on_end = on_handler_end

static const struct berth_method methods[] = {
    {.name = "Echo", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = echo},
    {.name = "Never", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = ignore},
    {.name = "Refuse", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = refuse},
    {.name = "InStart",
     .kind = BERTH_METHOD_UNARY,
     .on_start = finish_in_start,
     .on_message = echo,
     .on_end = on_handler_end},
    {.name = "Nothing", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = finish_without_answer},
    {.name = "Twice", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = answer_twice},
    {.name = "Close", .kind = BERTH_METHOD_UNARY, HANDLERS, .on_message = close_the_server},
    {.name = "Blocks",
     .kind = BERTH_METHOD_SERVER_STREAM,
     HANDLERS,
     .on_message = start_blocks,
     .on_writable = send_blocks},
    {.name = "Count",
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
    snprintf(f.text, sizeof(f.text), "%.*s", (int)(length < 255 ? length : 255), (const char *)message);
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
    f.trailers = count;
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

static void start_server(const struct berth_rpc_server_options *options)
{
    const struct berth_rpc_unix_options where = {.size = sizeof(where), .path = f.path};
    struct berth_error err;

    assert_int_equal(
        berth_rpc_server_create(&f.loop, options, berth_rpc_services_router(f.services), &f.server, &err),
        BERTH_OK);
    assert_int_equal(berth_rpc_server_listen_unix(f.server, &where, &err), BERTH_OK);
    f.has_server = true;
}

static int start(void **state)
{
    const struct berth_rpc_service_entry entry = {.service = &service};
    struct berth_rpc_channel_options options = {.size = sizeof(options), .address = f.path};
    struct berth_error err;

    f = (struct fixture){0};
    snprintf(f.path, sizeof(f.path), "/tmp/rpc-calls-%ld", (long)getpid());
    uv_loop_init(&f.loop);
    uv_timer_init(&f.loop, &f.timer);
    assert_int_equal(berth_rpc_services_create(&entry, 1, &f.services, &err), BERTH_OK);
    start_server(NULL);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &options, &f.channel, &err), BERTH_OK);
    return 0;
}

static int stop(void **state)
{
    char lock[80];

    if (f.channel != NULL)
        berth_rpc_channel_close(f.channel, NULL, NULL);
    if (f.has_server)
        berth_rpc_server_close(f.server, NULL, NULL);
    uv_close((uv_handle_t *)&f.timer, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    berth_rpc_services_destroy(f.services);
    snprintf(lock, sizeof(lock), "%s.lock", f.path);
    unlink(lock);
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

static struct berth_rpc_call *call_with(const struct berth_rpc_call_options *options)
{
    struct berth_error err;

    if (berth_rpc_call_start(f.channel, options, &handlers, NULL, &f.call, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return f.call;
}

static struct berth_rpc_call *call(const char *path)
{
    return call_with(
        &(struct berth_rpc_call_options){.size = sizeof(struct berth_rpc_call_options), .path = path});
}

static void ask(struct berth_rpc_call *asked, const char *request)
{
    assert_int_equal(berth_rpc_call_send(asked, request, strlen(request)), BERTH_OK);
    berth_rpc_call_half_close(asked);
}

static void a_unary_call_has_headers_an_answer_and_trailers(void **state)
{
    ask(call("/t.T/Echo"), "hello");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_OK);
    assert_int_equal(f.headers, 1);
    assert_int_equal(f.messages, 1);
    assert_string_equal(f.text, "hello");
    assert_int_equal(f.trailers, 1);
    assert_string_equal(f.message, "");
    assert_int_equal(f.ends, 1);
    assert_int_equal(f.last_end, BERTH_OK);
}

static void an_empty_message_and_a_big_one_arrive(void **state)
{
    size_t length = 15 * 1024 * 1024;
    char *big = calloc(1, length);

    ask(call("/t.T/Echo"), "");
    run_until_over(1);
    assert_int_equal(f.messages, 1);
    assert_int_equal(berth_rpc_call_send(call("/t.T/Echo"), big, length), BERTH_OK);
    berth_rpc_call_half_close(f.call);
    run_until_over(2);
    assert_int_equal(f.code, BERTH_OK);
    assert_int_equal(f.received, length);
    free(big);
}

static void a_message_over_the_limit_is_refused_and_the_call_goes_on(void **state)
{
    size_t length = 16 * 1024 * 1024 + 1;
    char *big = calloc(1, length);

    call("/t.T/Echo");
    assert_int_equal(berth_rpc_call_send(f.call, big, length), BERTH_RESOURCE_EXHAUSTED);
    ask(f.call, "small");
    run_until_over(1);
    assert_string_equal(f.text, "small");
    free(big);
}

static void many_calls_share_a_connection(void **state)
{
    for (int i = 0; i < 1000; i++)
        ask(call("/t.T/Echo"), "x");
    run_until_over(1000);
    assert_int_equal(f.messages, 1000);
    assert_int_equal(f.code, BERTH_OK);
}

static void a_failure_arrives_with_its_code_and_sentence(void **state)
{
    ask(call("/t.T/Refuse"), "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_NOT_FOUND);
    assert_string_equal(f.message, "no \"\xc3\xa4pfel\" here: 100 %\n");
    assert_int_equal(f.messages, 0);
}

static void a_handler_may_end_the_call_in_its_start(void **state)
{
    ask(call("/t.T/InStart"), "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_UNAUTHENTICATED);
    assert_string_equal(f.message, "who are you?");
    f.starts = f.ends;
}

static void a_unary_handler_answers_exactly_once(void **state)
{
    ask(call("/t.T/Nothing"), "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_INTERNAL);
    ask(call("/t.T/Twice"), "x");
    run_until_over(2);
    assert_int_equal(f.code, BERTH_OK);
    assert_string_equal(f.text, "1");
}

static void a_unary_call_without_a_request_is_internal(void **state)
{
    berth_rpc_call_half_close(call("/t.T/Echo"));
    run_until_over(1);
    assert_int_equal(f.code, BERTH_INTERNAL);
    berth_rpc_call_send(call("/t.T/Echo"), "1", 1);
    ask(f.call, "2");
    run_until_over(2);
    assert_int_equal(f.code, BERTH_INTERNAL);
}

static void a_server_stream_waits_for_its_reader(void **state)
{
    f.to_send = 1000;
    f.pauses = true;
    ask(call("/t.T/Blocks"), "");
    for (int i = 0; i < 1000 && f.to_send > 990; i++)
        run_for(10);
    run_for(200);
    assert_int_equal(f.messages, 1);
    assert_in_range(f.to_send, 900, 990);
    while (f.over == 0) {
        berth_rpc_call_resume(f.call);
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    assert_int_equal(f.messages, 1000);
    assert_int_equal(f.received, 1000 * BLOCK);
    assert_int_equal(f.code, BERTH_OK);
}

static void a_client_stream_waits_for_its_handler(void **state)
{
    static const char block[BLOCK];
    size_t sent = 0;

    call("/t.T/Slow");
    for (int i = 0; i < 100; i++) {
        while (berth_rpc_call_can_send(f.call) && sent < 1000) {
            assert_int_equal(berth_rpc_call_send(f.call, block, sizeof(block)), BERTH_OK);
            sent++;
        }
        uv_run(&f.loop, UV_RUN_NOWAIT);
    }
    assert_in_range(sent, 1, 100);
    assert_int_equal(f.taken, BLOCK);
    while (sent < 1000 || f.over == 0) {
        if (f.paused != NULL)
            berth_call_resume(f.paused);
        while (sent < 1000 && berth_rpc_call_can_send(f.call))
            if (berth_rpc_call_send(f.call, block, sizeof(block)) == BERTH_OK && ++sent == 1000)
                berth_rpc_call_half_close(f.call);
        uv_run(&f.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(f.code, BERTH_OK);
    assert_int_equal(f.taken, 1000 * BLOCK);
    assert_true(f.writables > 0);
}

static void a_client_stream_has_one_answer(void **state)
{
    call("/t.T/Count");
    for (int i = 0; i < 100; i++)
        berth_rpc_call_send(f.call, "abc", 3);
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_string_equal(f.text, "300");
}

static void a_conversation_goes_both_ways(void **state)
{
    call("/t.T/Chat");
    for (unsigned i = 1; i <= 50; i++) {
        berth_rpc_call_send(f.call, "ping", 4);
        while (f.messages < i && f.over == 0)
            uv_run(&f.loop, UV_RUN_ONCE);
    }
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_int_equal(f.messages, 50);
    assert_int_equal(f.code, BERTH_OK);
}

static void a_deadline_ends_both_sides(void **state)
{
    const struct berth_rpc_call_options options = {
        .size = sizeof(options), .path = "/t.T/Never", .timeout_ms = 50};

    ask(call_with(&options), "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_DEADLINE_EXCEEDED);
    run_for(100);
    assert_int_equal(f.ends, 1);
}

static void a_cancelled_call_ends_its_handler(void **state)
{
    ask(call("/t.T/Never"), "x");
    while (f.starts == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    berth_rpc_call_cancel(f.call);
    assert_int_equal(f.over, 0);
    run_until_over(1);
    assert_int_equal(f.code, BERTH_CANCELLED);
    while (f.ends == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.last_end, BERTH_CANCELLED);
}

static void a_call_may_be_cancelled_in_its_own_message_and_before_it_left(void **state)
{
    f.cancels = true;
    f.to_send = 100;
    ask(call("/t.T/Blocks"), "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_CANCELLED);
    assert_int_equal(f.messages, 1);
    berth_rpc_call_cancel(call("/t.T/Echo"));
    run_until_over(2);
    assert_int_equal(f.code, BERTH_CANCELLED);
    assert_int_equal(f.messages, 1);
}

static void metadata_is_refused_where_it_cannot_be_sent(void **state)
{
    const struct berth_metadata bad = {"Bad", "x", 1};
    const struct berth_rpc_call_options options = {
        .size = sizeof(options), .path = "/t.T/Echo", .metadata = &bad, .metadata_count = 1};
    struct berth_rpc_call *none = NULL;
    struct berth_error err;

    assert_int_equal(berth_rpc_call_start(f.channel, &options, &handlers, NULL, &none, &err),
                     BERTH_INVALID_ARGUMENT);
    assert_null(none);
    assert_non_null(strstr(err.message, "Bad"));
}

static void set_true(void *context)
{
    *(bool *)context = true;
}

static void a_drain_loses_no_call(void **state)
{
    call("/t.T/Chat");
    berth_rpc_call_send(f.call, "1", 1);
    while (f.messages < 1)
        uv_run(&f.loop, UV_RUN_ONCE);
    berth_rpc_server_drain(f.server, set_true, &f.is_drained);
    run_for(50);
    assert_false(f.is_drained);
    berth_rpc_call_send(f.call, "2", 1);
    while (f.messages < 2)
        uv_run(&f.loop, UV_RUN_ONCE);
    berth_rpc_call_half_close(f.call);
    run_until_over(1);
    assert_int_equal(f.code, BERTH_OK);
    while (!f.is_drained)
        uv_run(&f.loop, UV_RUN_ONCE);
}

static void a_channel_finds_the_server_again_after_it_was_away(void **state)
{
    ask(call("/t.T/Echo"), "x");
    run_until_over(1);
    berth_rpc_server_close(f.server, set_true, &f.is_closed);
    while (!f.is_closed)
        uv_run(&f.loop, UV_RUN_ONCE);
    ask(call("/t.T/Echo"), "x");
    run_until_over(2);
    assert_int_equal(f.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(f.message, f.path));
    start_server(NULL);
    ask(call_with(&(struct berth_rpc_call_options){
            .size = sizeof(struct berth_rpc_call_options), .path = "/t.T/Echo", .wait_for_ready = true}),
        "again");
    run_until_over(3);
    assert_int_equal(f.code, BERTH_OK);
    assert_string_equal(f.text, "again");
}

static void a_server_may_be_closed_by_its_handler(void **state)
{
    ask(call("/t.T/Close"), "x");
    run_until_over(1);
    assert_int_equal(f.code, BERTH_UNAVAILABLE);
    assert_int_equal(f.last_end, BERTH_CANCELLED);
}

static void closing_a_channel_ends_its_calls_first(void **state)
{
    ask(call("/t.T/Never"), "x");
    while (f.starts == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    call("/t.T/Echo");
    berth_rpc_channel_close(f.channel, set_true, &f.is_closed);
    f.channel = NULL;
    while (!f.is_closed)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.over, 2);
}

static void nobody_there_is_unavailable_with_the_address(void **state)
{
    const struct berth_rpc_unary_options options = {
        .size = sizeof(options), .address = "/no/such.sock", .path = "/a/b"};
    struct berth_error err;
    void *response;
    size_t length;

    assert_int_equal(berth_rpc_unary_blocking(&options, &response, &length, &err), BERTH_UNAVAILABLE);
    assert_string_equal(err.message, "cannot connect to /no/such.sock: no such file or directory");
}

static void a_request_that_is_too_large_to_send_is_refused_for_that(void **state)
{
    const size_t length = 17 << 20;
    const struct berth_rpc_unary_options options = {.size = sizeof(options),
                                                    .address = f.path,
                                                    .path = "/t.T/Echo",
                                                    .request = calloc(1, length),
                                                    .request_length = length};
    struct berth_error err;
    size_t response_length;
    void *response;

    assert_int_equal(berth_rpc_unary_blocking(&options, &response, &response_length, &err),
                     BERTH_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, "the request is too large to send");
    free((void *)options.request);
}

static void attempts_to_connect_are_repeated_as_often_as_told(void **state)
{
    const struct berth_rpc_channel_options again = {
        .size = sizeof(again), .address = f.path, .connect_attempts = 20, .connect_backoff_ms = 10};
    struct berth_rpc_channel *patient;
    struct berth_error err;

    berth_rpc_server_close(f.server, set_true, &f.is_closed);
    while (!f.is_closed)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &again, &patient, &err), BERTH_OK);
    berth_rpc_channel_close(f.channel, NULL, NULL);
    f.channel = patient;
    ask(call("/t.T/Echo"), "late");
    run_for(50);
    assert_int_equal(f.over, 0);
    start_server(NULL);
    run_until_over(1);
    assert_int_equal(f.code, BERTH_OK);
}

static void a_deadline_holds_while_connecting(void **state)
{
    const struct berth_rpc_channel_options patient = {
        .size = sizeof(patient), .address = "/no/such.sock", .connect_attempts = 1000000};
    const struct berth_rpc_call_options options = {
        .size = sizeof(options), .path = "/t.T/Echo", .timeout_ms = 100};
    struct berth_error err;

    berth_rpc_channel_close(f.channel, NULL, NULL);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &patient, &f.channel, &err), BERTH_OK);
    call_with(&options);
    run_until_over(1);
    assert_int_equal(f.code, BERTH_DEADLINE_EXCEEDED);
    assert_non_null(strstr(f.message, "connecting to /no/such.sock"));
}

static void services_that_are_wrong_are_refused(void **state)
{
    static const struct berth_method mute = {.name = "M", .kind = BERTH_METHOD_UNARY};
    static const struct berth_service no_handler = {.size = sizeof(no_handler),
                                                    .method_size = sizeof(mute),
                                                    .name = "a.B",
                                                    .methods = &mute,
                                                    .method_count = 1};
    const struct berth_rpc_service_entry twice[] = {{.service = &service}, {.service = &service}};
    const struct berth_rpc_service_entry wrong = {.service = &no_handler};
    struct berth_rpc_services *none = NULL;
    struct berth_error err;

    assert_int_equal(berth_rpc_services_create(twice, 2, &none, &err), BERTH_ALREADY_EXISTS);
    assert_int_equal(berth_rpc_services_create(&wrong, 1, &none, &err), BERTH_INVALID_ARGUMENT);
    assert_null(none);
}

static struct berth_rpc_server_stats stats_of_server(void)
{
    struct berth_rpc_server_stats stats = {.size = sizeof(stats)};

    berth_rpc_server_get_stats(f.server, &stats);
    return stats;
}

static void what_a_server_has_done_is_counted(void **state)
{
    struct berth_rpc_server_stats stats,
        older = {.size = offsetof(struct berth_rpc_server_stats, calls_opened)};

    ask(call("/t.T/Echo"), "hello");
    run_until_over(1);
    stats = stats_of_server();
    assert_int_equal(stats.connections, 1);
    assert_int_equal(stats.connections_accepted, 1);
    assert_int_equal(stats.calls, 0);
    assert_int_equal(stats.calls_opened, 1);
    assert_int_equal(stats.calls_ended[BERTH_OK], 1);
    assert_true(stats.bytes_received > strlen("hello") && stats.bytes_sent > strlen("hello"));
    berth_rpc_server_get_stats(f.server, &older);
    assert_int_equal(older.connections_accepted, 1);
    assert_int_equal(older.calls_opened, 0);
}

static void connections_that_were_refused_are_counted(void **state)
{
    const struct berth_rpc_server_options options = {.size = sizeof(options), .max_connections = 1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    berth_rpc_server_close(f.server, NULL, NULL);
    start_server(&options);
    ask(call("/t.T/Echo"), "hello");
    run_until_over(1);
    strcpy(address.sun_path, f.path);
    assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof(address)), 0);
    for (int i = 0; i < 500 && stats_of_server().connections_refused == 0; i++)
        run_for(10);
    close(other);
    assert_int_equal(stats_of_server().connections_refused, 1);
    assert_int_equal(stats_of_server().connections, 1);
    assert_int_equal(stats_of_server().calls_ended[BERTH_OK], 1);
}

static void a_socket_that_somebody_else_connected_is_served(void **state)
{
    unsigned char header[9] = {0};
    struct berth_error err;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(berth_rpc_server_adopt(f.server, ends[0], &err), BERTH_OK);
    assert_int_equal(send(ends[1], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, MSG_NOSIGNAL), 24);
    for (int i = 0; i < 500 && recv(ends[1], header, sizeof(header), MSG_PEEK) != sizeof(header); i++)
        run_for(10);
    assert_int_equal(header[3], 4); /* SETTINGS, RFC 9113 6.5 */
    close(ends[1]);
    for (int i = 0; i < 500 && stats_of_server().connections > 0; i++)
        run_for(10);
    assert_int_equal(stats_of_server().connections, 0);
    assert_int_equal(berth_rpc_server_adopt(f.server, -1, &err), BERTH_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CALL(name) cmocka_unit_test_setup_teardown(name, start, stop)
        CALL(a_unary_call_has_headers_an_answer_and_trailers),
        CALL(an_empty_message_and_a_big_one_arrive),
        CALL(a_message_over_the_limit_is_refused_and_the_call_goes_on),
        CALL(many_calls_share_a_connection),
        CALL(a_failure_arrives_with_its_code_and_sentence),
        CALL(a_handler_may_end_the_call_in_its_start),
        CALL(a_unary_handler_answers_exactly_once),
        CALL(a_unary_call_without_a_request_is_internal),
        CALL(a_server_stream_waits_for_its_reader),
        CALL(a_client_stream_waits_for_its_handler),
        CALL(a_client_stream_has_one_answer),
        CALL(a_conversation_goes_both_ways),
        CALL(a_deadline_ends_both_sides),
        CALL(a_cancelled_call_ends_its_handler),
        CALL(a_call_may_be_cancelled_in_its_own_message_and_before_it_left),
        CALL(metadata_is_refused_where_it_cannot_be_sent),
        CALL(a_drain_loses_no_call),
        CALL(a_channel_finds_the_server_again_after_it_was_away),
        CALL(a_server_may_be_closed_by_its_handler),
        CALL(closing_a_channel_ends_its_calls_first),
        CALL(nobody_there_is_unavailable_with_the_address),
        CALL(a_request_that_is_too_large_to_send_is_refused_for_that),
        CALL(attempts_to_connect_are_repeated_as_often_as_told),
        CALL(a_deadline_holds_while_connecting),
        CALL(services_that_are_wrong_are_refused),
        CALL(what_a_server_has_done_is_counted),
        CALL(connections_that_were_refused_are_counted),
        CALL(a_socket_that_somebody_else_connected_is_served),
#undef CALL
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
