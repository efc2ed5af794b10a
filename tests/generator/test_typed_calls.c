/* SPDX-License-Identifier: Apache-2.0 */
/* Generated services and clients against each other, over libberth-rpc. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

/* Both sides in one file: no name of one is a name of the other. */
#include "kinds.berth.h"
#include "kinds.client.h"

#define MANY 200

typedef Berth__Tests__Kinds__Everything everything;

struct fixture {
    uv_loop_t loop;
    uv_timer_t patience;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    struct berth_rpc_channel *channel;
    char path[64];
    int instance;

    /* What the handlers saw. */
    unsigned taken;
    unsigned ends;

    /* What the caller saw. */
    struct berth_rpc_call *call;
    unsigned headers;
    unsigned replies;
    unsigned over;
    enum berth_code code;
    char message[256];
    char text[64];
};

static struct fixture f;

/* Has a message all that fill_everything put into it? Text that came is kept for the test. */
static void expect_everything(const everything *message)
{
    assert_int_equal(message->_perhaps_case, 2);
    assert_int_equal(message->perhaps, 0);
    assert_int_equal(message->_perhaps_text_case, 0);
    assert_int_equal(message->either_case, BERTH__TESTS__KINDS__EVERYTHING__EITHER_INSIDE);
    assert_int_equal(message->inside->n_numbers, 2);
    assert_int_equal(message->inside->numbers[1], INT64_MIN);
    assert_string_equal(message->inside->again->word, "deeper");
    assert_int_equal(message->n_counts, 1);
    assert_string_equal(message->counts[0]->key, "ships");
    assert_int_equal(message->counts[0]->value, 7);
    assert_int_equal(message->n_list, 2);
    assert_int_equal(message->raw.len, 3);
    assert_memory_equal(message->raw.data, "\0\1\2", 3);
    assert_int_equal(message->size, BERTH__TESTS__KINDS__EVERYTHING__SIZE__LARGE);
    assert_string_equal(message->foreign->part->url, "http://x/");
}

/* A message with every kind of field; static parts, so that nothing is to be freed. */
static everything fill_everything(char *text)
{
    static int64_t numbers[] = {1, INT64_MIN};
    static everything again = BERTH__TESTS__KINDS__EVERYTHING__INIT;
    static Berth__Tests__Kinds__Everything__Inside inside = BERTH__TESTS__KINDS__EVERYTHING__INSIDE__INIT;
    static Berth__Tests__Kinds__Everything__CountsEntry entry =
        BERTH__TESTS__KINDS__EVERYTHING__COUNTS_ENTRY__INIT;
    static Berth__Tests__Kinds__Everything__CountsEntry *counts[] = {&entry};
    static Berth__Tests__Kinds__Everything__Inside *list[] = {&inside, &inside};
    static Berth__Tests__Others__HTTPAnswer foreign = BERTH__TESTS__OTHERS__HTTPANSWER__INIT;
    static Berth__Tests__Others__HTTPAnswer__NestedPart part =
        BERTH__TESTS__OTHERS__HTTPANSWER__NESTED_PART__INIT;
    everything message = BERTH__TESTS__KINDS__EVERYTHING__INIT;

    again.either_case = BERTH__TESTS__KINDS__EVERYTHING__EITHER_WORD;
    again.word = (char *)"deeper";
    inside.n_numbers = 2;
    inside.numbers = numbers;
    inside.again = &again;
    entry.key = (char *)"ships";
    entry.value = 7;
    part.url = (char *)"http://x/";
    foreign.part = &part;
    message.text = text;
    message._perhaps_case = (Berth__Tests__Kinds__Everything__PerhapsCase)2;
    message.either_case = BERTH__TESTS__KINDS__EVERYTHING__EITHER_INSIDE;
    message.inside = &inside;
    message.n_counts = 1;
    message.counts = counts;
    message.n_list = 2;
    message.list = list;
    message.raw = (ProtobufCBinaryData){3, (uint8_t *)"\0\1\2"};
    message.size = BERTH__TESTS__KINDS__EVERYTHING__SIZE__LARGE;
    message.foreign = &foreign;
    return message;
}

