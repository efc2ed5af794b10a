/* SPDX-License-Identifier: Apache-2.0 */
/* Judges a wanted sandbox by what the kernel can enforce: promise by promise, and as a whole. Pure. */
#include "sandbox.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ABI_TRUNCATE 3
#define ABI_NET 4
#define ABI_IOCTL_DEV 5
#define ABI_SCOPE 6

#define MIB (UINT64_C(1) << 20)

/* What the worst case of each weighs. They add up to 100. */
static const struct {
    const char *name;
    unsigned weight;
} promises[SANDBOX_PROMISES] = {
    [SANDBOX_USER] = {"user", 14},
    [SANDBOX_PRIVILEGES] = {"privileges", 8},
    [SANDBOX_READ] = {"files-read", 9},
    [SANDBOX_WRITE] = {"files-write", 9},
    [SANDBOX_TRUNCATE] = {"files-truncate", 2},
    [SANDBOX_DEVICES] = {"devices", 2},
    [SANDBOX_EXECUTE] = {"execute", 8},
    [SANDBOX_SOCKETS] = {"sockets", 9},
    [SANDBOX_PORTS] = {"ports", 4},
    [SANDBOX_ABSTRACT_SOCKETS] = {"abstract-sockets", 2},
    [SANDBOX_SIGNALS] = {"signals", 6},
    [SANDBOX_SYSTEM_CALLS] = {"system-calls", 9},
    [SANDBOX_PROCESSES] = {"processes", 3},
    [SANDBOX_MEMORY] = {"memory", 5},
    [SANDBOX_TASKS] = {"tasks", 3},
    [SANDBOX_CPU] = {"cpu", 2},
    [SANDBOX_LIFETIME] = {"lifetime", 1},
    [SANDBOX_FILE_SYSTEM] = {"file-system", 3},
    [SANDBOX_NAMESPACES] = {"namespaces", 1},
};

/* Calls that undo what else is promised, where system_calls allows them. */
static const struct {
    const char *name;
    enum sandbox_promise promise;
} undoing[] = {
    {"execve", SANDBOX_EXECUTE},
    {"execveat", SANDBOX_EXECUTE},
    {"socket", SANDBOX_SOCKETS},
    {"io_uring_setup", SANDBOX_SOCKETS},
    {"socket", SANDBOX_PORTS},
    {"io_uring_setup", SANDBOX_PORTS},
    {"socket", SANDBOX_ABSTRACT_SOCKETS},
    {"socketpair", SANDBOX_ABSTRACT_SOCKETS},
    {"io_uring_setup", SANDBOX_ABSTRACT_SOCKETS},
    {"kill", SANDBOX_SIGNALS},
    {"tkill", SANDBOX_SIGNALS},
    {"tgkill", SANDBOX_SIGNALS},
    {"rt_sigqueueinfo", SANDBOX_SIGNALS},
    {"rt_tgsigqueueinfo", SANDBOX_SIGNALS},
    {"pidfd_send_signal", SANDBOX_SIGNALS},
    {"fcntl", SANDBOX_SIGNALS},
    {"ioctl", SANDBOX_SIGNALS},
    {"fork", SANDBOX_PROCESSES},
    {"vfork", SANDBOX_PROCESSES},
    {"clone", SANDBOX_PROCESSES},
    {"mmap", SANDBOX_MEMORY},
    {"memfd_create", SANDBOX_MEMORY},
    {"memfd_secret", SANDBOX_MEMORY},
    {"shmget", SANDBOX_MEMORY},
    {"fork", SANDBOX_MEMORY},
    {"vfork", SANDBOX_MEMORY},
    {"clone", SANDBOX_MEMORY},
    {"prctl", SANDBOX_LIFETIME},
};

BERTH_PRINTF(3, 4)
static void say(struct sandbox_item *item, enum sandbox_verdict verdict, const char *format, ...)
{
    va_list arguments;

    item->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(item->text, sizeof(item->text), format, arguments);
    va_end(arguments);
}

/* Does it leave the daemon's user, group and groups? */
static bool sets_user(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel)
{
    return wanted->has_user && kernel->can_set_user;
}

/* Does it run as a user of its own? */
static bool changes_user(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel)
{
    return sets_user(wanted, kernel) && wanted->user != kernel->user;
}

bool sandbox_allows_modes(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel)
{
    /* Whoever listens on a socket of the file system gives it a mode. */
    return changes_user(wanted, kernel) || wanted->network != SANDBOX_NETWORK_NONE;
}

bool sandbox_lists_root(const struct sandbox_wanted *wanted)
{
    for (size_t i = 0; i < wanted->read_count + wanted->write_count; i++) {
        const char *path = i < wanted->read_count ? wanted->read[i] : wanted->write[i - wanted->read_count];

        if (path[strspn(path, "/")] == '\0')
            return true;
    }
    return false;
}

