/* SPDX-License-Identifier: Apache-2.0 */
/* Puts all plugins of all manifests side by side, by URI, and finds out what each of their requirements
 * names. */
#include "build.h"

#include <stdlib.h>
#include <string.h>

static void add_entry(struct plan_build *build, const struct manifest_plugin *plugin)
{
    size_t i = build->plan->count++;

    build->plan->entries[i] = (struct plan_entry){
        .plugin = plugin, .services = plugin->services, .cause = PLAN_NONE, .root = i, .level = -1};
    name_table_add(&build->memory->uris, plugin->uri, i);
}

static void reject_losers(struct plan_build *build, const struct catalog *catalog)
{
    const struct catalog_loser *loser = catalog->losers;

    for (size_t i = 0; i < build->plan->count && loser < catalog->losers + catalog->loser_count; i++) {
        if (build->plan->entries[i].plugin != loser->plugin)
            continue;
        plan_build_stop(build, i, PLAN_REJECTED, BERTH_ALREADY_EXISTS, loser->reason,
                        name_table_find(&build->memory->uris, loser->winner->uri));
        build->plan->entries[i].is_replaced = true;
        loser++;
    }
}

/* By URI, and who is used before who lost to it: the first entry of a URI is the one that others mean. */
static void add_entries(struct plan_build *build, const struct catalog *catalog)
{
    size_t total = catalog->count + catalog->loser_count, winner = 0, loser = 0;

    build->plan->entries = plan_build_allocate(total, sizeof(*build->plan->entries));
    name_table_init(&build->memory->uris, total);
    while (build->plan->count < total) {
        if (loser == catalog->loser_count ||
            (winner < catalog->count &&
             strcmp(catalog->plugins[winner]->uri, catalog->losers[loser].plugin->uri) <= 0))
            add_entry(build, catalog->plugins[winner++]);
        else
            add_entry(build, catalog->losers[loser++].plugin);
    }
}

static int compare_types(const void *a, const void *b)
{
    return strcmp(((const struct plan_type *)a)->name, ((const struct plan_type *)b)->name);
}

static void name_types(struct plan_build *build)
{
    struct name_table *table = &build->memory->types;

    build->plan->types = plan_build_allocate(build->plan->count, sizeof(*build->plan->types));
    name_table_init(table, build->plan->count);
    for (size_t i = 0; i < build->plan->count; i++)
        if (name_table_add(table, build->plan->entries[i].plugin->type, build->plan->type_count) ==
            build->plan->type_count)
            build->plan->types[build->plan->type_count++].name = build->plan->entries[i].plugin->type;
    qsort(build->plan->types, build->plan->type_count, sizeof(*build->plan->types), compare_types);
    name_table_finish(table);
    name_table_init(table, build->plan->type_count);
    for (size_t i = 0; i < build->plan->type_count; i++)
        name_table_add(table, build->plan->types[i].name, i);
}

/* Who lost to another of its URI provides nothing of its own. */
static bool is_meant(const struct plan_build *build, size_t entry)
{
    return entry == 0 || strcmp(plan_build_uri(build, entry - 1), plan_build_uri(build, entry)) != 0;
}

static void add_types(struct plan_build *build)
{
    size_t first = 0;

    name_types(build);
    build->type_of = plan_build_allocate(build->plan->count, sizeof(*build->type_of));
    build->memory->members = plan_build_allocate(build->plan->count, sizeof(*build->memory->members));
    for (size_t i = 0; i < build->plan->count; i++) {
        build->type_of[i] = name_table_find(&build->memory->types, build->plan->entries[i].plugin->type);
        build->plan->types[build->type_of[i]].member_count += is_meant(build, i);
    }
    for (size_t i = 0; i < build->plan->type_count; i++) {
        build->plan->types[i].members = build->memory->members + first;
        first += build->plan->types[i].member_count;
        build->plan->types[i].member_count = 0;
    }
    for (size_t i = 0; i < build->plan->count; i++) {
        struct plan_type *type = &build->plan->types[build->type_of[i]];

        if (is_meant(build, i))
            build->memory->members[(size_t)(type->members - build->memory->members) + type->member_count++] =
                i;
    }
}

static struct plan_requirement resolve(const struct plan_build *build, const char *name, bool binding)
{
    struct plan_requirement requirement = {.name = name, .binding = binding, .index = PLAN_NONE};
    uint64_t hash = name_table_hash(name);

    if (strcmp(name, "*") == 0) {
        requirement.target = PLAN_TARGET_ALL;
        requirement.binding = false;
        return requirement;
    }
    requirement.target = PLAN_TARGET_TYPE;
    requirement.index = name_table_find_hashed(&build->memory->types, name, hash);
    if (requirement.index != PLAN_NONE)
        return requirement;
    requirement.index = name_table_find_hashed(&build->memory->uris, name, hash);
    requirement.target = requirement.index == PLAN_NONE ? PLAN_TARGET_NOBODY : PLAN_TARGET_PLUGIN;
    return requirement;
}

size_t plan_collect_requirements(const struct plan_build *build)
{
    size_t count = 0;

    for (size_t i = 0; i < build->plan->count; i++)
        count +=
            build->plan->entries[i].plugin->requirement_count + build->plan->entries[i].plugin->want_count;
    return count;
}

static void resolve_all(struct plan_build *build)
{
    struct plan_requirement *next =
        plan_build_allocate(plan_collect_requirements(build), sizeof(struct plan_requirement));

    build->memory->requirements = next;
    for (size_t i = 0; i < build->plan->count; i++) {
        struct plan_entry *entry = &build->plan->entries[i];
        const struct manifest_plugin *plugin = entry->plugin;

        entry->requirements = next;
        entry->requirement_count = plugin->requirement_count + plugin->want_count;
        for (size_t j = 0; j < plugin->requirement_count; j++)
            *next++ = resolve(build, plugin->requirements[j].name, true);
        for (size_t j = 0; j < plugin->want_count; j++)
            *next++ = resolve(build, plugin->wants[j].name, false);
    }
}

void plan_collect(struct plan_build *build, const struct catalog *catalog)
{
    add_entries(build, catalog);
    add_types(build);
    resolve_all(build);
    build->verdicts = verdicts_create(build->plan);
    reject_losers(build, catalog);
}
