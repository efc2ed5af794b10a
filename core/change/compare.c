/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what runs with a plan: lists the plugins and who uses whom, and makes the change of the answers.
 */
#include "build.h"

#include <stdlib.h>
#include <string.h>

#include <config/text/diagnostics.h>
#include <config/text/text.h>

const char *change_action_name(enum change_action action)
{
    static const char *const names[] = {"keep", "reconfigure", "restart", "upgrade", "start", "stop"};

    return names[action];
}

static void add_node(struct change_build *build, struct change_node node)
{
    node.cause = CHANGE_NONE;
    build->memory->nodes[build->memory->count++] = node;
}

static int compare_nodes(const void *a, const void *b)
{
    return strcmp(((const struct change_node *)a)->uri, ((const struct change_node *)b)->uri);
}

static void add_running(struct change_build *build, const struct change_running *running, size_t place)
{
    const char *uri = running->entry->plugin->uri;
    size_t entry = plan_find(build->plan, uri);
    struct change_node node = {.uri = uri,
                               .running = running,
                               .running_place = place,
                               .plan_place = entry,
                               .runs = running->is_ready};

    if (entry != PLAN_NONE)
        node.entry = &build->plan->entries[entry];
    node.will = node.entry != NULL && plan_entry_will_run(node.entry);
    add_node(build, node);
}

/* By URI; of two entries with one URI the one that counts. */
static void list_nodes(struct change_build *build, const struct change_running *running, size_t running_count)
{
    const struct plan *plan = build->plan;
    struct change_memory *memory = build->memory;
    struct name_table known;

    memory->nodes = memory_allocate(running_count + plan->count, sizeof(*memory->nodes));
    name_table_init(&known, running_count);
    for (size_t i = 0; i < running_count; i++) {
        name_table_add(&known, running[i].entry->plugin->uri, i);
        add_running(build, &running[i], i);
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        const char *uri = entry->plugin->uri;

        if (name_table_find(&known, uri) == NAME_TABLE_NONE && plan_find(plan, uri) == i)
            add_node(build, (struct change_node){.uri = uri,
                                                 .running_place = CHANGE_NONE,
                                                 .entry = entry,
                                                 .plan_place = i,
                                                 .will = plan_entry_will_run(entry)});
    }
    name_table_finish(&known);
    qsort(memory->nodes, memory->count, sizeof(*memory->nodes), compare_nodes);
    name_table_init(&build->uris, memory->count);
    for (size_t i = 0; i < memory->count; i++) {
        memory->nodes[i].parent = i;
        name_table_add(&build->uris, memory->nodes[i].uri, i);
    }
}

static void refuse_unknown(struct change_build *build, const char *subject)
{
    const struct change_memory *memory = build->memory;
    const char **known = memory_allocate(memory->count, sizeof(*known));

    for (size_t i = 0; i < memory->count; i++)
        known[i] = memory->nodes[i].uri;
    change_refuse(build, BERTH_NOT_FOUND, "plugin \"%.200s\" not found%s", subject,
                  config_hint(subject, known, memory->count).text);
    free(known);
}

static void mark_subjects(struct change_build *build)
{
    for (size_t i = 0; i < build->request->subject_count; i++) {
        size_t node = name_table_find(&build->uris, build->request->subjects[i]);

        if (node == NAME_TABLE_NONE)
            refuse_unknown(build, build->request->subjects[i]);
        else
            change_node_at(build, node)->is_subject = true;
    }
}

static void link_users(struct change_build *build, const struct plan_entry *entry, size_t node, size_t *link)
{
    for (size_t i = 0; entry != NULL && i < entry->requirement_count; i++) {
        const struct plan_requirement *requirement = &entry->requirements[i];
        struct change_users *users;
        size_t place;

        if (requirement->dropped || strcmp(requirement->name, "*") == 0)
            continue;
        place = name_table_add(&build->names, requirement->name, build->name_count);
        users = &build->users[place];
        if (place == build->name_count) {
            *users = (struct change_users){.first = CHANGE_NONE,
                                           .by_binding = {{.moved = CHANGE_NONE}, {.moved = CHANGE_NONE}}};
            build->name_count++;
        }
        build->links[*link] = (struct change_link){node, users->first, requirement->binding};
        users->first = (*link)++;
    }
}

static size_t count_requirements(const struct change_node *node)
{
    return (node->running != NULL ? node->running->entry->requirement_count : 0) +
           (node->entry != NULL ? node->entry->requirement_count : 0);
}

static void link_all(struct change_build *build)
{
    size_t total = 0, link = 0;

    for (size_t i = 0; i < build->memory->count; i++)
        total += count_requirements(change_node_at(build, i));
    name_table_init(&build->names, total);
    build->users = memory_allocate(total, sizeof(*build->users));
    build->links = memory_allocate(total, sizeof(*build->links));
    for (size_t i = 0; i < build->memory->count; i++) {
        const struct change_node *node = change_node_at(build, i);

        if (node->running != NULL)
            link_users(build, node->running->entry, i, &link);
        if (node->will)
            link_users(build, node->entry, i, &link);
    }
}

