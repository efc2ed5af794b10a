/* SPDX-License-Identifier: Apache-2.0 */
/* Each plugin at run time. Trusts no pointer and no text that comes from one. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#include <config/text/utf8.h>

#include <core/base/frames.h>
#include <core/base/log.h>
#include <core/base/names.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

/* The names of a plugin whose plan is gone. */
struct ghost {
    struct plan_entry entry;
    struct manifest_plugin plugin;
    struct manifest manifest;
    struct scan_file file;
};

/* A record with what only this file needs. */
struct record {
    struct registry_plugin plugin;
    struct ghost *ghost;
    /* Found by its URI: not a module that lost it, and no generation beside it. */
    bool is_primary;
};

struct registry {
    const struct plan *plan;
    struct record **records;
    size_t count;
    uint64_t start_ns;
    struct changes *changes;
    struct ledger ledger;
};

static void note_change(struct registry *registry)
{
    changes_note(registry->changes);
}

static bool is_word(const char *text)
{
    return text != NULL && text[0] != '\0' && utf8_is_line(text);
}

/* Room for one more of `count` items of `size` bytes; NULL past the limit or when out of memory. */
static void *grow(void *items, size_t count, size_t size)
{
    return count < REGISTRY_PUBLISHED_MAX ? realloc(items, (count + 1) * size) : NULL;
}

static enum berth_code replace_export(struct registry *registry, struct berth_export *export,
                                      const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    free((char *)export->value);
    export->value = copy;
    note_change(registry);
    return BERTH_OK;
}

