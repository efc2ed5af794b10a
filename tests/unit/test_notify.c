/* SPDX-License-Identifier: Apache-2.0 */
/* What the service manager hears, on which kinds of socket, and what no child of the daemon can say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <core/notify.h>

/* The manager's end, and what came with its last datagram. */
static struct {
    int fd;
    char path[108];
    char text[1024];
    int fds[NOTIFY_FDS_MAX];
    size_t fd_count;
} manager;

static void listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));

    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    else
        length++;
    manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager.fd >= 0);
    assert_int_equal(bind(manager.fd, (struct sockaddr *)&address, length), 0);
    setenv("NOTIFY_SOCKET", name, 1);
}

static int set_up(void **state)
{
    snprintf(manager.path, sizeof(manager.path), "/tmp/berth-notify-%d.sock", (int)getpid());
    unlink(manager.path);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    manager.fd = -1;
    return 0;
}

static int tear_down(void **state)
{
    if (manager.fd >= 0)
        close(manager.fd);
    unlink(manager.path);
    return 0;
}

/* Takes one datagram; "" where none is there. */
static const char *hear(void)
{
    char space[CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
    struct iovec bytes = {.iov_base = manager.text, .iov_len = sizeof(manager.text) - 1};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
    ssize_t length = recvmsg(manager.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = length < 0 ? NULL : CMSG_FIRSTHDR(&message);

    manager.text[length < 0 ? 0 : length] = '\0';
    manager.fd_count = 0;
    if (header != NULL) {
        assert_int_equal(header->cmsg_type, SCM_RIGHTS);
        manager.fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(manager.fds, CMSG_DATA(header), manager.fd_count * sizeof(int));
    }
    return manager.text;
}

static void the_manager_hears_each_state(void **state)
{
    listen_at(manager.path);
    notify_start();
    notify_ready("ready in 5 ms");
    assert_string_equal(hear(), "READY=1\nSTATUS=ready in 5 ms");
    notify_status("starting io.berth.store.v1.lmdb");
    assert_string_equal(hear(), "STATUS=starting io.berth.store.v1.lmdb");
    notify_extend_timeout(1500000);
    assert_string_equal(hear(), "EXTEND_TIMEOUT_USEC=1500000");
    notify_watchdog();
    assert_string_equal(hear(), "WATCHDOG=1");
    notify_stopping();
    assert_string_equal(hear(), "STOPPING=1\nSTATUS=Stopping.");
}

static void a_socket_of_the_abstract_namespace_is_reached(void **state)
{
    char name[64];

    snprintf(name, sizeof(name), "@berth-notify-%d", (int)getpid());
    listen_at(name);
    notify_start();
    notify_ready("there");
    assert_string_equal(hear(), "READY=1\nSTATUS=there");
}

static void what_was_read_is_gone_from_the_environment_and_still_known(void **state)
{
    char pid[16];

    listen_at(manager.path);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_USEC", "30000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    notify_start();
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
    assert_true(notify_watchdog_us() == 30000000);
    setenv("NOTIFY_SOCKET", "/nowhere", 1);
    notify_watchdog();
    assert_string_equal(hear(), "WATCHDOG=1");
}

static void a_watchdog_of_another_process_or_without_a_number_is_nobody_s(void **state)
{
    listen_at(manager.path);
    setenv("WATCHDOG_USEC", "30000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    notify_start();
    assert_true(notify_watchdog_us() == 0);
    setenv("NOTIFY_SOCKET", manager.path, 1);
    setenv("WATCHDOG_USEC", "-5", 1);
    notify_start();
    assert_true(notify_watchdog_us() == 0);
}

static void without_a_manager_nothing_is_sent(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "30000000", 1);
    notify_start();
    notify_ready("nobody");
    assert_true(notify_watchdog_us() == 0);
    assert_int_equal(notify_send("READY=1", NULL, 0), -ENOTCONN);
}

static void an_address_that_is_none_is_ignored(void **state)
{
    static char long_path[200] = "/";
    static const char *const names[] = {"relative.sock", "@", "/", "vsock:2:1234", long_path};

    memset(long_path + 1, 'x', sizeof(long_path) - 2);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_start();
        assert_int_equal(notify_send("READY=1", NULL, 0), -ENOTCONN);
    }
}

static void a_manager_that_is_gone_is_an_error_and_no_signal(void **state)
{
    listen_at(manager.path);
    notify_start();
    close(manager.fd);
    manager.fd = -1;
    assert_int_equal(notify_send("READY=1", NULL, 0), -ECONNREFUSED);
    unlink(manager.path);
    assert_int_equal(notify_send("READY=1", NULL, 0), -ENOENT);
    notify_stopping();
}

static void descriptors_travel_with_the_lines(void **state)
{
    struct stat sent, received;
    int ends[2], many[NOTIFY_FDS_MAX + 1];

    listen_at(manager.path);
    notify_start();
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(notify_send("FDSTORE=1\nFDNAME=grpc", ends, 2), 0);
    assert_string_equal(hear(), "FDSTORE=1\nFDNAME=grpc");
    assert_int_equal(manager.fd_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fstat(ends[i], &sent), 0);
        assert_int_equal(fstat(manager.fds[i], &received), 0);
        assert_true(sent.st_ino == received.st_ino);
        close(manager.fds[i]);
    }
    for (size_t i = 0; i < NOTIFY_FDS_MAX + 1; i++)
        many[i] = ends[0];
    assert_int_equal(notify_send("FDSTORE=1", many, NOTIFY_FDS_MAX + 1), -E2BIG);
    close(ends[0]);
    close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_manager_hears_each_state),
        TEST(a_socket_of_the_abstract_namespace_is_reached),
        TEST(what_was_read_is_gone_from_the_environment_and_still_known),
        TEST(a_watchdog_of_another_process_or_without_a_number_is_nobody_s),
        TEST(without_a_manager_nothing_is_sent),
        TEST(an_address_that_is_none_is_ignored),
        TEST(a_manager_that_is_gone_is_an_error_and_no_signal),
        TEST(descriptors_travel_with_the_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
