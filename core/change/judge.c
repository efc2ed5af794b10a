/* SPDX-License-Identifier: Apache-2.0 */
/* What a request makes of each plugin by itself: by its own file and settings, not yet by what others do. */
#include "build.h"

#include <string.h>

/* A file that was only moved, linked or given other modes is still the same. */
static bool is_same_module(const struct manifest *before, const struct manifest *after)
{
    if (before == after)
        return true;
    if (before->hash != after->hash)
        return false;
    if (before->file == NULL || after->file == NULL)
        return strcmp(before->path, after->path) == 0;
    return verify_is_same_content(&before->file->status, &after->file->status);
}

static const char *describe_upgrade(struct change_build *build, const struct manifest *before,
                                    const struct manifest *after)
{
    if (strcmp(before->version, after->version) == 0)
        return change_text(build, "%s changed; its version is still %s", after->path, after->version);
    return change_text(build, "%s %s replaces %s", after->module, after->version, before->version);
}

static bool transports_are_equal(const struct manifest_service *before, const struct manifest_service *after)
{
    if (before->transport_count != after->transport_count)
        return false;
    for (size_t i = 0; i < after->transport_count; i++)
        if (strcmp(before->transports[i], after->transports[i]) != 0)
            return false;
    return true;
}

static const struct manifest_service *find_service(const struct plan_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->plugin->service_count; i++)
        if (strcmp(entry->services[i].name, name) == 0)
            return &entry->services[i];
    return NULL;
}

/*
 * Of two entries of one module; a plugin that the configuration declares may have other services, which its
 * settings tell. @return a service that both have; NULL if the transports of none differ.
 */
static const char *find_other_transports(const struct plan_entry *before, const struct plan_entry *after)
{
    for (size_t i = 0; i < after->plugin->service_count; i++) {
        const struct manifest_service *then = find_service(before, after->services[i].name);

        if (then != NULL && !transports_are_equal(then, &after->services[i]))
            return then->name;
    }
    return NULL;
}

static const char *explain_differences(struct change_build *build, const struct settings_differences *found)
{
    const char *first = change_keep_text(build, settings_difference_explain(&found->items[0]));
    size_t more = found->count + found->dropped - 1;

    return more > 0 ? change_text(build, "%s, and %zu more", first, more) : first;
}

static bool is_unwilling(const struct change_build *build, const char *uri)
{
    for (size_t i = 0; i < build->request->unwilling_count; i++)
        if (strcmp(build->request->unwilling[i], uri) == 0)
            return true;
    return false;
}

/* What its own file and settings ask for, of a plugin that the plan has and that runs or was tried. */
static enum change_action find_own_change(struct change_build *build, struct change_node *node)
{
    const struct plan_entry *before = node->running->entry, *after = node->entry;
    const char *service;

    if (!is_same_module(before->plugin->manifest, after->plugin->manifest)) {
        node->reason = describe_upgrade(build, before->plugin->manifest, after->plugin->manifest);
        return CHANGE_UPGRADE;
    }
    service = find_other_transports(before, after);
    if (service != NULL) {
        node->reason = change_text(build, "the transports of %s changed", service);
        return CHANGE_RESTART;
    }
    if (node->running->settings != NULL && build->settings != NULL &&
        settings_isolation_differs(node->running->settings, build->settings, node->uri)) {
        node->reason = change_text(build, "its isolation changed");
        return CHANGE_RESTART;
    }
    if (node->running->settings != NULL && build->settings != NULL)
        settings_compare_plugin(node->running->settings, build->settings, node->uri, &node->differences);
    if (node->differences.count == 0)
        return CHANGE_KEEP;
    node->reason = explain_differences(build, &node->differences);
    if ((after->plugin->callbacks & MANIFEST_CALLBACK_RECONFIGURE) == 0 || !node->runs)
        return CHANGE_RESTART;
    if (!is_unwilling(build, node->uri))
        return CHANGE_RECONFIGURE;
    node->reason = change_text(build, "%s, which it does not take in place", node->reason);
    return CHANGE_RESTART;
}

static const char *explain_stop(struct change_build *build, const struct change_node *node)
{
    if (node->entry == NULL)
        return change_text(build, "its module or configuration entry was removed");
    return change_text(build, "%s: %s", berth_state_name(node->entry->state), node->entry->reason);
}

