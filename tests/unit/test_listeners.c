/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a listening socket is, when it is closed, and what the service manager passes and keeps. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <berth/address.h>

#include <core/listen/listen.h>
#include <sdk/base/unix_socket.h>

#include "scratch.h"

#define ONE "io.test.server.v1.one"
#define TWO "io.test.server.v1.two"

static char folder[PATH_MAX];
static char path[PATH_MAX + 8];
static struct listeners *listeners;
static struct berth_error err;
/* Generations. */
static const int first, second, third;

/* What the service manager was told last, and what it keeps. */
static struct {
    char lines[512];
    char name[128];
    int fd;
    size_t count;
} manager;

static int on_notify(const char *lines, const int *fds, size_t fd_count)
{
    const char *name = strstr(lines, "FDNAME=");

    snprintf(manager.lines, sizeof(manager.lines), "%s", lines);
    manager.count++;
    if (fd_count == 1) {
        manager.fd = dup(fds[0]);
        snprintf(manager.name, sizeof(manager.name), "%.*s", (int)strcspn(name + 7, "\n"), name + 7);
    }
    return 0;
}

static int set_up(void **state)
{
    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/s", folder);
    memset(&manager, 0, sizeof(manager));
    manager.fd = -1;
    unsetenv("FDSTORE");
    listeners = listeners_create(on_notify);
    return 0;
}

static int tear_down(void **state)
{
    listeners_destroy(listeners);
    listeners = NULL;
    if (manager.fd >= 0)
        close(manager.fd);
    scratch_remove(folder);
    return 0;
}

static enum berth_code listen_at(const void *owner, const char *uri, const char *address, int *ret_fd)
{
    const struct berth_listen request = {.size = sizeof(request), .address = address, .mode = 0600};

    return listeners_listen(listeners, owner, uri, &request, ret_fd, &err);
}

static int dial(const char *at)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, at);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -errno;
}

static bool exists(const char *file)
{
    struct stat status;

    return lstat(file, &status) == 0;
}

static void connections_wait_for_the_next_generation(void **state)
{
    int fd, again, client, served;

    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    close(fd);
    listeners_unlisten(listeners, &first, path);
    client = dial(path);
    assert_true(client >= 0);
    assert_int_equal(listen_at(&second, ONE, path, &again), BERTH_OK);
    listeners_sweep(listeners);
    served = accept(again, NULL, NULL);
    assert_true(served >= 0);
    close(served);
    close(client);
    close(again);
}

static void what_nobody_uses_after_a_change_is_closed_and_its_path_removed(void **state)
{
    int fd;

    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    listeners_sweep(listeners);
    assert_true(exists(path));
    close(fd);
    listeners_release(listeners, &first);
    assert_true(exists(path));
    listeners_sweep(listeners);
    assert_false(exists(path));
}

static void a_change_that_fails_closes_what_was_opened_for_it_alone(void **state)
{
    char other[PATH_MAX + 16];

    snprintf(other, sizeof(other), "%s/other", folder);
    assert_int_equal(listen_at(&first, ONE, path, NULL), BERTH_OK);
    listeners_sweep(listeners);
    /* The generation that runs has drained, and the next one fails. */
    listeners_unlisten(listeners, &first, path);
    assert_int_equal(listen_at(&second, ONE, other, NULL), BERTH_OK);
    listeners_release(listeners, &second);
    listeners_give_up(listeners);
    assert_false(exists(other));
    assert_true(exists(path));
    assert_int_equal(listen_at(&first, ONE, path, NULL), BERTH_OK);
    listeners_sweep(listeners);
    assert_true(exists(path));
}

static void a_second_plugin_is_refused_with_the_name_of_the_first(void **state)
{
    int fd, other = -1;

    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    assert_int_equal(listen_at(&second, TWO, path, &other), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, ONE));
    assert_int_equal(other, -1);
    listeners_unlisten(listeners, &first, path);
    assert_int_equal(listen_at(&second, TWO, path, &other), BERTH_OK);
    assert_int_equal(listen_at(&third, ONE, path, NULL), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, TWO));
    close(fd);
    close(other);
}

static void another_spelling_of_a_path_is_refused_too(void **state)
{
    char odd[PATH_MAX + 16];
    int fd, other;

    snprintf(odd, sizeof(odd), "%s/./s", folder);
    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    assert_int_equal(listen_at(&second, TWO, odd, &other), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "which is this one"));
    close(fd);
}