bool sandbox_has_namespaces(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel)
{
    return kernel->can_make_namespaces && !(kernel->needs_user_namespace && sets_user(wanted, kernel));
}

bool sandbox_has_pid_namespace(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel)
{
    return wanted->allows_processes && sandbox_has_namespaces(wanted, kernel);
}

/* A control group ends with all that is in it. */
static void judge_lifetime(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                           struct sandbox_item *item)
{
    if (!wanted->allows_processes)
        say(item, SANDBOX_KEPT, "ends with the daemon");
    else if (sandbox_has_pid_namespace(wanted, kernel) || kernel->group_limits != 0)
        say(item, SANDBOX_KEPT, "ends with the daemon, and all processes that it has created with it");
    else
        say(item, SANDBOX_MISSING,
            "ends with the daemon, but processes that it has created may go on: needs namespaces or a "
            "delegated "
            "control group");
}

static void judge_namespaces(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                             struct sandbox_item *items)
{
    if (sandbox_has_namespaces(wanted, kernel)) {
        say(&items[SANDBOX_FILE_SYSTEM], SANDBOX_KEPT,
            "only the listed paths exist; /proc and the rest do not");
        if (sandbox_lists_root(wanted))
            say(&items[SANDBOX_FILE_SYSTEM], SANDBOX_OPEN, "the whole file system is listed under files");
        say(&items[SANDBOX_NAMESPACES], SANDBOX_KEPT, "has its own %sIPC%s",
            wanted->allows_processes ? "PID and " : "",
            wanted->network == SANDBOX_NETWORK_NONE ? " and network namespaces"
            : wanted->allows_processes              ? " namespaces"
                                                    : " namespace");
        return;
    }
    for (size_t i = SANDBOX_FILE_SYSTEM; i <= SANDBOX_NAMESPACES; i++)
        say(&items[i], SANDBOX_MISSING, "%s",
            kernel->can_make_namespaces
                ? "not enforced: to change the user as well, the daemon needs CAP_SYS_ADMIN"
                : "not enforced: the daemon may not create namespaces (needs CAP_SYS_ADMIN or user "
                  "namespaces)");
}

static void judge_user(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                       struct sandbox_item *item)
{
    if (wanted->has_user && !kernel->can_set_user && wanted->user != kernel->user)
        say(item, SANDBOX_MISSING,
            "cannot change to user %u: the daemon, user %u, lacks CAP_SETUID or CAP_SETGID", wanted->user,
            kernel->user);
    else if (wanted->has_user && !kernel->can_set_user && wanted->group != kernel->group)
        say(item, SANDBOX_MISSING,
            "cannot change to group %u: the daemon, group %u, lacks CAP_SETUID or CAP_SETGID", wanted->group,
            kernel->group);
    else if (changes_user(wanted, kernel))
        say(item, SANDBOX_KEPT, "runs as user %u, group %u", wanted->user, wanted->group);
    else
        say(item, SANDBOX_OPEN, "runs as the daemon's user%s%s; set user",
            kernel->user == 0 ? ", which is root" : "",
            sandbox_allows_modes(wanted, kernel) ? ", and can change the modes of its files" : "");
}

static void judge_landlock(const struct sandbox_kernel *kernel, int abi, const char *kept,
                           struct sandbox_item *item)
{
    if (kernel->landlock_abi >= abi)
        say(item, SANDBOX_KEPT, "%s", kept);
    else if (kernel->landlock_abi == 0)
        say(item, SANDBOX_MISSING, "not enforced: Landlock is missing or disabled in this kernel");
    else
        say(item, SANDBOX_MISSING, "not enforced: needs Landlock ABI %d, this kernel has %d", abi,
            kernel->landlock_abi);
}

static void judge_filter(const struct sandbox_kernel *kernel, const char *kept, struct sandbox_item *item)
{
    if (kernel->has_seccomp)
        say(item, SANDBOX_KEPT, "%s", kept);
    else
        say(item, SANDBOX_MISSING, "not enforced: this kernel has no seccomp filters");
}

static void judge_files(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                        struct sandbox_item *items)
{
    char text[160];

    snprintf(text, sizeof(text), "reads the system's libraries, its module and %zu listed path%s",
             wanted->read_count, wanted->read_count == 1 ? "" : "s");
    judge_landlock(kernel, 1, text, &items[SANDBOX_READ]);
    snprintf(text, sizeof(text), "writes to %zu listed path%s", wanted->write_count,
             wanted->write_count == 1 ? "" : "s");
    judge_landlock(kernel, 1, text, &items[SANDBOX_WRITE]);
    judge_landlock(kernel, ABI_TRUNCATE, "truncates only files that it may write", &items[SANDBOX_TRUNCATE]);
    judge_landlock(kernel, ABI_IOCTL_DEV, "controls no devices", &items[SANDBOX_DEVICES]);
    if (wanted->runs_program)
        say(&items[SANDBOX_EXECUTE], SANDBOX_OPEN, "runs its program, and any other that it can read");
    else if (kernel->has_seccomp || kernel->landlock_abi > 0)
        say(&items[SANDBOX_EXECUTE], SANDBOX_KEPT, "runs no other program");
    else
        say(&items[SANDBOX_EXECUTE], SANDBOX_MISSING,
            "not enforced: this kernel has neither seccomp filters nor Landlock");
}

