/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups of a change: which steps are done together, in what order the groups come, and whether each can
 * be done at all.
 */
#include "build.h"

#include <string.h>

/*
 * The order of groups as a graph in which each node points at what comes before it. Its nodes are the groups,
 * followed by two for each name that is required: plugins that begin point at the first, which points at
 * those that start under this name; those that stop under it point at the second, which points at users that
 * stop.
 */
struct order {
    struct change_build *build;
    struct plan_graph graph;
    size_t group_count;
    /** For each node of the change: the number of its group, or CHANGE_NONE. */
    size_t *group_of;
};

/* Modules */

struct membership {
    const struct manifest *manifest;
    size_t node;
};

static int compare_memberships(const void *a, const void *b)
{
    const struct membership *left = a, *right = b;
    uintptr_t x = (uintptr_t)left->manifest, y = (uintptr_t)right->manifest;

    return x != y ? (x > y) - (x < y) : (left->node > right->node) - (left->node < right->node);
}

static bool is_upgraded(const struct change_build *build, const struct membership *members, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (build->memory->nodes[members[i].node].action == CHANGE_UPGRADE)
            return true;
    return false;
}

/* The plugins of an upgraded file move together, those that only one version has among them. */
static void join_modules(struct change_build *build)
{
    struct membership *members = memory_allocate(2 * build->memory->count, sizeof(*members));
    size_t count = 0, end;

    for (size_t i = 0; i < build->memory->count; i++) {
        const struct change_node *node = &build->memory->nodes[i];

        if (change_ends(node))
            members[count++] = (struct membership){node->running->entry->plugin->manifest, i};
        if (change_begins(node))
            members[count++] = (struct membership){node->entry->plugin->manifest, i};
    }
    qsort(members, count, sizeof(*members), compare_memberships);
    for (size_t first = 0; first < count; first = end) {
        for (end = first + 1; end < count && members[end].manifest == members[first].manifest;)
            end++;
        for (size_t i = first + 1; i < end && is_upgraded(build, members + first, end - first); i++)
            change_group_join(build, members[first].node, members[i].node);
    }
    free(members);
}

/* The order in which groups are preferred: those that only stop come first, the last started of them before
 * the others; then in the order of the plan. */
struct rank {
    size_t group;
    bool begins;
    size_t place;
};

static int compare_ranks(const void *a, const void *b)
{
    const struct rank *left = a, *right = b;

    if (left->begins != right->begins)
        return left->begins - right->begins;
    if (left->place != right->place)
        return (left->place > right->place) - (left->place < right->place);
    return (left->group > right->group) - (left->group < right->group);
}

static void note_rank(struct rank *rank, const struct change_node *node)
{
    bool begins = node->action != CHANGE_STOP;
    size_t place = begins ? node->plan_place : SIZE_MAX - node->running_place;

    if (begins != rank->begins ? begins : place < rank->place)
        *rank = (struct rank){rank->group, begins, place};
}

/* Gives every group a number, in the preferred order. */
static void number_groups(struct order *order)
{
    struct change_build *build = order->build;
    size_t count = build->memory->count;
    struct rank *ranks = memory_allocate(count, sizeof(*ranks));
    size_t *rank_of = memory_allocate(count, sizeof(*rank_of));

    for (size_t i = 0; i < count; i++)
        rank_of[i] = CHANGE_NONE;
    for (size_t i = 0; i < count; i++) {
        size_t group = change_group_of(build, i);

        if (build->memory->nodes[i].action == CHANGE_KEEP)
            continue;
        if (rank_of[group] == CHANGE_NONE) {
            rank_of[group] = order->group_count;
            ranks[order->group_count++] = (struct rank){group, false, SIZE_MAX};
        }
        note_rank(&ranks[rank_of[group]], &build->memory->nodes[i]);
    }
    qsort(ranks, order->group_count, sizeof(*ranks), compare_ranks);
    for (size_t i = 0; i < order->group_count; i++)
        rank_of[ranks[i].group] = i;
    order->group_of = memory_allocate(count, sizeof(*order->group_of));
    for (size_t i = 0; i < count; i++)
        order->group_of[i] =
            build->memory->nodes[i].action == CHANGE_KEEP ? CHANGE_NONE : rank_of[change_group_of(build, i)];
    free(ranks);
    free(rank_of);
}

/* The graph of what comes before what */

typedef void edge_visitor(struct order *order, size_t from, size_t to);

static size_t starts_under(const struct order *order, const struct change_users *users)
{
    return order->group_count + (size_t)(users - order->build->users);
}

