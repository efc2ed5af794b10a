/* SPDX-License-Identifier: Apache-2.0 */
/* The ttrpc server as a plugin: where it listens, and how it stops. */
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

static char folder[] = "/tmp/berth-test-XXXXXX";

static int make_folder(void **state)
{
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static struct berth_testing *start(const char *name, const char *more)
{
    struct berth_error err;
    struct berth_testing *testing;
    char settings[512];

    snprintf(settings, sizeof(settings), "address: %s/%s\n%s", folder, name, more);
    testing = berth_testing_create(&berth_module, NULL, settings, &err);
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
    struct berth_testing *testing = start("a.sock", "");
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
    struct berth_testing *testing = start("b.sock", "mode: \"0600\"\n");
    struct berth_error err;
    mode_t mode;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_true(socket_mode("b.sock", &mode));
    assert_int_equal(mode, 0600);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

static void a_plugin_that_never_served_closes(void **state)
{
    struct berth_testing *testing = start("c.sock", "");
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
    testing = start(name, "");
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "xxxxxxxx"));
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

/* The largest message of the protocol. */
static void a_limit_that_no_frame_has_is_refused(void **state)
{
    struct berth_error err;

    assert_null(berth_testing_create(&berth_module, NULL, "max_recv_message_bytes: 16MiB", &err));
    assert_non_null(strstr(err.message, "max_recv_message_bytes"));
}

static void a_mode_that_is_none_is_refused(void **state)
{
    struct berth_error err;

    assert_null(berth_testing_create(&berth_module, NULL, "mode: \"0999\"", &err));
    assert_non_null(strstr(err.message, "mode"));
}

/* A peer that is connected: the drain waits for it, or tells it to go; close ends it in any case. */
static void a_connected_peer_does_not_keep_it_from_closing(void **state)
{
    struct berth_testing *testing = start("d.sock", "");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_listens_when_it_serves_and_not_before),
        cmocka_unit_test(the_mode_is_the_configured_one),
        cmocka_unit_test(a_plugin_that_never_served_closes),
        cmocka_unit_test(a_path_that_no_socket_can_have_is_named),
        cmocka_unit_test(a_limit_that_no_frame_has_is_refused),
        cmocka_unit_test(a_mode_that_is_none_is_refused),
        cmocka_unit_test(a_connected_peer_does_not_keep_it_from_closing),
    };

    return cmocka_run_group_tests_name("server-ttrpc", tests, make_folder, remove_folder);
}
