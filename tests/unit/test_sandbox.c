/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <core/sandbox/namespaces.h>
#include <core/sandbox/sandbox.h>
#include <tests/cmocka.h>

#include "scratch.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* What a child says when the sandbox itself failed, and when it died of a signal. */
#define NOT_APPLIED 250
#define KILLED 251

#define NOBODY 65534

static struct sandbox_kernel kernel;
static const struct sandbox_wanted strict;
/* A folder with a file and a Unix socket, and one beside it. */
static char folder[PATH_MAX], inside[PATH_MAX + 8], outside[PATH_MAX + 8];
static char inside_file[PATH_MAX + 16], outside_file[PATH_MAX + 16];
static const char *const paths[] = {inside};
static int listener, inherited;
static uint16_t port;

static int result(long returned)
{
    return returned >= 0 ? 0 : errno;
}

/* Runs an attempt in a confined child. @return 0: it succeeded; an errno; NOT_APPLIED; KILLED. */
static int attempt_in(const struct sandbox_wanted *wanted, int (*attempt)(void))
{
    pid_t parent = getpid();
    pid_t child = fork();
    struct berth_error error;
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        if (sandbox_apply(wanted, &kernel, parent, -1, &error) != BERTH_OK) {
            fprintf(stderr, "%s\n", error.message);
            _exit(NOT_APPLIED);
        }
        _exit(attempt());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED;
}

static void assert_refused(const struct sandbox_wanted *wanted, int (*attempt)(void))
{
    int error = attempt_in(wanted, attempt);
    /* What is not listed is not there, or mounted to be read. */
    bool is_hidden = kernel.can_make_namespaces && (error == ENOENT || error == EROFS);

    if (error != EPERM && error != EACCES && !is_hidden)
        fail_msg("not refused: %d (%s)", error, strerror(error));
}

static void need_landlock(int abi)
{
    if (kernel.landlock_abi < abi)
        skip();
}

static void need_filters(void)
{
    if (!kernel.has_seccomp)
        skip();
}

