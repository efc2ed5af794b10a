/* SPDX-License-Identifier: Apache-2.0 */
/* The servers as plugins: where they listen, what their configuration allows, and how they stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include <berth/testing.h>

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
    struct berth_error err;
    struct berth_testing *testing;
    char settings[512];

    snprintf(settings, sizeof(settings), "address: %s/%s\n%s", folder, name, more);
    testing = berth_testing_create(&berth_module, *state, settings, &err);
    if (testing == NULL || berth_testing_start(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return testing;
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
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

static void the_mode_is_the_configured_one(void **state)
{
    struct berth_testing *testing = start(state, "b.sock", "mode: \"0600\"\n");
    struct berth_error err;
    mode_t mode;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_true(socket_mode("b.sock", &mode));
    assert_int_equal(mode, 0600);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

static void a_plugin_that_never_served_closes(void **state)
{
    struct berth_testing *testing = start(state, "c.sock", "");
    struct berth_error err;

    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

static void a_path_that_no_socket_can_have_is_named(void **state)
{
    char name[121];
    struct berth_testing *testing;
    struct berth_error err;

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    testing = start(state, name, "");
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "xxxxxxxx"));
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
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
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

static void tcp_says_on_which_port_it_listens(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = berth_testing_create(&berth_module, TCP, "address: 127.0.0.1:0\n", &err);
    const char *address;

    assert_non_null(testing);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    address = berth_testing_export(testing, "address");
    assert_non_null(address);
    assert_memory_equal(address, "127.0.0.1:", 10);
    assert_true(atoi(address + 10) > 0);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

static void assert_tcp_start(const char *settings, enum berth_code code, const char *text)
{
    struct berth_error err = {0};
    struct berth_testing *testing = berth_testing_create(&berth_module, TCP, settings, &err);

    assert_non_null(testing);
    assert_int_equal(berth_testing_start(testing, &err), code);
    if (text != NULL && strstr(err.message, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.message);
    berth_testing_destroy(testing, &err);
}

static void without_an_address_tcp_does_not_apply(void **state)
{
    assert_tcp_start("", BERTH_SKIP, "try address: 127.0.0.1:50051");
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
                     "tls_ca is for clients");
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
    };

    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_that_no_frame_of_ttrpc_has_is_refused),
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
