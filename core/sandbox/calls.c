/* SPDX-License-Identifier: Apache-2.0 */
/* Names of system calls, from the headers that this was built with, and sets of them. */
#include "calls.h"

#include <string.h>
#include <sys/syscall.h>

static const struct {
    const char *name;
    int number;
} known[] = {
#include "system_calls.h"
};

static const struct {
    const char *name;
    const char *const *calls;
} sets[] = {
    {"@aio", (const char *const[]){"io_setup", "io_submit", "io_getevents", "io_pgetevents", "io_cancel",
                                   "io_destroy", NULL}},
    {"@attributes", (const char *const[]){"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr",
                                          "fremovexattr", "llistxattr", NULL}},
    {"@clock", (const char *const[]){"clock_settime", "clock_adjtime", "adjtimex", "settimeofday", NULL}},
    {"@debug", (const char *const[]){"ptrace", "process_vm_readv", "process_vm_writev", "perf_event_open",
                                     "kcmp", "pidfd_open", "pidfd_getfd", NULL}},
    {"@io-uring", (const char *const[]){"io_uring_setup", "io_uring_enter", "io_uring_register", NULL}},
    {"@ipc", (const char *const[]){"shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop",
                                   "semctl", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink",
                                   "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr", NULL}},
    {"@keyring", (const char *const[]){"add_key", "request_key", "keyctl", NULL}},
    {"@memory", (const char *const[]){"mlockall", "munlockall", "memfd_create", "mbind", "get_mempolicy",
                                      "set_mempolicy", NULL}},
    {"@modes", (const char *const[]){"chmod", "fchmodat", "fchmodat2", NULL}},
    {"@ownership", (const char *const[]){"chown", "fchown", "lchown", "fchownat", NULL}},
    {"@priority", (const char *const[]){"setpriority", "sched_setscheduler", "sched_setparam",
                                        "sched_setattr", "sched_getattr", "ioprio_set", "ioprio_get", NULL}},
    {"@sessions", (const char *const[]){"setsid", "setpgid", NULL}},
};

#define CALLS (sizeof(known) / sizeof(known[0]))
#define SETS (sizeof(sets) / sizeof(sets[0]))

size_t calls_count(void)
{
    return CALLS + SETS;
}

void calls_list(const char **ret_names)
{
    for (size_t i = 0; i < CALLS; i++)
        ret_names[i] = known[i].name;
    for (size_t i = 0; i < SETS; i++)
        ret_names[CALLS + i] = sets[i].name;
}

bool calls_is_known(const char *name)
{
    for (size_t i = 0; i < CALLS; i++)
        if (strcmp(known[i].name, name) == 0)
            return true;
    return false;
}

const char *calls_name(int number)
{
    for (size_t i = 0; i < CALLS; i++)
        if (known[i].number == number)
            return known[i].name;
    return NULL;
}

const char *const *calls_find_set(const char *name)
{
    for (size_t i = 0; i < SETS; i++)
        if (strcmp(sets[i].name, name) == 0)
            return sets[i].calls;
    return NULL;
}
