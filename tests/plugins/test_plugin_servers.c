/* SPDX-License-Identifier: Apache-2.0 */
/* The servers as plugins: where they listen, what their configuration allows, and how they stop. */
#include "plugin_stage.h"
#include "server_stage.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GRPC "io.containerd.server.v1.grpc"
#define TCP "io.containerd.server.v1.grpc-tcp"
#define TTRPC "io.containerd.server.v1.ttrpc"

static char folder[] = "/tmp/berth-test-XXXXXX";

static void remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command) != 0)
        perror(folder);
}

/* The state of a test of those on unix sockets is a URI. */
static struct berth_testing *start(void **state, const char *name, const char *more)
{
    char settings[512];

    snprintf(settings, sizeof(settings), "address: %s/%s\n%s", folder, name, more);
    return plugin_run(*state, settings);
}

static bool socket_mode(const char *name, mode_t *ret_mode)
{
    struct stat status;
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (stat(path, &status) != 0)
        return false;
    assert_true(S_ISSOCK(status.st_mode));
    *ret_mode = status.st_mode & 0777;
    return true;
}

static void it_listens_when_it_serves_and_not_before(void **state)
{
    struct berth_testing *testing = start(state, "a.sock", "");
    struct berth_error err;
    char path[256];
    mode_t mode;

    snprintf(path, sizeof(path), "%s/a.sock", folder);
    assert_string_equal(berth_testing_export(testing, "address"), path);
    assert_false(socket_mode("a.sock", &mode));
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_true(socket_mode("a.sock", &mode));
    assert_int_equal(mode, 0660);
    assert_int_equal(berth_testing_drain(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    assert_false(socket_mode("a.sock", &mode));
    plugin_destroy(testing);
}

static void the_mode_is_the_configured_one(void **state)
{
    struct berth_testing *testing = start(state, "b.sock", "mode: \"0600\"\n");
    struct berth_error err;
    mode_t mode;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_true(socket_mode("b.sock", &mode));
    assert_int_equal(mode, 0600);
    plugin_destroy(testing);
}

static void a_plugin_that_never_served_closes(void **state)
{
    struct berth_testing *testing = start(state, "c.sock", "");
    struct berth_error err;

    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    plugin_destroy(testing);
}

static void a_path_that_no_socket_can_have_is_named(void **state)
{
    char settings[160];
    struct berth_error err;

    snprintf(settings, sizeof(settings), "address: /%0120d\n", 0);
    assert_null(berth_testing_create(&berth_module, *state, settings, &err));
    assert_non_null(strstr(err.message, "too long for a unix socket: 121 bytes, the kernel allows 107"));
}

static void assert_refused(const char *uri, const char *settings, const char *text)
{
    struct berth_error err;

    assert_null(berth_testing_create(&berth_module, uri, settings, &err));
    assert_non_null(strstr(err.message, text));
}

static void a_mode_that_is_none_is_refused(void **state)
{
    assert_refused(*state, "mode: \"0999\"", "mode");
}

/* The largest message of the protocol. */
static void a_limit_that_no_frame_of_ttrpc_has_is_refused(void **state)
{
    assert_refused(TTRPC, "max_recv_message_bytes: 16MiB", "max_recv_message_bytes");
}

/* A peer that is connected: the drain waits for it, or tells it to go; close ends it in any case. */
static void a_connected_peer_does_not_keep_it_from_closing(void **state)
{
    struct berth_testing *testing = start(state, "d.sock", "");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct berth_error err;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/d.sock", folder);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    berth_testing_run(testing);
    berth_testing_drain(testing, &err);
    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    close(fd);
    plugin_destroy(testing);
}

static void get(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static const struct berth_method methods[] = {{.name = "Get", .on_message = get}};
static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "test.Any",
    .methods = methods,
    .method_count = 1,
};

static int dial(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool is_connected(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return got > 0 || (got < 0 && errno == EAGAIN);
}

static enum berth_code change(struct berth_testing *testing, const char *name, const char *more)
{
    char settings[512];

    snprintf(settings, sizeof(settings), "address: %s/%s\n%s", folder, name, more);
    return plugin_reconfigure(testing, settings);
}

static void mode_address_and_limits_change_while_a_peer_stays(void **state)
{
    struct berth_testing *testing = start(state, "e.sock", "");
    struct berth_error err;
    int fd;
    mode_t mode;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    fd = dial("e.sock");
    assert_true(fd >= 0);
    berth_testing_run(testing);
    assert_int_equal(change(testing, "e.sock", "mode: \"0600\"\n"), BERTH_OK);
    assert_true(socket_mode("e.sock", &mode));
    assert_int_equal(mode, 0600);
    assert_int_equal(change(testing, "f.sock", "max_connections: 7\n"), BERTH_OK);
    assert_false(socket_mode("e.sock", &mode));
    assert_true(socket_mode("f.sock", &mode));
    assert_int_equal(mode, 0660);
    assert_non_null(strstr(berth_testing_export(testing, "address"), "/f.sock"));
    assert_int_equal(asked_anew.max_connections, 7);
    berth_testing_run(testing);
    assert_true(is_connected(fd));
    close(fd);
    fd = dial("f.sock");
    berth_testing_run(testing);
    assert_true(is_connected(fd));
    close(fd);
    plugin_destroy(testing);
}

static void an_address_that_cannot_be_had_changes_nothing(void **state)
{
    struct berth_testing *testing = start(state, "g.sock", "");
    struct berth_error err;
    char settings[256];
    mode_t mode;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    asked_anew.max_connections = 1;
    snprintf(settings, sizeof(settings), "address: %s/no/such/g.sock\nmax_connections: 9\n", folder);
    assert_int_equal(berth_testing_reconfigure(testing, settings, &err), BERTH_NOT_FOUND);
    assert_non_null(strstr(err.message, "/no/such/g.sock"));
    assert_true(socket_mode("g.sock", &mode));
    assert_int_equal(asked_anew.max_connections, 1);
    assert_non_null(strstr(berth_testing_export(testing, "address"), "/g.sock"));
    plugin_destroy(testing);
}

static void it_listens_again_when_its_replacement_is_given_up(void **state)
{
    struct berth_testing *testing = start(state, "i.sock", "");
    struct berth_error err;
    int fd;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    plugin_drain_for_another(testing);
    assert_int_equal(dial("i.sock"), -1);
    berth_testing_set_ending(testing, BERTH_ENDING_STOPPING);
    assert_int_equal(berth_testing_provide_service(testing, &service, NULL, &err), BERTH_OK);
    berth_testing_run(testing);
    fd = dial("i.sock");
    assert_true(fd >= 0);
    berth_testing_run(testing);
    assert_true(is_connected(fd));
    close(fd);
    plugin_destroy(testing);
}

/* ttrpc cannot ask a peer to leave, and clients of it do not connect again. */
static void a_peer_of_ttrpc_stays_with_its_generation(void **state)
{
    struct berth_testing *testing = start(state, "h.sock", "");
    struct berth_error err;
    int fd;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    fd = dial("h.sock");
    berth_testing_run(testing);
    berth_testing_set_ending(testing, BERTH_ENDING_REPLACED);
    assert_int_equal(berth_testing_drain(testing, &err), BERTH_PENDING);
    berth_testing_run(testing);
    assert_true(is_connected(fd));
    assert_int_equal(dial("h.sock"), -1);
    close(fd);
    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    plugin_destroy(testing);
}

static void tcp_moves_to_another_port(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = plugin_run(TCP, "address: 127.0.0.1:0\n");
    char first[64];

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    snprintf(first, sizeof(first), "%s", berth_testing_export(testing, "address"));
    assert_int_equal(plugin_reconfigure(testing, "{address: 127.0.0.1:0, max_age: 1h}"), BERTH_OK);
    assert_string_equal(berth_testing_export(testing, "address"), first);
    assert_int_equal(asked_anew.max_age_ms, 3600 * 1000);
    assert_int_equal(plugin_reconfigure(testing, "address: 127.0.0.2:0"), BERTH_OK);
    assert_memory_equal(berth_testing_export(testing, "address"), "127.0.0.2:", 10);
    plugin_destroy(testing);
}

static void tcp_says_on_which_port_it_listens(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = plugin_run(TCP, "address: 127.0.0.1:0\n");
    const char *address;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    address = berth_testing_export(testing, "address");
    assert_non_null(address);
    assert_memory_equal(address, "127.0.0.1:", 10);
    assert_true(atoi(address + 10) > 0);
    plugin_destroy(testing);
}

static void assert_tcp_start(const char *settings, enum berth_code code, const char *text)
{
    struct berth_error err = {0};
    struct berth_testing *testing = plugin_create(TCP, settings);

    assert_int_equal(berth_testing_start(testing, &err), code);
    if (text != NULL && strstr(err.message, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.message);
    berth_testing_destroy(testing, &err);
}

static void without_an_address_tcp_does_not_apply(void **state)
{
    assert_tcp_start("", BERTH_SKIP, "address is not set");
}

static void other_machines_are_not_served_in_clear_unless_told(void **state)
{
    assert_tcp_start("address: 0.0.0.0:0\n", BERTH_INVALID_ARGUMENT, "insecure: true");
    assert_tcp_start("address: '[::]:0'\n", BERTH_INVALID_ARGUMENT, "insecure: true");
    assert_tcp_start("address: 0.0.0.0:0\ninsecure: true\n", BERTH_OK, NULL);
    assert_tcp_start("address: '[::1]:0'\n", BERTH_OK, NULL);
}

static void certificate_key_and_authorities_come_together(void **state)
{
    assert_tcp_start("address: 127.0.0.1:0\ntls_cert: /a.pem\n", BERTH_INVALID_ARGUMENT, "set tls_key too");
    assert_tcp_start("address: 127.0.0.1:0\ntls_key: /a.key\n", BERTH_INVALID_ARGUMENT, "set tls_cert too");
    assert_tcp_start("address: 127.0.0.1:0\ntls_ca: /ca.pem\n", BERTH_INVALID_ARGUMENT,
                     "tls_ca: only TLS clients have certificates");
}

static void ask(const char *uri, const char *settings)
{
    char text[1024];

    snprintf(text, sizeof(text), "address: %s\n%s", strcmp(uri, TCP) == 0 ? "127.0.0.1:0" : "/tmp/unused",
             settings);
    plugin_destroy(plugin_run(uri, text));
    assert_int_equal(asked.size, sizeof(asked));
}

static const char *const uris[] = {GRPC, TCP, TTRPC};

static void every_setting_reaches_the_server(void **state)
{
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        ask(uris[i], "max_connections: 11\nmax_concurrent_streams: 12\nmax_header_list_bytes: 13KiB\n"
                     "max_recv_message_bytes: 14KiB\nmax_send_message_bytes: 15KiB\n"
                     "max_unfinished_bytes: 16KiB\nmax_queued_bytes: 17KiB\nmax_buffered_bytes: 18MiB\n"
                     "write_timeout: 19s\nmax_idle: 20m\nmax_age: 21h\nmax_age_grace: 22ms\n");
        assert_int_equal(asked.max_connections, 11);
        assert_int_equal(asked.max_concurrent_streams, 12);
        assert_int_equal(asked.max_header_list_bytes, 13 << 10);
        assert_int_equal(asked.max_recv_message_bytes, 14 << 10);
        assert_int_equal(asked.max_send_message_bytes, 15 << 10);
        assert_int_equal(asked.max_unfinished_bytes, 16 << 10);
        assert_int_equal(asked.max_queued_bytes, 17 << 10);
        assert_int_equal(asked.max_buffered_bytes, 18 << 20);
        assert_int_equal(asked.write_timeout_ms, 19 * 1000);
        assert_int_equal(asked.max_idle_ms, 20 * 60 * 1000);
        assert_int_equal(asked.max_age_ms, 21 * 3600 * 1000);
        assert_int_equal(asked.max_age_grace_ms, 22);
    }
}

static void what_only_http2_has_reaches_its_servers(void **state)
{
    const char *settings = "handshake_timeout: 11s\nkeepalive_time: 12s\nkeepalive_timeout: 13s\n"
                           "min_ping_interval: 14s\ncompression: always\nframe_timeout: 15s\n";

    for (size_t i = 0; i < 2; i++) {
        ask(uris[i], settings);
        assert_int_equal(asked.handshake_timeout_ms, 11 * 1000);
        assert_int_equal(asked.keepalive_time_ms, 12 * 1000);
        assert_int_equal(asked.keepalive_timeout_ms, 13 * 1000);
        assert_int_equal(asked.min_ping_interval_ms, 14 * 1000);
        assert_int_equal(asked.frame_timeout_ms, 15 * 1000);
        assert_int_equal(asked.compression, BERTH_RPC_COMPRESS_ALWAYS);
        ask(uris[i], "compression: never\n");
        assert_int_equal(asked.compression, BERTH_RPC_COMPRESS_NEVER);
    }
    assert_refused(TTRPC, "compression: always", "compression");
    assert_refused(TTRPC, "keepalive_time: 1s", "keepalive_time");
}

static void one_peer_takes_an_eighth_of_the_connections_unless_that_is_few(void **state)
{
    ask(TCP, "max_connections: 1000\n");
    assert_int_equal(asked.max_connections_per_peer, 125);
    ask(TCP, "max_connections: 20\n");
    assert_int_equal(asked.max_connections_per_peer, 16);
    ask(TCP, "max_connections: 20\nmax_connections_per_peer: 3\n");
    assert_int_equal(asked.max_connections_per_peer, 3);
    ask(TCP, "max_connections_per_peer: 0\n");
    assert_int_equal(asked.max_connections_per_peer, 0);
    assert_refused(GRPC, "max_connections_per_peer: 3", "max_connections_per_peer");
}

/* As berth/rpc/server.h has them, but for those that make TCP finite. */
static void what_is_not_set_is_as_the_library_has_it(void **state)
{
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        uint64_t message = strcmp(uris[i], TTRPC) == 0 ? 4 << 20 : 16 << 20;

        ask(uris[i], "");
        assert_int_equal(asked.max_connections, 4096);
        assert_int_equal(asked.max_concurrent_streams, 256);
        assert_int_equal(asked.max_header_list_bytes, 16 << 10);
        assert_int_equal(asked.max_recv_message_bytes, message);
        assert_int_equal(asked.max_send_message_bytes, message);
        assert_int_equal(asked.max_unfinished_bytes, 0);
        assert_int_equal(asked.max_queued_bytes, 32 << 20);
        assert_int_equal(asked.max_buffered_bytes, 256 << 20);
        assert_int_equal(asked.write_timeout_ms, 60 * 1000);
        assert_int_equal(asked.max_age_grace_ms, 0);
        if (strcmp(uris[i], TCP) == 0) {
            assert_int_equal(asked.max_idle_ms, 15 * 60 * 1000);
            assert_int_equal(asked.max_age_ms, 24 * 3600 * 1000);
            assert_int_equal(asked.max_connections_per_peer, 512);
        } else {
            assert_int_equal(asked.max_idle_ms + asked.max_age_ms + asked.max_connections_per_peer, 0);
        }
        assert_int_equal(asked.min_ping_interval_ms, 0);
        assert_int_equal(asked.compression, BERTH_RPC_COMPRESS_ON_REQUEST);
        if (strcmp(uris[i], TTRPC) == 0)
            continue;
        assert_int_equal(asked.handshake_timeout_ms, 10 * 1000);
        assert_int_equal(asked.frame_timeout_ms, strcmp(uris[i], TCP) == 0 ? 20 * 1000 : 0);
        assert_int_equal(asked.keepalive_time_ms, 2 * 3600 * 1000);
        assert_int_equal(asked.keepalive_timeout_ms, 20 * 1000);
    }
}

static void no_time_at_all_means_never_and_a_short_one_does_not(void **state)
{
    ask(GRPC, "keepalive_time: 0s\nmax_idle: 0s\nmax_age: 1ns\n");
    assert_true(asked.keepalive_time_ms == UINT32_MAX);
    assert_int_equal(asked.max_idle_ms, 0);
    assert_int_equal(asked.max_age_ms, 1);
    assert_refused(GRPC, "write_timeout: 0s", "write_timeout");
    assert_refused(GRPC, "max_age: 2000h", "max_age");
}

static int run_on_unix_sockets(const char *name, const char *uri)
{
    void *server = (void *)(uintptr_t)uri;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(it_listens_when_it_serves_and_not_before, server),
        cmocka_unit_test_prestate(the_mode_is_the_configured_one, server),
        cmocka_unit_test_prestate(a_plugin_that_never_served_closes, server),
        cmocka_unit_test_prestate(a_path_that_no_socket_can_have_is_named, server),
        cmocka_unit_test_prestate(a_mode_that_is_none_is_refused, server),
        cmocka_unit_test_prestate(a_connected_peer_does_not_keep_it_from_closing, server),
        cmocka_unit_test_prestate(mode_address_and_limits_change_while_a_peer_stays, server),
        cmocka_unit_test_prestate(an_address_that_cannot_be_had_changes_nothing, server),
        cmocka_unit_test_prestate(it_listens_again_when_its_replacement_is_given_up, server),
    };

    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_that_no_frame_of_ttrpc_has_is_refused),
        cmocka_unit_test(every_setting_reaches_the_server),
        cmocka_unit_test(what_only_http2_has_reaches_its_servers),
        cmocka_unit_test(one_peer_takes_an_eighth_of_the_connections_unless_that_is_few),
        cmocka_unit_test(what_is_not_set_is_as_the_library_has_it),
        cmocka_unit_test(no_time_at_all_means_never_and_a_short_one_does_not),
        cmocka_unit_test_prestate(a_peer_of_ttrpc_stays_with_its_generation, (void *)TTRPC),
        cmocka_unit_test(tcp_moves_to_another_port),
        cmocka_unit_test(tcp_says_on_which_port_it_listens),
        cmocka_unit_test(without_an_address_tcp_does_not_apply),
        cmocka_unit_test(other_machines_are_not_served_in_clear_unless_told),
        cmocka_unit_test(certificate_key_and_authorities_come_together),
    };
    int failed;

    if (mkdtemp(folder) == NULL)
        return 1;
    failed = run_on_unix_sockets("servers: grpc", GRPC) + run_on_unix_sockets("servers: ttrpc", TTRPC) +
             cmocka_run_group_tests_name("servers: grpc-tcp", tests, NULL, NULL);
    remove_folder();
    return failed;
}
