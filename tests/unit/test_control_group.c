/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups in a folder that stands in for the kernel's: what is found, and what is written where. */
#include <core/sandbox/control_group.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <tests/cmocka.h>

#include "scratch.h"

static char root[PATH_MAX];
/* Files that a new group lacks here, as where a controller is off. */
static const char *missing;

static void put(const char *path, const char *name, const char *text)
{
    char file[PATH_MAX + 64];
    FILE *stream;

    snprintf(file, sizeof(file), "%s/%s", path, name);
    stream = fopen(file, "we");
    assert_non_null(stream);
    fputs(text, stream);
    fclose(stream);
}

static void assert_file(const char *path, const char *name, const char *expected)
{
    char file[PATH_MAX + 64], text[256] = "";
    FILE *stream;

    snprintf(file, sizeof(file), "%s/%s", path, name);
    stream = fopen(file, "re");
    assert_non_null(stream);
    if (fgets(text, sizeof(text), stream) == NULL)
        text[0] = '\0';
    fclose(stream);
    assert_string_equal(text, expected);
}

static const char *const files[] = {
    "cgroup.procs", "cgroup.subtree_control", "cgroup.controllers", "cgroup.kill",   "cgroup.type",
    "memory.max",   "memory.swap.max",        "memory.oom.group",   "memory.events", "pids.max",
    "cpu.max"};

/* As the kernel does: a new folder has files, and goes with them. */
int mkdir(const char *path, mode_t mode)
{
    if (syscall(SYS_mkdirat, AT_FDCWD, path, mode) != 0)
        return -1;
    for (size_t i = 0; strstr(path, "/berth-") != NULL && i < sizeof(files) / sizeof(files[0]); i++)
        if (missing == NULL || strcmp(files[i], missing) != 0)
            put(path, files[i], "");
    return 0;
}

int rmdir(const char *path)
{
    char file[PATH_MAX + 64];

    for (size_t i = 0; strstr(path, "/berth-") != NULL && i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(file, sizeof(file), "%s/%s", path, files[i]);
        unlink(file);
    }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

static void make(const char *path)
{
    char whole[PATH_MAX + 64];

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(whole, sizeof(whole), "%s/%.*s", root, (int)(slash - path), path);
        mkdir(whole, 0755);
    }
    snprintf(whole, sizeof(whole), "%s/%s", root, path);
    mkdir(whole, 0755);
}

static int begin(void **state)
{
    scratch_create(root);
    make("proc/self");
    make("groups/system/service");
    missing = NULL;
    return 0;
}

static int end(void **state)
{
    scratch_remove(root);
    return 0;
}

static char *below(const char *path)
{
    static char whole[PATH_MAX + 64];

    snprintf(whole, sizeof(whole), "%s/%s", root, path);
    return whole;
}

static void describe(const char *own, const char *mounts)
{
    char folder[PATH_MAX + 64];

    snprintf(folder, sizeof(folder), "%s/proc/self", root);
    put(folder, "cgroup", own);
    put(folder, "mountinfo", mounts);
}

static void fill(const char *group)
{
    put(below(group), "cgroup.procs", "");
    put(below(group), "cgroup.subtree_control", "");
    put(below(group), "cgroup.controllers", "cpuset cpu io memory pids\n");
}

static void delegate(const char *group)
{
    if (setxattr(below(group), "user.delegate", "1", 1, 0) != 0)
        skip();
}

#define MOUNT "30 20 0:26 / /groups rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define ALL (CONTROL_GROUP_MEMORY | CONTROL_GROUP_TASKS | CONTROL_GROUP_CPU)

static void assert_found(const char *group, unsigned limits)
{
    struct control_groups groups;

    control_groups_find(root, &groups);
    if (group == NULL) {
        assert_null(groups.folder);
    } else {
        assert_non_null(groups.folder);
        assert_string_equal(groups.folder, below(group));
    }
    assert_int_equal(groups.limits, limits);
    control_groups_finish(&groups);
}

