/* SPDX-License-Identifier: Apache-2.0 */
/* The socket between the daemon and a worker, with somebody hostile at the other end. */
#include <core/wire/channel.h>

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

static void on_packet(struct channel *unused, const struct packet *packet)
{
    assert_int_equal(packet->type, PACKET_PONG);
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
    is_broken = is_closed = goes_on = false;
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
        cmocka_unit_test_setup_teardown(whoever_goes_on_sending_does_not_keep_a_drain, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