/* A stop may take others along only if that was asked for. */
static void refuse_cascade(struct change_build *build)
{
    struct config_text others = {0};
    size_t count = 0;

    if ((build->request->kind != CHANGE_STOP_PLUGINS && build->request->kind != CHANGE_REST_PLUGINS) ||
        build->request->cascade)
        return;
    for (size_t i = 0; i < build->memory->count; i++) {
        const struct change_node *node = change_node_at(build, i);

        if (node->is_subject || !change_moves(node))
            continue;
        if (count++ < 8)
            config_text_add(&others, "%s%s (%s)", count > 1 ? ", " : "", node->uri,
                            change_action_name(node->action));
    }
    if (count > 8)
        config_text_add(&others, " and %zu more", count - 8);
    if (count > 0)
        change_refuse(build, BERTH_FAILED_PRECONDITION,
                      "other plugins would change too: %s; add --cascade to allow that", others.bytes);
    config_text_finish(&others);
}

static void refuse_required(struct change_build *build)
{
    const struct settings *settings = build->settings;

    for (size_t i = 0; settings != NULL && i < settings->required_count && !build->request->force; i++) {
        const struct settings_uri *required = &settings->required[i];
        size_t place = name_table_find(&build->uris, required->uri);

        if (place != NAME_TABLE_NONE && change_node_at(build, place)->action == CHANGE_STOP)
            change_refuse(
                build, BERTH_FAILED_PRECONDITION,
                "%s would stop, but it is listed in required_plugins (%s:%u:%u); add --force to stop it",
                required->uri, required->mark.file != NULL ? required->mark.file : "the configuration",
                required->mark.line, required->mark.column);
    }
}

static void fill_step(struct change_build *build, size_t i)
{
    const struct change_node *node = change_node_at(build, i);

    build->memory->change.steps[i] = (struct change_step){
        .uri = node->uri,
        .action = node->action,
        .group = CHANGE_NONE,
        .from = node->runs || node->action == CHANGE_STOP ? node->running->entry : NULL,
        .to = node->will ? node->entry : NULL,
        .running = node->running_place,
        .reason = node->reason,
        .differences = node->differences.items,
        .difference_count = node->differences.count,
        .cause = node->cause,
    };
    build->memory->change.work_count += node->action != CHANGE_KEEP;
}

static void compare_daemon(struct change_build *build, const struct settings *before)
{
    struct change *change = &build->memory->change;

    if (before == NULL || build->settings == NULL || build->request->kind != CHANGE_RELOAD)
        return;
    settings_compare_daemon(before, build->settings, &build->memory->daemon);
    change->daemon = build->memory->daemon.items;
    change->daemon_count = build->memory->daemon.count;
    for (size_t i = 0; i < change->daemon_count; i++) {
        char *line = settings_difference_explain(&change->daemon[i]);

        if (change->daemon[i].needs_restart)
            change_warn(build, "%s; the old value stays in effect until berthd is restarted", line);
        free(line);
    }
}

struct change *change_create(const struct change_running *running, size_t running_count,
                             const struct settings *before, const struct plan *plan,
                             const struct settings *settings, const struct change_request *request)
{
    struct change_memory *memory = memory_allocate(1, sizeof(*memory));
    struct change_build build = {.plan = plan, .settings = settings, .request = request, .memory = memory};

    memory->change.memory = memory;
    list_nodes(&build, running, running_count);
    mark_subjects(&build);
    link_all(&build);
    change_judge(&build);
    change_spread(&build);
    refuse_cascade(&build);
    refuse_required(&build);
    memory->change.steps = memory_allocate(memory->count, sizeof(*memory->change.steps));
    memory->change.step_count = memory->count;
    for (size_t i = 0; i < memory->count; i++)
        fill_step(&build, i);
    change_groups_make(&build);
    compare_daemon(&build, before);
    name_table_finish(&build.uris);
    name_table_finish(&build.names);
    free(build.users);
    free(build.links);
    return &memory->change;
}

void change_destroy(struct change *change)
{
    struct change_memory *memory;

    if (change == NULL)
        return;
    memory = change->memory;
    for (size_t i = 0; i < memory->count; i++)
        settings_differences_finish(&memory->nodes[i].differences);
    for (size_t i = 0; i < memory->text_count; i++)
        free(memory->texts[i]);
    settings_differences_finish(&memory->daemon);
    free(memory->texts);
    free(memory->nodes);
    free(memory->ends);
    free(memory->begins);
    free((void *)change->warnings);
    free(change->steps);
    free(change->groups);
    free(memory);
}