static void a_marked_group_is_delegated(void **state)
{
    describe("4:memory:/other\n0::/system/service\n",
             "29 20 0:25 / /memory rw - cgroup cgroup rw,memory\n" MOUNT);
    fill("groups/system/service");
    assert_found(NULL, 0);
    delegate("groups/system/service");
    assert_found("groups/system/service", ALL);
    put(below("groups/system/service"), "cgroup.controllers", "hugetlb pids\n");
    assert_found("groups/system/service", CONTROL_GROUP_TASKS);
}

static void a_group_below_a_marked_one_is_its_daemons(void **state)
{
    fill("groups/system/service");
    delegate("groups/system/service");
    make("groups/system/service/main");
    fill("groups/system/service/main");
    describe("0::/system/service/main\n", MOUNT);
    assert_found("groups/system/service", ALL);
    make("groups/system/service/main/deeper");
    fill("groups/system/service/main/deeper");
    describe("0::/system/service/main/deeper\n", MOUNT);
    assert_found(NULL, 0);
}

static void the_top_of_a_container_is_delegated_and_that_of_a_system_is_not(void **state)
{
    fill("groups");
    describe("0::/\n", MOUNT);
    assert_found(NULL, 0);
    put(below("groups"), "cgroup.type", "domain\n");
    assert_found("groups", ALL);
    make("groups/berth-daemon");
    fill("groups/berth-daemon");
    describe("0::/berth-daemon\n", MOUNT);
    assert_found("groups", ALL);
}

static void a_mount_of_a_part_counts_from_there(void **state)
{
    make("groups with space/service");
    fill("groups with space/service");
    delegate("groups with space/service");
    describe("0::/part/service\n", "30 20 0:26 /part /groups\\040with\\040space rw - cgroup2 cgroup2 rw\n");
    assert_found("groups with space/service", ALL);
    describe("0::/particular/service\n",
             "30 20 0:26 /part /groups\\040with\\040space rw - cgroup2 cgroup2 rw\n");
    assert_found(NULL, 0);
}

static void without_version_2_nothing_is_found(void **state)
{
    describe("4:memory:/other\n", MOUNT);
    assert_found(NULL, 0);
    describe("0::/system/service\n", "29 20 0:25 / /groups rw - cgroup cgroup rw,memory\n");
    assert_found(NULL, 0);
}

static void find_delegated(struct control_groups *ret_groups)
{
    fill("groups/system/service");
    delegate("groups/system/service");
    describe("0::/system/service\n", MOUNT);
    control_groups_find(root, ret_groups);
    assert_non_null(ret_groups->folder);
}

static void processes_are_moved_before_controllers_are_turned_on(void **state)
{
    struct control_groups groups;

    find_delegated(&groups);
    groups.limits = CONTROL_GROUP_MEMORY;
    put(groups.folder, "cgroup.procs", "71\n72\n");
    control_groups_prepare(&groups);
    /* A file keeps the last of what was written at its start. */
    assert_file(below("groups/system/service/berth-daemon"), "cgroup.procs", "72");
    assert_file(groups.folder, "cgroup.subtree_control", "+memory");
    assert_int_equal(groups.limits, CONTROL_GROUP_MEMORY);
    control_groups_finish(&groups);
}