static void the_mode_changes_while_clients_wait(void **state)
{
    struct berth_listen request = {.size = sizeof(request), .address = path, .mode = 0666};
    struct stat before, after;
    int fd, client;

    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    assert_int_equal(lstat(path, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0600);
    client = dial(path);
    assert_int_equal(listeners_listen(listeners, &first, ONE, &request, NULL, &err), BERTH_OK);
    assert_int_equal(lstat(path, &after), 0);
    assert_int_equal(after.st_mode & 0777, 0666);
    assert_int_equal(after.st_ino, before.st_ino);
    if (geteuid() == 0) {
        request.set_owner = true;
        request.uid = (uint32_t)-1;
        request.gid = 12345;
        assert_int_equal(listeners_listen(listeners, &first, ONE, &request, NULL, &err), BERTH_OK);
        assert_int_equal(lstat(path, &after), 0);
        assert_int_equal(after.st_gid, 12345);
        assert_int_equal(after.st_uid, before.st_uid);
    }
    close(client);
    close(fd);
}

static void a_file_that_took_the_place_of_the_socket_keeps_its_mode(void **state)
{
    const struct berth_listen request = {.size = sizeof(request), .address = path, .mode = 0666};
    char precious[PATH_MAX + 16];
    struct stat status;
    int fd;

    snprintf(precious, sizeof(precious), "%s/precious", folder);
    close(open(precious, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    unlink(path);
    assert_int_equal(symlink(precious, path), 0);
    assert_int_equal(listeners_listen(listeners, &first, ONE, &request, NULL, &err), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "not a socket"));
    assert_int_equal(stat(precious, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    close(fd);
    listeners_release(listeners, &first);
    listeners_sweep(listeners);
    assert_true(exists(path));
}

static void a_path_that_was_removed_is_opened_anew(void **state)
{
    int fd, again, client;

    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    unlink(path);
    assert_int_equal(listen_at(&second, ONE, path, &again), BERTH_OK);
    client = dial(path);
    assert_true(client >= 0);
    close(client);
    client = accept(again, NULL, NULL);
    assert_true(client >= 0);
    close(client);
    close(again);
    close(fd);
}

static void a_symlink_is_no_socket(void **state)
{
    char target[PATH_MAX + 16];
    int fd;

    snprintf(target, sizeof(target), "%s/target", folder);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "not a socket"));
    assert_false(exists(target));
}

static void a_lock_that_is_a_symlink_is_refused(void **state)
{
    char lock[PATH_MAX + 16], target[PATH_MAX + 16];
    int fd;

    snprintf(lock, sizeof(lock), "%s.lock", path);
    snprintf(target, sizeof(target), "%s/target", folder);
    assert_int_equal(symlink(target, lock), 0);
    assert_int_not_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    assert_false(exists(target));
}

static void a_lock_of_another_process_is_refused(void **state)
{
    struct unix_socket theirs;
    const struct unix_socket_options options = {.path = path};
    int ready[2], end[2], fd, theirs_fd;
    pid_t pid;
    char byte;

    assert_int_equal(pipe(ready) | pipe(end), 0);
    pid = fork();
    if (pid == 0) {
        close(end[1]);
        byte = unix_socket_claim(&theirs, &options, &theirs_fd, NULL) == BERTH_OK ? 'y' : 'n';
        _exit(write(ready[1], &byte, 1) == 1 && read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "already listening"));
    close(end[0]);
    close(end[1]);
    close(ready[0]);
    close(ready[1]);
    waitpid(pid, NULL, 0);
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    return berth_address_port(&address);
}

static void any_port_is_one_for_each_plugin_and_stays_for_its_generations(void **state)
{
    int one, two, again;

    assert_int_equal(listen_at(&first, ONE, "127.0.0.1:0", &one), BERTH_OK);
    assert_int_equal(listen_at(&second, TWO, "127.0.0.1:0", &two), BERTH_OK);
    assert_int_equal(listen_at(&third, ONE, "tcp:127.0.0.1:0", &again), BERTH_OK);
    assert_int_not_equal(port_of(one), port_of(two));
    assert_int_equal(port_of(one), port_of(again));
    close(one);
    close(two);
    close(again);
}

static void a_stop_closes_at_once_what_no_other_run_will_use(void **state)
{
    int fd;

    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    listeners_stop(listeners);
    assert_true(exists(path));
    close(fd);
    listeners_unlisten(listeners, &first, path);
    assert_false(exists(path));
}

static void bad_addresses_are_refused_with_words(void **state)
{
    static const struct {
        const char *address, *word;
    } rows[] = {
        {"", "empty"},
        {NULL, "empty"},
        {"127.0.0.1:http", "port"},
        {"localhost.example:80", "not an IP address"},
        {"unix:", "empty"},
        {"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaa"
         "aaaaaaa",
         "107"},
    };
    int fd;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(listen_at(&first, ONE, rows[i].address, &fd), BERTH_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, rows[i].word));
    }
    listeners_unlisten(listeners, &first, NULL);
    listeners_unlisten(listeners, &first, "nonsense:x");
}

