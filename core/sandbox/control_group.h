/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control group (version 2) that was delegated to the daemon, and groups below it, one for each worker. A
 * group counts all that is in it, whoever it runs as and however it came by its memory.
 */
#ifndef CORE_SANDBOX_CONTROL_GROUP_H
#define CORE_SANDBOX_CONTROL_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <berth/error.h>

/** What a group can limit; bits. */
enum control_group_limit {
    CONTROL_GROUP_MEMORY = 1,
    CONTROL_GROUP_TASKS = 2,
    CONTROL_GROUP_CPU = 4,
};

/** Zeroed: there is none. */
struct control_groups {
    /** The delegated group; NULL: none was delegated. */
    char *folder;
    /** Bits of enum control_group_limit: what groups below it can limit. */
    unsigned limits;
    bool is_prepared;
};

/** 0: unlimited. */
struct control_group_limits {
    uint64_t memory_bytes;
    uint32_t tasks;
    /** Of one processor. */
    uint32_t cpu_percent;
};

/**
 * Looks for the group of the calling process, or that above it, if it was delegated: the service manager has
 * marked it so (Delegate=), or it is the top of a container. Changes nothing.
 *
 * @param root  of a file system with /proc and the groups: "" for that of the process.
 */
void control_groups_find(const char *root, struct control_groups *ret_groups);
/**
 * Makes ready what was found, once: moves the processes of the delegated group into one below it, because the
 * kernel limits no group beside processes; removes groups of daemons that are gone. Limits that cannot be had
 * are struck off `limits`.
 */
void control_groups_prepare(struct control_groups *groups);
void control_groups_finish(struct control_groups *groups);
/** Those of this process, looked for once. The loop's thread only. */
struct control_groups *control_groups_own(void);

/**
 * Creates a group, which is empty.
 *
 * @param ret_path  of it, malloced.
 * @return BERTH_OK; BERTH_UNAVAILABLE with the file that could not be written, for what is among `limits` of
 * the groups. Others are ignored.
 */
enum berth_code control_group_create(struct control_groups *groups, const struct control_group_limits *limits,
                                     char **ret_path, struct berth_error *err);
/** Moves a process into it. @return as above. */
enum berth_code control_group_enter(const char *path, pid_t process, struct berth_error *err);
/** How many processes in it the kernel has killed because memory ran out; 0 where it does not count. */
uint64_t control_group_memory_kills(const char *path);
/**
 * Kills what is in it and removes it: at once, or when another is created or removed.
 * @param path  is freed. NULL: nothing happens.
 */
void control_group_remove(char *path);

#endif
