/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and loads the seccomp filter: a list of what is allowed, not of what is known to be dangerous. */
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __clang__
/* Of SCMP_A0 and its kin, which take one value or two. */
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

/* Names that this architecture or library does not have are left out. */
static const char *const allowed[] = {
    /* descriptors and files; Landlock decides which */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "flock",
    "lseek",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "umask",
    "truncate",
    "ftruncate",
    "fallocate",
    "fadvise64",
    "readahead",
    "sync_file_range",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "fchmod",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "copy_file_range",
    "sendfile",
    "splice",
    "tee",
    "pipe",
    "pipe2",
    "inotify_init",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "listxattr",
    "flistxattr",
    /* events */
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "eventfd",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "signalfd",
    "signalfd4",
    /* memory */
    "brk",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "msync",
    "mincore",
    "mlock",
    "mlock2",
    "munlock",
    "membarrier",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    /* threads */
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "set_tid_address",
    "rseq",
    "gettid",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "getcpu",
    "exit",
    "exit_group",
    "arch_prctl",
    /* signals of its own */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "sigaltstack",
    "restart_syscall",
    "pause",
    "alarm",
    "setitimer",
    "getitimer",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    /* itself, and time */
    "getpid",
    "getppid",
    "getpgrp",
    "getpgid",
    "getsid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getgroups",
    "getresuid",
    "getresgid",
    "getpriority",
    "getrlimit",
    "getrusage",
    "sysinfo",
    "uname",
    "times",
    "time",
    "gettimeofday",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "getrandom",
    "wait4",
    "waitid",
    "capget",
    /* closing further doors */
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "seccomp",
    /* sockets that it has, such as a pair */
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "shutdown",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "getpeername",
};

static const char *const with_sockets[] = {"connect", "bind", "listen", "accept", "accept4"};
/* Landlock does not see a mode change: these reach every file of the user, listed or not. */
static const char *const with_modes[] = {"chmod", "fchmodat"};
static const char *const with_processes[] = {"fork", "vfork"};

/* The options of prctl(2) that open nothing. PR_SET_PDEATHSIG would let it outlive the daemon. */
static const int process_options[] = {
    PR_SET_NAME,
    PR_GET_NAME,
    PR_GET_DUMPABLE,
    PR_GET_SECCOMP,
    PR_CAPBSET_READ,
    PR_GET_NO_NEW_PRIVS,
    PR_SET_TIMERSLACK,
    PR_GET_TIMERSLACK,
    PR_SET_THP_DISABLE,
    PR_GET_PDEATHSIG,
    0x53564d41 /* PR_SET_VMA: names of mappings */,
};

#define ALL_NAMESPACES                                                                                       \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |            \
     CLONE_NEWNET)

struct builder {
    scmp_filter_ctx context;
    /* The first failure, as a negative errno, and what it was about. */
    int error;
    const char *failed;
};

static void allow_if(struct builder *builder, const char *name, unsigned count,
                     const struct scmp_arg_cmp *arguments)
{
    int number = seccomp_syscall_resolve_name(name);
    int error;

    if (number == __NR_SCMP_ERROR || builder->error != 0)
        return;
    error = seccomp_rule_add_array(builder->context, SCMP_ACT_ALLOW, number, count, arguments);
    /* A call that only other architectures have. */
    if (error == -EDOM || error == -EINVAL)
        error = number < 0 ? 0 : error;
    if (error != 0) {
        builder->error = error;
        builder->failed = name;
    }
}

static void allow_list(struct builder *builder, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        allow_if(builder, names[i], 0, NULL);
}

static void allow_one(struct builder *builder, const char *name, struct scmp_arg_cmp argument)
{
    allow_if(builder, name, 1, &argument);
}

#define ALLOW_LIST(builder, names) allow_list(builder, names, sizeof(names) / sizeof(names[0]))

