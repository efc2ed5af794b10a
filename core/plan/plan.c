/* SPDX-License-Identifier: Apache-2.0 */
/* Orders plugins by what they require, and says of each that cannot run why not. Pure. */
#include "build.h"

#include <assert.h>
#include <stdlib.h>

/* The order of the entries: those that run by level, then the others, each by URI. */
static size_t *sort_entries(const struct plan_build *build, size_t *ret_place_of)
{
    const struct plan *plan = build->plan;
    size_t *next = plan_build_allocate((size_t)build->max_level + 3, sizeof(*next));
    size_t *order = plan_build_allocate(plan->count, sizeof(*order));
    size_t last = (size_t)(build->max_level + 1);

    for (size_t i = 0; i < plan->count; i++)
        next[plan->entries[i].level < 0 ? last + 1 : (size_t)plan->entries[i].level + 1]++;
    for (size_t i = 1; i <= last; i++)
        next[i] += next[i - 1];
    for (size_t i = 0; i < plan->count; i++) {
        size_t bucket = plan->entries[i].level < 0 ? last : (size_t)plan->entries[i].level;

        ret_place_of[i] = next[bucket]++;
        order[ret_place_of[i]] = i;
    }
    free(next);
    return order;
}

static void publish_entries(struct plan_build *build, const size_t *order, const size_t *place_of)
{
    struct plan *plan = build->plan;
    struct plan_requirement *requirements = build->memory->requirements;
    size_t requirement_count = plan_collect_requirements(build);
    struct plan_entry *by_uri = plan->entries;

    plan->entries = plan_build_allocate(plan->count, sizeof(*plan->entries));
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_entry *entry = &plan->entries[i];

        *entry = by_uri[order[i]];
        entry->root = place_of[entry->root];
        if (entry->cause != PLAN_NONE)
            entry->cause = place_of[entry->cause];
        if (entry->verdict == PLAN_RUN)
            plan->run_count++;
    }
    free(by_uri);
    for (size_t i = 0; i < requirement_count; i++)
        if (requirements[i].target == PLAN_TARGET_PLUGIN)
            requirements[i].index = place_of[requirements[i].index];
    for (size_t i = 0; i < build->memory->uris.slot_count; i++)
        if (build->memory->uris.slots[i].name != NULL)
            build->memory->uris.slots[i].value = place_of[build->memory->uris.slots[i].value];
}

/* Members in the plan's order, and no rejected ones: what lost or broke a rule provides nothing. */
static void publish_types(struct plan_build *build, const size_t *order)
{
    struct plan *plan = build->plan;
    size_t *members = build->memory->members;

    for (size_t i = 0; i < plan->type_count; i++)
        plan->types[i].member_count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_type *type = &plan->types[build->type_of[order[i]]];

        if (plan->entries[i].verdict != PLAN_REJECTED)
            members[(size_t)(type->members - members) + type->member_count++] = i;
    }
}

static void publish(struct plan_build *build)
{
    size_t *place_of = plan_build_allocate(build->plan->count, sizeof(*place_of));
    size_t *order = sort_entries(build, place_of);

    publish_entries(build, order, place_of);
    publish_types(build, order);
    assert(build->max_level >= 0 || build->plan->run_count == 0);
    free(order);
    free(place_of);
}

static void build_finish(struct plan_build *build)
{
    verdicts_destroy(build->verdicts);
    free(build->type_of);
}

struct plan *plan_create(const struct catalog *catalog, const struct settings_plan *settings)
{
    struct plan_memory *memory = plan_build_allocate(1, sizeof(*memory));
    struct plan_build build = {
        .settings = settings,
        .memory = memory,
        .plan = &memory->plan,
    };

    plan_collect(&build, catalog);
    plan_rules_apply(&build);
    plan_transports_apply(&build);
    plan_block_apply(&build);
    if (plan_cycles_apply(&build))
        plan_block_apply(&build);
    plan_cycles_warn(&build);
    plan_transports_warn(&build);
    plan_build_end_warnings(&build);
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
    free(memory->services);
    free(memory->transports);
    name_table_finish(&memory->uris);
    name_table_finish(&memory->types);
    free(memory);
}

enum berth_state plan_verdict_state(enum plan_verdict verdict)
{
    switch (verdict) {
    case PLAN_RUN:
        return BERTH_STATE_WAITING;
    case PLAN_DISABLED:
        return BERTH_STATE_DISABLED;
    case PLAN_SKIPPED:
        return BERTH_STATE_SKIPPED;
    case PLAN_BLOCKED:
        return BERTH_STATE_BLOCKED;
    case PLAN_REJECTED:
        return BERTH_STATE_REJECTED;
    }
    return BERTH_STATE_REJECTED;
}

size_t plan_find(const struct plan *plan, const char *uri)
{
    return name_table_find(&((const struct plan_memory *)plan)->uris, uri);
}

size_t plan_find_type(const struct plan *plan, const char *type)
{
    return name_table_find(&((const struct plan_memory *)plan)->types, type);
}
