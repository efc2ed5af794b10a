/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a path for a listening socket. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <sdk/base/unix_socket.h>

static char folder[] = "/tmp/rpcXXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/rpcXXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"s", "s.lock", "s~", ""};

    for (size_t i = 0; i < 3; i++)
        unlink(in_folder(names[i]));
    return rmdir(folder);
}

static enum berth_code claim(struct unix_socket *claimed, const char *path, int *ret_fd,
                             struct berth_error *err)
{
    return unix_socket_claim(claimed, &(struct unix_socket_options){.path = path}, ret_fd, err);
}

static int bind_plainly(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void a_free_path_is_taken_with_its_mode_and_given_back(void **state)
{
    struct unix_socket claimed;
    struct berth_error err;
    struct stat status;
    int fd;

    assert_int_equal(unix_socket_claim(&claimed,
                                       &(struct unix_socket_options){.path = in_folder("s"), .mode = 0600},
                                       &fd, &err),
                     BERTH_OK);
    assert_int_equal(lstat(in_folder("s"), &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(access(in_folder("s~"), F_OK), -1);
    close(fd);
    unix_socket_release(&claimed);
    assert_int_equal(access(in_folder("s"), F_OK), -1);
}

static void a_socket_is_given_to_the_owner_and_group_that_were_chosen(void **state)
{
    const struct unix_socket_options options = {
        .path = in_folder("s"), .set_owner = true, .uid = (uid_t)-1, .gid = 12345};
    struct unix_socket claimed;
    struct berth_error err;
    struct stat status;
    int fd;

    if (geteuid() != 0) {
        assert_int_equal(unix_socket_claim(&claimed, &options, &fd, &err), BERTH_PERMISSION_DENIED);
        return;
    }
    assert_int_equal(unix_socket_claim(&claimed, &options, &fd, &err), BERTH_OK);
    assert_int_equal(lstat(in_folder("s"), &status), 0);
    assert_int_equal(status.st_uid, 0);
    assert_int_equal(status.st_gid, 12345);
    close(fd);
    unix_socket_release(&claimed);
}

static void a_stale_socket_is_replaced(void **state)
{
    struct unix_socket claimed;
    struct berth_error err;
    int fd;

    close(bind_plainly(in_folder("s")));
    assert_int_equal(claim(&claimed, in_folder("s"), &fd, &err), BERTH_OK);
    close(fd);
    unix_socket_release(&claimed);
}

static void a_live_socket_is_refused_with_its_pid(void **state)
{
    int other = bind_plainly(in_folder("s"));
    struct unix_socket claimed;
    struct berth_error err;
    char pid[32];
    int fd;

    listen(other, 1);
    snprintf(pid, sizeof(pid), "process %ld ", (long)getpid());
    assert_int_equal(claim(&claimed, in_folder("s"), &fd, &err), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, pid));
    close(other);
}

static void two_of_us_never_share_a_path(void **state)
{
    struct unix_socket first;
    struct unix_socket second;
    struct berth_error err;
    char pid[32];
    int fd;
    int none;

    snprintf(pid, sizeof(pid), "process %ld ", (long)getpid());
    assert_int_equal(claim(&first, in_folder("s"), &fd, &err), BERTH_OK);
    assert_int_equal(claim(&second, in_folder("s"), &none, &err), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, pid));
    close(fd);
    unix_socket_release(&first);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    struct unix_socket claimed;
    struct berth_error err;
    int fd;

    close(open(in_folder("s"), O_CREAT | O_WRONLY, 0600));
    assert_int_equal(claim(&claimed, in_folder("s"), &fd, &err), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "is not a socket"));
    assert_int_equal(access(in_folder("s"), F_OK), 0);
}

static void a_path_that_is_too_long_is_refused_with_both_numbers(void **state)
{
    struct unix_socket claimed;
    struct berth_error err;
    char path[109];
    int fd;

    memset(path, 'x', 108);
    path[108] = '\0';
    assert_int_equal(claim(&claimed, path, &fd, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "108 bytes"));
    assert_non_null(strstr(err.message, "107"));
}

static void the_longest_path_is_taken(void **state)
{
    struct unix_socket claimed;
    struct berth_error err;
    char path[256];
    char lock[300];
    int fd;

    snprintf(path, sizeof(path), "%s/%0*d", folder, (int)(107 - strlen(folder) - 1), 0);
    assert_int_equal(claim(&claimed, path, &fd, &err), BERTH_OK);
    close(fd);
    unix_socket_release(&claimed);
    snprintf(lock, sizeof(lock), "%s.lock", path);
    assert_int_equal(unlink(lock), 0);
}

static void a_missing_folder_is_not_found(void **state)
{
    struct unix_socket claimed;
    struct berth_error err;
    int fd;

    assert_int_equal(claim(&claimed, in_folder("no/such/s"), &fd, &err), BERTH_NOT_FOUND);
    assert_non_null(strstr(err.message, "no/such/s"));
}

static void a_socket_that_somebody_put_in_our_place_is_not_removed(void **state)
{
    struct unix_socket claimed;
    struct berth_error err;
    int other;
    int fd;

    assert_int_equal(claim(&claimed, in_folder("s"), &fd, &err), BERTH_OK);
    unlink(in_folder("s"));
    other = bind_plainly(in_folder("s"));
    unix_socket_release(&claimed);
    assert_int_equal(access(in_folder("s"), F_OK), 0);
    close(other);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_socket_is_given_to_the_owner_and_group_that_were_chosen,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_free_path_is_taken_with_its_mode_and_given_back, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_stale_socket_is_replaced, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_live_socket_is_refused_with_its_pid, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(two_of_us_never_share_a_path, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_is_no_socket_is_left_alone, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_path_that_is_too_long_is_refused_with_both_numbers, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_longest_path_is_taken, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_not_found, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_socket_that_somebody_put_in_our_place_is_not_removed, make_folder,
                                        remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
