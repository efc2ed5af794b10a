/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox of a worker: what is wanted, what this kernel can enforce of it, and how it is applied to the
 * calling process before any code of a plugin is mapped. The door of these files.
 */
#ifndef CORE_SANDBOX_SANDBOX_H
#define CORE_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <berth/error.h>

#include "calls.h"
#include "control_group.h"

enum sandbox_network {
    /** No socket at all, except pairs of connected ones within the process. */
    SANDBOX_NETWORK_NONE = 0,
    /** Sockets of the file system, as far as file permissions let it. */
    SANDBOX_NETWORK_UNIX,
    /** These, and TCP to and on the listed ports. */
    SANDBOX_NETWORK_TCP,
    /** Everything. */
    SANDBOX_NETWORK_ALL,
};

/** What a worker is to be confined to. Zeroed, it is as strict as it can be. All pointers are borrowed. */
struct sandbox_wanted {
    /** The user and group to run as; without, those of the daemon. */
    bool has_user;
    uid_t user;
    gid_t group;
    /** Names of system calls, in addition to those that ordinary libraries need. */
    const char *const *system_calls;
    size_t system_call_count;
    /** Files and directories, with all below them, in addition to the system's libraries. */
    const char *const *read;
    size_t read_count;
    /** The same, to be written as well. */
    const char *const *write;
    size_t write_count;
    enum sandbox_network network;
    const uint16_t *connect_ports, *bind_ports;
    size_t connect_port_count, bind_port_count;
    /** Bytes of private memory; of all memory, where a control group counts it. 0: unlimited. */
    uint64_t memory_bytes;
    /** Threads and processes; 0: unlimited. */
    uint32_t tasks;
    /** Time of processors, in percent of one; 0: unlimited. */
    uint32_t cpu_percent;
    /** Open descriptors; 0: 1024. */
    uint32_t descriptors;
    /** May it fork? */
    bool allows_processes;
    /** It becomes another program, and may become any that it can read. Without, it never runs one. */
    bool runs_program;
    /** Refuse to run unless all of this can be enforced. */
    bool is_required;
};

/** What this kernel and the rights of the calling process can enforce. */
struct sandbox_kernel {
    /** 0: Landlock is missing or disabled. */
    int landlock_abi;
    bool has_seccomp;
    /** May the process change its user, and make namespaces? */
    bool can_set_user, can_make_namespaces;
    /** Namespaces, but only below a user namespace, which has no other user. */
    bool needs_user_namespace;
    /** Bits of enum control_group_limit: what the worker's control group limits from outside. */
    unsigned group_limits;
    /** Its effective user and group. */
    uid_t user;
    gid_t group;
};

/** What a sandbox can promise. */
enum sandbox_promise {
    SANDBOX_USER,
    SANDBOX_PRIVILEGES,
    SANDBOX_READ,
    SANDBOX_WRITE,
    SANDBOX_TRUNCATE,
    SANDBOX_DEVICES,
    SANDBOX_EXECUTE,
    SANDBOX_SOCKETS,
    SANDBOX_PORTS,
    SANDBOX_ABSTRACT_SOCKETS,
    SANDBOX_SIGNALS,
    SANDBOX_SYSTEM_CALLS,
    SANDBOX_PROCESSES,
    SANDBOX_MEMORY,
    SANDBOX_TASKS,
    SANDBOX_CPU,
    SANDBOX_LIFETIME,
    SANDBOX_FILE_SYSTEM,
    SANDBOX_NAMESPACES,
};
#define SANDBOX_PROMISES 19

enum sandbox_verdict {
    /** Enforced. */
    SANDBOX_KEPT,
    /** Not asked for. */
    SANDBOX_OPEN,
    /** Asked for, but this kernel or the daemon's rights cannot enforce it. */
    SANDBOX_MISSING,
};

/** The exposure of one plugin, promise by promise. */
struct sandbox_report {
    struct sandbox_item {
        /** "files-read"; static. */
        const char *name;
        enum sandbox_verdict verdict;
        /** What it contributes to the exposure when it is not kept. */
        unsigned weight;
        /** One sentence for the operator. */
        char text[200];
    } items[SANDBOX_PROMISES];
    size_t missing_count;
    /** In tenths, from 0 (everything is kept) to 100. */
    unsigned exposure;
};

/** Asks the running kernel, in part by a child that tries; what it says is kept. The loop's thread only. */
void sandbox_kernel_ask(struct sandbox_kernel *ret_kernel);

/** Judges every promise, and the exposure as a whole. Pure. */
void sandbox_judge(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                   struct sandbox_report *ret_report);

/** Is the file system as a whole among the listed paths? Then it is not hidden. */
bool sandbox_lists_root(const struct sandbox_wanted *wanted);
/** Can it have namespaces of its own? */
bool sandbox_has_namespaces(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel);
/** Can it have a PID namespace? Only who may create processes needs one. */
bool sandbox_has_pid_namespace(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel);
/** Does it need to change modes of files by their paths, or are these of another user than the daemon's? */
bool sandbox_allows_modes(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel);

/** "tight", "ok", "medium", "exposed" or "unsafe". */
const char *sandbox_exposure_name(unsigned exposure);

/**
 * Confines the calling process, for good. It has one thread and no code of a plugin; standard descriptors and
 * number 3 are its only ones afterwards. What sandbox_judge says is kept is kept when this returns BERTH_OK.
 * After an error the process may be confined in part: it must exit.
 *
 * @param parent  the process to die with; it is checked to be alive.
 * @param report  number 4: a socket, on which the kernel's descriptor is sent that asks about each system
 * call that is refused (seccomp_unotify(2)); it is closed then. -1: none.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if is_required and a promise is missing, which `err` names, if
 * a listed path cannot be opened, or if the parent is gone; BERTH_INTERNAL if the kernel refuses what it
 * should be able to do.
 */
enum berth_code sandbox_apply(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                              pid_t parent, int report, struct berth_error *err);

#endif
