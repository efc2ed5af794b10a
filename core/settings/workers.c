/* SPDX-License-Identifier: Apache-2.0 */
/* Which isolated plugins share a process, and whether they agree on what it is. */
#include "settings.h"

#include <stdio.h>
#include <string.h>

#include <config/tree/units.h>

#include <sdk/base/memory.h>

bool settings_share_worker(const struct settings_isolation *one, const char *one_module,
                           const struct settings_isolation *other, const char *other_module)
{
    if ((one->worker == NULL) != (other->worker == NULL))
        return false;
    return one->worker != NULL ? strcmp(one->worker, other->worker) == 0
                               : strcmp(one_module, other_module) == 0;
}

/* One setting of both, as text. */
struct pair {
    const char *name;
    char here[128], there[128];
};

static bool name_differs(struct pair *pair, const char *name, const char *here, const char *there)
{
    pair->name = name;
    snprintf(pair->here, sizeof(pair->here), "%s", here != NULL ? here : "unset");
    snprintf(pair->there, sizeof(pair->there), "%s", there != NULL ? there : "unset");
    return (here == NULL) != (there == NULL) || strcmp(pair->here, pair->there) != 0;
}

static bool amounts_differ(struct pair *pair, const char *name, uint64_t here, uint64_t there,
                           void (*format)(int64_t amount, char ret_text[CONFIG_UNITS_MAX]))
{
    char one[CONFIG_UNITS_MAX], other[CONFIG_UNITS_MAX];

    format((int64_t)here, one);
    format((int64_t)there, other);
    name_differs(pair, name, one, other);
    return here != there;
}

static bool number_differs(struct pair *pair, const char *name, uint32_t here, uint32_t there)
{
    char one[16], other[16];

    snprintf(one, sizeof(one), "%u", here);
    snprintf(other, sizeof(other), "%u", there);
    return name_differs(pair, name, one, other);
}

static bool truth_differs(struct pair *pair, const char *name, bool here, bool there)
{
    return name_differs(pair, name, here ? "true" : "false", there ? "true" : "false");
}

static bool differs(struct pair *pair, const struct settings_isolation *here,
                    const struct settings_isolation *there)
{
    return name_differs(pair, "user", here->user, there->user) ||
           name_differs(pair, "group", here->group, there->group) ||
           amounts_differ(pair, "memory", here->memory_bytes, there->memory_bytes, config_format_bytes) ||
           number_differs(pair, "tasks", here->tasks, there->tasks) ||
           number_differs(pair, "cpu_quota", here->cpu_percent, there->cpu_percent) ||
           name_differs(pair, "network", settings_network_name(here->network),
                        settings_network_name(there->network)) ||
           truth_differs(pair, "processes", here->processes, there->processes) ||
           truth_differs(pair, "required", here->required, there->required) ||
           name_differs(pair, "restart", settings_restart_name(here->restart),
                        settings_restart_name(there->restart)) ||
           amounts_differ(pair, "restart_delay", here->restart_delay_ns, there->restart_delay_ns,
                          config_format_duration) ||
           number_differs(pair, "start_limit", here->start_limit, there->start_limit) ||
           amounts_differ(pair, "start_limit_interval", here->start_limit_interval_ns,
                          there->start_limit_interval_ns, config_format_duration) ||
           amounts_differ(pair, "stall_after", here->stall_after_ns, there->stall_after_ns,
                          config_format_duration);
}

char *settings_find_disagreement(const struct settings_isolation *here,
                                 const struct settings_isolation *there)
{
    struct pair pair;

    return differs(&pair, here, there)
               ? memory_format("%s differs: %s here, %s there", pair.name, pair.here, pair.there)
               : NULL;
}
