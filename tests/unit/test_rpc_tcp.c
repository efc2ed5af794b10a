/* SPDX-License-Identifier: Apache-2.0 */
/* Server and client over TCP: addresses that are right and wrong, names, and sockets that others opened. */
#include "rpc_pair.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <berth/address.h>

#include <sdk/rpc/server/server.h>
#include <sdk/rpc/socket/peer.h>

static uint16_t listen_at(const char *address)
{
    const struct berth_rpc_tcp_options options = {.size = sizeof(options), .address = address};
    uint16_t port = 0;

    if (berth_rpc_server_listen_tcp(pair.server, &options, &port, &pair.err) != BERTH_OK)
        fail_msg("%s", pair.err.message);
    assert_int_not_equal(port, 0);
    return port;
}

static enum berth_code try_listen(const char *address)
{
    const struct berth_rpc_tcp_options options = {.size = sizeof(options), .address = address};

    return berth_rpc_server_listen_tcp(pair.server, &options, NULL, &pair.err);
}

static void connect_to(const char *host, uint16_t port)
{
    char address[64];

    snprintf(address, sizeof(address), "tcp:%s:%u", host, port);
    pair_connect(address, NULL);
}

static void a_call_over_tcp_knows_its_transport_and_peer(void **state)
{
    connect_to("127.0.0.1", listen_at("127.0.0.1:0"));
    pair_ask("/t.T/Echo", "hello");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_OK);
    assert_string_equal(pair.text, "hello");
    assert_string_equal(seen.transport, "tcp");
    assert_memory_equal(seen.peer, "127.0.0.1:", 10);
    assert_string_equal(seen.subject, "");
}

struct listed {
    size_t count;
    struct berth_rpc_connection_info last;
    char peer[64];
};

static bool list_connection(void *context, const struct berth_rpc_connection_info *connection)
{
    struct listed *listed = context;

    listed->count++;
    listed->last = *connection;
    snprintf(listed->peer, sizeof(listed->peer), "%s", connection->peer->address);
    return true;
}

static struct listed list_connections(void)
{
    struct listed listed = {0};

    berth_rpc_server_each_connection(pair.server, list_connection, &listed);
    return listed;
}

static void a_connection_is_listed_until_its_owner_closes_it(void **state)
{
    struct listed listed = list_connections();

    assert_int_equal(listed.count, 0);
    connect_to("127.0.0.1", listen_at("127.0.0.1:0"));
    pair_ask("/t.T/Echo", "hello");
    pair_run_until_over(1);
    listed = list_connections();
    assert_int_equal(listed.count, 1);
    assert_int_equal(listed.last.number, 1);
    assert_string_equal(listed.last.transport, "tcp");
    assert_memory_equal(listed.peer, "127.0.0.1:", 10);
    assert_true(listed.last.since_ns <= uv_hrtime());
    assert_int_equal(berth_rpc_server_close_connection(pair.server, 2, &pair.err), BERTH_NOT_FOUND);
    assert_int_equal(berth_rpc_server_close_connection(pair.server, 1, &pair.err), BERTH_OK);
    assert_int_equal(berth_rpc_server_close_connection(pair.server, 1, &pair.err), BERTH_OK);
    pair_run_for(50);
    assert_int_equal(list_connections().count, 0);
    assert_int_equal(berth_rpc_server_close_connection(pair.server, 1, &pair.err), BERTH_NOT_FOUND);
    pair_ask("/t.T/Echo", "again");
    pair_run_until_over(2);
    assert_int_equal(list_connections().last.number, 2);
}

static void ipv6_is_written_in_brackets(void **state)
{
    connect_to("[::1]", listen_at("[::1]:0"));
    pair_ask("/t.T/Echo", "six");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_OK);
    assert_memory_equal(seen.peer, "[::1]:", 6);
}

/* localhost has an address of each kind, and only one of them is listened on. */
static void each_address_of_a_name_is_tried(void **state)
{
    connect_to("localhost", listen_at("127.0.0.1:0"));
    pair_ask("/t.T/Echo", "by name");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_OK);
}

