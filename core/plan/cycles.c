/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds plugins that wait for themselves. A `wants` inside a cycle is ignored; the remaining plugins are
 * blocked, each with the whole path of a cycle that contains it.
 */
#include "build.h"

/*
 * Tarjan's strongly connected components, with a stack of its own: a chain of 100,000 plugins would be too
 * deep for recursion. (R. Tarjan, Depth-first search and linear graph algorithms, 1972.)
 */
struct search {
    const struct plan_graph *graph;
    /** PLAN_NONE for nodes that were not seen. */
    size_t *number;
    size_t *low;
    size_t next_number;
    /** Nodes that were seen and have no component yet. */
    size_t *open;
    size_t open_count;
    /** The path from the start to where the search is, and each node's next edge. */
    size_t *path;
    size_t path_count;
    size_t *next_edge;
    size_t *component_of;
    size_t *sizes;
    size_t component_count;
};

static void enter(struct search *search, size_t node)
{
    search->number[node] = search->low[node] = search->next_number++;
    search->next_edge[node] = search->graph->first[node];
    search->open[search->open_count++] = node;
    search->path[search->path_count++] = node;
}

static void close_component(struct search *search, size_t node)
{
    size_t member;

    do {
        member = search->open[--search->open_count];
        search->component_of[member] = search->component_count;
        search->sizes[search->component_count]++;
    } while (member != node);
    search->component_count++;
}

static void lower(size_t *low, size_t value)
{
    if (value < *low)
        *low = value;
}

static void leave(struct search *search, size_t node)
{
    if (search->low[node] == search->number[node])
        close_component(search, node);
    search->path_count--;
    if (search->path_count > 0)
        lower(&search->low[search->path[search->path_count - 1]], search->low[node]);
}

static void follow(struct search *search, size_t node, size_t target)
{
    if (search->number[target] == PLAN_NONE)
        enter(search, target);
    else if (search->component_of[target] == PLAN_NONE)
        lower(&search->low[node], search->number[target]);
}

static void visit(struct search *search, size_t start)
{
    enter(search, start);
    while (search->path_count > 0) {
        size_t node = search->path[search->path_count - 1];

        if (search->next_edge[node] < search->graph->first[node + 1])
            follow(search, node, search->graph->targets[search->next_edge[node]++]);
        else
            leave(search, node);
    }
}

struct cycles {
    struct plan_build *build;
    struct plan_graph providers;
    /** The number of each node's component, and how many nodes each component has. */
    size_t *component_of;
    size_t *sizes;
    /** Has any component more than one node? */
    bool is_any;
};

size_t plan_graph_components(const struct plan_graph *graph, size_t *component_of, size_t *sizes)
{
    size_t count = graph->node_count;
    size_t *memory = memory_allocate(count * 5, sizeof(*memory));
    struct search search = {
        .graph = graph,
        .number = memory,
        .low = memory + count,
        .open = memory + 2 * count,
        .path = memory + 3 * count,
        .next_edge = memory + 4 * count,
        .component_of = component_of,
        .sizes = sizes,
    };

    for (size_t i = 0; i < count; i++) {
        search.number[i] = search.component_of[i] = PLAN_NONE;
        sizes[i] = 0;
    }
    for (size_t i = 0; i < count; i++)
        if (search.number[i] == PLAN_NONE)
            visit(&search, i);
    free(memory);
    return search.component_count;
}

static void cycles_init(struct cycles *cycles, struct plan_build *build)
{
    size_t count = build->plan->count + build->plan->type_count;

    cycles->build = build;
    cycles->component_of = memory_allocate(count, sizeof(*cycles->component_of));
    cycles->sizes = memory_allocate(count, sizeof(*cycles->sizes));
    plan_graph_init(&cycles->providers, build->plan, false);
    cycles->is_any = plan_graph_components(&cycles->providers, cycles->component_of, cycles->sizes) < count;
}

static void cycles_finish(struct cycles *cycles)
{
    plan_graph_finish(&cycles->providers);
    free(cycles->component_of);
    free(cycles->sizes);
}