/* Is there an instance to close? */
static bool lives(const struct change_node *node)
{
    return node->runs || (node->running != NULL && node->running->is_left_open);
}

static void judge_for_reload(struct change_build *build, struct change_node *node)
{
    if (!node->will) {
        if (lives(node)) {
            node->action = CHANGE_STOP;
            node->reason = explain_stop(build, node);
        }
        return;
    }
    if (change_is_idle(node)) {
        node->reason = node->entry->activation;
        return;
    }
    if (node->running == NULL) {
        node->action = CHANGE_START;
        node->reason = change_text(build, "%s %s", node->entry->plugin->manifest->module,
                                   node->entry->plugin->manifest->version);
        return;
    }
    node->action = find_own_change(build, node);
    if (node->action != CHANGE_KEEP && !node->runs)
        node->action = CHANGE_START;
}

/* The only difference of the plan is what the operator stopped. */
static void judge_for_stop(struct change_build *build, struct change_node *node)
{
    if (!lives(node) || node->will) {
        if (node->is_subject && !node->runs)
            node->reason = "it is not running";
        return;
    }
    node->action = CHANGE_STOP;
    node->reason = node->is_subject ? "requested" : explain_stop(build, node);
}

static void refuse_subject(struct change_build *build, const struct change_node *node, const char *what)
{
    if (node->entry == NULL)
        change_refuse(build, BERTH_NOT_FOUND, "cannot %s %s: its module or configuration entry was removed",
                      what, node->uri);
    else
        change_refuse(build, BERTH_FAILED_PRECONDITION, "cannot %s %s: it is %s: %s", what, node->uri,
                      berth_state_name(node->entry->state), node->entry->reason);
}

/* One that has never been tried starts with the subjects, if it can now: what it requires had been stopped.
 */
static void start_with_subjects(struct change_node *node)
{
    if (!node->will || node->running != NULL || change_is_idle(node))
        return;
    node->action = CHANGE_START;
    node->reason = "what it requires is back";
}

static void judge_for_start(struct change_build *build, struct change_node *node)
{
    if (node->is_subject && !node->will)
        refuse_subject(build, node, "start");
    else if (node->is_subject && node->runs)
        node->reason = "it is already running";
    else if (node->is_subject) {
        node->action = CHANGE_START;
        node->reason = "requested";
    } else {
        start_with_subjects(node);
    }
}

static void judge_for_restart(struct change_build *build, struct change_node *node)
{
    if (!node->is_subject) {
        start_with_subjects(node);
        return;
    }
    if (!node->will) {
        refuse_subject(build, node, "restart");
        return;
    }
    node->action = node->runs ? CHANGE_RESTART : CHANGE_START;
    node->reason = "requested";
}

static void judge_for_upgrade(struct change_build *build, struct change_node *node)
{
    if (node->is_subject && !node->will)
        refuse_subject(build, node,
                       build->request->kind == CHANGE_ROLLBACK_PLUGINS ? "roll back" : "upgrade");
    else if (node->running != NULL || node->is_subject)
        judge_for_reload(build, node);
}

/* An upgrade moves whole modules, and nothing else by itself */

static const struct manifest *manifest_of(const struct plan_entry *entry)
{
    return entry != NULL ? entry->plugin->manifest : NULL;
}

static bool is_of_module(const struct change_node *node, const struct manifest *before,
                         const struct manifest *after)
{
    return (before != NULL && node->running != NULL && manifest_of(node->running->entry) == before) ||
           (after != NULL && manifest_of(node->entry) == after);
}

/* Plugins of the subject's old or new module move with it, also those that only one of the two has. */
static bool moves_with_subject(const struct change_build *build, const struct change_node *node)
{
    for (size_t i = 0; i < build->request->subject_count; i++) {
        size_t place = name_table_find(&build->uris, build->request->subjects[i]);
        const struct change_node *subject;

        if (place == NAME_TABLE_NONE)
            continue;
        subject = change_node_at(build, place);
        if (is_of_module(node, subject->running != NULL ? manifest_of(subject->running->entry) : NULL,
                         manifest_of(subject->entry)))
            return true;
    }
    return false;
}

