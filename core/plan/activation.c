/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is idle until it is called. Whatever a plugin requires or wants starts with it, so nothing that a
 * plugin needs which starts with the daemon can be idle; and what nobody can call is idle only if something
 * needs it that is.
 */
#include "build.h"

struct activation {
    struct plan_build *build;
    /** Idle by what was asked for; until another needs it. */
    bool *is_idle;
    /** By entry and by type: its providers have been visited. */
    bool *is_visited, *type_is_visited;
    size_t *queue;
    size_t count;
};

bool plan_entry_needs(const struct plan_entry *entry, const struct plan_requirement *requirement)
{
    if (requirement->target == PLAN_TARGET_ALL || requirement->target == PLAN_TARGET_NOBODY)
        return false;
    return requirement->binding || (!requirement->dropped && entry->plugin->carry_count == 0);
}

static const char *place_of(struct plan_build *build, const struct config_mark *mark)
{
    if (mark->file == NULL)
        return "";
    return plan_build_text(build, " (%s:%u:%u)", mark->file, mark->line, mark->column);
}

static const struct settings_uri *find_required(const struct plan_build *build, const char *uri)
{
    for (size_t i = 0; i < build->settings->required_count; i++)
        if (strcmp(build->settings->required[i].uri, uri) == 0)
            return &build->settings->required[i];
    return NULL;
}

/* What about the plugin itself keeps it from being idle; NULL: nothing. */
static const char *find_obstacle(struct plan_build *build, const struct manifest_plugin *plugin)
{
    const struct settings_uri *required = find_required(build, plugin->uri);

    if (required != NULL)
        return plan_build_text(build, "it is listed in required_plugins%s", place_of(build, &required->mark));
    if (plugin->carry_count > 0)
        return "it is a server";
    if ((plugin->callbacks & MANIFEST_CALLBACK_SERVE) != 0)
        return "it serves on its own, not only when it is called (callback serve)";
    if ((plugin->uses & MANIFEST_USES_INTERCEPT) != 0)
        return "it intercepts calls of other plugins";
    return NULL;
}

/* It was to be idle and is not. Whoever asked for it learns why. */
static void refuse(struct activation *activation, size_t i, const char *why)
{
    struct plan_build *build = activation->build;
    struct plan_entry *entry = &build->plan->entries[i];
    const struct settings_activation *own = settings_find_activation(build->settings, entry->plugin->uri);

    activation->is_idle[i] = false;
    entry->activation = plan_build_text(build, "starts with the daemon: %s", why);
    if (own != NULL && own->is_decided)
        plan_build_warn(build,
                        "%s:%u:%u: activation.plugins: %s starts with the daemon, not when it is "
                        "called: %s",
                        own->mark.file != NULL ? own->mark.file : "the configuration", own->mark.line,
                        own->mark.column, entry->plugin->uri, why);
}

/* What was asked for: by the configuration for this plugin, else by its manifest, else in general. */
static bool is_asked_for(struct plan_build *build, struct plan_entry *entry)
{
    const struct settings_activation *own = settings_find_activation(build->settings, entry->plugin->uri);
    bool on_call = build->settings->starts_on_call;
    const struct config_mark *mark = &build->settings->starts_on_call_mark;

    if (own != NULL && own->is_decided) {
        on_call = own->on_call;
        mark = &own->mark;
    } else if (entry->plugin->activate != MANIFEST_ACTIVATE_ANY) {
        on_call = entry->plugin->activate == MANIFEST_ACTIVATE_CALL;
        mark = NULL;
    }
    if (on_call)
        entry->activation = mark == NULL
                                ? "starts on its first call, as its manifest says"
                                : plan_build_text(build, "starts on its first call%s", place_of(build, mark));
    return on_call;
}

/* @return is anything to be idle? */
static bool collect(struct activation *activation)
{
    struct plan_build *build = activation->build;
    bool is_any = false;

    for (size_t i = 0; i < build->plan->count; i++) {
        struct plan_entry *entry = &build->plan->entries[i];
        const char *obstacle;

        if (!plan_build_will_run(build, i) || !is_asked_for(build, entry))
            continue;
        activation->is_idle[i] = is_any = true;
        obstacle = find_obstacle(build, entry->plugin);
        if (obstacle != NULL)
            refuse(activation, i, obstacle);
    }
    return is_any;
}

