/* SPDX-License-Identifier: Apache-2.0 */
/* The socket between the daemon and a worker, with somebody hostile at the other end. */
#include <core/wire/channel.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tests/cmocka.h>

static uv_loop_t loop;
static struct channel channel;
static int other;
static size_t packets, packets_max;
/* Is each packet answered by another one? */
static bool goes_on;
static bool is_broken, is_closed;

static bool send_pongs(size_t count);

/* Does the first packet wait for a line of the log before it is taken? */
static bool waits;

static void await_line(const char *expected)
{
    struct packet_reader reader;
    struct packet packet;
    uint8_t *bytes;

    assert_true(channel_await(&channel, PACKET_LOG, &packet, &bytes));
    packet_reader_init(&reader, &packet);
    assert_string_equal(packet_get_text(&reader), expected);
    free(bytes);
}

static void on_packet(struct channel *unused, const struct packet *packet)
{
    assert_int_equal(packet->type, PACKET_PONG);
    if (waits) {
        size_t before = packets;

        waits = false;
        await_line("first");
        await_line("second");
        /* What it borrows is still there, and nothing was taken meanwhile. */
        assert_int_equal(packet->length, sizeof(uint32_t));
        assert_memory_equal(packet->body, "0000", 4);
        assert_int_equal(packets, before);
    }
    if (packet->length > 0)
        assert_int_equal(packet->body[0], '0' + packets % 10);
    packets++;
    /* Whoever never stops reading is told here instead of by a timeout. */
    if (packets > packets_max)
        channel_break(&channel, "reads without an end");
    else if (goes_on)
        send_pongs(1);
}

static void on_broken(struct channel *unused, const char *reason)
{
    is_broken = true;
}

static void on_closed(struct channel *unused)
{
    is_closed = true;
}