static size_t stops_under(const struct order *order, const struct change_users *users)
{
    return order->group_count + order->build->name_count + (size_t)(users - order->build->users);
}

static void each_edge_of_name(struct order *order, const struct change_users *users, edge_visitor *on_edge)
{
    const struct change_build *build = order->build;

    for (size_t at = users->first; at != CHANGE_NONE; at = build->links[at].next) {
        const struct change_node *user = &build->memory->nodes[build->links[at].user];
        size_t group = order->group_of[build->links[at].user];

        if (change_begins(user))
            on_edge(order, group, starts_under(order, users));
        else if (user->action == CHANGE_STOP)
            on_edge(order, stops_under(order, users), group);
    }
}

static void each_edge_of_provider(struct order *order, size_t i, const char *name, edge_visitor *on_edge)
{
    const struct change_node *node = &order->build->memory->nodes[i];
    const struct change_users *users = change_users_of(order->build, name);

    if (users == NULL)
        return;
    if (node->action == CHANGE_START)
        on_edge(order, starts_under(order, users), order->group_of[i]);
    else if (node->action == CHANGE_STOP)
        on_edge(order, order->group_of[i], stops_under(order, users));
}

static void each_edge(struct order *order, edge_visitor *on_edge)
{
    const struct change_build *build = order->build;

    for (size_t i = 0; i < build->name_count; i++)
        each_edge_of_name(order, &build->users[i], on_edge);
    for (size_t i = 0; i < build->memory->count; i++) {
        const struct change_node *node = &build->memory->nodes[i];
        const struct plan_entry *entry = node->entry != NULL ? node->entry : node->running->entry;

        each_edge_of_provider(order, i, entry->plugin->type, on_edge);
        each_edge_of_provider(order, i, node->uri, on_edge);
    }
}

static void count_edge(struct order *order, size_t from, size_t to)
{
    order->graph.first[from + 2]++;
}

/* Afterwards first[from + 1] has become the end of the edges of `from`. */
static void add_edge(struct order *order, size_t from, size_t to)
{
    order->graph.targets[order->graph.first[from + 1]++] = to;
}

static void draw(struct order *order)
{
    struct plan_graph *graph = &order->graph;

    graph->node_count = order->group_count + 2 * order->build->name_count;
    graph->first = memory_allocate(graph->node_count + 2, sizeof(*graph->first));
    each_edge(order, count_edge);
    for (size_t i = 2; i < graph->node_count + 2; i++)
        graph->first[i] += graph->first[i - 1];
    graph->targets = memory_allocate(graph->first[graph->node_count + 1], sizeof(*graph->targets));
    each_edge(order, add_edge);
}

/* Groups that wait for each other become one; then they are numbered in the order in which they are done. */
static void sort_groups(struct order *order)
{
    size_t *component_of = memory_allocate(order->graph.node_count, sizeof(*component_of));
    size_t *sizes = memory_allocate(order->graph.node_count, sizeof(*sizes));
    size_t *number_of = memory_allocate(order->graph.node_count, sizeof(*number_of));
    size_t components = plan_graph_components(&order->graph, component_of, sizes), count = 0;

    for (size_t i = 0; i < order->group_count; i++)
        number_of[component_of[i]] = 1;
    for (size_t i = 0; i < components; i++)
        number_of[i] = number_of[i] > 0 ? count++ : CHANGE_NONE;
    for (size_t i = 0; i < order->build->memory->count; i++)
        if (order->group_of[i] != CHANGE_NONE)
            order->group_of[i] = number_of[component_of[order->group_of[i]]];
    order->group_count = count;
    free(component_of);
    free(sizes);
    free(number_of);
}

/* What becomes of each group */

struct place {
    size_t group, place, step;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;

    if (left->group != right->group)
        return left->group < right->group ? -1 : 1;
    return (left->place > right->place) - (left->place < right->place);
}

static void note_place(struct place *places, size_t *count, size_t group, size_t place, size_t step)
{
    places[(*count)++] = (struct place){group, place, step};
}

static void fill_ends(struct change_build *build, const struct place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct change_group *group = &build->memory->change.groups[places[i].group];

        build->memory->ends[i] = places[i].step;
        if (group->end_count++ == 0)
            group->ends = &build->memory->ends[i];
    }
}

static void fill_begins(struct change_build *build, const struct place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct change_group *group = &build->memory->change.groups[places[i].group];

        build->memory->begins[i] = places[i].step;
        if (group->begin_count++ == 0)
            group->begins = &build->memory->begins[i];
    }
}