static void limits_are_written_in_the_units_of_the_kernel(void **state)
{
    const struct control_group_limits limits = {.memory_bytes = 64u << 20, .tasks = 12, .cpu_percent = 150};
    struct control_groups groups;
    struct berth_error error;
    char *path;

    find_delegated(&groups);
    assert_int_equal(control_group_create(&groups, &limits, &path, &error), BERTH_OK);
    assert_file(path, "memory.max", "67108864");
    assert_file(path, "memory.swap.max", "0");
    assert_file(path, "memory.oom.group", "1");
    assert_file(path, "pids.max", "12");
    assert_file(path, "cpu.max", "150000 100000");
    assert_int_equal(control_group_enter(path, 4711, &error), BERTH_OK);
    assert_file(path, "cgroup.procs", "4711");
    assert_int_equal(control_group_memory_kills(path), 0);
    put(path, "memory.events", "low 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert_int_equal(control_group_memory_kills(path), 2);
    control_group_remove(path);
    control_groups_finish(&groups);
}

static void what_is_not_wanted_is_not_written(void **state)
{
    const struct control_group_limits none = {.memory_bytes = 0};
    struct control_groups groups;
    struct berth_error error;
    char *path;

    find_delegated(&groups);
    missing = "memory.swap.max";
    assert_int_equal(control_group_create(&groups, &none, &path, &error), BERTH_OK);
    assert_file(path, "memory.max", "");
    assert_file(path, "pids.max", "");
    assert_file(path, "cpu.max", "");
    control_group_remove(path);
    control_groups_finish(&groups);
}

static void a_limit_that_is_refused_is_an_error_with_its_file(void **state)
{
    const struct control_group_limits limits = {.tasks = 12};
    struct control_groups groups;
    struct berth_error error;
    char *path;

    find_delegated(&groups);
    missing = "pids.max";
    assert_int_equal(control_group_create(&groups, &limits, &path, &error), BERTH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "cannot write 12 to "));
    assert_non_null(strstr(error.message, "/pids.max: No such file or directory"));
    control_groups_finish(&groups);
}

static unsigned count_workers(const char *folder)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    unsigned count = 0;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        count += strncmp(entry->d_name, "berth-worker-", 13) == 0;
    closedir(directory);
    return count;
}

static void groups_of_a_daemon_that_is_gone_are_removed(void **state)
{
    struct control_groups groups;
    char name[128];
    pid_t gone = fork();

    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    find_delegated(&groups);
    snprintf(name, sizeof(name), "groups/system/service/berth-worker-%ld-3", (long)gone);
    make(name);
    snprintf(name, sizeof(name), "groups/system/service/berth-worker-%ld-1", (long)getppid());
    make(name);
    make("groups/system/service/berth-worker-odd");
    assert_int_equal(count_workers(groups.folder), 3);
    control_groups_prepare(&groups);
    /* That of a living process, and what is none of ours. */
    assert_int_equal(count_workers(groups.folder), 2);
    control_groups_finish(&groups);
}

static void a_group_that_is_busy_is_removed_with_the_next(void **state)
{
    const struct control_group_limits none = {.memory_bytes = 0};
    struct control_groups groups;
    struct berth_error error;
    char *path, *next;
    char busy[PATH_MAX + 64];

    find_delegated(&groups);
    assert_int_equal(control_group_create(&groups, &none, &path, &error), BERTH_OK);
    /* In the kernel's, a process that still ends. */
    snprintf(busy, sizeof(busy), "%s/busy", path);
    put(path, "busy", "");
    control_group_remove(path);
    assert_int_equal(count_workers(groups.folder), 1);
    unlink(busy);
    assert_int_equal(control_group_create(&groups, &none, &next, &error), BERTH_OK);
    assert_int_equal(count_workers(groups.folder), 1);
    control_group_remove(next);
    assert_int_equal(count_workers(groups.folder), 0);
    control_group_remove(NULL);
    control_groups_finish(&groups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_marked_group_is_delegated, begin, end),
        cmocka_unit_test_setup_teardown(a_group_below_a_marked_one_is_its_daemons, begin, end),
        cmocka_unit_test_setup_teardown(the_top_of_a_container_is_delegated_and_that_of_a_system_is_not,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_mount_of_a_part_counts_from_there, begin, end),
        cmocka_unit_test_setup_teardown(without_version_2_nothing_is_found, begin, end),
        cmocka_unit_test_setup_teardown(processes_are_moved_before_controllers_are_turned_on, begin, end),
        cmocka_unit_test_setup_teardown(limits_are_written_in_the_units_of_the_kernel, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_wanted_is_not_written, begin, end),
        cmocka_unit_test_setup_teardown(a_limit_that_is_refused_is_an_error_with_its_file, begin, end),
        cmocka_unit_test_setup_teardown(groups_of_a_daemon_that_is_gone_are_removed, begin, end),
        cmocka_unit_test_setup_teardown(a_group_that_is_busy_is_removed_with_the_next, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