static void on_one(struct berth_call *call, const everything *request)
{
    assert_ptr_equal(call->instance, &f.instance);
    expect_everything(request);
    berth_tests_kinds_kinds_one_reply(call, request);
}

static void send_down(struct berth_call *call)
{
    everything reply = BERTH__TESTS__KINDS__EVERYTHING__INIT;

    while (f.taken < MANY) {
        if (!berth_call_can_send(call))
            return;
        reply.text = (char *)"down";
        assert_int_equal(berth_tests_kinds_kinds_down_send(call, &reply), BERTH_OK);
        f.taken++;
    }
    berth_call_finish(call, BERTH_OK, NULL);
}

static void on_down(struct berth_call *call, const everything *request)
{
    expect_everything(request);
    send_down(call);
}

static void count(struct berth_call *call, const everything *request)
{
    expect_everything(request);
    f.taken++;
}

static void answer_count(struct berth_call *call)
{
    everything reply = BERTH__TESTS__KINDS__EVERYTHING__INIT;
    char text[16];

    snprintf(text, sizeof(text), "%u", f.taken);
    reply.text = text;
    berth_tests_kinds_kinds_up_reply(call, &reply);
}

static void send_back(struct berth_call *call, const everything *request)
{
    expect_everything(request);
    assert_int_equal(berth_tests_kinds_kinds_both_send(call, request), BERTH_OK);
}

static void finish(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static void on_handler_end(struct berth_call *call, enum berth_code code)
{
    f.ends++;
}

static void on_delete(struct berth_call *call, const Google__Protobuf__Empty *request)
{
    Berth__Tests__Others__HTTPAnswer__NestedPart reply = BERTH__TESTS__OTHERS__HTTPANSWER__NESTED_PART__INIT;

    reply.url = (char *)"gone";
    berth_tests_kinds_second_delete_reply(call, &reply);
}

static const struct berth_tests_kinds_kinds_handlers kinds = {
    .one = {.on_message = on_one, .on_end = on_handler_end},
    .down = {.on_message = on_down, .on_writable = send_down, .on_end = on_handler_end},
    .up = {.on_message = count, .on_half_close = answer_count, .on_end = on_handler_end},
    .both = {.on_message = send_back, .on_half_close = finish, .on_end = on_handler_end},
};
static const struct berth_tests_kinds_second_handlers second = {.delete_ = {.on_message = on_delete}};
static const struct berth_service kinds_service = BERTH_TESTS_KINDS_KINDS_SERVICE(&kinds);
static const struct berth_service second_service = BERTH_TESTS_KINDS_SECOND_SERVICE(&second);

static int start(void **state)
{
    const struct berth_rpc_service_entry entries[] = {{&kinds_service, &f.instance}, {&second_service, NULL}};
    struct berth_rpc_unix_options where = {.size = sizeof(where), .path = f.path};
    struct berth_rpc_channel_options channel = {.size = sizeof(channel), .address = f.path};
    struct berth_error err;

    memset(&f, 0, sizeof(f));
    snprintf(f.path, sizeof(f.path), "/tmp/typed-%ld.sock", (long)getpid());
    uv_loop_init(&f.loop);
    uv_timer_init(&f.loop, &f.patience);
    assert_int_equal(berth_rpc_services_create(entries, 2, &f.services, &err), BERTH_OK);
    assert_int_equal(
        berth_rpc_server_create(&f.loop, NULL, berth_rpc_services_router(f.services), &f.server, &err),
        BERTH_OK);
    assert_int_equal(berth_rpc_server_listen_unix(f.server, &where, &err), BERTH_OK);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &channel, &f.channel, &err), BERTH_OK);
    return 0;
}

static int stop(void **state)
{
    berth_rpc_channel_close(f.channel, NULL, NULL);
    berth_rpc_server_close(f.server, NULL, NULL);
    uv_close((uv_handle_t *)&f.patience, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    berth_rpc_services_destroy(f.services);
    return 0;
}

static void on_patience(uv_timer_t *timer)
{
    fail_msg("the call was not over after 20 s");
}

static void run_until_over(void)
{
    unsigned before = f.over;

    uv_timer_start(&f.patience, on_patience, 20000, 0);
    while (f.over == before)
        uv_run(&f.loop, UV_RUN_ONCE);
    uv_timer_stop(&f.patience);
}

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    f.headers++;
}

