/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of interfaces across processes, with somebody hostile at the other end. */
#include <core/remote/remote.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tests/cmocka.h>

static uv_loop_t loop;
static struct channel channel;
static struct remote_wire wire;
static struct remote_caller caller, server;
static int other;
static bool is_closed;
static const char *broken, *refused;
/* What came of the calls. */
static size_t ended;
static enum berth_code code;
static char text[256];
/* The last call that the provider has accepted, and how often one was cancelled. */
static struct berth_remote_reply *accepted;
static size_t cancelled;

static void on_packet(struct channel *unused, const struct packet *packet)
{
    struct packet_reader reader;

    packet_reader_init(&reader, packet);
    remote_wire_take(&wire, packet, &reader);
}

static void on_broken(struct channel *unused, const char *reason)
{
    broken = reason;
}

static void on_closed(struct channel *unused)
{
    is_closed = true;
}

static enum berth_code serve(const void *table, void *instance, uint32_t method, const void *bytes,
                             size_t length, struct berth_remote_reply *reply, void **ret_handle,
                             struct berth_error *err)
{
    if (method != 0)
        return berth_error_set(err, BERTH_UNIMPLEMENTED, "no such method");
    accepted = reply;
    *ret_handle = reply;
    return BERTH_OK;
}

static void on_cancel(const void *table, void *instance, void *handle)
{
    assert_ptr_equal(handle, accepted);
    cancelled++;
}

static const struct berth_remote remote = {
    .size = sizeof(remote), .interface = "x", .serve = serve, .cancel = on_cancel};

static struct berth_remote_peer *find(struct remote_wire *unused, uint32_t number)
{
    return number == 0 ? remote_caller_local(&server, &remote, "table", NULL) : NULL;
}

static const char *refusal(const struct remote_wire *unused)
{
    return refused;
}

static void on_end(const void *context, enum berth_code with, const void *reply, size_t length,
                   const char *message)
{
    assert_string_equal(context, "context");
    ended++;
    code = with;
    snprintf(text, sizeof(text), "%.*s%s", (int)length, (const char *)reply, message);
}

static enum berth_code begin_call(size_t length, uint32_t timeout_ms, struct berth_remote_call **ret_call)
{
    static const uint8_t bytes[BERTH_REMOTE_MAX + 1];
    struct berth_remote_peer *peer = remote_caller_peer(&caller, &wire, 0);
    const struct berth_remote_request request = {.size = sizeof(request),
                                                 .timeout_ms = timeout_ms,
                                                 .bytes = bytes,
                                                 .length = length,
                                                 .on_end = on_end,
                                                 .context = "context",
                                                 .context_length = sizeof("context")};
    struct berth_error error = {.message = ""};
    enum berth_code started = peer->start(peer, &request, ret_call, &error);