static void fill_members(struct order *order)
{
    struct change_build *build = order->build;
    struct place *places = memory_allocate(build->memory->count, sizeof(*places));
    size_t count = 0;

    for (size_t i = 0; i < build->memory->count; i++)
        if (change_ends(&build->memory->nodes[i]))
            note_place(places, &count, order->group_of[i], SIZE_MAX - build->memory->nodes[i].running_place,
                       i);
    qsort(places, count, sizeof(*places), compare_places);
    build->memory->ends = memory_allocate(count, sizeof(size_t));
    fill_ends(build, places, count);
    count = 0;
    for (size_t i = 0; i < build->memory->count; i++)
        if (build->memory->nodes[i].action != CHANGE_KEEP && build->memory->nodes[i].action != CHANGE_STOP)
            note_place(places, &count, order->group_of[i], build->memory->nodes[i].plan_place, i);
    qsort(places, count, sizeof(*places), compare_places);
    build->memory->begins = memory_allocate(count, sizeof(size_t));
    fill_begins(build, places, count);
    free(places);
}

static enum manifest_upgrade stricter(enum manifest_upgrade a, enum manifest_upgrade b)
{
    return a < b ? a : b;
}

/* Plugins of one module share its variables, so the strictest speaks for all. */
static enum manifest_upgrade mode_of_module(const struct manifest *manifest)
{
    enum manifest_upgrade mode = MANIFEST_UPGRADE_BESIDE;

    for (size_t i = 0; i < manifest->plugin_count; i++)
        mode = stricter(mode, manifest->plugins[i].upgrade);
    return mode;
}

static void forbid(struct change_group *group, const char *reason)
{
    if (group->code != BERTH_OK)
        return;
    group->code = BERTH_FAILED_PRECONDITION;
    group->reason = reason;
}

static void check_state(struct change_build *build, struct change_group *group,
                        const struct change_step *step)
{
    const struct manifest_plugin *from = step->from->plugin, *to = step->to->plugin;

    if (manifest_reads_state(to, from))
        return;
    if (build->request->force)
        change_warn(build, "%s: %s %s does not read version %u of its state, which is dropped", step->uri,
                    to->manifest->module, to->manifest->version, from->state.writes);
    else
        forbid(group, change_text(build,
                                  "%s: %s %s does not read version %u of its state, which %s writes; restart "
                                  "berthd, or add --force to drop the state",
                                  step->uri, to->manifest->module, to->manifest->version, from->state.writes,
                                  from->manifest->version));
}

static void judge_group(struct change_build *build, struct change_group *group)
{
    group->mode = MANIFEST_UPGRADE_BESIDE;
    for (size_t i = 0; i < group->begin_count; i++) {
        const struct change_step *step = &build->memory->change.steps[group->begins[i]];

        if (step->action == CHANGE_RECONFIGURE || step->from == NULL)
            continue;
        group->mode = stricter(group->mode, stricter(mode_of_module(step->from->plugin->manifest),
                                                     mode_of_module(step->to->plugin->manifest)));
        check_state(build, group, step);
    }
}

/* While an exclusive group changes, calls wait for about as long as its last start took. */
static void expect_pause(struct change_build *build, struct change_group *group)
{
    if (group->mode != MANIFEST_UPGRADE_EXCLUSIVE || group->code != BERTH_OK)
        return;
    for (size_t i = 0; i < group->begin_count; i++) {
        struct change_step *step = &build->memory->change.steps[group->begins[i]];

        if (step->from == NULL)
            continue;
        step->expected_pause_ns = build->memory->nodes[group->begins[i]].running->start_ns;
        group->expected_pause_ns += step->expected_pause_ns;
    }
}

void change_groups_make(struct change_build *build)
{
    struct change *change = &build->memory->change;
    struct order order = {.build = build};

    join_modules(build);
    number_groups(&order);
    draw(&order);
    sort_groups(&order);
    change->group_count = order.group_count;
    change->groups = memory_allocate(order.group_count, sizeof(*change->groups));
    for (size_t i = 0; i < change->step_count; i++)
        change->steps[i].group = order.group_of[i];
    fill_members(&order);
    for (size_t i = 0; i < change->group_count; i++) {
        judge_group(build, &change->groups[i]);
        expect_pause(build, &change->groups[i]);
        if (change->groups[i].code != BERTH_OK && change->code == BERTH_OK &&
            build->request->kind == CHANGE_UPGRADE_PLUGINS) {
            change->code = change->groups[i].code;
            change->refusal = change->groups[i].reason;
        }
    }
    plan_graph_finish(&order.graph);
    free(order.group_of);
}