static bool is_in_cycle(const struct cycles *cycles, size_t node)
{
    return cycles->sizes[cycles->component_of[node]] > 1;
}

static bool is_dropped(const struct cycles *cycles, size_t entry, const struct plan_requirement *requirement)
{
    size_t target = plan_graph_target(cycles->build->plan, requirement);

    return !requirement->binding && target != PLAN_NONE &&
           (target == entry || cycles->component_of[target] == cycles->component_of[entry]);
}

static bool drop_wants(struct cycles *cycles)
{
    struct plan_build *build = cycles->build;
    struct plan_requirement *requirement = build->memory->requirements;
    bool is_any = false;

    for (size_t i = 0; i < build->plan->count; i++)
        for (size_t j = 0; j < build->plan->entries[i].requirement_count; j++, requirement++)
            if (plan_build_will_run(build, i) && is_dropped(cycles, i, requirement))
                is_any = requirement->dropped = true;
    return is_any;
}

/* Inside one component, seen from one of its entries: the step towards it, and the step back from it. */
struct walk {
    const struct cycles *cycles;
    /** The next node on a way to the start, and the node before on a way from the start. */
    size_t *towards;
    size_t *from;
    size_t *queue;
    /** The last entry on whose way from the start, or to it, a node was seen. */
    size_t *seen_back;
    size_t *seen_ahead;
};

/* Breadth first, so that paths are short. */
static void spread(const struct walk *walk, const struct plan_graph *graph, size_t start, size_t *ret_step)
{
    size_t count = 1;

    walk->queue[0] = start;
    ret_step[start] = start;
    for (size_t head = 0; head < count; head++) {
        size_t node = walk->queue[head];

        for (size_t i = graph->first[node]; i < graph->first[node + 1]; i++) {
            size_t next = graph->targets[i];

            if (walk->cycles->component_of[next] != walk->cycles->component_of[start] ||
                ret_step[next] != PLAN_NONE)
                continue;
            ret_step[next] = node;
            walk->queue[count++] = next;
        }
    }
}

static void print_node(const struct plan_build *build, FILE *text, size_t node, size_t before)
{
    if (node >= build->plan->count)
        return;
    fprintf(text, " -> %s", plan_build_uri(build, node));
    if (before >= build->plan->count)
        fprintf(text, " (one of %s)", build->plan->types[before - build->plan->count].name);
}

/* Prints one step and says that the node's cycle is known. */
static void step(const struct walk *walk, FILE *text, size_t node, size_t before, const char **ret_paths,
                 const char *path)
{
    const struct plan_build *build = walk->cycles->build;

    if (text != NULL)
        print_node(build, text, node, before);
    else if (node < build->plan->count && ret_paths[node] == NULL)
        ret_paths[node] = path;
}

/*
 * Where the way from the entry towards the start first meets the way from the start to the entry. Both are
 * walked in turn, so that it costs no more than the cycle is long.
 */
static size_t find_meeting(const struct walk *walk, size_t entry)
{
    size_t back = entry, ahead = walk->towards[entry];

    walk->seen_back[entry] = entry;
    while (walk->seen_back[ahead] != entry) {
        walk->seen_ahead[ahead] = entry;
        back = walk->from[back];
        walk->seen_back[back] = entry;
        if (walk->seen_ahead[back] == entry)
            return back;
        ahead = walk->from[ahead] == ahead ? ahead : walk->towards[ahead];
    }
    return ahead;
}

/*
 * Goes once round a cycle through `entry`: towards the start as far as the meeting, then along the way from
 * the start. With `text` it prints, else it notes the path for all that were met.
 */
static void go_round(const struct walk *walk, size_t entry, size_t meeting, FILE *text,
                     const char **ret_paths, const char *path)
{
    size_t node = walk->towards[entry], before = entry;
    size_t *back = walk->queue;
    size_t back_count = 0;

    for (; node != meeting; node = walk->towards[node]) {
        step(walk, text, node, before, ret_paths, path);
        before = node;
    }
    step(walk, text, meeting, before, ret_paths, path);
    for (before = meeting, node = entry; node != meeting; node = walk->from[node])
        back[back_count++] = node;
    while (back_count > 0) {
        node = back[--back_count];
        step(walk, text, node, before, ret_paths, path);
        before = node;
    }
}