    snprintf(text, sizeof(text), "%.200s", error.message);
    return started;
}

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void send_packet(enum packet_type type, const uint32_t *numbers, size_t count, const char *message,
                        const void *bytes, size_t length)
{
    struct packet_writer writer = {.plugin = 1};
    size_t sent = 0;

    packet_begin(&writer, type, 0, 0);
    for (size_t i = 0; i < count; i++)
        packet_put_u32(&writer, numbers[i]);
    if (message != NULL)
        packet_put_text(&writer, message);
    packet_put_raw(&writer, bytes, length);
    packet_end(&writer);
    assert_false(writer.is_bad);
    while (sent < writer.length) {
        ssize_t more = send(other, writer.bytes + sent, writer.length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        sent += more > 0 ? (size_t)more : 0;
        turn();
        if (broken != NULL)
            break;
    }
    packet_writer_finish(&writer);
    turn();
}

static void send_reply(uint32_t number, enum berth_code with, const char *message, size_t length)
{
    static const uint8_t bytes[BERTH_REMOTE_MAX + 1] = "reply";

    send_packet(PACKET_REMOTE_REPLY, (const uint32_t[]){number, (uint32_t)with}, 2, message, bytes, length);
}

/* The next packet that was sent to the other side; the message and all that follows of it. */
static struct packet received(uint32_t *ret_number)
{
    static uint8_t bytes[4096];
    struct packet packet;
    size_t length;

    turn();
    assert_int_equal(recv(other, bytes, PACKET_HEAD, MSG_DONTWAIT), PACKET_HEAD);
    packet_parse(bytes, PACKET_HEAD, &packet, &length);
    assert_true(length <= sizeof(bytes));
    assert_int_equal(recv(other, bytes + PACKET_HEAD, length - PACKET_HEAD, MSG_DONTWAIT),
                     length - PACKET_HEAD);
    assert_int_equal(packet_parse(bytes, length, &packet, &length), PACKET_WHOLE);
    assert_int_equal(packet.plugin, 1);
    memcpy(ret_number, packet.body, sizeof(*ret_number));
    return packet;
}

static int begin(void **state)
{
    int pair[2];

    channel = (struct channel){.on_packet = on_packet, .on_broken = on_broken};
    wire = (struct remote_wire){.channel = &channel, .plugin = 1, .find = find, .refusal = refusal};
    caller = server = (struct remote_caller){0};
    broken = refused = NULL;
    accepted = NULL;
    ended = cancelled = 0;
    if (uv_loop_init(&loop) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    other = pair[1];
    return channel_open(&channel, &loop, pair[0]);
}

static int end(void **state)
{
    remote_wire_end(&wire, "over");
    remote_caller_close(&caller, true);
    remote_caller_finish(&caller);
    remote_caller_finish(&server);
    remote_wire_finish(&wire);
    is_closed = false;
    channel_close(&channel, on_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    close(other);
    return uv_loop_close(&loop);
}

static void a_call_ends_once_whatever_numbers_come_back(void **state)
{
    uint32_t number;

    assert_int_equal(begin_call(10, 0, NULL), BERTH_OK);
    assert_int_equal(received(&number).length, 4 * sizeof(uint32_t) + 10);
    send_reply(number + 1, BERTH_OK, "", 5);
    send_reply(number + 0x10000, BERTH_OK, "", 5);
    send_reply(0, BERTH_OK, "", 5);
    send_reply(UINT32_MAX, BERTH_OK, "", 5);
    assert_int_equal(ended, 0);
    send_reply(number, BERTH_OK, "", 5);
    send_reply(number, BERTH_OK, "", 5);
    assert_int_equal(ended, 1);
    assert_int_equal(code, BERTH_OK);
    assert_string_equal(text, "reply");
    /* The slot is used again, and the late number is not. */
    assert_int_equal(begin_call(10, 0, NULL), BERTH_OK);
    send_reply(number, BERTH_OK, "", 5);
    assert_int_equal(ended, 1);
    assert_null(broken);
}

static void a_code_that_nobody_knows_is_unknown_and_comes_without_a_reply(void **state)
{
    uint32_t number;

    assert_int_equal(begin_call(1, 0, NULL), BERTH_OK);
    received(&number);
    send_reply(number, (enum berth_code)4711, "why", 5);
    assert_int_equal(code, BERTH_UNKNOWN);
    assert_string_equal(text, "why");
}

static void what_is_too_long_is_not_sent_and_not_taken(void **state)
{
    uint32_t number;

    assert_int_equal(begin_call(BERTH_REMOTE_MAX + 1, 0, NULL), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(text, "1048577 bytes"));
    assert_int_equal(begin_call(1, 0, NULL), BERTH_OK);
    received(&number);
    send_reply(number, BERTH_OK, "", BERTH_REMOTE_MAX + 1);
    assert_string_equal(broken, "sent a reply of an interface that cannot be read");
    assert_int_equal(ended, 0);
    remote_wire_end(&wire, "was killed: it sent too much");
    assert_int_equal(ended, 1);
    assert_int_equal(code, BERTH_UNAVAILABLE);
    assert_string_equal(text, "was killed: it sent too much");
}

static void a_call_takes_no_longer_than_it_may(void **state)
{
    uint32_t number, again;

    assert_int_equal(begin_call(1, 1, NULL), BERTH_OK);
    assert_int_equal(begin_call(1, 0, NULL), BERTH_OK);
    received(&number);
    received(&again);
    usleep(1100);
    assert_true(remote_wire_tick(&wire));
    assert_int_equal(ended, 1);
    assert_int_equal(code, BERTH_DEADLINE_EXCEEDED);
    assert_int_equal(received(&again).type, PACKET_REMOTE_CANCEL);
    assert_int_equal(again, number);
    send_reply(number, BERTH_OK, "", 5);
    assert_int_equal(ended, 1);
}

static void a_call_is_cancelled_once_and_ends_as_the_provider_says(void **state)
{
    struct berth_remote_peer *peer = remote_caller_peer(&caller, &wire, 0);
    struct berth_remote_call *call;
    uint32_t number, again;

    assert_int_equal(begin_call(1, 0, &call), BERTH_OK);
    received(&number);
    peer->cancel(peer, call);
    peer->cancel(peer, call);
    assert_int_equal(received(&again).type, PACKET_REMOTE_CANCEL);
    assert_int_equal(again, number);
    assert_int_equal(recv(other, &again, 1, MSG_DONTWAIT), -1);
    assert_int_equal(ended, 0);
    send_reply(number, BERTH_CANCELLED, "as you wish", 0);
    assert_int_equal(code, BERTH_CANCELLED);
    assert_string_equal(text, "as you wish");
}

static void nothing_leaves_while_the_other_side_does_not_run(void **state)
{
    refused = "its process ended; restarting";
    assert_int_equal(begin_call(1, 0, NULL), BERTH_UNAVAILABLE);
    assert_string_equal(text, refused);
    refused = NULL;
    assert_int_equal(begin_call(1, 0, NULL), BERTH_OK);
    remote_caller_close(&caller, true);
    assert_int_equal(code, BERTH_CANCELLED);
    assert_int_equal(begin_call(1, 0, NULL), BERTH_UNAVAILABLE);
    assert_int_equal(ended, 1);
}

static void calls_that_arrive_are_answered_once(void **state)
{
    static const uint32_t unknown[] = {7, 99, 0, 0}, strange[] = {8, 0, 5, 0}, call[] = {9, 0, 0, 0};
    struct packet_reader reader;
    struct packet packet;
    uint32_t number;

    send_packet(PACKET_REMOTE_CALL, unknown, 4, NULL, "ask", 3);
    packet = received(&number);
    assert_int_equal(number, 7);
    packet_reader_init(&reader, &packet);
    packet_get_u32(&reader);
    assert_int_equal(packet_get_u32(&reader), BERTH_UNAVAILABLE);
    send_packet(PACKET_REMOTE_CALL, strange, 4, NULL, "ask", 3);
    packet = received(&number);
    packet_reader_init(&reader, &packet);
    packet_get_u32(&reader);
    assert_int_equal(packet_get_u32(&reader), BERTH_UNIMPLEMENTED);
    send_packet(PACKET_REMOTE_CALL, call, 4, NULL, "ask", 3);
    send_packet(PACKET_REMOTE_CANCEL, (const uint32_t[]){1000}, 1, NULL, NULL, 0);
    assert_int_equal(cancelled, 0);
    send_packet(PACKET_REMOTE_CANCEL, call, 1, NULL, NULL, 0);
    send_packet(PACKET_REMOTE_CANCEL, call, 1, NULL, NULL, 0);
    assert_int_equal(cancelled, 1);
    accepted->end(accepted, BERTH_CANCELLED, NULL, 0, "stopped");
    received(&number);
    assert_int_equal(number, 9);
    /* It may have crossed with that. */
    send_packet(PACKET_REMOTE_CANCEL, call, 1, NULL, NULL, 0);
    assert_int_equal(cancelled, 1);
}

static void who_called_may_be_gone_before_the_answer(void **state)
{
    static const uint32_t call[] = {9, 0, 0, 0};
    uint8_t byte;

    send_packet(PACKET_REMOTE_CALL, call, 4, NULL, "ask", 3);
    send_packet(PACKET_REMOTE_CANCEL, call, 1, NULL, NULL, 0);
    remote_wire_end(&wire, "its process ended");
    assert_int_equal(cancelled, 1);
    accepted->end(accepted, BERTH_OK, "late", 4, NULL);
    turn();
    assert_int_equal(recv(other, &byte, 1, MSG_DONTWAIT), -1);
}

static void a_request_that_cannot_be_read_breaks_the_channel(void **state)
{
    static const uint32_t call[] = {9, 0, 0, 0};
    static const uint8_t bytes[BERTH_REMOTE_MAX + 1];

    send_packet(PACKET_REMOTE_CALL, call, 4, NULL, bytes, sizeof(bytes));
    assert_string_equal(broken, "sent a call of an interface that cannot be read");
    assert_null(accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_ends_once_whatever_numbers_come_back, begin, end),
        cmocka_unit_test_setup_teardown(a_code_that_nobody_knows_is_unknown_and_comes_without_a_reply, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_is_too_long_is_not_sent_and_not_taken, begin, end),
        cmocka_unit_test_setup_teardown(a_call_takes_no_longer_than_it_may, begin, end),
        cmocka_unit_test_setup_teardown(a_call_is_cancelled_once_and_ends_as_the_provider_says, begin, end),
        cmocka_unit_test_setup_teardown(nothing_leaves_while_the_other_side_does_not_run, begin, end),
        cmocka_unit_test_setup_teardown(calls_that_arrive_are_answered_once, begin, end),
        cmocka_unit_test_setup_teardown(who_called_may_be_gone_before_the_answer, begin, end),
        cmocka_unit_test_setup_teardown(a_request_that_cannot_be_read_breaks_the_channel, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