/* Its own process, as kill(2) and its like name it. */
static void allow_self(struct builder *builder)
{
    static const char *const names[] = {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        allow_one(builder, names[i], SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
    allow_one(builder, "prlimit64", SCMP_A0_32(SCMP_CMP_EQ, 0));
    allow_one(builder, "prlimit64", SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
    for (size_t i = 0; i < sizeof(process_options) / sizeof(process_options[0]); i++)
        allow_one(builder, "prctl", SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)process_options[i]));
}

static void allow_memory(struct builder *builder, const struct sandbox_wanted *wanted)
{
    /* Shared memory without a file counts towards no limit of a process. */
    if (wanted->memory_bytes == 0) {
        allow_if(builder, "mmap", 0, NULL);
        allow_if(builder, "memfd_create", 0, NULL);
        return;
    }
    allow_one(builder, "mmap", SCMP_A3_32(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
    allow_one(builder, "mmap", SCMP_A3_32(SCMP_CMP_MASKED_EQ, MAP_SHARED | MAP_PRIVATE, MAP_PRIVATE));
}

static void allow_tasks(struct builder *builder, const struct sandbox_wanted *wanted)
{
    const uint32_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    /* Its flags are behind a pointer; the C library falls back to clone. */
    int error = seccomp_rule_add(builder->context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

    if (error != 0 && builder->error == 0) {
        builder->error = error;
        builder->failed = "clone3";
    }
    if (wanted->allows_processes) {
        ALLOW_LIST(builder, with_processes);
        allow_one(builder, "clone", SCMP_A0_32(SCMP_CMP_MASKED_EQ, ALL_NAMESPACES, 0));
    } else {
        allow_one(builder, "clone", SCMP_A0_32(SCMP_CMP_MASKED_EQ, thread | ALL_NAMESPACES, thread));
    }
}

static void allow_family(struct builder *builder, int family, int type)
{
    const struct scmp_arg_cmp arguments[] = {
        SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)family),
        SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, (uint32_t)type),
    };

    allow_if(builder, "socket", 2, arguments);
}

static void allow_network(struct builder *builder, const struct sandbox_wanted *wanted)
{
    const int connected[] = {SOCK_STREAM, SOCK_SEQPACKET};

    if (wanted->network == SANDBOX_NETWORK_ALL) {
        ALLOW_LIST(builder, with_sockets);
        allow_if(builder, "socket", 0, NULL);
        allow_if(builder, "socketpair", 0, NULL);
        return;
    }
    /* A pair of datagram sockets could send to others by name. */
    for (size_t i = 0; i < sizeof(connected) / sizeof(connected[0]); i++)
        allow_if(builder, "socketpair", 2,
                 (const struct scmp_arg_cmp[]){SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX),
                                               SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, (uint32_t)connected[i])});
    if (wanted->network == SANDBOX_NETWORK_NONE)
        return;
    ALLOW_LIST(builder, with_sockets);
    allow_one(builder, "socket", SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
    if (wanted->network == SANDBOX_NETWORK_TCP) {
        allow_family(builder, AF_INET, SOCK_STREAM);
        allow_family(builder, AF_INET6, SOCK_STREAM);
    }
}

/*
 * All but those that name who gets the signal of a descriptor: it may be any, and any process of the same
 * user. A rule compares an argument once, hence the ranges, here and below.
 */
static void allow_fcntl(struct builder *builder)
{
    allow_one(builder, "fcntl", SCMP_A1_32(SCMP_CMP_LT, F_SETOWN));
    allow_one(builder, "fcntl", SCMP_A1_32(SCMP_CMP_EQ, F_GETOWN));
    allow_one(builder, "fcntl", SCMP_A1_32(SCMP_CMP_GT, F_SETOWN_EX));
}