static void push(struct activation *activation, size_t entry)
{
    if (activation->is_visited[entry])
        return;
    activation->is_visited[entry] = true;
    activation->queue[activation->count++] = entry;
}

typedef void provider_visitor(struct activation *activation, size_t provider, size_t user);

/* Members of a type are visited for its first user only. */
static void visit_providers(struct activation *activation, size_t user, provider_visitor *on_provider)
{
    const struct plan *plan = activation->build->plan;
    const struct plan_entry *entry = &plan->entries[user];

    for (size_t i = 0; i < entry->requirement_count; i++) {
        const struct plan_requirement *requirement = &entry->requirements[i];
        const struct plan_type *type;

        if (!plan_entry_needs(entry, requirement))
            continue;
        if (requirement->target == PLAN_TARGET_PLUGIN) {
            on_provider(activation, requirement->index, user);
            continue;
        }
        if (activation->type_is_visited[requirement->index])
            continue;
        activation->type_is_visited[requirement->index] = true;
        type = &plan->types[requirement->index];
        for (size_t k = 0; k < type->member_count; k++)
            on_provider(activation, type->members[k], user);
    }
}

/* It starts with the daemon because of one that does. */
static void pull(struct activation *activation, size_t provider, size_t user)
{
    struct plan_build *build = activation->build;

    if (!plan_build_will_run(build, provider))
        return;
    if (activation->is_idle[provider])
        refuse(
            activation, provider,
            plan_build_text(build, "%s needs it, which starts with the daemon", plan_build_uri(build, user)));
    push(activation, provider);
}

static void reach(struct activation *activation, size_t provider, size_t user)
{
    if (activation->is_idle[provider])
        push(activation, provider);
}

static void run_queue(struct activation *activation, provider_visitor *on_provider)
{
    for (size_t head = 0; head < activation->count; head++)
        visit_providers(activation, activation->queue[head], on_provider);
    activation->count = 0;
}

static void forget_visits(struct activation *activation)
{
    const struct plan *plan = activation->build->plan;

    memset(activation->is_visited, 0, plan->count * sizeof(bool));
    memset(activation->type_is_visited, 0, plan->type_count * sizeof(bool));
}

/* All that those need which start with the daemon. */
static void pull_providers(struct activation *activation)
{
    for (size_t i = 0; i < activation->build->plan->count; i++)
        if (plan_build_will_run(activation->build, i) && !activation->is_idle[i])
            push(activation, i);
    run_queue(activation, pull);
    forget_visits(activation);
}

/* What no call would ever start. */
static void refuse_unreachable(struct activation *activation)
{
    const struct plan *plan = activation->build->plan;

    for (size_t i = 0; i < plan->count; i++)
        if (activation->is_idle[i] && plan_entry_is_callable(&plan->entries[i]))
            push(activation, i);
    run_queue(activation, reach);
    for (size_t i = 0; i < plan->count; i++)
        if (activation->is_idle[i] && !activation->is_visited[i])
            refuse(activation, i,
                   "it has no service and no http_prefix that could be called, and nothing that starts on "
                   "call needs it");
    forget_visits(activation);
}

void plan_activation_apply(struct plan_build *build)
{
    struct plan *plan = build->plan;
    struct activation activation = {
        .build = build,
        .is_idle = memory_allocate(plan->count + 1, sizeof(bool)),
        .is_visited = memory_allocate(plan->count + 1, sizeof(bool)),
        .type_is_visited = memory_allocate(plan->type_count + 1, sizeof(bool)),
        .queue = memory_allocate(plan->count + 1, sizeof(size_t)),
    };

    if (collect(&activation)) {
        pull_providers(&activation);
        refuse_unreachable(&activation);
        pull_providers(&activation);
    }
    for (size_t i = 0; i < plan->count; i++)
        plan->entries[i].starts_on_call = activation.is_idle[i];
    free(activation.is_idle);
    free(activation.is_visited);
    free(activation.type_is_visited);
    free(activation.queue);
}