static void nobody_there_is_unavailable_with_the_reason(void **state)
{
    connect_to("127.0.0.1", 1);
    pair_ask("/t.T/Echo", "hello");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_UNAVAILABLE);
    assert_string_equal(pair.message, "cannot connect to tcp:127.0.0.1:1: 127.0.0.1:1: connection refused");
}

static void a_name_that_nobody_knows_is_unavailable(void **state)
{
    connect_to("no-such-host.invalid", 50051);
    pair_ask("/t.T/Echo", "hello");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_UNAVAILABLE);
    assert_non_null(strstr(pair.message, "cannot resolve the name"));
}

static void a_channel_may_be_closed_while_it_looks_up_a_name(void **state)
{
    connect_to("no-such-host.invalid", 50051);
    pair_ask("/t.T/Echo", "hello");
    uv_run(&pair.loop, UV_RUN_NOWAIT);
    berth_rpc_channel_close(pair.channel, NULL, NULL);
    pair.channel = NULL;
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_CANCELLED);
}

static void much_flows_both_ways_at_the_readers_pace(void **state)
{
    static const char block[RPC_BLOCK];
    size_t sent = 0;

    connect_to("127.0.0.1", listen_at("127.0.0.1:0"));
    seen.to_send = 1000;
    pair_ask("/t.T/Blocks", "go");
    pair_run_until_over(1);
    assert_int_equal(pair.received, 1000 * RPC_BLOCK);
    pair_ask("/t.T/Count", NULL);
    for (; sent < 1000; sent++) {
        while (!berth_rpc_call_can_send(pair.call))
            uv_run(&pair.loop, UV_RUN_ONCE);
        assert_int_equal(berth_rpc_call_send(pair.call, block, sizeof(block)), BERTH_OK);
    }
    berth_rpc_call_half_close(pair.call);
    pair_run_until_over(2);
    assert_string_equal(pair.text, "32768000");
}

static void an_address_that_is_taken_is_refused(void **state)
{
    char address[32];

    snprintf(address, sizeof(address), "127.0.0.1:%u", listen_at("127.0.0.1:0"));
    assert_int_equal(try_listen(address), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(pair.err.message, "another process is already listening there"));
}

static void an_address_of_another_machine_is_refused(void **state)
{
    assert_int_equal(try_listen("192.0.2.1:50051"), BERTH_UNAVAILABLE);
    assert_non_null(strstr(pair.err.message, "not an address of this machine"));
}

