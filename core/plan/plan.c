/* SPDX-License-Identifier: Apache-2.0 */
/* Orders plugins by what they require, and says of each that cannot run why not: the phases, in their order.
 */
#include "build.h"

struct plan *plan_create(const struct catalog *catalog, const struct settings_plan *settings)
{
    struct plan_memory *memory = memory_allocate(1, sizeof(*memory));
    struct plan_build build = {.settings = settings, .memory = memory, .plan = &memory->plan};
    int32_t max_level;

    memory->plan.max_waiting = settings->max_waiting;
    plan_build_collect(&build, catalog);
    plan_rules_apply(&build);
    plan_isolation_apply(&build);
    plan_exports_apply(&build);
    plan_rules_block(&build);
    if (plan_cycles_apply(&build))
        plan_rules_block(&build);
    plan_cycles_warn(&build);
    plan_exports_warn(&build);
    max_level = plan_graph_set_levels(build.plan);
    plan_activation_apply(&build);
    plan_build_publish(&build, max_level);
    return build.plan;
}

void plan_destroy(struct plan *plan)
{
    struct plan_memory *memory = (struct plan_memory *)plan;

    if (plan == NULL)
        return;
    for (size_t i = 0; i < memory->text_count; i++)
        free(memory->texts[i]);
    for (size_t i = 0; i < plan->warning_count; i++)
        free(plan->warnings[i]);
    free(memory->texts);
    free(plan->warnings);
    free(plan->entries);
    free(plan->types);
    free(memory->requirements);
    free(memory->members);
    free(memory->services);
    free(memory->transports);
    name_table_finish(&memory->uris);
    name_table_finish(&memory->types);
    free(memory);
}

size_t plan_find(const struct plan *plan, const char *uri)
{
    return name_table_find(&((const struct plan_memory *)plan)->uris, uri);
}

size_t plan_find_type(const struct plan *plan, const char *type)
{
    return name_table_find(&((const struct plan_memory *)plan)->types, type);
}