static void judge_network(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                          struct sandbox_item *items)
{
    bool has_none = wanted->network == SANDBOX_NETWORK_NONE && kernel->has_seccomp;

    switch (wanted->network) {
    case SANDBOX_NETWORK_NONE:
        judge_filter(kernel, "opens no sockets", &items[SANDBOX_SOCKETS]);
        break;
    case SANDBOX_NETWORK_UNIX:
        judge_filter(kernel, "opens only Unix sockets", &items[SANDBOX_SOCKETS]);
        break;
    case SANDBOX_NETWORK_TCP:
        judge_filter(kernel, "opens only Unix and TCP sockets", &items[SANDBOX_SOCKETS]);
        break;
    case SANDBOX_NETWORK_ALL:
        say(&items[SANDBOX_SOCKETS], SANDBOX_OPEN, "opens sockets of every kind");
        say(&items[SANDBOX_PORTS], SANDBOX_OPEN, "reaches every port");
        say(&items[SANDBOX_ABSTRACT_SOCKETS], SANDBOX_OPEN, "reaches abstract sockets of other processes");
        return;
    }
    if (kernel->has_seccomp && wanted->network != SANDBOX_NETWORK_TCP)
        say(&items[SANDBOX_PORTS], SANDBOX_KEPT, "uses no ports");
    else
        judge_landlock(kernel, ABI_NET, "uses only the listed TCP ports", &items[SANDBOX_PORTS]);
    if (has_none)
        say(&items[SANDBOX_ABSTRACT_SOCKETS], SANDBOX_KEPT, "reaches no abstract sockets");
    else
        judge_landlock(kernel, ABI_SCOPE, "reaches no abstract sockets of other processes",
                       &items[SANDBOX_ABSTRACT_SOCKETS]);
}

static void judge_system_calls(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                               struct sandbox_item *item)
{
    if (wanted->system_call_count == 0 || !kernel->has_seccomp)
        judge_filter(
            kernel,
            "no tracing, mounting, modules, keyrings, BPF, io_uring or other rarely needed system calls",
            item);
    else
        say(item, SANDBOX_OPEN, "allows %zu additional system call%s (system_calls): %s%s",
            wanted->system_call_count, wanted->system_call_count == 1 ? "" : "s", wanted->system_calls[0],
            wanted->system_call_count == 1 ? "" : " and others");
}

static void judge_calls(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                        struct sandbox_item *items)
{
    if (kernel->has_seccomp || kernel->landlock_abi >= ABI_SCOPE)
        say(&items[SANDBOX_SIGNALS], SANDBOX_KEPT, "sends no signals to other processes");
    else
        say(&items[SANDBOX_SIGNALS], SANDBOX_MISSING,
            "not enforced: needs seccomp filters or Landlock ABI %d", ABI_SCOPE);
    judge_system_calls(wanted, kernel, &items[SANDBOX_SYSTEM_CALLS]);
    if (wanted->allows_processes)
        say(&items[SANDBOX_PROCESSES], SANDBOX_OPEN, "may create processes");
    else
        judge_filter(kernel, "creates threads, but no processes", &items[SANDBOX_PROCESSES]);
}

/* Without a group the kernel counts tasks by user, and never those of root. */
static void judge_tasks(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                        struct sandbox_item *item)
{
    uid_t user = wanted->has_user && kernel->can_set_user ? wanted->user : kernel->user;

    if (wanted->tasks == 0)
        say(item, SANDBOX_OPEN, "unlimited number of threads; set tasks");
    else if ((kernel->group_limits & CONTROL_GROUP_TASKS) != 0)
        say(item, SANDBOX_KEPT, "at most %u threads and processes", wanted->tasks);
    else if (user == 0)
        say(item, SANDBOX_MISSING,
            "cannot limit the threads of a plugin that runs as root; set user, or delegate a control group "
            "with "
            "the controller pids to the daemon (Delegate=)");
    else
        say(item, SANDBOX_KEPT, "at most %u threads and processes of its user", wanted->tasks);
}