static void what_is_no_address_is_refused_with_an_example(void **state)
{
    static const struct {
        const char *address, *problem;
    } wrong[] = {
        {"", "has no port (try 127.0.0.1:50051)"},
        {"127.0.0.1", "has no port (try 127.0.0.1:50051)"},
        {"[::1]", "has no port (try [::1]:50051)"},
        {":50051", "has no host before the port (try 127.0.0.1:50051)"},
        {"*:50051", "every address of this machine is written 0.0.0.0:50051"},
        {"::1:50051", "is written in brackets"},
        {"127.0.0.1:", "\"\" is not a port number"},
        {"1.2.3.4:65536", "port 65536 is out of range (0 to 65535)"},
        {"1.2.3.4:-1", "\"-1\" is not a port number"},
        {"1.2.3.4: 1", "\" 1\" is not a port number"},
        {"[::1]x:50", "is not an IPv6 address in brackets"},
        {"[127.0.0.1:1", "is not an IPv6 address in brackets"},
        {"[fe80::1%no-such]:1", "with a network interface of this machine after the %"},
        {"1.2.3:50051", "is not an IP address and port (try 127.0.0.1:50051"},
        {"example.com:50051", "is not an IP address and port (try 127.0.0.1:50051"},
        {"/run/x.sock:1", "'/' is not part of a host name"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(try_listen(wrong[i].address), BERTH_INVALID_ARGUMENT);
        assert_non_null(strstr(pair.err.message, wrong[i].problem));
    }
    assert_int_equal(try_listen(NULL), BERTH_INVALID_ARGUMENT);
}

static void what_has_a_colon_and_no_slash_is_a_host_and_a_port_and_all_else_a_socket(void **state)
{
    static const struct {
        const char *text, *host, *path;
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:50051", "127.0.0.1", NULL, 50051},
        {"localhost:1", "localhost", NULL, 1},
        {"[::1]:50051", "::1", NULL, 50051},
        {"[::1%lo]:50051", "::1%lo", NULL, 50051},
        {"[127.0.0.1]:7", "127.0.0.1", NULL, 7},
        {"tcp:etcd-1.example:2379", "etcd-1.example", NULL, 2379},
        {"tcp://etcd-1:65535", "etcd-1", NULL, 65535},
        {"/run/a:1", "", "/run/a:1", 0},
        {"./name:1", "", "./name:1", 0},
        {"a/name:1", "", "a/name:1", 0},
        {"/run/a://b", "", "/run/a://b", 0},
        {"name", "", "name", 0},
        {"unix:name:1", "", "name:1", 0},
        {"unix:/run/a.sock", "", "/run/a.sock", 0},
        {"unix:///run/a.sock", "", "/run/a.sock", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_address address;

        assert_int_equal(berth_address_parse(cases[i].text, &address, &pair.err), BERTH_OK);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        assert_int_equal(address.path == NULL, cases[i].path == NULL);
        if (address.path != NULL)
            assert_string_equal(address.path, cases[i].path);
    }
}

static void only_what_this_machine_alone_reaches_is_loopback(void **state)
{
    static const char *const near[] = {"127.0.0.1:1",          "127.1.2.3:1",         "127.255.255.255:1",
                                       "localhost:1",          "LocalHost:1",         "[::1]:1",
                                       "[::1%lo]:1",           "[0:0:0:0:0:0:0:1]:1", "[127.0.0.1]:1",
                                       "[::ffff:127.0.0.1]:1", "[::ffff:7f01:0203]:1"};
    static const char *const far[] = {
        "0.0.0.0:1",          "[::]:1",  "126.0.0.1:1",     "128.0.0.1:1",    "1.0.0.127:1",
        "[::ffff:0.0.0.0]:1", "[::2]:1", "[::127.0.0.1]:1", "[fe80::1%lo]:1", "[1::ffff:127.0.0.1]:1"};
    struct berth_address address;

    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
        assert_int_equal(berth_address_parse_listener(near[i], &address, &pair.err), BERTH_OK);
        assert_true(berth_address_is_loopback(&address.ip));
    }
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        assert_int_equal(berth_address_parse_listener(far[i], &address, &pair.err), BERTH_OK);
        assert_false(berth_address_is_loopback(&address.ip));
    }
}

static void a_call_reaches_a_server_whose_address_has_no_scheme(void **state)
{
    char address[32];

    snprintf(address, sizeof(address), "localhost:%u", listen_at("localhost:0"));
    pair_connect(address, NULL);
    pair_ask("/t.T/Echo", "there");
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_OK);
}

static void a_channel_refuses_what_is_no_address(void **state)
{
    static const char *const wrong[] = {"",           "tcp:",  "tcp:host",      "tcp::50051", "tcp:host:0",
                                        "tcp:host:x", "name:", "name:x1",       "host:0",     "host:65536",
                                        "::1:50051",  "*:1",   "http://host:1", "unix:"};
    struct berth_rpc_channel *channel;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct berth_rpc_channel_options options = {.size = sizeof(options), .address = wrong[i]};

        assert_int_equal(berth_rpc_channel_create(&pair.loop, &options, &channel, &pair.err),
                         BERTH_INVALID_ARGUMENT);
    }
}

static void addresses_are_written_as_they_are_read(void **state)
{
    static const char *const texts[] = {"127.0.0.1:50051", "0.0.0.0:0", "[::1]:65535", "[::]:1"};
    char text[TCP_ADDRESS_MAX];
    struct berth_address address;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(berth_address_parse_listener(texts[i], &address, &pair.err), BERTH_OK);
        tcp_address_format(&address.ip, text);
        assert_string_equal(text, texts[i]);
    }
}