static void on_reply(void *context, struct berth_rpc_call *call, const everything *reply)
{
    assert_ptr_equal(context, &f);
    snprintf(f.text, sizeof(f.text), "%s", reply->text);
    f.replies++;
}

static void on_whole_reply(void *context, struct berth_rpc_call *call, const everything *reply)
{
    expect_everything(reply);
    on_reply(context, call, reply);
}

static void on_over(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                    const struct berth_metadata *trailers, size_t count)
{
    f.over++;
    f.code = code;
    uv_stop(&f.loop);
    snprintf(f.message, sizeof(f.message), "%s", message);
}

static void one_request_and_one_reply(void **state)
{
    static const struct berth_tests_kinds_kinds_one_events events = {on_headers, on_whole_reply, on_over};
    everything request = fill_everything((char *)"one");

    assert_int_equal(berth_tests_kinds_kinds_one_start(f.channel, NULL, &request, &events, &f, NULL, NULL),
                     BERTH_OK);
    run_until_over();
    assert_int_equal(f.code, BERTH_OK);
    assert_string_equal(f.text, "one");
    assert_int_equal(f.replies, 1);
    assert_int_equal(f.headers, 1);
    assert_int_equal(f.ends, 1);
}

static void one_request_and_many_replies(void **state)
{
    static const struct berth_tests_kinds_kinds_down_events events = {NULL, on_reply, on_over};
    const struct berth_rpc_call_options options = {.size = sizeof(options), .timeout_ms = 15000};
    everything request = fill_everything((char *)"");

    assert_int_equal(
        berth_tests_kinds_kinds_down_start(f.channel, &options, &request, &events, &f, &f.call, NULL),
        BERTH_OK);
    assert_non_null(f.call);
    run_until_over();
    assert_int_equal(f.code, BERTH_OK);
    assert_int_equal(f.replies, MANY);
    assert_string_equal(f.text, "down");
}

static void many_requests_and_one_reply(void **state)
{
    static const struct berth_tests_kinds_kinds_up_events events = {NULL, on_reply, NULL, on_over};
    everything request = fill_everything((char *)"up");

    assert_int_equal(berth_tests_kinds_kinds_up_start(f.channel, NULL, &events, &f, &f.call, NULL), BERTH_OK);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(berth_tests_kinds_kinds_up_send_request(f.call, &request), BERTH_OK);
    berth_rpc_call_half_close(f.call);
    run_until_over();
    assert_int_equal(f.code, BERTH_OK);
    assert_int_equal(f.replies, 1);
    assert_string_equal(f.text, "200");
}

static void send_another(void *context, struct berth_rpc_call *call, const everything *reply)
{
    everything request = fill_everything((char *)"both");

    on_whole_reply(context, call, reply);
    if (f.replies < 5)
        assert_int_equal(berth_tests_kinds_kinds_both_send_request(call, &request), BERTH_OK);
    else
        berth_rpc_call_half_close(call);
}

static void many_requests_and_many_replies(void **state)
{
    static const struct berth_tests_kinds_kinds_both_events events = {NULL, send_another, NULL, on_over};
    everything request = fill_everything((char *)"both");

    assert_int_equal(berth_tests_kinds_kinds_both_start(f.channel, NULL, &events, &f, &f.call, NULL),
                     BERTH_OK);
    assert_int_equal(berth_tests_kinds_kinds_both_send_request(f.call, &request), BERTH_OK);
    run_until_over();
    assert_int_equal(f.code, BERTH_OK);
    assert_int_equal(f.replies, 5);
    assert_int_equal(f.ends, 1);
}

