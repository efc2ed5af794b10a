/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of making a plan: collects all plugins by URI and resolves what they require, and at last puts
 * them in the plan's order. And what every phase between uses: sentences, warnings, and the end of an entry's
 * run.
 */
#include "build.h"

/* Many modules with the same fault must not flood the log. */
#define WARNINGS_MAX 64

static void append(char ***list, size_t *count, char *text)
{
    *list = memory_grow(*list, *count, sizeof(**list));
    (*list)[(*count)++] = text;
}

const char *plan_build_keep(struct plan_build *build, char *text)
{
    append(&build->memory->texts, &build->memory->text_count, text);
    return text;
}

const char *plan_build_text(struct plan_build *build, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = memory_format_arguments(format, arguments);
    va_end(arguments);
    return plan_build_keep(build, text);
}

void plan_build_warn(struct plan_build *build, const char *format, ...)
{
    va_list arguments;

    if (build->plan->warning_count == WARNINGS_MAX) {
        build->memory->dropped_warnings++;
        return;
    }
    va_start(arguments, format);
    append(&build->plan->warnings, &build->plan->warning_count, memory_format_arguments(format, arguments));
    va_end(arguments);
}

void plan_build_stop(struct plan_build *build, size_t entry, enum berth_state state, enum berth_code code,
                     const char *reason, size_t cause)
{
    struct plan_entry *stopped = &build->plan->entries[entry];

    stopped->state = state;
    stopped->code = code;
    stopped->reason = reason;
    stopped->cause = cause;
    verdicts_set(build->verdicts, entry, state, reason, cause);
    stopped->root = verdicts_root(build->verdicts, entry);
}

const char *plan_build_uri(const struct plan_build *build, size_t entry)
{
    return build->plan->entries[entry].plugin->uri;
}

bool plan_build_will_run(const struct plan_build *build, size_t entry)
{
    return plan_entry_will_run(&build->plan->entries[entry]);
}

static void add_entry(struct plan_build *build, const struct manifest_plugin *plugin)
{
    size_t i = build->plan->count++;

    build->plan->entries[i] = (struct plan_entry){.plugin = plugin,
                                                  .state = BERTH_STATE_WAITING,
                                                  .services = plugin->services,
                                                  .cause = PLAN_NONE,
                                                  .root = i,
                                                  .level = -1};
    build->memory->requirement_count += plugin->requirement_count + plugin->want_count;
    name_table_add(&build->memory->uris, plugin->uri, i);
}

/* By URI, and the one that is used before those that lost to it: a URI means its first entry. */
static void add_entries(struct plan_build *build, const struct catalog *catalog)
{
    size_t total = catalog->count + catalog->loser_count, winner = 0, loser = 0;

    build->plan->entries = memory_allocate(total, sizeof(*build->plan->entries));
    name_table_init(&build->memory->uris, total);
    while (build->plan->count < total)
        if (loser == catalog->loser_count ||
            (winner < catalog->count &&
             strcmp(catalog->plugins[winner]->uri, catalog->losers[loser].plugin->uri) <= 0))
            add_entry(build, catalog->plugins[winner++]);
        else
            add_entry(build, catalog->losers[loser++].plugin);
}

static void reject_losers(struct plan_build *build, const struct catalog *catalog)
{
    const struct catalog_loser *loser = catalog->losers;

    for (size_t i = 0; i < build->plan->count && loser < catalog->losers + catalog->loser_count; i++) {
        if (build->plan->entries[i].plugin != loser->plugin)
            continue;
        plan_build_stop(build, i, BERTH_STATE_REJECTED, BERTH_ALREADY_EXISTS, loser->reason,
                        name_table_find(&build->memory->uris, loser->winner->uri));
        build->plan->entries[i].is_replaced = true;
        loser++;
    }
}

static int compare_types(const void *a, const void *b)
{
    return strcmp(((const struct plan_type *)a)->name, ((const struct plan_type *)b)->name);
}

static void name_types(struct plan_build *build)
{
    struct name_table *table = &build->memory->types;
    struct plan *plan = build->plan;

    plan->types = memory_allocate(plan->count, sizeof(*plan->types));
    name_table_init(table, plan->count);
    for (size_t i = 0; i < plan->count; i++)
        if (name_table_add(table, plan->entries[i].plugin->type, plan->type_count) == plan->type_count)
            plan->types[plan->type_count++].name = plan->entries[i].plugin->type;
    qsort(plan->types, plan->type_count, sizeof(*plan->types), compare_types);
    name_table_finish(table);
    name_table_init(table, plan->type_count);
    for (size_t i = 0; i < plan->type_count; i++)
        name_table_add(table, plan->types[i].name, i);
}