/* A fresh process, so that descriptor 3 and those after it can be what the test wants. */
struct scene {
    int fds[8];
    size_t fd_count;
    const char *count, *names, *pid, *store;
    int (*play)(void);
};

static int act(const struct scene *scene)
{
    char pid[32];
    int status;
    pid_t child = fork();

    if (child != 0) {
        waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    }
    for (size_t i = 0; i < scene->fd_count; i++)
        if (fcntl(scene->fds[i], F_DUPFD, 100 + (int)i) != 100 + (int)i)
            _exit(90);
    for (size_t i = 0; i < scene->fd_count; i++)
        dup2(100 + (int)i, 3 + (int)i);
    for (int fd = 3 + (int)scene->fd_count; fd < 200; fd++)
        close(fd);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    setenv("LISTEN_PID", scene->pid != NULL ? scene->pid : pid, 1);
    setenv("LISTEN_FDS", scene->count, 1);
    if (scene->names != NULL)
        setenv("LISTEN_FDNAMES", scene->names, 1);
    if (scene->store != NULL)
        setenv("FDSTORE", scene->store, 1);
    listeners = listeners_create(on_notify);
    if (getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDS") != NULL || getenv("LISTEN_FDNAMES") != NULL ||
        getenv("FDSTORE") != NULL)
        _exit(91);
    _exit(scene->play());
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int bind_at(const char *at, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    strcpy(address.sun_path, at);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int play_given(void)
{
    int fd, client;

    if (listen_at(&first, ONE, path, &fd) != BERTH_OK)
        return 1;
    client = dial(path);
    if (client < 0 || accept(fd, NULL, NULL) < 0)
        return 2;
    if ((fcntl(3, F_GETFD) & FD_CLOEXEC) == 0)
        return 3;
    listeners_sweep(listeners);
    listeners_destroy(listeners);
    return exists(path) && !is_open(3) ? 0 : 4;
}

static void a_socket_of_the_service_manager_is_found_by_its_address_and_left_to_it(void **state)
{
    struct scene scene = {.fd_count = 1, .count = "1", .names = "berthd.socket", .play = play_given};

    scene.fds[0] = bind_at(path, SOCK_STREAM);
    listen(scene.fds[0], 8);
    assert_int_equal(act(&scene), 0);
    close(scene.fds[0]);
}

static int play_named(void)
{
    char elsewhere[PATH_MAX + 16];
    int fd;

    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", folder);
    if (listen_at(&first, ONE, elsewhere, &fd) != BERTH_OK)
        return 1;
    return !exists(elsewhere) && dial(path) >= 0 && accept(fd, NULL, NULL) >= 0 ? 0 : 2;
}

static void a_socket_of_the_service_manager_is_found_by_the_plugins_uri(void **state)
{
    struct scene scene = {.fd_count = 1, .count = "1", .names = ONE, .play = play_named};

    scene.fds[0] = bind_at(path, SOCK_STREAM);
    listen(scene.fds[0], 8);
    assert_int_equal(act(&scene), 0);
    close(scene.fds[0]);
}

static int play_closed(void)
{
    return is_open(3) || is_open(4) || is_open(5) ? 1 : 0;
}

static void what_cannot_be_listened_on_is_closed(void **state)
{
    char other[PATH_MAX + 16];
    struct scene scene = {.fd_count = 3, .count = "3", .names = "a:b", .play = play_closed};

    snprintf(other, sizeof(other), "%s/other", folder);
    scene.fds[0] = open("/dev/null", O_RDONLY);
    scene.fds[1] = bind_at(path, SOCK_DGRAM);
    scene.fds[2] = bind_at(other, SOCK_STREAM);
    assert_int_equal(act(&scene), 0);
    for (size_t i = 0; i < 3; i++)
        close(scene.fds[i]);
}

static int play_swept(void)
{
    if (!is_open(3))
        return 1;
    listeners_sweep(listeners);
    return is_open(3) || !exists(path) ? 2 : 0;
}

static void what_nobody_asks_for_is_closed_after_the_start(void **state)
{
    struct scene scene = {.fd_count = 1, .count = "1", .play = play_swept};

    scene.fds[0] = bind_at(path, SOCK_STREAM);
    listen(scene.fds[0], 8);
    assert_int_equal(act(&scene), 0);
    close(scene.fds[0]);
}

static void a_number_of_descriptors_is_not_trusted(void **state)
{
    static const char *const counts[] = {"10000", "4294967296", "99999999999999999999", "-1", "1x", ""};
    struct scene scene = {.fd_count = 0, .play = play_closed};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        scene.count = counts[i];
        assert_int_equal(act(&scene), 0);
    }
}

static int play_many(void)
{
    /* As many as are taken, and nothing behind them is left open. */
    return is_open(3 + 1023) && !is_open(3 + 1024) && !is_open(3 + 9999) ? 0 : 1;
}

static void ten_thousand_sockets_are_bounded(void **state)
{
    struct rlimit limit = {.rlim_cur = 16384, .rlim_max = 16384};
    pid_t child;
    int status, fd;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < 11000)
        skip();
    child = fork();
    if (child == 0) {
        char pid[32];

        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            _exit(92);
        fd = bind_at(path, SOCK_STREAM);
        listen(fd, 8);
        for (int i = 3; i < 3 + 10000; i++)
            if (i != fd && dup2(fd, i) != i)
                _exit(93);
        snprintf(pid, sizeof(pid), "%ld", (long)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "10000", 1);
        listeners = listeners_create(on_notify);
        _exit(play_many());
    }
    waitpid(child, &status, 0);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : 128, 0);
}