enum berth_code registry_add_export(struct registry *registry, struct registry_plugin *plugin,
                                    const char *key, const char *value)
{
    struct berth_export *exports, added;

    if (!is_word(key) || value == NULL || !utf8_is_line(value))
        return BERTH_INVALID_ARGUMENT;
    for (size_t i = 0; i < plugin->export_count; i++)
        if (strcmp(plugin->exports[i].key, key) == 0)
            return replace_export(registry, &plugin->exports[i], value);
    exports = grow(plugin->exports, plugin->export_count, sizeof(*exports));
    if (exports == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    plugin->exports = exports;
    added = (struct berth_export){.key = strdup(key), .value = strdup(value)};
    if (added.key == NULL || added.value == NULL) {
        free((char *)added.key);
        free((char *)added.value);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    exports[plugin->export_count++] = added;
    note_change(registry);
    return BERTH_OK;
}

static void free_platform(const struct berth_platform *platform)
{
    free((char *)platform->os);
    free((char *)platform->architecture);
    free((char *)platform->variant);
}

static bool has_platform(const struct registry_plugin *plugin, const char *os, const char *architecture,
                         const char *variant)
{
    for (size_t i = 0; i < plugin->platform_count; i++) {
        const struct berth_platform *platform = &plugin->platforms[i];

        if (strcmp(platform->os, os) == 0 && strcmp(platform->architecture, architecture) == 0 &&
            strcmp(platform->variant, variant) == 0)
            return true;
    }
    return false;
}

enum berth_code registry_add_platform(struct registry *registry, struct registry_plugin *plugin,
                                      const char *os, const char *architecture, const char *variant)
{
    struct berth_platform *platforms, added;

    if (variant == NULL)
        variant = "";
    if (!is_word(os) || !is_word(architecture) || !utf8_is_line(variant))
        return BERTH_INVALID_ARGUMENT;
    if (has_platform(plugin, os, architecture, variant))
        return BERTH_OK;
    platforms = grow(plugin->platforms, plugin->platform_count, sizeof(*platforms));
    if (platforms == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    plugin->platforms = platforms;
    added = (struct berth_platform){
        .os = strdup(os), .architecture = strdup(architecture), .variant = strdup(variant)};
    if (added.os == NULL || added.architecture == NULL || added.variant == NULL) {
        free_platform(&added);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    platforms[plugin->platform_count++] = added;
    note_change(registry);
    return BERTH_OK;
}

enum berth_code registry_add_capability(struct registry *registry, struct registry_plugin *plugin,
                                        const char *capability)
{
    const char **capabilities;

    if (!is_word(capability))
        return BERTH_INVALID_ARGUMENT;
    for (size_t i = 0; i < plugin->capability_count; i++)
        if (strcmp(plugin->capabilities[i], capability) == 0)
            return BERTH_OK;
    capabilities = grow(plugin->capabilities, plugin->capability_count, sizeof(*capabilities));
    if (capabilities == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    plugin->capabilities = capabilities;
    capabilities[plugin->capability_count] = strdup(capability);
    if (capabilities[plugin->capability_count] == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    plugin->capability_count++;
    note_change(registry);
    return BERTH_OK;
}

static void finish_publication(struct registry_plugin *plugin)
{
    for (size_t i = 0; i < plugin->export_count; i++) {
        free((char *)plugin->exports[i].key);
        free((char *)plugin->exports[i].value);
    }
    for (size_t i = 0; i < plugin->platform_count; i++)
        free_platform(&plugin->platforms[i]);
    for (size_t i = 0; i < plugin->capability_count; i++)
        free((char *)plugin->capabilities[i]);
    free(plugin->exports);
    free(plugin->platforms);
    free(plugin->capabilities);
    plugin->exports = NULL;
    plugin->platforms = NULL;
    plugin->capabilities = NULL;
    plugin->export_count = plugin->platform_count = plugin->capability_count = 0;
}

void registry_unpublish(struct registry *registry, struct registry_plugin *plugin)
{
    finish_publication(plugin);
    note_change(registry);
}

static void free_holds(struct registry_plugin *plugin)
{
    while (plugin->holds != NULL) {
        struct berth_hold *next = plugin->holds->next;

        free(plugin->holds);
        plugin->holds = next;
    }
    plugin->hold_count = 0;
}

struct berth_hold *registry_hold(struct registry *registry, struct registry_plugin *plugin, const char *what)
{
    size_t length = strlen(what);
    struct berth_hold **end = &plugin->holds;
    struct berth_hold *hold = malloc(sizeof(*hold) + length + 1);

    if (hold == NULL)
        return NULL;
    hold->next = NULL;
    memcpy(hold->what, what, length + 1);
    utf8_make_line(hold->what);
    while (*end != NULL)
        end = &(*end)->next;
    *end = hold;
    plugin->hold_count++;
    note_change(registry);
    return hold;
}

bool registry_release(struct registry *registry, struct registry_plugin *plugin, struct berth_hold *hold)
{
    struct berth_hold **place = &plugin->holds;

    while (*place != NULL && *place != hold)
        place = &(*place)->next;
    if (*place == NULL)
        return false;
    *place = hold->next;
    free(hold);
    plugin->hold_count--;
    note_change(registry);
    return true;
}

static void forget_condition(struct registry_plugin *plugin)
{
    free(plugin->condition_reason);
    plugin->condition_reason = NULL;
    plugin->condition = BERTH_OK;
}

static struct record *of_plugin(const struct registry_plugin *plugin)
{
    return CONTAINER_OF((struct registry_plugin *)(uintptr_t)plugin, struct record, plugin);
}

static void ghost_destroy(struct ghost *ghost)
{
    if (ghost == NULL)
        return;
    free((char *)ghost->plugin.uri);
    free((char *)ghost->plugin.type);
    free((char *)ghost->plugin.id);
    free((char *)ghost->manifest.module);
    free((char *)ghost->manifest.version);
    free((char *)ghost->manifest.path);
    free(ghost->manifest.signer);
    free(ghost->manifest.signer_comment);
    free(ghost);
}

/* What is listed of a plugin that is gone; its services, requirements and settings are gone with its file. */
static struct ghost *ghost_create(const struct plan_entry *entry)
{
    const struct manifest_plugin *plugin = entry->plugin;
    struct ghost *ghost = memory_allocate(1, sizeof(*ghost));

    ghost->manifest.module = memory_copy(plugin->manifest->module);
    ghost->manifest.version = memory_copy(plugin->manifest->version);
    ghost->manifest.path = memory_copy(plugin->manifest->path);
    if (plugin->manifest->signer != NULL)
        ghost->manifest.signer = memory_copy(plugin->manifest->signer);
    if (plugin->manifest->signer_comment != NULL)
        ghost->manifest.signer_comment = memory_copy(plugin->manifest->signer_comment);
    ghost->manifest.is_verified = plugin->manifest->is_verified;
    ghost->file.path = (char *)ghost->manifest.path;
    ghost->manifest.file = &ghost->file;
    ghost->plugin.manifest = &ghost->manifest;
    ghost->plugin.uri = memory_copy(plugin->uri);
    ghost->plugin.type = memory_copy(plugin->type);
    ghost->plugin.id = memory_copy(plugin->id);
    ghost->entry = (struct plan_entry){.plugin = &ghost->plugin,
                                       .state = BERTH_STATE_STOPPED,
                                       .code = BERTH_NOT_FOUND,
                                       .cause = PLAN_NONE,
                                       .level = -1};
    return ghost;
}

static void record_destroy(struct record *record)
{
    free(record->plugin.reason);
    free(record->plugin.condition_reason);
    finish_publication(&record->plugin);
    free_holds(&record->plugin);
    ghost_destroy(record->ghost);
    free(record);
}

static struct record *record_create(const struct plan_entry *entry)
{
    struct record *record = memory_allocate(1, sizeof(*record));

    record->plugin.entry = entry;
    record->plugin.index = PLAN_NONE;
    return record;
}

/* The name that its code runs under: that of any earlier generation of the same version, or another. There
 * are as many as versions, however often a plugin goes back to one. */
static struct running_plugin *running_of(const struct plan_entry *entry)
{
    const struct manifest *manifest = entry->plugin->manifest;
    const char *uri = entry->plugin->uri;
    struct running_plugin *running = running_find_version(uri, manifest->version, manifest->path);
    const struct running_plugin *before;

    if (running != NULL)
        return running;
    before = running_find(uri);
    running = running_add(uri, manifest->module, manifest->version, manifest->path);
    if (before != NULL)
        log_set_plugin_level(running, log_plugin_level(before));
    return running;
}

static const struct registry_plugin *cause_of(const struct registry *registry, const struct plan_entry *entry)
{
    return entry->cause != PLAN_NONE ? &registry->records[entry->cause]->plugin : NULL;
}

/* No generation has it: what is it by the newest plan? */
static void take_verdict(struct registry *registry, struct registry_plugin *plugin)
{
    const struct plan_entry *entry = plugin->planned;

    plugin->entry = entry;
    if (plan_entry_will_run(entry)) {
        plugin->running = running_of(entry);
        free(plugin->reason);
        plugin->reason = NULL;
        plugin->cause = NULL;
        registry_move(registry, plugin, entry->starts_on_call ? BERTH_STATE_IDLE : BERTH_STATE_WAITING);
    } else {
        registry_blame(registry, plugin, entry->state, entry->code, entry->reason, cause_of(registry, entry));
    }
}

struct registry *registry_create(const struct plan *plan, uint64_t start_ns)
{
    struct registry *registry = memory_allocate(1, sizeof(*registry));

    registry->start_ns = start_ns;
    registry_adopt_plan(registry, plan);
    return registry;
}

void registry_destroy(struct registry *registry)
{
    if (registry == NULL)
        return;
    for (size_t i = 0; i < registry->count; i++)
        record_destroy(registry->records[i]);
    ledger_finish(&registry->ledger);
    free(registry->records);
    free(registry);
}

static void forget_cause(struct registry *registry, const struct registry_plugin *cause)
{
    for (size_t i = 0; i < registry->count; i++)
        if (registry->records[i]->plugin.cause == cause)
            registry->records[i]->plugin.cause = NULL;
}

static void note_removed(struct registry *registry, struct registry_plugin *plugin)
{
    registry_blame(registry, plugin, BERTH_STATE_STOPPED, BERTH_OK, "removed: no file provides it", NULL);
}

/* Its plan goes, and no generation has it. */
static void outlive_plan(struct registry *registry, struct record *record)
{
    struct registry_plugin *plugin = &record->plugin;

    if (record->ghost == NULL) {
        record->ghost = ghost_create(plugin->entry);
        note_removed(registry, plugin);
    }
    plugin->entry = &record->ghost->entry;
}

/* Has it been tried, and ended otherwise than by the verdict of a plan? */
static bool was_tried(const struct registry_plugin *plugin)
{
    return plugin->generation > 0 || plugin->state == BERTH_STATE_FAILED ||
           plugin->state == BERTH_STATE_TIMED_OUT;
}

static void adopt_entry(struct registry *registry, struct record *record, size_t index, bool is_new)
{
    struct registry_plugin *plugin = &record->plugin;
    bool ran = !is_new && record->ghost == NULL && plan_entry_will_run(plugin->entry);

    plugin->index = index;
    plugin->planned = &registry->plan->entries[index];
    if (plugin->is_taken)
        return;
    if (ran && plan_entry_will_run(plugin->planned) && was_tried(plugin))
        plugin->entry = plugin->planned;
    else
        take_verdict(registry, plugin);
    ghost_destroy(record->ghost);
    record->ghost = NULL;
}

/* First the records of the plan's entries, in its order; then those it does not have. */
void registry_adopt_plan(struct registry *registry, const struct plan *plan)
{
    struct record **before = registry->records;
    size_t count_before = registry->count, kept = plan->count;
    struct name_table names;
    bool *is_new = memory_allocate(plan->count + 1, sizeof(*is_new));

    name_table_init(&names, plan->count);
    for (size_t i = 0; i < plan->count; i++)
        name_table_add(&names, plan->entries[i].plugin->uri, plan_find(plan, plan->entries[i].plugin->uri));
    registry->plan = plan;
    registry->records = memory_allocate(plan->count + count_before, sizeof(struct record *));
    for (size_t i = 0; i < count_before; i++) {
        struct record *record = before[i];
        size_t index = name_table_find(&names, record->plugin.entry->plugin->uri);

        record->plugin.index = PLAN_NONE;
        record->plugin.planned = NULL;
        if (record->is_primary && index != NAME_TABLE_NONE)
            registry->records[index] = record;
        else if (record->is_primary || record->plugin.is_taken)
            registry->records[kept++] = record;
    }
    registry->count = kept;
    for (size_t i = 0; i < plan->count; i++)
        if (registry->records[i] == NULL) {
            is_new[i] = true;
            registry->records[i] = record_create(&plan->entries[i]);
            registry->records[i]->is_primary = name_table_find(&names, plan->entries[i].plugin->uri) == i;
        }
    /* Those that lost their URI are made anew at each plan. */
    for (size_t i = 0; i < count_before; i++)
        if (!before[i]->is_primary && !before[i]->plugin.is_taken) {
            forget_cause(registry, &before[i]->plugin);
            record_destroy(before[i]);
        }
    for (size_t i = 0; i < plan->count; i++)
        adopt_entry(registry, registry->records[i], i, is_new[i]);
    for (size_t i = plan->count; i < kept; i++)
        if (!registry->records[i]->plugin.is_taken)
            outlive_plan(registry, registry->records[i]);
    name_table_finish(&names);
    free(is_new);
    free(before);
    note_change(registry);
}

const struct plan *registry_plan(const struct registry *registry)
{
    return registry->plan;
}

struct registry_plugin *registry_get(const struct registry *registry, size_t index)
{
    return &registry->records[index]->plugin;
}

size_t registry_count(const struct registry *registry)
{
    return registry->count;
}

struct registry_plugin *registry_at(const struct registry *registry, size_t i)
{
    return &registry->records[i]->plugin;
}

struct registry_plugin *registry_find(const struct registry *registry, const char *uri)
{
    size_t index = plan_find(registry->plan, uri);

    if (index != PLAN_NONE)
        return &registry->records[index]->plugin;
    for (size_t i = registry->plan->count; i < registry->count; i++)
        if (registry->records[i]->is_primary &&
            strcmp(registry->records[i]->plugin.entry->plugin->uri, uri) == 0)
            return &registry->records[i]->plugin;
    return NULL;
}

void registry_take(struct registry *registry, struct registry_plugin *plugin, const struct plan_entry *entry)
{
    struct record *record = of_plugin(plugin);

    finish_publication(plugin);
    free_holds(plugin);
    free(plugin->reason);
    plugin->reason = NULL;
    plugin->cause = NULL;
    plugin->times = (struct berth_times){0};
    plugin->table = NULL;
    plugin->instance = NULL;
    plugin->entry = entry;
    plugin->running = running_of(entry);
    plugin->is_taken = true;
    plugin->is_closing = false;
    forget_condition(plugin);
    ghost_destroy(record->ghost);
    record->ghost = NULL;
    registry_move(registry, plugin, BERTH_STATE_WAITING);
}

void registry_number(struct registry *registry, struct registry_plugin *plugin)
{
    struct registry_plugin *own = registry_find(registry, plugin->entry->plugin->uri);

    if (own == NULL)
        own = plugin;
    plugin->generation = ++own->last_generation;
}

void registry_leave(struct registry *registry, struct registry_plugin *plugin)
{
    struct record *record = of_plugin(plugin);

    plugin->is_taken = plugin->is_closing = false;
    plugin->table = NULL;
    plugin->instance = NULL;
    /* Its own survey may go from here on. */
    if (record->ghost == NULL && plugin->planned == NULL) {
        record->ghost = ghost_create(plugin->entry);
        plugin->entry = &record->ghost->entry;
    } else if (plugin->planned != NULL) {
        plugin->entry = plugin->planned;
    }
    note_change(registry);
}

void registry_forget_attempt(struct registry *registry, struct registry_plugin *plugin)
{
    if (plugin->planned != NULL)
        take_verdict(registry, plugin);
    else
        note_removed(registry, plugin);
}

static void add_record(struct registry *registry, struct record *record)
{
    registry->records = memory_grow(registry->records, registry->count, sizeof(struct record *));
    registry->records[registry->count++] = record;
}

struct registry_plugin *registry_stage(struct registry *registry, struct registry_plugin *plugin)
{
    struct record *record = record_create(plugin->entry);

    record->plugin.is_staged = true;
    plugin->next = &record->plugin;
    add_record(registry, record);
    return &record->plugin;
}

static size_t place_of(const struct registry *registry, const struct record *record)
{
    size_t i = 0;

    while (registry->records[i] != record)
        i++;
    return i;
}

void registry_promote(struct registry *registry, struct registry_plugin *plugin)
{
    struct record *before = of_plugin(plugin), *record = of_plugin(plugin->next);
    size_t place = place_of(registry, before);

    registry->records[place_of(registry, record)] = before;
    registry->records[place] = record;
    record->is_primary = before->is_primary;
    record->plugin.index = plugin->index;
    record->plugin.planned = plugin->planned;
    record->plugin.is_staged = false;
    record->plugin.last_generation = plugin->last_generation;
    before->is_primary = false;
    plugin->index = PLAN_NONE;
    plugin->planned = NULL;
    plugin->next = NULL;
    for (size_t i = 0; i < registry->count; i++)
        if (registry->records[i]->plugin.cause == plugin)
            registry->records[i]->plugin.cause = &record->plugin;
    if (!record->plugin.is_taken)
        registry_leave(registry, &record->plugin);
    note_change(registry);
}

void registry_unstage(struct registry *registry, struct registry_plugin *plugin)
{
    plugin->next->is_staged = false;
    plugin->next = NULL;
    note_change(registry);
}

void registry_forget(struct registry *registry, struct registry_plugin *plugin)
{
    struct record *record = of_plugin(plugin);
    size_t place = place_of(registry, record);

    for (size_t i = 0; i < registry->count; i++)
        if (registry->records[i]->plugin.next == plugin)
            registry->records[i]->plugin.next = NULL;
    memmove(&registry->records[place], &registry->records[place + 1],
            (registry->count - place - 1) * sizeof(struct record *));
    registry->count--;
    forget_cause(registry, plugin);
    record_destroy(record);
    note_change(registry);
}

struct ledger *registry_ledger(struct registry *registry)
{
    return &registry->ledger;
}

/* Of several generations of one file, the one that starts: its init takes most of what is ever held. */
static const struct registry_plugin *find_running(const struct registry *registry,
                                                  const struct running_plugin *running)
{
    const struct registry_plugin *found = NULL;

    for (size_t i = 0; i < registry->count; i++) {
        const struct registry_plugin *plugin = &registry->records[i]->plugin;

        if (plugin->running == running && plugin->is_taken &&
            (found == NULL || plugin->state == BERTH_STATE_STARTING))
            found = plugin;
    }
    return found;
}

struct ledger_side registry_find_holder(const struct registry *registry, const void *caller)
{
    const struct registry_plugin *plugin = NULL;
    const struct running_plugin *running = NULL;
    struct running_word word;
    const char *file = NULL;
    uintptr_t offset;

    if (running_this_thread() != NULL && running_look(running_this_thread(), &word) && word.owner != NULL)
        plugin = find_running(registry, word.owner);
    if (plugin == NULL && caller != NULL && frames_find_file(caller, &file, &offset))
        running = running_find_by_file(file, NULL);
    if (running != NULL && running_is_alone_in_its_module(running))
        plugin = find_running(registry, running);
    if (plugin != NULL)
        return (struct ledger_side){plugin->owner, plugin->entry->plugin->uri, plugin->generation};
    return (struct ledger_side){.name = running != NULL ? frames_file_name(file) : NULL};
}

uint64_t registry_time_of(const struct registry *registry, uint64_t clock_ns)
{
    return clock_ns > registry->start_ns ? clock_ns - registry->start_ns : 0;
}

uint64_t registry_since_start(const struct registry *registry)
{
    return registry_time_of(registry, uv_hrtime());
}

void registry_set_changes(struct registry *registry, struct changes *changes)
{
    registry->changes = changes;
}

/* NULL also when out of memory: a missing reason is better than an abort. */
static char *make_line(const char *text)
{
    char *line = text != NULL ? strndup(text, BERTH_ERROR_MAX - 1) : NULL;

    if (line != NULL)
        utf8_make_line(line);
    return line;
}

bool registry_set_condition(struct registry *registry, struct registry_plugin *plugin, enum berth_code code,
                            const char *reason)
{
    char *line = code != BERTH_OK ? make_line(reason) : NULL;
    bool is_other = code != plugin->condition || (line == NULL) != (plugin->condition_reason == NULL) ||
                    (line != NULL && strcmp(line, plugin->condition_reason) != 0);

    if (!is_other) {
        free(line);
        return false;
    }
    if (plugin->condition == BERTH_OK) {
        plugin->condition_start_ns = uv_hrtime();
        plugin->degradations++;
    }
    forget_condition(plugin);
    plugin->condition = code;
    plugin->condition_reason = line;
    note_change(registry);
    return true;
}

void registry_move(struct registry *registry, struct registry_plugin *plugin, enum berth_state state)
{
    if (state == BERTH_STATE_STOPPED)
        forget_condition(plugin);
    plugin->state = state;
    plugin->code = BERTH_OK;
    note_change(registry);
}

void registry_blame(struct registry *registry, struct registry_plugin *plugin, enum berth_state state,
                    enum berth_code code, const char *reason, const struct registry_plugin *cause)
{
    char *copy = reason != NULL ? strdup(reason) : NULL;

    if (copy != NULL)
        utf8_make_line(copy);
    free(plugin->reason);
    forget_condition(plugin);
    plugin->reason = copy;
    plugin->state = state;
    plugin->code = code;
    plugin->cause = cause;
    free_holds(plugin);
    note_change(registry);
}

bool registry_plugin_is_ready(const struct registry_plugin *plugin)
{
    return plugin->state == BERTH_STATE_READY || plugin->state == BERTH_STATE_SERVING ||
           plugin->state == BERTH_STATE_DRAINING;
}

static bool covers(const struct plan_requirement *requirement, const char *name)
{
    size_t length = strlen(requirement->name);

    if (strcmp(requirement->name, "*") == 0 || strcmp(requirement->name, name) == 0)
        return true;
    return requirement->target == PLAN_TARGET_TYPE && strncmp(requirement->name, name, length) == 0 &&
           name[length] == '.' && strchr(name + length + 1, '.') == NULL;
}

static bool has_declared(const struct registry_plugin *plugin, const char *name)
{
    for (size_t i = 0; i < plugin->entry->requirement_count; i++)
        if (covers(&plugin->entry->requirements[i], name))
            return true;
    return false;
}

static enum berth_code check_declared(const struct registry_plugin *plugin, const char *name,
                                      struct berth_error *err)
{
    if (name == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s asked for a plugin without a name",
                               plugin->entry->plugin->uri);
    if (has_declared(plugin, name))
        return BERTH_OK;
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s cannot fetch %s: not declared; add it under `requires` or `wants` in its "
                           "plugin.yaml",
                           plugin->entry->plugin->uri, name);
}

static struct berth_ref ref_to(const struct registry_plugin *plugin)
{
    return (struct berth_ref){
        .uri = plugin->entry->plugin->uri,
        .interface =
            plugin->table != NULL && BERTH_HAS(plugin->table, interface) ? plugin->table->interface : NULL,
        .instance = plugin->instance,
        .generation = plugin->generation,
    };
}

/* The asker has it from here on. */
static void note_ref(struct registry *registry, const struct registry_plugin *asker,
                     const struct registry_plugin *provider)
{
    const struct ledger_side holder = {asker->owner, asker->entry->plugin->uri, asker->generation};
    const struct ledger_side side = {provider->owner, provider->entry->plugin->uri, provider->generation};

    if (asker->owner != NULL && provider->owner != NULL)
        ledger_refer(&registry->ledger, &holder, &side);
}

/* The generation that an asker gets to see: one that is to take over sees those that take over with it. */
static const struct registry_plugin *seen_by(const struct registry_plugin *asker,
                                             const struct registry_plugin *plugin)
{
    return asker->is_staged && plugin->next != NULL ? plugin->next : plugin;
}

const struct registry_plugin *registry_find_seen(const struct registry *registry,
                                                 const struct registry_plugin *plugin, const char *uri)
{
    const struct registry_plugin *found = registry_find(registry, uri);

    return found != NULL ? seen_by(plugin, found) : NULL;
}

static bool may_have(const struct registry_plugin *asker, const struct registry_plugin *plugin)
{
    return registry_plugin_is_ready(plugin) && (!plugin->is_closing || asker->is_closing);
}

enum berth_code registry_fetch(struct registry *registry, const struct registry_plugin *plugin,
                               const char *uri, struct berth_ref *ret_ref, struct berth_error *err)
{
    enum berth_code code = check_declared(plugin, uri, err);
    const struct registry_plugin *found;

    if (code != BERTH_OK)
        return code;
    found = registry_find(registry, uri);
    if (found == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "nobody provides %s", uri);
    found = seen_by(plugin, found);
    if (!may_have(plugin, found))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s is not ready but %s%s%s", uri,
                               berth_state_name(found->state), found->reason != NULL ? ": " : "",
                               found->reason != NULL ? found->reason : "");
    *ret_ref = ref_to(found);
    note_ref(registry, plugin, found);
    return BERTH_OK;
}

/* The next ready member of a type from `*place` on, other than the asker; NULL: no more. */
static const struct registry_plugin *next_ready(const struct registry *registry,
                                                const struct registry_plugin *asker, const char *type,
                                                size_t *place)
{
    size_t index = plan_find_type(registry->plan, type);

    if (index == PLAN_NONE)
        return NULL;
    while (*place < registry->plan->types[index].member_count) {
        const struct registry_plugin *member =
            seen_by(asker, registry_get(registry, registry->plan->types[index].members[(*place)++]));

        if (member != asker && may_have(asker, member))
            return member;
    }
    return NULL;
}

static enum berth_code refuse_several(const struct registry *registry, const struct registry_plugin *asker,
                                      const char *type, struct berth_error *err)
{
    char names[1024] = "";
    const struct registry_plugin *member;
    size_t place = 0, used = 0;

    while ((member = next_ready(registry, asker, type, &place)) != NULL && used < sizeof(names))
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "",
                                 member->entry->plugin->uri);
    return berth_error_set(
        err, BERTH_FAILED_PRECONDITION,
        "%s asked for the only %s, but there are several: %s; fetch one by its URI, or disable "
        "the others under `disabled_plugins`",
        asker->entry->plugin->uri, type, names);
}

enum berth_code registry_fetch_single(struct registry *registry, const struct registry_plugin *plugin,
                                      const char *type, struct berth_ref *ret_ref, struct berth_error *err)
{
    enum berth_code code = check_declared(plugin, type, err);
    const struct registry_plugin *first;
    size_t place = 0;

    if (code != BERTH_OK)
        return code;
    first = next_ready(registry, plugin, type, &place);
    if (first == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "no plugin of type %s is ready", type);
    if (next_ready(registry, plugin, type, &place) != NULL)
        return refuse_several(registry, plugin, type, err);
    *ret_ref = ref_to(first);
    note_ref(registry, plugin, first);
    return BERTH_OK;
}

enum berth_code registry_each(struct registry *registry, const struct registry_plugin *plugin,
                              const char *type, bool (*on_ref)(void *context, const struct berth_ref *ref),
                              void *context, struct berth_error *err)
{
    enum berth_code code = check_declared(plugin, type, err);
    const struct registry_plugin *member;
    size_t place = 0;

    if (code != BERTH_OK)
        return code;
    while ((member = next_ready(registry, plugin, type, &place)) != NULL) {
        struct berth_ref ref = ref_to(member);

        note_ref(registry, plugin, member);
        if (!on_ref(context, &ref))
            break;
    }
    return BERTH_OK;
}
