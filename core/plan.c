/* SPDX-License-Identifier: Apache-2.0 */
/* Orders plugins by what they require, and says of each that cannot run why not. Pure. */
#include "plan_build.h"

#include <assert.h>
#include <stdlib.h>

/* The order of the entries: those that run by level, then the others, each by URI. */
static size_t *sort_entries(const struct plan_build *build, size_t *ret_place_of)
{
    size_t *next = plan_build_allocate((size_t)build->max_level + 3, sizeof(*next));
    size_t *order = plan_build_allocate(build->count, sizeof(*order));
    size_t last = (size_t)(build->max_level + 1);

    for (size_t i = 0; i < build->count; i++)
        next[build->entries[i].level < 0 ? last + 1 : (size_t)build->entries[i].level + 1]++;
    for (size_t i = 1; i <= last; i++)
        next[i] += next[i - 1];
    for (size_t i = 0; i < build->count; i++) {
        size_t bucket = build->entries[i].level < 0 ? last : (size_t)build->entries[i].level;

        ret_place_of[i] = next[bucket]++;
        order[ret_place_of[i]] = i;
    }
    free(next);
    return order;
}

static void publish_entries(struct plan_build *build, const size_t *order, const size_t *place_of)
{
    struct plan *plan = &build->memory->plan;
    struct plan_requirement *requirements = build->memory->requirements;
    size_t requirement_count = plan_collect_requirements(build);

    plan->entries = plan_build_allocate(build->count, sizeof(*plan->entries));
    plan->count = build->count;
    for (size_t i = 0; i < build->count; i++) {
        plan->entries[i] = build->entries[order[i]];
        if (plan->entries[i].cause != PLAN_NONE)
            plan->entries[i].cause = place_of[plan->entries[i].cause];
        if (plan->entries[i].verdict == PLAN_RUN)
            plan->run_count++;
    }
    for (size_t i = 0; i < requirement_count; i++)
        if (requirements[i].target == PLAN_TARGET_PLUGIN)
            requirements[i].index = place_of[requirements[i].index];
    for (size_t i = 0; i < build->memory->uris.slot_count; i++)
        if (build->memory->uris.slots[i].name != NULL)
            build->memory->uris.slots[i].value = place_of[build->memory->uris.slots[i].value];
}

static void publish_types(struct plan_build *build, const size_t *order)
{
    struct plan *plan = &build->memory->plan;
    size_t *members = build->members;

    plan->types = plan_build_allocate(build->type_count, sizeof(*plan->types));
    plan->type_count = build->type_count;
    build->memory->members = members;
    for (size_t i = 0; i < build->type_count; i++)
        plan->types[i] = (struct plan_type){.name = build->types[i].name, .members = build->types[i].members};
    for (size_t i = 0; i < build->count; i++) {
        struct plan_type *type = &plan->types[build->type_of[order[i]]];

        if (plan->entries[i].verdict != PLAN_REJECTED)
            members[(size_t)(type->members - members) + type->member_count++] = i;
    }
}

static void publish(struct plan_build *build)
{
    size_t *place_of = plan_build_allocate(build->count, sizeof(*place_of));
    size_t *order = sort_entries(build, place_of);

    publish_entries(build, order, place_of);
    publish_types(build, order);
    assert(build->max_level >= 0 || build->memory->plan.run_count == 0);
    free(order);
    free(place_of);
}

static void build_finish(struct plan_build *build)
{
    free(build->entries);
    free(build->type_of);
    free(build->root_of);
    free(build->types);
}

struct plan *plan_create(const struct catalog *catalog, const struct plan_settings *settings)
{
    struct plan_memory *memory = plan_build_allocate(1, sizeof(*memory));
    struct plan_build build = {
        .settings = settings,
        .memory = memory,
    };

    plan_collect(&build, catalog);
    plan_rules_apply(&build);
    plan_block_apply(&build);
    if (plan_cycles_apply(&build))
        plan_block_apply(&build);
    plan_cycles_warn(&build);
    plan_order_apply(&build);
    publish(&build);
    build_finish(&build);
    return &memory->plan;
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