/* Connects to a socket of the test's own, whose other end the server adopts. */
static void a_tcp_socket_that_somebody_else_accepted_is_served(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int delay = 0;
    int fd = -1;

    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    connect_to("127.0.0.1", ntohs(address.sin_port));
    pair_ask("/t.T/Echo", "adopted");
    for (int i = 0; i < 1000 && fd < 0; i++) {
        pair_run_for(10);
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    assert_true(fd >= 0);
    assert_int_equal(berth_rpc_server_adopt(pair.server, fd, &pair.err), BERTH_OK);
    pair_run_until_over(1);
    assert_int_equal(pair.code, BERTH_OK);
    assert_memory_equal(seen.peer, "127.0.0.1:", 10);
    length = sizeof(delay);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &delay, &length), 0);
    assert_int_not_equal(delay, 0);
    close(listener);
}

static void what_is_no_stream_socket_is_not_adopted(void **state)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(berth_rpc_server_adopt(pair.server, fd, &pair.err), BERTH_UNAVAILABLE);
    assert_int_equal(close(fd), 0);
}

static bool are_one_peer(const char *a, const char *b)
{
    const char *const texts[] = {a, b};
    unsigned char keys[2][SERVER_PEER_KEY];

    for (size_t i = 0; i < 2; i++) {
        struct sockaddr_storage address;

        if (strchr(texts[i], ':') != NULL)
            assert_int_equal(uv_ip6_addr(texts[i], 1, (struct sockaddr_in6 *)&address), 0);
        else
            assert_int_equal(uv_ip4_addr(texts[i], 1, (struct sockaddr_in *)&address), 0);
        assert_true(server_peer_key((const struct sockaddr *)&address, keys[i]));
    }
    return memcmp(keys[0], keys[1], SERVER_PEER_KEY) == 0;
}

static void a_peer_is_what_one_host_can_choose_from(void **state)
{
    assert_true(are_one_peer("192.0.2.1", "192.0.2.1"));
    assert_false(are_one_peer("192.0.2.1", "192.0.2.2"));
    assert_true(are_one_peer("192.0.2.1", "::ffff:192.0.2.1"));
    assert_true(are_one_peer("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
    assert_false(are_one_peer("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_false(are_one_peer("fe80::1", "fe80::2"));
    assert_false(are_one_peer("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"));
}

#define CALL(name) cmocka_unit_test_setup_teardown(name, pair_start, pair_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL(a_call_over_tcp_knows_its_transport_and_peer),
        CALL(a_connection_is_listed_until_its_owner_closes_it),
        CALL(ipv6_is_written_in_brackets),
        CALL(each_address_of_a_name_is_tried),
        CALL(nobody_there_is_unavailable_with_the_reason),
        CALL(a_name_that_nobody_knows_is_unavailable),
        CALL(a_channel_may_be_closed_while_it_looks_up_a_name),
        CALL(much_flows_both_ways_at_the_readers_pace),
        CALL(an_address_that_is_taken_is_refused),
        CALL(an_address_of_another_machine_is_refused),
        CALL(what_is_no_address_is_refused_with_an_example),
        CALL(what_has_a_colon_and_no_slash_is_a_host_and_a_port_and_all_else_a_socket),
        CALL(only_what_this_machine_alone_reaches_is_loopback),
        CALL(a_call_reaches_a_server_whose_address_has_no_scheme),
        CALL(a_channel_refuses_what_is_no_address),
        CALL(addresses_are_written_as_they_are_read),
        CALL(a_tcp_socket_that_somebody_else_accepted_is_served),
        CALL(what_is_no_stream_socket_is_not_adopted),
        cmocka_unit_test(a_peer_is_what_one_host_can_choose_from),
    };

    return cmocka_run_group_tests_name("rpc over TCP", tests, NULL, NULL);
}
