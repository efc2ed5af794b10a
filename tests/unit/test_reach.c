/* SPDX-License-Identifier: Apache-2.0 */
/* Why berthctl reaches nobody: nobody is there, or this user may not. */
#include <tools/berthctl/daemon/address.h>

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <tests/cmocka.h>

#define NOBODY 65534

static char path[64];
static int fd;

static int bind_socket(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(path, sizeof(path), "/tmp/reach-%ld", (long)getpid());
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static int remove_socket(void **state)
{
    close(fd);
    return unlink(path);
}

static void where_no_socket_is_there_is_nobody(void **state)
{
    assert_int_equal(reach_look("/nowhere/at.all"), REACH_NOBODY);
    assert_int_equal(reach_look("unix:/nowhere/at.all"), REACH_NOBODY);
    assert_int_equal(reach_look("unix:///nowhere/at.all"), REACH_NOBODY);
}

static void a_socket_at_which_nobody_listens_is_nobody(void **state)
{
    assert_int_equal(reach_look(path), REACH_NOBODY);
}

static void a_socket_that_answers_is_no_reason(void **state)
{
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(reach_look(path), REACH_UNKNOWN);
}

/* A process that changed its user may not be looked into, by the leak checker either, unless it says so. */
static void a_socket_of_somebody_else_is_forbidden(void **state)
{
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(chmod(path, 0), 0);
    if (geteuid() == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    assert_int_equal(reach_look(path), REACH_FORBIDDEN);
    assert_int_equal(seteuid(getuid()), 0);
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
}

static void of_other_addresses_nothing_is_known(void **state)
{
    char longer[200];

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(reach_look("tcp:127.0.0.1:1"), REACH_UNKNOWN);
    assert_int_equal(reach_look(longer), REACH_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_no_socket_is_there_is_nobody),
        cmocka_unit_test_setup_teardown(a_socket_at_which_nobody_listens_is_nobody, bind_socket,
                                        remove_socket),
        cmocka_unit_test_setup_teardown(a_socket_that_answers_is_no_reason, bind_socket, remove_socket),
        cmocka_unit_test_setup_teardown(a_socket_of_somebody_else_is_forbidden, bind_socket, remove_socket),
        cmocka_unit_test(of_other_addresses_nothing_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