static void judge_cpu(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                      struct sandbox_item *item)
{
    if (wanted->cpu_percent == 0)
        say(item, SANDBOX_OPEN, "unlimited CPU time; set cpu_quota");
    else if ((kernel->group_limits & CONTROL_GROUP_CPU) != 0)
        say(item, SANDBOX_KEPT, "at most %u %% of one CPU", wanted->cpu_percent);
    else
        say(item, SANDBOX_MISSING,
            "not enforced: no control group (version 2) with the controller cpu is delegated to the daemon "
            "(Delegate=)");
}

static void judge_memory(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                         struct sandbox_item *item)
{
    if (wanted->memory_bytes == 0)
        say(item, SANDBOX_OPEN, "unlimited memory; set memory");
    else if ((kernel->group_limits & CONTROL_GROUP_MEMORY) != 0)
        say(item, SANDBOX_KEPT, "at most %llu MiB of memory, shared memory and files in memory included",
            (unsigned long long)(wanted->memory_bytes / MIB));
    else if (wanted->allows_processes)
        say(item, SANDBOX_MISSING,
            "each of its processes may use %llu MiB; to limit their sum, delegate a control group with the "
            "controller memory to the daemon (Delegate=)",
            (unsigned long long)(wanted->memory_bytes / MIB));
    else if (!kernel->has_seccomp)
        say(item, SANDBOX_MISSING,
            "limits private memory only: shared memory needs seccomp filters to be limited");
    else
        say(item, SANDBOX_KEPT, "at most %llu MiB of memory",
            (unsigned long long)(wanted->memory_bytes / MIB));
}

/* Landlock keeps scopes without the filter, and a control group counts every kind of memory. */
static bool is_undone(enum sandbox_promise promise, const struct sandbox_kernel *kernel)
{
    if (promise == SANDBOX_MEMORY)
        return (kernel->group_limits & CONTROL_GROUP_MEMORY) == 0;
    return kernel->landlock_abi < ABI_SCOPE ||
           (promise != SANDBOX_SIGNALS && promise != SANDBOX_ABSTRACT_SOCKETS);
}

/* What the operator allows by name is not promised any more: and a limit that was asked for is missing then.
 */
static void judge_undoing(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                          struct sandbox_item *items)
{
    for (size_t i = 0; i < sizeof(undoing) / sizeof(undoing[0]); i++) {
        struct sandbox_item *item = &items[undoing[i].promise];

        for (size_t j = 0; j < wanted->system_call_count && item->verdict == SANDBOX_KEPT; j++)
            if (strcmp(wanted->system_calls[j], undoing[i].name) != 0 ||
                !is_undone(undoing[i].promise, kernel))
                continue;
            else if (undoing[i].promise == SANDBOX_MEMORY)
                say(item, SANDBOX_MISSING, "cannot limit memory that system_calls allows it to have by %s",
                    undoing[i].name);
            else
                say(item, SANDBOX_OPEN, "not restricted, as system_calls allows %s", undoing[i].name);
    }
}

void sandbox_judge(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                   struct sandbox_report *ret_report)
{
    struct sandbox_item *items = ret_report->items;

    for (size_t i = 0; i < SANDBOX_PROMISES; i++)
        items[i] = (struct sandbox_item){.name = promises[i].name, .weight = promises[i].weight};
    judge_user(wanted, kernel, &items[SANDBOX_USER]);
    /* A plugin of an ordinary user's daemon has that user's rights, which are fewer than root's. */
    if (kernel->user != 0)
        items[SANDBOX_USER].weight /= 2;
    say(&items[SANDBOX_PRIVILEGES], SANDBOX_KEPT, "has no capabilities and cannot gain any");
    judge_files(wanted, kernel, items);
    judge_network(wanted, kernel, items);
    judge_calls(wanted, kernel, items);
    judge_namespaces(wanted, kernel, items);
    judge_memory(wanted, kernel, &items[SANDBOX_MEMORY]);
    judge_tasks(wanted, kernel, &items[SANDBOX_TASKS]);
    judge_cpu(wanted, kernel, &items[SANDBOX_CPU]);
    judge_lifetime(wanted, kernel, &items[SANDBOX_LIFETIME]);
    judge_undoing(wanted, kernel, items);
    ret_report->exposure = 0;
    ret_report->missing_count = 0;
    for (size_t i = 0; i < SANDBOX_PROMISES; i++) {
        if (items[i].verdict != SANDBOX_KEPT)
            ret_report->exposure += items[i].weight;
        ret_report->missing_count += items[i].verdict == SANDBOX_MISSING;
    }
}

const char *sandbox_exposure_name(unsigned exposure)
{
    static const struct {
        unsigned up_to;
        const char *name;
    } levels[] = {{10, "tight"}, {25, "ok"}, {50, "medium"}, {75, "exposed"}};

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (exposure <= levels[i].up_to)
            return levels[i].name;
    return "unsafe";
}