/* All but those that inject input into a terminal, and FIOSETOWN and SIOCSPGRP, which are as F_SETOWN. */
static void allow_ioctl(struct builder *builder)
{
    allow_one(builder, "ioctl", SCMP_A1_32(SCMP_CMP_LT, TIOCSTI));
    allow_one(builder, "ioctl", SCMP_A1_32(SCMP_CMP_EQ, TIOCGWINSZ));
    allow_one(builder, "ioctl", SCMP_A1_32(SCMP_CMP_EQ, FIONREAD));
    /* FIONBIO, FIOCLEX and their like. */
    allow_one(builder, "ioctl", SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xffffffe0, 0x5420));
    allow_one(builder, "ioctl", SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xffffffe0, 0x5440));
    allow_one(builder, "ioctl", SCMP_A1_32(SCMP_CMP_GT, SIOCSPGRP));
}

static void build(struct builder *builder, const struct sandbox_wanted *wanted, bool allows_modes)
{
    ALLOW_LIST(builder, allowed);
    allow_list(builder, wanted->system_calls, wanted->system_call_count);
    if (allows_modes)
        ALLOW_LIST(builder, with_modes);
    /* Which files it may execute, Landlock decides. */
    if (wanted->runs_program)
        allow_if(builder, "execve", 0, NULL);
    allow_fcntl(builder);
    allow_self(builder);
    allow_memory(builder, wanted);
    allow_tasks(builder, wanted);
    allow_network(builder, wanted);
    allow_ioctl(builder);
}

/* Asked for by libraries that do without: nobody needs to be told. */
static void refuse_quietly(struct builder *builder, const struct sandbox_wanted *wanted)
{
    static const char *const names[] = {"io_uring_setup"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        bool is_wanted = false;

        for (size_t j = 0; j < wanted->system_call_count; j++)
            is_wanted = is_wanted || strcmp(wanted->system_calls[j], names[i]) == 0;
        if (!is_wanted && number >= 0)
            seccomp_rule_add(builder->context, SCMP_ACT_ERRNO(EPERM), number, 0);
    }
}

/* @return has it arrived? Then nobody but the receiver can answer. */
static bool send_descriptor(int socket, int descriptor)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char byte = 0;
    struct iovec piece = {&byte, sizeof(byte)};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(descriptor));
    memcpy(CMSG_DATA(head), &descriptor, sizeof(descriptor));
    return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(byte);
}

/* @return false: not with this action. Then nothing has been loaded. */
static bool load(struct builder *builder, const struct sandbox_wanted *wanted, bool allows_modes,
                 uint32_t action)
{
    *builder = (struct builder){.context = seccomp_init(action)};
    if (builder->context == NULL)
        return false;
    /* A tree instead of a list: some calls are made for every message. */
    seccomp_attr_set(builder->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (action == SCMP_ACT_NOTIFY)
        refuse_quietly(builder, wanted);
    build(builder, wanted, allows_modes);
    if (builder->error == 0) {
        builder->error = seccomp_load(builder->context);
        builder->failed = "the filter as a whole";
    }
    return builder->error == 0;
}

enum berth_code filter_apply(const struct sandbox_wanted *wanted, bool allows_modes, int report,
                             struct berth_error *err)
{
    struct builder builder = {.context = NULL};
    enum berth_code code = BERTH_OK;

    /* A kernel before 5.0 cannot ask, and none can where somebody else is asked already. */
    if (report >= 0 && load(&builder, wanted, allows_modes, SCMP_ACT_NOTIFY)) {
        int listener = seccomp_notify_fd(builder.context);

        /* Without a receiver its calls are refused as not implemented: by the kernel, once this is closed. */
        if (listener >= 0) {
            send_descriptor(report, listener);
            close(listener);
        }
        seccomp_release(builder.context);
        return BERTH_OK;
    }
    if (builder.context != NULL)
        seccomp_release(builder.context);
    if (!load(&builder, wanted, allows_modes, SCMP_ACT_ERRNO(EPERM)))
        code = builder.context == NULL
                   ? berth_error_set(err, BERTH_INTERNAL, "sandbox: no memory for the system call filter")
                   : berth_error_set(err, BERTH_INTERNAL, "sandbox: the system call filter: %s: %s",
                                     builder.failed, strerror(-builder.error));
    if (builder.context != NULL)
        seccomp_release(builder.context);
    return code;
}