static void a_method_that_nobody_handles_answers_unimplemented(void **state)
{
    static const struct berth_tests_kinds_kinds_nobody_one_events one = {NULL, on_reply, on_over};
    static const struct berth_tests_kinds_kinds_nobody_down_events down = {NULL, on_reply, on_over};
    static const struct berth_tests_kinds_kinds_nobody_up_events up = {NULL, on_reply, NULL, on_over};
    static const struct berth_tests_kinds_kinds_nobody_both_events both = {NULL, on_reply, NULL, on_over};
    everything request = fill_everything((char *)"");

    berth_tests_kinds_kinds_nobody_one_start(f.channel, NULL, &request, &one, &f, NULL, NULL);
    run_until_over();
    assert_int_equal(f.code, BERTH_UNIMPLEMENTED);
    berth_tests_kinds_kinds_nobody_down_start(f.channel, NULL, &request, &down, &f, NULL, NULL);
    run_until_over();
    assert_int_equal(f.code, BERTH_UNIMPLEMENTED);
    berth_tests_kinds_kinds_nobody_up_start(f.channel, NULL, &up, &f, &f.call, NULL);
    run_until_over();
    assert_int_equal(f.code, BERTH_UNIMPLEMENTED);
    berth_tests_kinds_kinds_nobody_both_start(f.channel, NULL, &both, &f, &f.call, NULL);
    run_until_over();
    assert_int_equal(f.code, BERTH_UNIMPLEMENTED);
    assert_string_equal(f.message, "the service has no handler for this method");
}

static void a_method_named_like_a_keyword_and_messages_of_other_packages(void **state)
{
    static const struct berth_tests_kinds_second_delete_events events = {NULL, NULL, on_over};
    Google__Protobuf__Empty request = GOOGLE__PROTOBUF__EMPTY__INIT;

    berth_tests_kinds_second_delete_start(f.channel, NULL, &request, &events, &f, NULL, NULL);
    run_until_over();
    assert_int_equal(f.code, BERTH_OK);
}

/* Starts a raw call on a method and gives it bytes that are no message. */
static void ask_bytes(const char *path, const void *bytes, size_t length)
{
    static const struct berth_rpc_call_handlers handlers = {.size = sizeof(handlers), .on_end = on_over};
    const struct berth_rpc_call_options options = {
        .size = sizeof(options), .path = path, .kind = BERTH_METHOD_BIDI_STREAM};

    assert_int_equal(berth_rpc_call_start(f.channel, &options, &handlers, &f, &f.call, NULL), BERTH_OK);
    berth_rpc_call_send(f.call, bytes, length);
    berth_rpc_call_half_close(f.call);
    run_until_over();
}

static void a_request_that_is_no_message_is_refused(void **state)
{
    static const char *const paths[] = {"/berth.tests.kinds.Kinds/One", "/berth.tests.kinds.Kinds/Both"};

    for (size_t i = 0; i < 2; i++) {
        ask_bytes(paths[i], "\x0a\xff", 2);
        assert_int_equal(f.code, BERTH_INTERNAL);
        assert_string_equal(f.message,
                            "grpc: error unmarshalling request: not a valid berth.tests.kinds.Everything");
    }
    assert_int_equal(f.taken, 0);
}

static void a_string_that_is_no_text_is_refused_with_its_fields_name(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *wrong;
    } cases[] = {
        {"\x0a\1\xff", 3, "field text of berth.tests.kinds.Everything is not valid UTF-8"},
        {"\x0a\3a\0b", 5, "field text of berth.tests.kinds.Everything contains a NUL byte"},
        {"\x0a\3\xed\xa0\x80", 5, "field text of berth.tests.kinds.Everything is not valid UTF-8"},
        /* The last one counts, and yet each is looked at. */
        {"\x0a\1\xff\x0a\1a", 6, "field text of berth.tests.kinds.Everything is not valid UTF-8"},
        {"\x1a\1\0", 3, "field perhaps_text of berth.tests.kinds.Everything contains a NUL byte"},
        {"\x22\1\0", 3, "field word of berth.tests.kinds.Everything contains a NUL byte"},
        {"\x2a\5\x12\3\x0a\1\0", 7,
         "field inside.again.text of berth.tests.kinds.Everything contains a NUL byte"},
        {"\x3a\0\x3a\0\x3a\5\x12\3\x0a\1\0", 11,
         "field list[2].again.text of berth.tests.kinds.Everything contains a NUL byte"},
        {"\x32\3\x0a\1k\x32\3\x0a\1\0", 10,
         "field counts[1].key of berth.tests.kinds.Everything contains a NUL byte"},
    };
    static const char fine[] = "\x0a\2\xc3\xa9\x42\1\xff\xa2\6\1\0";
    const ProtobufCMessageDescriptor *type = &berth__tests__kinds__everything__descriptor;
    struct berth_error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask_bytes("/berth.tests.kinds.Kinds/One", cases[i].bytes, cases[i].length);
        assert_int_equal(f.code, BERTH_INVALID_ARGUMENT);
        assert_string_equal(f.message, cases[i].wrong);
    }
    assert_int_equal(f.taken, 0);
    /* Bytes, and a field 100 that nobody knows, may be anything. */
    assert_int_equal(berth_text_check(type, fine, sizeof(fine) - 1, &err), BERTH_OK);
}

