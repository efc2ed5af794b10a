/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks what can never start, and then all that waits for it, by the table of requirements. Decides only
 * what is certain ahead of time: a provider that runs may still become anything. */
#include "plan_build.h"

#include <stdlib.h>

struct block {
    struct plan_build *build;
    struct plan_graph dependents;
    struct verdict_tally *tallies;
    /** Of each type that is beyond hope: whom its dependents blame. */
    size_t *blamed;
    /** Entries that were blocked and whose dependents have not heard of it. */
    size_t *queue;
    size_t queue_count;
};

static enum berth_state state_of(const struct block *block, size_t entry)
{
    return plan_build_state(block->build->entries[entry].verdict);
}

static struct verdict_tally tally_of(const struct block *block, const struct plan_requirement *requirement)
{
    struct verdict_tally tally = {0};

    if (requirement->target == PLAN_TARGET_TYPE)
        return block->tallies[requirement->index];
    if (requirement->target == PLAN_TARGET_PLUGIN)
        verdict_count(&tally, state_of(block, requirement->index));
    return tally;
}

static size_t blame_type(struct block *block, size_t type, enum verdict_blame blame)
{
    const struct plan_build_type *of = &block->build->types[type];

    for (size_t i = 0; i < of->member_count && block->blamed[type] == PLAN_NONE; i++)
        if (verdict_blames(blame, state_of(block, of->members[i])))
            block->blamed[type] = of->members[i];
    return block->blamed[type];
}

static size_t cause_of(struct block *block, const struct plan_requirement *requirement,
                       enum verdict_blame blame)
{
    if (requirement->target == PLAN_TARGET_TYPE)
        return blame_type(block, requirement->index, blame);
    return requirement->target == PLAN_TARGET_PLUGIN ? requirement->index : PLAN_NONE;
}

static void stop(struct block *block, size_t entry, const struct plan_requirement *requirement,
                 const struct verdict *verdict)
{
    struct plan_build *build = block->build;
    size_t cause = cause_of(block, requirement, verdict->blame);
    struct verdict_cause words = {.requirement = requirement->name, .provider_count = 1};
    struct berth_error sentence;

    if (cause != PLAN_NONE) {
        size_t root = build->root_of[cause];

        words.provider = plan_build_uri(build, cause);
        words.state = state_of(block, cause);
        words.root = plan_build_uri(build, root);
        words.reason = build->entries[root].reason;
    }
    if (requirement->target == PLAN_TARGET_TYPE)
        words.provider_count = build->types[requirement->index].member_count;
    verdict_explain(&words, &sentence);
    plan_build_stop(build, entry, PLAN_BLOCKED, verdict->code, plan_build_text(build, "%s", sentence.message),
                    cause);
    block->queue[block->queue_count++] = entry;
}

/* Blocks an entry where one of its requirements is beyond hope. */
static void check(struct block *block, size_t entry)
{
    const struct plan_entry *plugin = &block->build->entries[entry];

    for (size_t i = 0; i < plugin->requirement_count && plugin->verdict == PLAN_RUN; i++) {
        const struct plan_requirement *requirement = &plugin->requirements[i];
        const struct verdict_tally tally = tally_of(block, requirement);
        const struct verdict verdict =
            verdict_of(requirement->binding ? VERDICT_REQUIRES : VERDICT_ORDERS, &tally);

        if (verdict.answer == VERDICT_GIVE_UP)
            stop(block, entry, requirement, &verdict);
    }
}

static void tell(struct block *block, size_t node);

static void tell_type(struct block *block, size_t node)
{
    struct verdict_tally *tally = &block->tallies[node - block->build->count];

    tally->open--;
    tally->fallen++;
    if (tally->open == 0)
        tell(block, node);
}

/* Dependents are entries and, of an entry, its type. */
static void tell(struct block *block, size_t node)
{
    const struct plan_graph *graph = &block->dependents;

    for (size_t i = graph->first[node]; i < graph->first[node + 1]; i++) {
        if (graph->targets[i] >= block->build->count)
            tell_type(block, graph->targets[i]);
        else
            check(block, graph->targets[i]);
    }
}

static void block_init(struct block *block, struct plan_build *build)
{
    block->build = build;
    block->tallies = plan_build_allocate(build->type_count, sizeof(*block->tallies));
    block->blamed = plan_build_allocate(build->type_count, sizeof(*block->blamed));
    block->queue = plan_build_allocate(build->count, sizeof(*block->queue));
    block->queue_count = 0;
    for (size_t i = 0; i < build->type_count; i++) {
        block->blamed[i] = PLAN_NONE;
        for (size_t j = 0; j < build->types[i].member_count; j++)
            verdict_count(&block->tallies[i], state_of(block, build->types[i].members[j]));
    }
}

/* The graph is that of before the check: who was blocked in it is still a node with dependents. */
static void spread(struct block *block, const struct plan_graph *providers)
{
    plan_graph_init_reverse(&block->dependents, providers);
    for (size_t i = 0; i < block->queue_count; i++)
        tell(block, block->queue[i]);
    plan_graph_finish(&block->dependents);
}

void plan_block_apply(struct plan_build *build)
{
    struct plan_graph providers;
    struct block block;

    plan_graph_init(&providers, build, true);
    block_init(&block, build);
    for (size_t i = 0; i < build->count; i++)
        check(&block, i);
    if (block.queue_count > 0)
        spread(&block, &providers);
    plan_graph_finish(&providers);
    free(block.tallies);
    free(block.blamed);
    free(block.queue);
}