/* The start of the spreading has no way to itself: it begins with any provider inside. */
static void open_start(const struct walk *walk, size_t start)
{
    const struct plan_graph *providers = &walk->cycles->providers;
    const size_t *component_of = walk->cycles->component_of;

    for (size_t i = providers->first[start]; walk->towards[start] == start; i++)
        if (component_of[providers->targets[i]] == component_of[start])
            walk->towards[start] = providers->targets[i];
}

static char *print_cycle(const struct walk *walk, size_t entry, size_t meeting)
{
    char *path = NULL;
    size_t length;
    FILE *text = open_memstream(&path, &length);

    if (text == NULL)
        abort();
    fprintf(text, "%s", plan_build_uri(walk->cycles->build, entry));
    go_round(walk, entry, meeting, text, NULL, NULL);
    if (fclose(text) != 0)
        abort();
    return path;
}

static void explain_member(const struct walk *walk, size_t entry, const char **ret_paths)
{
    size_t meeting = find_meeting(walk, entry);
    char *path = print_cycle(walk, entry, meeting);
    const char *reason = plan_build_text(
        walk->cycles->build, "is part of a dependency cycle (remove one requirement or make it a wants): %s",
        path);

    go_round(walk, entry, meeting, NULL, ret_paths, reason);
    free(path);
}

/* Finds a path for each entry of a cycle; one that was met on another's path shares it. */
static void explain_all(const struct cycles *cycles, const char **ret_paths)
{
    const struct plan_build *build = cycles->build;
    size_t count = cycles->providers.node_count;
    size_t *memory = memory_allocate(count * 5, sizeof(*memory));
    struct plan_graph dependents;
    const struct walk walk = {
        .cycles = cycles,
        .towards = memory,
        .from = memory + count,
        .queue = memory + 2 * count,
        .seen_back = memory + 3 * count,
        .seen_ahead = memory + 4 * count,
    };

    for (size_t i = 0; i < count * 5; i++)
        memory[i] = PLAN_NONE;
    plan_graph_init_reverse(&dependents, &cycles->providers);
    for (size_t i = 0; i < build->plan->count; i++) {
        if (!is_in_cycle(cycles, i) || ret_paths[i] != NULL)
            continue;
        if (walk.from[i] == PLAN_NONE) {
            spread(&walk, &cycles->providers, i, walk.from);
            spread(&walk, &dependents, i, walk.towards);
            open_start(&walk, i);
        }
        explain_member(&walk, i, ret_paths);
    }
    plan_graph_finish(&dependents);
    free(memory);
}

static void block_members(const struct cycles *cycles)
{
    struct plan_build *build = cycles->build;
    const char **paths = memory_allocate(build->plan->count, sizeof(*paths));

    explain_all(cycles, paths);
    for (size_t i = 0; i < build->plan->count; i++)
        if (paths[i] != NULL)
            plan_build_stop(build, i, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, paths[i], PLAN_NONE);
    free(paths);
}

bool plan_cycles_apply(struct plan_build *build)
{
    struct cycles cycles;
    bool is_any;

    cycles_init(&cycles, build);
    if (drop_wants(&cycles)) {
        cycles_finish(&cycles);
        cycles_init(&cycles, build);
    }
    is_any = cycles.is_any;
    if (is_any)
        block_members(&cycles);
    cycles_finish(&cycles);
    return is_any;
}

void plan_cycles_warn(struct plan_build *build)
{
    for (size_t i = 0; i < build->plan->count; i++) {
        const struct plan_entry *entry = &build->plan->entries[i];

        for (size_t j = 0; j < entry->requirement_count && plan_entry_will_run(entry); j++)
            if (entry->requirements[j].dropped)
                plan_build_warn(build, "%s wants %s, which would close a dependency cycle; ignoring it",
                                entry->plugin->uri, entry->requirements[j].name);
    }
}