static void narrow_upgrade(struct change_build *build)
{
    size_t others = 0;
    const char *first = NULL;

    for (size_t i = 0; i < build->memory->count; i++) {
        struct change_node *node = change_node_at(build, i);

        if (moves_with_subject(build, node)) {
            if (node->running == NULL && node->will)
                judge_for_reload(build, node);
            if (node->is_subject && node->action == CHANGE_KEEP && node->will)
                change_refuse(build, BERTH_FAILED_PRECONDITION, "%s %s %s: %s %s", node->uri,
                              change_is_idle(node) ? "is idle and will start as" : "already runs",
                              build->request->kind == CHANGE_ROLLBACK_PLUGINS ? "the previous version"
                                                                              : "the installed file",
                              manifest_of(node->entry)->module, manifest_of(node->entry)->version);
            continue;
        }
        if (node->action == CHANGE_KEEP)
            continue;
        first = first != NULL ? first : node->uri;
        others++;
        node->action = CHANGE_KEEP;
        node->reason = change_text(build, "left to a reload: %s", node->reason);
    }
    if (others > 0)
        change_warn(build, "%zu other plugin%s changed too, such as %s; run `berthctl reload` to apply that",
                    others, others == 1 ? "" : "s", first);
}

/* Starts what has never run, because an upgraded plugin requires it. */
static void require(struct change_build *build, size_t plan_place, const struct change_node *by)
{
    size_t place = name_table_find(&build->uris, build->plan->entries[plan_place].plugin->uri);
    struct change_node *node = place != NAME_TABLE_NONE ? change_node_at(build, place) : NULL;

    if (node == NULL || node->running != NULL || !node->will || node->action != CHANGE_KEEP)
        return;
    node->action = CHANGE_START;
    node->reason = change_text(build, "%s requires it", by->uri);
    node->cause = (size_t)(by - build->memory->nodes);
}

static void require_all(struct change_build *build, const struct change_node *node)
{
    for (size_t i = 0; change_begins(node) && i < node->entry->requirement_count; i++) {
        const struct plan_requirement *requirement = &node->entry->requirements[i];

        if (!requirement->binding)
            continue;
        if (requirement->target == PLAN_TARGET_PLUGIN)
            require(build, requirement->index, node);
        for (size_t k = 0; requirement->target == PLAN_TARGET_TYPE &&
                           k < build->plan->types[requirement->index].member_count;
             k++)
            require(build, build->plan->types[requirement->index].members[k], node);
    }
}

/* Against the plan's order, in which providers come first: once is enough. */
static void require_new(struct change_build *build)
{
    for (size_t i = build->plan->run_count; i-- > 0;) {
        size_t place = name_table_find(&build->uris, build->plan->entries[i].plugin->uri);

        if (place != NAME_TABLE_NONE)
            require_all(build, change_node_at(build, place));
    }
}

static void judge_for_undo(struct change_build *build, struct change_node *node)
{
    if (node->is_subject)
        judge_for_reload(build, node);
}

void change_judge(struct change_build *build)
{
    static void (*const judges[])(struct change_build * build, struct change_node * node) = {
        [CHANGE_RELOAD] = judge_for_reload,
        [CHANGE_START_PLUGINS] = judge_for_start,
        [CHANGE_STOP_PLUGINS] = judge_for_stop,
        [CHANGE_RESTART_PLUGINS] = judge_for_restart,
        [CHANGE_UPGRADE_PLUGINS] = judge_for_upgrade,
        [CHANGE_ROLLBACK_PLUGINS] = judge_for_upgrade,
        [CHANGE_UNDO] = judge_for_undo,
        [CHANGE_ACTIVATE_PLUGINS] = change_judge_for_activation,
        [CHANGE_REST_PLUGINS] = change_judge_for_rest,
    };

    for (size_t i = 0; i < build->memory->count; i++)
        judges[build->request->kind](build, change_node_at(build, i));
    if (build->request->kind == CHANGE_UPGRADE_PLUGINS || build->request->kind == CHANGE_ROLLBACK_PLUGINS) {
        narrow_upgrade(build);
        require_new(build);
    }
    if (build->request->kind == CHANGE_RELOAD || build->request->kind == CHANGE_UPGRADE_PLUGINS ||
        build->request->kind == CHANGE_ROLLBACK_PLUGINS || build->request->kind == CHANGE_UNDO)
        change_judge_sharers(build);
    change_activate(build);
}