static int begin(void **state)
{
    int pair[2];

    channel = (struct channel){.on_packet = on_packet, .on_broken = on_broken};
    packets = 0;
    packets_max = 100000;
    is_broken = is_closed = goes_on = waits = false;
    if (uv_loop_init(&loop) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    other = pair[1];
    return channel_open(&channel, &loop, pair[0]);
}

static int end(void **state)
{
    channel_close(&channel, on_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    if (other >= 0)
        close(other);
    return uv_loop_close(&loop);
}

/* @return false once nobody reads any more. */
static bool send_pongs(size_t count)
{
    struct packet_writer writer = {0};
    bool is_sent;

    for (size_t i = 0; i < count; i++) {
        packet_begin(&writer, PACKET_PONG, 0, 0);
        packet_end(&writer);
    }
    is_sent = send(other, writer.bytes, writer.length, MSG_NOSIGNAL) == (ssize_t)writer.length;
    packet_writer_finish(&writer);
    return is_sent;
}

static void put(const void *bytes, size_t length)
{
    assert_int_equal(send(other, bytes, length, MSG_NOSIGNAL), length);
}

static void put_line(const char *text)
{
    struct packet_writer writer = {0};

    packet_begin(&writer, PACKET_LOG, 0, 0);
    packet_put_text(&writer, text);
    packet_end(&writer);
    put(writer.bytes, writer.length);
    packet_writer_finish(&writer);
}

/* Each with its number in it, from 0 on. */
static void put_numbered_pongs(size_t first, size_t count)
{
    struct packet_writer writer = {0};

    for (size_t i = first; i < first + count; i++) {
        packet_begin(&writer, PACKET_PONG, 0, 0);
        for (int k = 0; k < 4; k++)
            packet_put_u8(&writer, (uint8_t)('0' + i % 10));
        packet_end(&writer);
    }
    put(writer.bytes, writer.length);
    packet_writer_finish(&writer);
}

static void run_until(size_t count)
{
    while (packets < count && !is_broken)
        uv_run(&loop, UV_RUN_ONCE);
}

static void what_comes_before_the_packet_that_is_awaited_is_taken_later_in_order(void **state)
{
    put_numbered_pongs(0, 1000);
    put_line("here");
    put_numbered_pongs(1000, 1000);
    await_line("here");
    assert_int_equal(packets, 0);
    run_until(2000);
    assert_int_equal(packets, 2000);
}

static void a_packet_is_awaited_while_another_is_taken(void **state)
{
    waits = true;
    put_numbered_pongs(0, 500);
    put_line("first");
    put_numbered_pongs(500, 500);
    put_line("second");
    put_numbered_pongs(1000, 500);
    run_until(1500);
    assert_int_equal(packets, 1500);
    assert_false(waits);
}

static void *send_late(void *unused)
{
    static char large[300000];

    usleep(20000);
    memset(large, 'x', sizeof(large) - 1);
    put_numbered_pongs(0, 1);
    put_line(large);
    return large;
}

static void a_large_packet_that_comes_later_is_awaited(void **state)
{
    pthread_t thread;
    void *large;
    struct packet packet;
    uint8_t *bytes;

    assert_int_equal(pthread_create(&thread, NULL, send_late, NULL), 0);
    assert_true(channel_await(&channel, PACKET_LOG, &packet, &bytes));
    assert_int_equal(pthread_join(thread, &large), 0);
    assert_int_equal(packet.length, 4 + strlen(large) + 1);
    assert_string_equal((const char *)packet.body + 4, large);
    free(bytes);
    run_until(1);
    assert_int_equal(packets, 1);
}

static void whoever_waits_learns_of_the_end_of_the_connection(void **state)
{
    struct packet packet;
    uint8_t *bytes;

    put_numbered_pongs(0, 3);
    close(other);
    other = -1;
    assert_false(channel_await(&channel, PACKET_LOG, &packet, &bytes));
    assert_true(is_broken && channel.has_ended);
}

static void what_has_been_sent_is_counted(void **state)
{
    char sink[4096];

    for (int i = 0; i < 10; i++) {
        packet_begin(channel_write(&channel, 0), PACKET_PING, 0, 0);
        packet_end(channel_write(&channel, 0));
    }
    assert_int_equal(channel.sent, 0);
    channel_flush(&channel);
    assert_int_equal(channel.sent, 10 * PACKET_HEAD);
    assert_int_equal(recv(other, sink, sizeof(sink), 0), 10 * PACKET_HEAD);
}

static void a_drained_channel_has_all_that_was_sent_before_the_end(void **state)
{
    assert_true(send_pongs(4000));
    close(other);
    other = -1;
    channel_drain(&channel);
    assert_int_equal(packets, 4000);
    assert_true(is_broken && channel.has_ended);
}

static void a_drained_channel_with_an_open_end_is_not_broken(void **state)
{
    assert_true(send_pongs(1));
    channel_drain(&channel);
    assert_int_equal(packets, 1);
    assert_false(is_broken);
}

/* The worker is gone, but another process got its end of the socket. */
static void whoever_goes_on_sending_does_not_keep_a_drain(void **state)
{
    goes_on = true;
    assert_true(send_pongs(10));
    channel_drain(&channel);
    assert_false(is_broken);
    assert_in_range(packets, 10, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_drained_channel_has_all_that_was_sent_before_the_end, begin, end),
        cmocka_unit_test_setup_teardown(a_drained_channel_with_an_open_end_is_not_broken, begin, end),
        cmocka_unit_test_setup_teardown(what_comes_before_the_packet_that_is_awaited_is_taken_later_in_order,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_packet_is_awaited_while_another_is_taken, begin, end),
        cmocka_unit_test_setup_teardown(a_large_packet_that_comes_later_is_awaited, begin, end),
        cmocka_unit_test_setup_teardown(whoever_waits_learns_of_the_end_of_the_connection, begin, end),
        cmocka_unit_test_setup_teardown(what_has_been_sent_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(whoever_goes_on_sending_does_not_keep_a_drain, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