static void add_member(struct plan_build *build, size_t type, size_t entry)
{
    struct plan_type *of = &build->plan->types[type];

    build->memory->members[(size_t)(of->members - build->memory->members) + of->member_count++] = entry;
}

/* A plugin that lost to another of its URI is not a provider. */
static bool is_member(const struct plan *plan, size_t entry)
{
    return entry == 0 || strcmp(plan->entries[entry - 1].plugin->uri, plan->entries[entry].plugin->uri) != 0;
}

static void add_types(struct plan_build *build)
{
    struct plan *plan = build->plan;
    size_t first = 0;

    name_types(build);
    build->memory->members = memory_allocate(plan->count, sizeof(*build->memory->members));
    for (size_t i = 0; i < plan->count; i++) {
        plan->entries[i].type = name_table_find(&build->memory->types, plan->entries[i].plugin->type);
        plan->types[plan->entries[i].type].member_count += is_member(plan, i);
    }
    for (size_t i = 0; i < plan->type_count; i++) {
        plan->types[i].members = build->memory->members + first;
        first += plan->types[i].member_count;
        plan->types[i].member_count = 0;
    }
    for (size_t i = 0; i < plan->count; i++)
        if (is_member(plan, i))
            add_member(build, plan->entries[i].type, i);
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

static void resolve_all(struct plan_build *build)
{
    struct plan_requirement *next = memory_allocate(build->memory->requirement_count, sizeof(*next));

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

void plan_build_collect(struct plan_build *build, const struct catalog *catalog)
{
    add_entries(build, catalog);
    add_types(build);
    resolve_all(build);
    build->verdicts = verdicts_create(build->plan);
    reject_losers(build, catalog);
}

/*
 * Plugins that will run come first, by level, then the others, each group by URI. `place_of` has room for
 * all.
 */
static void find_places(const struct plan *plan, size_t level_count, size_t *place_of)
{
    size_t *next = memory_allocate(level_count + 2, sizeof(*next));

    for (size_t i = 0; i < plan->count; i++)
        next[plan->entries[i].level < 0 ? level_count + 1 : (size_t)plan->entries[i].level + 1]++;
    for (size_t i = 1; i <= level_count; i++)
        next[i] += next[i - 1];
    for (size_t i = 0; i < plan->count; i++)
        place_of[i] = next[plan->entries[i].level < 0 ? level_count : (size_t)plan->entries[i].level]++;
    free(next);
}

static void move_entries(struct plan *plan, const size_t *place_of)
{
    struct plan_entry *by_uri = plan->entries;

    plan->entries = memory_allocate(plan->count, sizeof(*plan->entries));
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_entry *entry = &plan->entries[place_of[i]];

        *entry = by_uri[i];
        entry->root = place_of[entry->root];
        if (entry->cause != PLAN_NONE)
            entry->cause = place_of[entry->cause];
        plan->run_count += plan_entry_will_run(entry);
    }
    free(by_uri);
}

void plan_build_publish(struct plan_build *build, int32_t max_level)
{
    struct plan_memory *memory = build->memory;
    struct plan *plan = build->plan;
    size_t *place_of = memory_allocate(plan->count, sizeof(*place_of));

    find_places(plan, (size_t)(max_level + 1), place_of);
    move_entries(plan, place_of);
    for (size_t i = 0; i < memory->requirement_count; i++)
        if (memory->requirements[i].target == PLAN_TARGET_PLUGIN)
            memory->requirements[i].index = place_of[memory->requirements[i].index];
    for (size_t i = 0; i < memory->uris.slot_count; i++)
        if (memory->uris.slots[i].name != NULL)
            memory->uris.slots[i].value = place_of[memory->uris.slots[i].value];
    for (size_t i = 0; i < plan->type_count; i++)
        plan->types[i].member_count = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].state != BERTH_STATE_REJECTED)
            add_member(build, plan->entries[i].type, i);
    if (memory->dropped_warnings > 0)
        append(&plan->warnings, &plan->warning_count,
               memory_format("and %zu more warnings", memory->dropped_warnings));
    verdicts_destroy(build->verdicts);
    free(place_of);
}