/* A message in a message in a message: each level is one call of protobuf-c's deeper. */
static uint8_t *nest(size_t levels, size_t *ret_length)
{
    size_t size = levels * 8, length = 0;
    uint8_t *bytes = malloc(size);

    assert_non_null(bytes);
    for (size_t i = 0; i < levels; i++) {
        uint8_t varint[8];
        size_t n = 0;

        for (size_t rest = length; n == 0 || rest > 0; rest >>= 7)
            varint[n++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        memcpy(bytes + size - length - n, varint, n);
        length += n + 1;
        bytes[size - length] = i % 2 == 0 ? 0x12 : 0x2a;
    }
    memmove(bytes, bytes + size - length, length);
    *ret_length = length;
    return bytes;
}

static void a_request_of_endless_depth_is_refused_and_one_of_some_depth_is_not(void **state)
{
    const ProtobufCMessageDescriptor *type = &berth__tests__kinds__everything__descriptor;
    ProtobufCMessage *message;
    struct berth_error err;
    size_t length;
    uint8_t *bytes = nest(64, &length);

    message = berth_unpack(type, bytes, length, &err);
    assert_non_null(message);
    protobuf_c_message_free_unpacked(message, NULL);
    free(bytes);
    bytes = nest(1000000, &length);
    assert_null(berth_unpack(type, bytes, length, &err));
    free(bytes);
}

static const struct berth_method liar = {
    .name = "One", .kind = BERTH_METHOD_BIDI_STREAM, .on_start = NULL, .on_message = NULL};

static void send_nonsense(struct berth_call *call)
{
    berth_call_send(call, "\x0a\xff", 2);
}

static void a_reply_that_is_no_message_ends_the_call_as_internal(void **state)
{
    static const struct berth_tests_kinds_kinds_one_events events = {NULL, on_reply, on_over};
    struct berth_method methods[] = {liar};
    const struct berth_service service = {.size = sizeof(service),
                                          .method_size = sizeof(methods[0]),
                                          .name = "berth.tests.kinds.Kinds",
                                          .methods = methods,
                                          .method_count = 1};
    const struct berth_rpc_service_entry entry = {&service, NULL};
    struct berth_rpc_unix_options where = {.size = sizeof(where)};
    struct berth_rpc_channel_options channel = {.size = sizeof(channel)};
    struct berth_rpc_services *services;
    struct berth_rpc_channel *own;
    struct berth_rpc_server *server;
    everything request = fill_everything((char *)"");
    char path[80];

    methods[0].on_start = send_nonsense;
    snprintf(path, sizeof(path), "%s.liar", f.path);
    where.path = path;
    channel.address = path;
    assert_int_equal(berth_rpc_services_create(&entry, 1, &services, NULL), BERTH_OK);
    assert_int_equal(
        berth_rpc_server_create(&f.loop, NULL, berth_rpc_services_router(services), &server, NULL), BERTH_OK);
    assert_int_equal(berth_rpc_server_listen_unix(server, &where, NULL), BERTH_OK);
    assert_int_equal(berth_rpc_channel_create(&f.loop, &channel, &own, NULL), BERTH_OK);
    berth_tests_kinds_kinds_one_start(own, NULL, &request, &events, &f, NULL, NULL);
    run_until_over();
    assert_int_equal(f.code, BERTH_INTERNAL);
    assert_string_equal(f.message, "the server's reply is not a valid berth.tests.kinds.Everything");
    assert_int_equal(f.replies, 0);
    berth_rpc_channel_close(own, NULL, NULL);
    berth_rpc_server_close(server, NULL, NULL);
    for (int i = 0; i < 100; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    berth_rpc_services_destroy(services);
}

static void a_request_larger_than_the_channel_sends_ends_its_call(void **state)
{
    static const struct berth_tests_kinds_kinds_one_events events = {NULL, on_reply, on_over};
    everything request = BERTH__TESTS__KINDS__EVERYTHING__INIT;

    request.raw.len = (size_t)17 << 20;
    request.raw.data = calloc(1, request.raw.len);
    assert_int_equal(berth_tests_kinds_kinds_one_start(f.channel, NULL, &request, &events, &f, NULL, NULL),
                     BERTH_OK);
    run_until_over();
    assert_int_equal(f.code, BERTH_RESOURCE_EXHAUSTED);
    free(request.raw.data);
}

/* For the blocking call the server needs a loop that runs meanwhile. */
static void serve(void *argument)
{
    while (f.over == 0)
        uv_run(&f.loop, UV_RUN_NOWAIT);
}

static void a_program_without_a_loop_waits_for_its_reply(void **state)
{
    struct berth_rpc_unary_options options = {
        .size = sizeof(options), .address = f.path, .timeout_ms = 15000};
    everything request = fill_everything((char *)"blocking");
    everything *reply;
    struct berth_error err = {""};
    enum berth_code code;
    uv_thread_t thread;

    assert_int_equal(uv_thread_create(&thread, serve, NULL), 0);
    code = berth_tests_kinds_kinds_one_blocking(&options, &request, &reply, &err);
    __atomic_store_n(&f.over, 1, __ATOMIC_SEQ_CST);
    uv_thread_join(&thread);
    assert_string_equal(err.message, "");
    assert_int_equal(code, BERTH_OK);
    assert_string_equal(reply->text, "blocking");
    expect_everything(reply);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
}

static void the_table_is_what_the_proto_says(void **state)
{
    assert_string_equal(kinds_service.name, "berth.tests.kinds.Kinds");
    assert_int_equal(kinds_service.method_count, 8);
    assert_string_equal(kinds_service.methods[3].name, "Both");
    assert_int_equal(kinds_service.methods[3].kind, BERTH_METHOD_BIDI_STREAM);
    assert_int_equal(BERTH_TESTS_KINDS_KINDS_UP_KIND, BERTH_METHOD_CLIENT_STREAM);
    assert_null(kinds_service.methods[0].on_half_close);
    assert_ptr_equal(kinds_service.handlers, &kinds);
    assert_ptr_equal(kinds_service.descriptors, second_service.descriptors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_request_and_one_reply, start, stop),
        cmocka_unit_test_setup_teardown(one_request_and_many_replies, start, stop),
        cmocka_unit_test_setup_teardown(many_requests_and_one_reply, start, stop),
        cmocka_unit_test_setup_teardown(many_requests_and_many_replies, start, stop),
        cmocka_unit_test_setup_teardown(a_method_that_nobody_handles_answers_unimplemented, start, stop),
        cmocka_unit_test_setup_teardown(a_method_named_like_a_keyword_and_messages_of_other_packages, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_request_that_is_no_message_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_string_that_is_no_text_is_refused_with_its_fields_name, start,
                                        stop),
        cmocka_unit_test(a_request_of_endless_depth_is_refused_and_one_of_some_depth_is_not),
        cmocka_unit_test_setup_teardown(a_reply_that_is_no_message_ends_the_call_as_internal, start, stop),
        cmocka_unit_test_setup_teardown(a_request_larger_than_the_channel_sends_ends_its_call, start, stop),
        cmocka_unit_test_setup_teardown(a_program_without_a_loop_waits_for_its_reply, start, stop),
        cmocka_unit_test(the_table_is_what_the_proto_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
