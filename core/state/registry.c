/* SPDX-License-Identifier: Apache-2.0 */
/* Each plugin at run time. Trusts no pointer and no text that comes from one. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#include <config/text/utf8.h>

#include <sdk/base/memory.h>

struct registry {
    const struct plan *plan;
    struct registry_plugin *plugins;
    uint64_t start_ns;
    struct changes *changes;
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

static void init_plugin(struct registry *registry, size_t index)
{
    const struct plan_entry *entry = &registry->plan->entries[index];
    struct registry_plugin *plugin = &registry->plugins[index];

    plugin->entry = entry;
    plugin->index = index;
    plugin->cause = PLAN_NONE;
    if (plan_entry_will_run(entry)) {
        plugin->running = running_add(entry->plugin->uri, entry->plugin->manifest->module,
                                      entry->plugin->manifest->version, entry->plugin->manifest->path);
        registry_move(registry, plugin, BERTH_STATE_WAITING);
    } else {
        registry_blame(registry, plugin, entry->state, entry->code, entry->reason, entry->cause);
    }
}

struct registry *registry_create(const struct plan *plan, uint64_t start_ns)
{
    struct registry *registry = memory_allocate(1, sizeof(*registry));

    registry->plugins = memory_allocate(plan->count, sizeof(*registry->plugins));
    registry->plan = plan;
    registry->start_ns = start_ns;
    for (size_t i = 0; i < plan->count; i++)
        init_plugin(registry, i);
    return registry;
}

void registry_destroy(struct registry *registry)
{
    if (registry == NULL)
        return;
    for (size_t i = 0; i < registry->plan->count; i++) {
        free(registry->plugins[i].reason);
        free(registry->plugins[i].condition_reason);
        finish_publication(&registry->plugins[i]);
        free_holds(&registry->plugins[i]);
    }
    free(registry->plugins);
    free(registry);
}

const struct plan *registry_plan(const struct registry *registry)
{
    return registry->plan;
}

struct registry_plugin *registry_get(const struct registry *registry, size_t index)
{
    return &registry->plugins[index];
}

struct registry_plugin *registry_find(const struct registry *registry, const char *uri)
{
    size_t index = plan_find(registry->plan, uri);

    return index != PLAN_NONE ? &registry->plugins[index] : NULL;
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

static void forget_condition(struct registry_plugin *plugin)
{
    free(plugin->condition_reason);
    plugin->condition_reason = NULL;
    plugin->condition = BERTH_OK;
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
                    enum berth_code code, const char *reason, size_t cause)
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

enum berth_code registry_fetch(const struct registry *registry, const struct registry_plugin *plugin,
                               const char *uri, struct berth_ref *ret_ref, struct berth_error *err)
{
    enum berth_code code = check_declared(plugin, uri, err);
    const struct registry_plugin *found;

    if (code != BERTH_OK)
        return code;
    found = registry_find(registry, uri);
    if (found == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "nobody provides %s", uri);
    if (!registry_plugin_is_ready(found))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s is not ready but %s%s%s", uri,
                               berth_state_name(found->state), found->reason != NULL ? ": " : "",
                               found->reason != NULL ? found->reason : "");
    *ret_ref = ref_to(found);
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
            &registry->plugins[registry->plan->types[index].members[(*place)++]];

        if (member != asker && registry_plugin_is_ready(member))
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

enum berth_code registry_fetch_single(const struct registry *registry, const struct registry_plugin *plugin,
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
    return BERTH_OK;
}

enum berth_code registry_each(const struct registry *registry, const struct registry_plugin *plugin,
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

        if (!on_ref(context, &ref))
            break;
    }
    return BERTH_OK;
}