static int begin(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int file;

    sandbox_kernel_ask(&kernel);
    scratch_create(folder);
    snprintf(inside, sizeof(inside), "%s/inside", folder);
    snprintf(outside, sizeof(outside), "%s/outside", folder);
    snprintf(inside_file, sizeof(inside_file), "%s/file", inside);
    snprintf(outside_file, sizeof(outside_file), "%s/file", outside);
    if (mkdir(inside, 0777) != 0 || mkdir(outside, 0777) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        file = open(i == 0 ? inside_file : outside_file, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
        if (file < 0 || write(file, "text", 4) != 4)
            return -1;
        close(file);
    }
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        return -1;
    port = ntohs(address.sin_port);
    return 0;
}

static int end(void **state)
{
    scratch_remove(folder);
    return 0;
}

static int read_path(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? errno : result(read(fd, &byte, 1));
}

static int write_path(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd < 0 ? errno : result(write(fd, "x", 1));
}

static int read_shadow(void)
{
    return read_path("/etc/shadow");
}

static int read_own_maps(void)
{
    return read_path("/proc/self/maps");
}

static int read_inside(void)
{
    return read_path(inside_file);
}

static int read_outside(void)
{
    return read_path(outside_file);
}

static int write_inside(void)
{
    return write_path(inside_file);
}

static int write_outside(void)
{
    return write_path(outside_file);
}

static int create_outside(void)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/new", outside);
    return result(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static int truncate_inside(void)
{
    return result(truncate(inside_file, 0));
}

static int link_out(void)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/link", inside);
    return symlink(outside_file, path) != 0 ? errno : read_path(path);
}

static int execute(void)
{
    return result(execl("/bin/true", "true", NULL));
}

static int execute_by_loader(void)
{
    return result(execl("/lib64/ld-linux-x86-64.so.2", "ld.so", "/bin/true", NULL));
}

static int connect_tcp(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno : result(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int bind_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno : result(bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int send_udp(void)
{
    return result(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int open_raw(void)
{
    return result(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int open_unix(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int pair_datagrams(void)
{
    int pair[2];

    return result(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
}

static int pair_streams(void)
{
    int pair[2];
    char byte;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return errno;
    return write(pair[0], "x", 1) == 1 && read(pair[1], &byte, 1) == 1 ? 0 : errno;
}

static int signal_parent(void)
{
    return result(kill(getppid(), 0));
}

static int signal_all(void)
{
    return result(kill(-1, 0));
}

static int signal_self(void)
{
    return result(kill(getpid(), 0));
}

static int signal_thread_of_parent(void)
{
    return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

/* Who is told that a descriptor is ready may be any process of the user, and the signal any, as SIGKILL. */
static int aim_at_parent(void)
{
    int pair[2];

    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0
               ? 0
               : result(fcntl(pair[0], F_SETOWN, getppid()));
}

static int aim_at_parent_by_struct(void)
{
    struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = getppid()};
    int pair[2];

    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0
               ? 0
               : result(fcntl(pair[0], F_SETOWN_EX, &owner));
}

static int aim_at_parent_by_device(void)
{
    int pair[2], parent = getppid();

    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0
               ? 0
               : result(ioctl(pair[0], FIOSETOWN, &parent));
}

static int choose_signal(void)
{
    int pair[2];

    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0
               ? 0
               : result(fcntl(pair[0], F_SETSIG, SIGKILL));
}

/* What libraries do with descriptors. */
static int set_up_descriptors(void)
{
    int pair[2], yes = 1;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 || ioctl(pair[0], FIONBIO, &yes) != 0 ||
        ioctl(pair[0], FIOCLEX) != 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(pair[0], F_SETFD, FD_CLOEXEC) != 0)
        return errno;
    return result(fcntl(pair[0], F_DUPFD_CLOEXEC, 0));
}

static int change_mode(void)
{
    return result(chmod(outside_file, 0666));
}

static int change_mode_inside(void)
{
    return result(chmod(inside_file, 0666));
}

static int open_pidfd(void)
{
    return result(syscall(SYS_pidfd_open, getppid(), 0));
}

static int trace_parent(void)
{
    return result(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int read_memory_of_parent(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {&listener, 1};

    return result(process_vm_readv(getppid(), &here, 1, &there, 1, 0));
}

static int limit_parent(void)
{
    struct rlimit limit;

    return result(prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit));
}

static int outlive_parent(void)
{
    unsigned long none = 0;

    return result(syscall(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, none, none, none, none));
}

static int mount_something(void)
{
    return result(mount("none", inside, "tmpfs", 0, NULL));
}

static int make_namespace(void)
{
    return result(syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */));
}

static int set_up_io_uring(void)
{
    char parameters[256] = {0};

    return result(syscall(SYS_io_uring_setup, 4, parameters));
}

static int load_bpf(void)
{
    return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int attach_shared_memory(void)
{
    return result(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
}

static int fork_once(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    return result(child);
}

static int become_root(void)
{
    return result(setuid(0));
}

static int count_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) != 0)
        return errno;
    return data[0].effective == 0 && data[1].effective == 0 && data[0].permitted == 0 &&
                   data[1].permitted == 0
               ? EPERM
               : 0;
}

/* Children of children, until one fails; it ends them all with itself. @return how it ended. */
static int bomb_with_forks(void)
{
    for (int i = 0; i < 64; i++)
        if (fork() < 0)
            return errno;
    return 0;
}

static void *sleep_long(void *context)
{
    sleep(20);
    return NULL;
}

static int bomb_with_threads(void)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    for (int i = 0; i < 64; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, &attributes, sleep_long, NULL);

        if (error != 0)
            return error;
    }
    return 0;
}

static int run_thread(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))abs, NULL);

    return error != 0 ? error : pthread_join(thread, NULL);
}

static int be_in_a_namespace(void)
{
    return getpid() == 2 && getppid() == 1 ? 42 : 1;
}

static int abort_itself(void)
{
    return raise(SIGABRT);
}

/* Its own end is not that of its child, which holds standard output open. */
static int leave_a_child(void)
{
    if (fork() == 0)
        for (;;)
            pause();
    return 7;
}

static int wait_with_a_child(void)
{
    leave_a_child();
    return pause();
}

/* 10 GiB, in pieces that are touched. */
static int take_memory(void)
{
    for (int i = 0; i < 640; i++) {
        /* Volatile, or a compiler takes none of what nobody reads. */
        char *volatile piece = malloc(16u << 20);

        if (piece == NULL)
            return errno;
        memset(piece, 1, 16u << 20);
    }
    return 0;
}

static int take_shared_memory(void)
{
    void *memory = mmap(NULL, 1u << 30, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? errno : 0;
}

static int take_memory_in_a_file(void)
{
    return result(syscall(SYS_memfd_create, "x", 0));
}

static int use_inherited_descriptor(void)
{
    return fcntl(inherited, F_GETFD) < 0 ? EPERM : 0;
}

static void etc_shadow_is_denied_even_to_root(void **state)
{
    need_landlock(1);
    assert_refused(&strict, read_shadow);
    assert_refused(&strict, read_own_maps);
}

static void only_listed_files_are_read(void **state)
{
    const struct sandbox_wanted wanted = {.read = paths, .read_count = 1};

    need_landlock(1);
    assert_refused(&strict, read_inside);
    assert_int_equal(attempt_in(&wanted, read_inside), 0);
    assert_refused(&wanted, read_outside);
    assert_refused(&wanted, write_inside);
}

static void only_listed_files_are_written(void **state)
{
    const struct sandbox_wanted wanted = {.write = paths, .write_count = 1};

    need_landlock(1);
    assert_int_equal(attempt_in(&wanted, write_inside), 0);
    assert_refused(&wanted, write_outside);
    assert_refused(&wanted, create_outside);
    assert_refused(&wanted, link_out);
}

static int stat_outside(void)
{
    struct stat status;

    return result(stat(outside_file, &status));
}

static int stat_proc(void)
{
    struct stat status;

    return result(stat("/proc/self", &status));
}

static int make_in_root(void)
{
    return result(mkdir("/new", 0700));
}

static int connect_outside(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/s", outside);
    return fd < 0 ? errno : result(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static void what_is_not_listed_does_not_exist(void **state)
{
    const struct sandbox_wanted wanted = {
        .read = paths, .read_count = 1, .write = paths, .write_count = 1, .network = SANDBOX_NETWORK_UNIX};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!kernel.can_make_namespaces)
        skip();
    snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/s", outside);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(attempt_in(&wanted, stat_outside), ENOENT);
    assert_int_equal(attempt_in(&wanted, stat_proc), ENOENT);
    assert_int_equal(attempt_in(&wanted, connect_outside), ENOENT);
    assert_int_equal(attempt_in(&wanted, write_inside), 0);
    assert_refused(&wanted, make_in_root);
    close(fd);
}

/* As nobody, without capabilities. @return as attempt_in; KILLED where the kernel does not allow it. */
static int attempt_as_nobody(int (*attempt)(void))
{
    pid_t parent = getpid(), child = fork();
    struct berth_error error;
    int status;

    if (child == 0) {
        struct sandbox_kernel weak = {.landlock_abi = kernel.landlock_abi,
                                      .has_seccomp = kernel.has_seccomp,
                                      .needs_user_namespace = true,
                                      .user = NOBODY};

        if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0 ||
            prctl(PR_SET_DUMPABLE, 1) != 0 || !namespaces_probe(true))
            _exit(KILLED);
        weak.can_make_namespaces = true;
        _exit(sandbox_apply(&strict, &weak, parent, -1, &error) == BERTH_OK ? attempt() : NOT_APPLIED);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED;
}

static void an_ordinary_user_has_namespaces_below_one_of_users(void **state)
{
    int found = kernel.user == 0 ? attempt_as_nobody(stat_proc) : KILLED;

    if (found == KILLED)
        skip();
    assert_int_equal(found, ENOENT);
    assert_int_equal(attempt_as_nobody(count_capabilities), EPERM);
}

static char via_link[PATH_MAX + 32];

static int read_via_link(void)
{
    return read_path(via_link);
}

static void links_on_the_way_to_a_listed_path_keep_its_name(void **state)
{
    char relative[PATH_MAX + 16], absolute[PATH_MAX + 16];
    const char *const linked[] = {absolute};
    const struct sandbox_wanted wanted = {.read = linked, .read_count = 1};

    snprintf(relative, sizeof(relative), "%s/relative", folder);
    snprintf(absolute, sizeof(absolute), "%s/absolute", folder);
    assert_int_equal(symlink("./outside/../inside", relative), 0);
    assert_int_equal(symlink(relative, absolute), 0);
    snprintf(via_link, sizeof(via_link), "%s/file", absolute);
    assert_int_equal(attempt_in(&wanted, read_via_link), 0);
    assert_int_equal(attempt_in(&wanted, read_inside), 0);
    need_landlock(1);
    assert_int_not_equal(attempt_in(&wanted, read_outside), 0);
}

static int raise_priority_value(void)
{
    return result(setpriority(PRIO_PROCESS, 0, 19));
}

static void system_calls_are_allowed_by_name(void **state)
{
    static const char *const names[] = {"setpriority"};
    const struct sandbox_wanted wanted = {.system_calls = names, .system_call_count = 1};
    struct sandbox_report report;

    need_filters();
    assert_refused(&strict, raise_priority_value);
    assert_int_equal(attempt_in(&wanted, raise_priority_value), 0);
    assert_refused(&wanted, trace_parent);
    sandbox_judge(&wanted, &kernel, &report);
    assert_int_equal(report.items[SANDBOX_SYSTEM_CALLS].verdict, SANDBOX_OPEN);
    assert_string_equal(report.items[SANDBOX_SYSTEM_CALLS].text,
                        "allows 1 additional system call (system_calls): setpriority");
}

static void sets_hold_system_calls_of_this_architecture(void **state)
{
    const char *const *set = calls_find_set("@priority");

    assert_non_null(set);
    for (; *set != NULL; set++)
        assert_true(calls_is_known(*set));
    assert_null(calls_find_set("@nothing"));
    assert_false(calls_is_known("@priority"));
    assert_true(calls_is_known("ptrace"));
    assert_string_equal(calls_name(SYS_ptrace), "ptrace");
    assert_null(calls_name(-1));
}

static void a_file_that_may_only_be_read_is_not_truncated(void **state)
{
    const struct sandbox_wanted wanted = {.read = paths, .read_count = 1};

    need_landlock(3);
    assert_refused(&wanted, truncate_inside);
}

static void a_listed_path_that_is_missing_is_named(void **state)
{
    const char *const missing[] = {"/nowhere/at/all"};
    const struct sandbox_wanted wanted = {.read = missing, .read_count = 1};
    struct berth_error error;
    pid_t parent = getpid(), child;
    int status;

    need_landlock(1);
    child = fork();
    if (child == 0)
        _exit(sandbox_apply(&wanted, &kernel, parent, -1, &error) == BERTH_FAILED_PRECONDITION &&
                      strstr(error.message, "/nowhere/at/all") != NULL
                  ? 0
                  : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void no_other_program_is_run(void **state)
{
    const struct sandbox_wanted wanted = {.allows_processes = true};

    assert_refused(&strict, execute);
    assert_refused(&wanted, execute);
    assert_refused(&wanted, execute_by_loader);
}

static void without_a_network_no_socket_opens(void **state)
{
    need_filters();
    assert_refused(&strict, connect_tcp);
    assert_refused(&strict, bind_tcp);
    assert_refused(&strict, send_udp);
    assert_refused(&strict, open_raw);
    assert_refused(&strict, open_unix);
    assert_refused(&strict, pair_datagrams);
    assert_int_equal(attempt_in(&strict, pair_streams), 0);
}

static void unix_sockets_alone_can_be_allowed(void **state)
{
    const struct sandbox_wanted wanted = {.network = SANDBOX_NETWORK_UNIX};

    need_filters();
    assert_int_equal(attempt_in(&wanted, open_unix), 0);
    assert_refused(&wanted, connect_tcp);
}

static void only_listed_ports_are_connected_to(void **state)
{
    const uint16_t other = port == 1 ? 2 : 1;
    struct sandbox_wanted wanted = {
        .network = SANDBOX_NETWORK_TCP, .connect_ports = &port, .connect_port_count = 1};

    need_filters();
    need_landlock(4);
    assert_int_equal(attempt_in(&wanted, connect_tcp), 0);
    assert_refused(&wanted, bind_tcp);
    assert_refused(&wanted, send_udp);
    wanted.connect_ports = &other;
    assert_refused(&wanted, connect_tcp);
}

static void other_processes_get_no_signals(void **state)
{
    if (!kernel.has_seccomp && kernel.landlock_abi < 6)
        skip();
    assert_refused(&strict, signal_parent);
    assert_refused(&strict, signal_all);
    assert_refused(&strict, signal_thread_of_parent);
    assert_int_equal(attempt_in(&strict, signal_self), 0);
}

static void other_processes_get_no_signals_of_descriptors(void **state)
{
    need_filters();
    assert_refused(&strict, aim_at_parent);
    assert_refused(&strict, aim_at_parent_by_struct);
    assert_refused(&strict, aim_at_parent_by_device);
    assert_refused(&strict, choose_signal);
    assert_int_equal(attempt_in(&strict, set_up_descriptors), 0);
}

static void modes_of_the_daemons_files_are_not_changed(void **state)
{
    /* Whoever listens has to change that of its socket. */
    const struct sandbox_wanted listening = {
        .network = SANDBOX_NETWORK_UNIX, .write = paths, .write_count = 1};

    need_filters();
    assert_refused(&strict, change_mode);
    assert_int_equal(attempt_in(&listening, change_mode_inside), 0);
}

static void other_processes_are_not_touched(void **state)
{
    need_filters();
    assert_refused(&strict, trace_parent);
    assert_refused(&strict, read_memory_of_parent);
    assert_refused(&strict, limit_parent);
    assert_refused(&strict, open_pidfd);
    assert_refused(&strict, outlive_parent);
}

static void calls_that_change_the_system_are_refused(void **state)
{
    need_filters();
    assert_refused(&strict, mount_something);
    assert_refused(&strict, make_namespace);
    assert_refused(&strict, set_up_io_uring);
    assert_refused(&strict, load_bpf);
    assert_refused(&strict, attach_shared_memory);
}

static void no_capability_is_left(void **state)
{
    assert_int_equal(attempt_in(&strict, count_capabilities), EPERM);
}

static void another_user_cannot_become_root_again(void **state)
{
    const struct sandbox_wanted wanted = {.has_user = true, .user = NOBODY, .group = NOBODY};

    if (!kernel.can_set_user || kernel.user != 0)
        skip();
    assert_refused(&wanted, become_root);
}

/* Starts an attempt that has a pipe as its standard output. */
static pid_t start_with_pipe(const struct sandbox_wanted *wanted, int (*attempt)(void), int *ret_output)
{
    pid_t parent = getpid(), child;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        struct berth_error error;

        alarm(20);
        dup2(ends[1], STDOUT_FILENO);
        _exit(sandbox_apply(wanted, &kernel, parent, -1, &error) == BERTH_OK &&
                      write(STDOUT_FILENO, "x", 1) == 1
                  ? attempt()
                  : NOT_APPLIED);
    }
    close(ends[1]);
    *ret_output = ends[0];
    return child;
}

/* It does not read an end while a process has the other one. */
static void assert_all_are_gone(int output)
{
    struct pollfd poller = {.fd = output, .events = POLLIN};
    char byte;

    assert_int_equal(poll(&poller, 1, 10000), 1);
    assert_int_equal(read(output, &byte, 1), 0);
    close(output);
}

static void processes_of_its_own_end_with_it(void **state)
{
    const struct sandbox_wanted wanted = {.allows_processes = true};
    int output, status;
    pid_t child;
    char byte;

    if (!sandbox_has_pid_namespace(&wanted, &kernel))
        skip();
    assert_int_equal(attempt_in(&wanted, be_in_a_namespace), 42);
    child = start_with_pipe(&wanted, leave_a_child, &output);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    assert_int_equal(read(output, &byte, 1), 1);
    assert_all_are_gone(output);
    /* As the daemon ends it. */
    child = start_with_pipe(&wanted, wait_with_a_child, &output);
    assert_int_equal(read(output, &byte, 1), 1);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_all_are_gone(output);
}

static void the_signal_that_ends_it_in_a_namespace_is_told(void **state)
{
    const struct sandbox_wanted wanted = {.allows_processes = true};
    int output, status;
    pid_t child = start_with_pipe(&wanted, abort_itself, &output);

    assert_int_equal(waitpid(child, &status, 0), child);
    close(output);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void a_fork_bomb_does_not_go_off(void **state)
{
    need_filters();
    assert_refused(&strict, fork_once);
    assert_refused(&strict, bomb_with_forks);
}

static void threads_are_created_and_bounded(void **state)
{
    const struct sandbox_wanted wanted = {.has_user = true, .user = NOBODY, .group = NOBODY, .tasks = 32};

    assert_int_equal(attempt_in(&strict, run_thread), 0);
    if (!kernel.can_set_user || kernel.user != 0)
        skip();
    assert_int_equal(attempt_in(&wanted, bomb_with_threads), EAGAIN);
}

static void memory_is_bounded(void **state)
{
    const struct sandbox_wanted wanted = {.memory_bytes = UINT64_C(256) << 20};

    /* A sanitizer reserves more than any limit. */
    if (IS_SANITIZED)
        skip();
    assert_int_equal(attempt_in(&wanted, take_memory), ENOMEM);
    need_filters();
    assert_refused(&wanted, take_shared_memory);
    assert_refused(&wanted, take_memory_in_a_file);
}

static void inherited_descriptors_are_closed(void **state)
{
    inherited = fcntl(listener, F_DUPFD, 10);
    assert_true(inherited >= 10);
    assert_int_equal(attempt_in(&strict, use_inherited_descriptor), EPERM);
    close(inherited);
}

/* As if the kernel did not have close_range(2). */
static int without_close_range(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof(rules) / sizeof(rules[0]), .filter = rules};
    struct berth_error error;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0 || close_range(1000, 1000, 0) == 0)
        return NOT_APPLIED;
    return sandbox_apply(&strict, &kernel, getppid(), -1, &error) == BERTH_OK ? use_inherited_descriptor()
                                                                              : NOT_APPLIED;
}

static void descriptors_are_closed_by_an_older_kernel(void **state)
{
    pid_t child;
    int status;

    need_filters();
    inherited = fcntl(listener, F_DUPFD, 10);
    assert_true(inherited >= 10);
    child = fork();
    if (child == 0)
        _exit(without_close_range());
    close(inherited);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EPERM);
}

static void what_is_required_and_missing_is_refused_by_name(void **state)
{
    const struct sandbox_wanted wanted = {.is_required = true};
    const struct sandbox_kernel old = {.landlock_abi = 2, .has_seccomp = true};
    struct berth_error error;

    /* Before anything is applied: this process goes on. */
    assert_int_equal(sandbox_apply(&wanted, &old, getppid(), -1, &error), BERTH_FAILED_PRECONDITION);
    assert_string_equal(error.message,
                        "sandbox is required, but files-truncate: not enforced: needs Landlock "
                        "ABI 3, this kernel has 2");
}

static void a_dead_parent_is_noticed(void **state)
{
    pid_t child = fork();
    struct berth_error error;
    int status;

    if (child == 0)
        _exit(sandbox_apply(&strict, &kernel, 1, -1, &error) == BERTH_FAILED_PRECONDITION ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Pure from here on */

static const struct sandbox_kernel best = {
    .landlock_abi = 7, .has_seccomp = true, .can_set_user = true, .can_make_namespaces = true};
/* With a control group that was delegated. */
static const struct sandbox_kernel grouped = {.landlock_abi = 7,
                                              .has_seccomp = true,
                                              .can_set_user = true,
                                              .can_make_namespaces = true,
                                              .group_limits = CONTROL_GROUP_MEMORY | CONTROL_GROUP_TASKS |
                                                              CONTROL_GROUP_CPU};

static void the_strictest_sandbox_of_the_best_kernel_is_tight(void **state)
{
    const struct sandbox_wanted wanted = {.has_user = true,
                                          .user = 990,
                                          .group = 990,
                                          .memory_bytes = 1u << 28,
                                          .tasks = 64,
                                          .cpu_percent = 50};
    struct sandbox_report report;

    sandbox_judge(&wanted, &grouped, &report);
    assert_int_equal(report.exposure, 0);
    assert_int_equal(report.missing_count, 0);
    assert_string_equal(sandbox_exposure_name(report.exposure), "tight");
    assert_string_equal(report.items[SANDBOX_MEMORY].text,
                        "at most 256 MiB of memory, shared memory and files in memory included");
    assert_string_equal(report.items[SANDBOX_CPU].text, "at most 50 % of one CPU");
    sandbox_judge(&wanted, &best, &report);
    assert_string_equal(report.items[SANDBOX_MEMORY].text, "at most 256 MiB of memory");
    assert_int_equal(report.items[SANDBOX_CPU].verdict, SANDBOX_MISSING);
}

static void the_weights_add_up_to_a_hundred(void **state)
{
    const struct sandbox_wanted wanted = {.network = SANDBOX_NETWORK_ALL, .allows_processes = true};
    struct sandbox_report report;
    unsigned sum = 0;

    sandbox_judge(&wanted, &best, &report);
    for (size_t i = 0; i < SANDBOX_PROMISES; i++) {
        assert_non_null(report.items[i].name);
        assert_true(report.items[i].text[0] != '\0');
        sum += report.items[i].weight;
    }
    assert_int_equal(sum, 100);
}

static void what_an_older_kernel_lacks_is_said(void **state)
{
    const struct sandbox_wanted wanted = {.network = SANDBOX_NETWORK_TCP};
    const struct sandbox_kernel old = {.landlock_abi = 2, .has_seccomp = true, .can_set_user = true};
    const struct sandbox_kernel bare = {.landlock_abi = 0, .has_seccomp = false};
    struct sandbox_report report;

    sandbox_judge(&wanted, &old, &report);
    assert_int_equal(report.items[SANDBOX_READ].verdict, SANDBOX_KEPT);
    assert_int_equal(report.items[SANDBOX_PORTS].verdict, SANDBOX_MISSING);
    assert_string_equal(report.items[SANDBOX_PORTS].text,
                        "not enforced: needs Landlock ABI 4, this kernel has 2");
    sandbox_judge(&wanted, &bare, &report);
    assert_string_equal(report.items[SANDBOX_READ].text,
                        "not enforced: Landlock is missing or disabled in this kernel");
    assert_string_equal(sandbox_exposure_name(report.exposure), "unsafe");
}

static void limits_that_cannot_hold_are_not_promised(void **state)
{
    const struct sandbox_wanted as_root = {.tasks = 8};
    const struct sandbox_wanted many = {.memory_bytes = 1u << 20, .allows_processes = true};
    struct sandbox_report report;

    sandbox_judge(&as_root, &best, &report);
    assert_int_equal(report.items[SANDBOX_TASKS].verdict, SANDBOX_MISSING);
    sandbox_judge(&many, &best, &report);
    assert_int_equal(report.items[SANDBOX_MEMORY].verdict, SANDBOX_MISSING);
    /* A group counts root's tasks, and all processes together. */
    sandbox_judge(&as_root, &grouped, &report);
    assert_int_equal(report.items[SANDBOX_TASKS].verdict, SANDBOX_KEPT);
    sandbox_judge(&many, &grouped, &report);
    assert_int_equal(report.items[SANDBOX_MEMORY].verdict, SANDBOX_KEPT);
}

static void a_group_that_cannot_be_had_is_missed(void **state)
{
    const struct sandbox_kernel ordinary = {.landlock_abi = 7,
                                            .has_seccomp = true,
                                            .can_make_namespaces = true,
                                            .needs_user_namespace = true,
                                            .user = 1000,
                                            .group = 1000};
    struct sandbox_wanted wanted = {.has_user = true, .user = 1000, .group = 27};
    struct sandbox_kernel setting = ordinary;
    struct sandbox_report report;

    sandbox_judge(&wanted, &ordinary, &report);
    assert_int_equal(report.items[SANDBOX_USER].verdict, SANDBOX_MISSING);
    assert_string_equal(report.items[SANDBOX_USER].text,
                        "cannot change to group 27: the daemon, group 1000, lacks CAP_SETUID or CAP_SETGID");
    wanted.group = 1000;
    sandbox_judge(&wanted, &ordinary, &report);
    assert_int_equal(report.items[SANDBOX_USER].verdict, SANDBOX_OPEN);
    assert_true(sandbox_has_namespaces(&wanted, &ordinary));
    /* A namespace of users has one group, and groups are not left in it. */
    setting.can_set_user = true;
    assert_false(sandbox_has_namespaces(&wanted, &setting));
}

static void calls_that_undo_a_promise_are_said_there(void **state)
{
    static const struct {
        const char *name;
        enum sandbox_promise promise;
        enum sandbox_verdict verdict;
    } cases[] = {
        {"setpriority", SANDBOX_SOCKETS, SANDBOX_KEPT},    {"execve", SANDBOX_EXECUTE, SANDBOX_OPEN},
        {"socket", SANDBOX_SOCKETS, SANDBOX_OPEN},         {"socket", SANDBOX_PORTS, SANDBOX_OPEN},
        {"io_uring_setup", SANDBOX_PORTS, SANDBOX_OPEN},   {"fork", SANDBOX_PROCESSES, SANDBOX_OPEN},
        {"memfd_create", SANDBOX_MEMORY, SANDBOX_MISSING}, {"shmget", SANDBOX_MEMORY, SANDBOX_MISSING},
        {"prctl", SANDBOX_LIFETIME, SANDBOX_OPEN},         {"kill", SANDBOX_SIGNALS, SANDBOX_KEPT},
    };
    const struct sandbox_kernel without_scopes = {
        .landlock_abi = 5, .has_seccomp = true, .can_set_user = true, .can_make_namespaces = true};
    struct sandbox_wanted wanted = {.memory_bytes = 1u << 28, .system_call_count = 1};
    struct sandbox_report report;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wanted.system_calls = &cases[i].name;
        sandbox_judge(&wanted, &best, &report);
        assert_int_equal(report.items[cases[i].promise].verdict, cases[i].verdict);
    }
    sandbox_judge(&wanted, &without_scopes, &report);
    assert_int_equal(report.items[SANDBOX_SIGNALS].verdict, SANDBOX_OPEN);
    assert_string_equal(report.items[SANDBOX_SIGNALS].text, "not restricted, as system_calls allows kill");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_that_cannot_be_had_is_missed),
        cmocka_unit_test(calls_that_undo_a_promise_are_said_there),
        cmocka_unit_test(descriptors_are_closed_by_an_older_kernel),
        cmocka_unit_test(etc_shadow_is_denied_even_to_root),
        cmocka_unit_test(only_listed_files_are_read),
        cmocka_unit_test(only_listed_files_are_written),
        cmocka_unit_test(what_is_not_listed_does_not_exist),
        cmocka_unit_test(an_ordinary_user_has_namespaces_below_one_of_users),
        cmocka_unit_test(links_on_the_way_to_a_listed_path_keep_its_name),
        cmocka_unit_test(system_calls_are_allowed_by_name),
        cmocka_unit_test(sets_hold_system_calls_of_this_architecture),
        cmocka_unit_test(a_file_that_may_only_be_read_is_not_truncated),
        cmocka_unit_test(a_listed_path_that_is_missing_is_named),
        cmocka_unit_test(no_other_program_is_run),
        cmocka_unit_test(without_a_network_no_socket_opens),
        cmocka_unit_test(unix_sockets_alone_can_be_allowed),
        cmocka_unit_test(only_listed_ports_are_connected_to),
        cmocka_unit_test(other_processes_get_no_signals),
        cmocka_unit_test(other_processes_get_no_signals_of_descriptors),
        cmocka_unit_test(modes_of_the_daemons_files_are_not_changed),
        cmocka_unit_test(other_processes_are_not_touched),
        cmocka_unit_test(calls_that_change_the_system_are_refused),
        cmocka_unit_test(no_capability_is_left),
        cmocka_unit_test(another_user_cannot_become_root_again),
        cmocka_unit_test(processes_of_its_own_end_with_it),
        cmocka_unit_test(the_signal_that_ends_it_in_a_namespace_is_told),
        cmocka_unit_test(a_fork_bomb_does_not_go_off),
        cmocka_unit_test(threads_are_created_and_bounded),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(inherited_descriptors_are_closed),
        cmocka_unit_test(what_is_required_and_missing_is_refused_by_name),
        cmocka_unit_test(a_dead_parent_is_noticed),
        cmocka_unit_test(the_strictest_sandbox_of_the_best_kernel_is_tight),
        cmocka_unit_test(the_weights_add_up_to_a_hundred),
        cmocka_unit_test(what_an_older_kernel_lacks_is_said),
        cmocka_unit_test(limits_that_cannot_hold_are_not_promised),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