static int play_untouched(void)
{
    int fd;

    /* It is somebody else's: neither used nor closed. */
    if (!is_open(3) || listen_at(&first, ONE, path, &fd) != BERTH_ALREADY_EXISTS)
        return 1;
    listeners_sweep(listeners);
    return is_open(3) ? 0 : 2;
}

static void what_was_passed_to_another_process_is_left_alone(void **state)
{
    static const char *const pids[] = {"2", "x", ""};
    struct scene scene = {.fd_count = 1, .count = "1", .play = play_untouched};

    scene.fds[0] = bind_at(path, SOCK_STREAM);
    listen(scene.fds[0], 8);
    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
        scene.pid = pids[i];
        assert_int_equal(act(&scene), 0);
    }
    close(scene.fds[0]);
}

/* One run opens the socket and stops; its last descriptor is the service manager's. */
static void run_once(void)
{
    int fd;

    listeners_destroy(listeners);
    setenv("FDSTORE", "2", 1);
    listeners = listeners_create(on_notify);
    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    assert_non_null(strstr(manager.lines, "FDSTORE=1\n"));
    assert_int_equal(strncmp(manager.name, "berthd-", 7), 0);
    assert_null(strchr(manager.name, ':'));
    listeners_stop(listeners);
    close(fd);
    listeners_unlisten(listeners, &first, path);
    listeners_destroy(listeners);
    listeners = NULL;
    assert_int_equal(manager.count, 1);
}

static int play_kept(void)
{
    const struct berth_listen request = {.size = sizeof(request), .address = path, .mode = 0640};
    struct stat status;
    int fd;

    if (listeners_listen(listeners, &second, ONE, &request, &fd, &err) != BERTH_OK)
        return 1;
    /* The client that connected while no daemon ran. */
    if (accept(fd, NULL, NULL) < 0)
        return 2;
    if (lstat(path, &status) != 0 || (status.st_mode & 0777) != 0640)
        return 3;
    listeners_release(listeners, &second);
    listeners_sweep(listeners);
    return !exists(path) && strstr(manager.lines, "FDSTOREREMOVE=1\nFDNAME=berthd-") != NULL ? 0 : 4;
}

