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

#include <uv.h>

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

/* Of others, until the manager's queue has no room. */
static size_t fill(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t count = 0;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", manager.path);
    assert_true(fd >= 0);
    while (sendto(fd, "full", 4, MSG_DONTWAIT, (struct sockaddr *)&address, sizeof(address)) == 4)
        count++;
    assert_int_equal(errno, EAGAIN);
    close(fd);
    return count;
}

static void hear_full(size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_string_equal(hear(), "full");
}

static void of_what_a_manager_does_not_read_the_latest_of_each_state_waits(void **state)
{
    uint64_t begin = uv_hrtime();
    char last[1024];
    size_t filled;

    listen_at(manager.path);
    notify_start();
    filled = fill();
    notify_ready("the first");
    for (size_t i = 0; i < 200; i++) {
        notify_reloading();
        notify_status("on the way");
        notify_extend_timeout(i);
        notify_watchdog();
        notify_ready("again");
    }
    assert_true(uv_hrtime() - begin < 2000000000);
    hear_full(filled);
    notify_status("the last");
    snprintf(last, sizeof(last), "%s", hear());
    assert_memory_equal(last, "RELOADING=1\nMONOTONIC_USEC=", 26);
    assert_string_equal(hear(), "STATUS=on the way");
    assert_string_equal(hear(), "EXTEND_TIMEOUT_USEC=199");
    assert_string_equal(hear(), "READY=1\nSTATUS=again");
    assert_string_equal(hear(), "STATUS=the last");
    assert_string_equal(hear(), "");
}

static void what_waits_goes_out_when_the_manager_reads(void **state)
{
    uv_loop_t loop;
    uv_async_t alive;
    size_t filled;

    listen_at(manager.path);
    notify_start();
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_async_init(&loop, &alive, NULL), 0);
    filled = fill();
    notify_reloading();
    notify_run(&loop);
    notify_ready("done");
    uv_run(&loop, UV_RUN_NOWAIT);
    hear_full(filled);
    for (size_t i = 0; i < 3; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_memory_equal(hear(), "RELOADING=1\n", 12);
    assert_string_equal(hear(), "READY=1\nSTATUS=done");
    filled = fill();
    notify_stopping();
    notify_stop();
    hear_full(filled);
    assert_string_equal(hear(), "");
    uv_close((uv_handle_t *)&alive, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* A copy of the descriptor is sent; it is closed where its name is taken back before that. */
static void descriptors_wait_too_and_are_bounded(void **state)
{
    int ends[2], taken_back[2];
    size_t filled, queued = 0;
    char byte;

    listen_at(manager.path);
    notify_start();
    filled = fill();
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(taken_back), 0);
    assert_int_equal(notify_send("FDSTORE=1\nFDNAME=kept\nFDPOLL=0", &ends[1], 1), 0);
    assert_int_equal(notify_send("FDSTORE=1\nFDNAME=keptnot\nFDPOLL=0", &taken_back[1], 1), 0);
    close(ends[1]);
    close(taken_back[1]);
    assert_int_equal(notify_send("FDSTOREREMOVE=1\nFDNAME=keptnot", NULL, 0), 0);
    assert_int_equal(read(taken_back[0], &byte, 1), 0);
    hear_full(filled);
    notify_status("behind");
    assert_string_equal(hear(), "FDSTORE=1\nFDNAME=kept\nFDPOLL=0");
    assert_int_equal(manager.fd_count, 1);
    assert_int_equal(write(manager.fds[0], "x", 1), 1);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(manager.fds[0]);
    assert_string_equal(hear(), "FDSTOREREMOVE=1\nFDNAME=keptnot");
    assert_string_equal(hear(), "STATUS=behind");
    fill();
    while (queued < 1000 && notify_send("FDSTORE=1\nFDNAME=many", &ends[0], 1) == 0)
        queued++;
    assert_in_range(queued, 64, 999);
    notify_stopping();
    notify_stop();
    close(ends[0]);
    close(taken_back[0]);
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
        TEST(of_what_a_manager_does_not_read_the_latest_of_each_state_waits),
        TEST(what_waits_goes_out_when_the_manager_reads),
        TEST(descriptors_wait_too_and_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
