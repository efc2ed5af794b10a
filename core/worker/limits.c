/* SPDX-License-Identifier: Apache-2.0 */
/* Gives each worker a control group, and learns from it whether the kernel killed for memory. */
#include "limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The system's counter, which is all there is without a group. */
static uint64_t count_system_kills(void)
{
    static const char key[] = "oom_kill ";
    FILE *file = fopen("/proc/vmstat", "re");
    uint64_t count = 0;
    char line[128];

    while (file != NULL && count == 0 && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, key, sizeof(key) - 1) == 0)
            count = strtoull(line + sizeof(key) - 1, NULL, 10);
    if (file != NULL)
        fclose(file);
    return count;
}

void limits_prepare(void)
{
    control_groups_prepare(control_groups_own());
}

enum berth_code limits_begin(struct limits *limits, const struct sandbox_wanted *wanted,
                             struct berth_error *err)
{
    const struct control_group_limits own = {
        .memory_bytes = wanted->memory_bytes, .tasks = wanted->tasks, .cpu_percent = wanted->cpu_percent};
    struct control_groups *groups = control_groups_own();
    bool is_needed = own.memory_bytes > 0 || own.tasks > 0 || own.cpu_percent > 0;
    enum berth_code code = BERTH_OK;

    *limits = (struct limits){.group = NULL};
    if (groups->folder != NULL)
        code = control_group_create(groups, &own, &limits->group, err);
    limits->counts_memory = limits->group != NULL && (groups->limits & CONTROL_GROUP_MEMORY) != 0;
    if (!limits->counts_memory)
        limits->system_kills = count_system_kills();
    /* Without limits it would only tell more exactly how the worker ended. */
    return is_needed ? code : BERTH_OK;
}

enum berth_code limits_enter(struct limits *limits, pid_t process, struct berth_error *err)
{
    return limits->group == NULL ? BERTH_OK : control_group_enter(limits->group, process, err);
}

bool limits_killed(const struct limits *limits)
{
    return limits->counts_memory ? control_group_memory_kills(limits->group) > 0
                                 : count_system_kills() > limits->system_kills;
}

void limits_end(struct limits *limits)
{
    control_group_remove(limits->group);
    *limits = (struct limits){.group = NULL};
}