static void the_next_run_goes_on_with_the_socket_that_was_kept(void **state)
{
    struct scene scene = {.fd_count = 1, .count = "1", .store = "2", .play = play_kept};
    int client;

    run_once();
    client = dial(path);
    assert_true(client >= 0);
    scene.fds[0] = manager.fd;
    scene.names = manager.name;
    assert_int_equal(act(&scene), 0);
    close(client);
}

static int play_replaced(void)
{
    int fd;

    /* The kept socket has lost its path to another one: it is of no use, and a new one takes the path. */
    if (listen_at(&second, ONE, path, &fd) != BERTH_OK)
        return 1;
    return dial(path) >= 0 && accept(fd, NULL, NULL) >= 0 ? 0 : 2;
}

static void a_kept_socket_that_has_lost_its_path_is_dropped(void **state)
{
    struct scene scene = {.fd_count = 1, .count = "1", .store = "2", .play = play_replaced};

    run_once();
    unlink(path);
    close(bind_at(path, SOCK_STREAM));
    scene.fds[0] = manager.fd;
    scene.names = manager.name;
    assert_int_equal(act(&scene), 0);
}

static int play_dropped(void)
{
    listeners_sweep(listeners);
    return !exists(path) && !is_open(3) && strstr(manager.lines, "FDSTOREREMOVE=1\n") != NULL ? 0 : 1;
}

static void a_kept_socket_that_no_plugin_wants_goes_with_its_path(void **state)
{
    struct scene scene = {.fd_count = 1, .count = "1", .store = "2", .play = play_dropped};

    run_once();
    assert_true(exists(path));
    scene.fds[0] = manager.fd;
    scene.names = manager.name;
    assert_int_equal(act(&scene), 0);
}

static void no_more_are_kept_than_the_service_manager_takes(void **state)
{
    char other[PATH_MAX + 16];
    int fd, more;

    listeners_destroy(listeners);
    setenv("FDSTORE", "1", 1);
    listeners = listeners_create(on_notify);
    snprintf(other, sizeof(other), "%s/other", folder);
    assert_int_equal(listen_at(&first, ONE, path, &fd), BERTH_OK);
    assert_int_equal(listen_at(&first, ONE, other, &more), BERTH_OK);
    assert_int_equal(manager.count, 1);
    close(fd);
    close(more);
    listeners_stop(listeners);
    listeners_release(listeners, &first);
    assert_true(exists(path));
    assert_false(exists(other));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connections_wait_for_the_next_generation),
        TEST(what_nobody_uses_after_a_change_is_closed_and_its_path_removed),
        TEST(a_change_that_fails_closes_what_was_opened_for_it_alone),
        TEST(a_second_plugin_is_refused_with_the_name_of_the_first),
        TEST(another_spelling_of_a_path_is_refused_too),
        TEST(the_mode_changes_while_clients_wait),
        TEST(a_file_that_took_the_place_of_the_socket_keeps_its_mode),
        TEST(a_path_that_was_removed_is_opened_anew),
        TEST(a_symlink_is_no_socket),
        TEST(a_lock_that_is_a_symlink_is_refused),
        TEST(a_lock_of_another_process_is_refused),
        TEST(any_port_is_one_for_each_plugin_and_stays_for_its_generations),
        TEST(a_stop_closes_at_once_what_no_other_run_will_use),
        TEST(bad_addresses_are_refused_with_words),
        TEST(a_socket_of_the_service_manager_is_found_by_its_address_and_left_to_it),
        TEST(a_socket_of_the_service_manager_is_found_by_the_plugins_uri),
        TEST(what_cannot_be_listened_on_is_closed),
        TEST(what_nobody_asks_for_is_closed_after_the_start),
        TEST(a_number_of_descriptors_is_not_trusted),
        TEST(ten_thousand_sockets_are_bounded),
        TEST(what_was_passed_to_another_process_is_left_alone),
        TEST(the_next_run_goes_on_with_the_socket_that_was_kept),
        TEST(a_kept_socket_that_has_lost_its_path_is_dropped),
        TEST(a_kept_socket_that_no_plugin_wants_goes_with_its_path),
        TEST(no_more_are_kept_than_the_service_manager_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
