/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks what can never start, and then all that waits for it. Decides only what is certain ahead of time: a
 * provider that runs may still become anything. */
#include "build.h"

#include <stdlib.h>

struct block {
    struct plan_build *build;
    struct plan_graph dependents;
    /** Types whose dependents have heard that it has settled. */
    bool *is_told;
    /** Entries that were blocked and whose dependents have not heard of it. */
    size_t *queue;
    size_t queue_count;
};

/* Blocks an entry where one of its requirements is beyond hope. */
static void check(struct block *block, size_t entry)
{
    struct plan_build *build = block->build;
    struct verdict_decision decision;
    char *reason;

    if (build->plan->entries[entry].verdict != PLAN_RUN)
        return;
    verdicts_decide(build->verdicts, entry, &decision);
    if (decision.answer != VERDICT_GIVE_UP)
        return;
    reason = verdicts_explain(build->verdicts, &decision);
    plan_build_stop(build, entry, decision.state == BERTH_STATE_SKIPPED ? PLAN_SKIPPED : PLAN_BLOCKED,
                    decision.code, plan_build_text(build, "%s", reason), decision.cause);
    free(reason);
    block->queue[block->queue_count++] = entry;
}

/* Dependents are entries and, of an entry, its type, which tells on once the last of its members has settled.
 */
static void tell(struct block *block, size_t node)
{
    const struct plan_graph *graph = &block->dependents;
    size_t count = block->build->plan->count;

    for (size_t i = graph->first[node]; i < graph->first[node + 1]; i++) {
        size_t type = graph->targets[i] - count;

        if (graph->targets[i] < count) {
            check(block, graph->targets[i]);
        } else if (!block->is_told[type] && verdicts_type_has_settled(block->build->verdicts, type)) {
            block->is_told[type] = true;
            tell(block, graph->targets[i]);
        }
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
    const struct plan *plan = build->plan;
    struct block block = {
        .build = build,
        .is_told = plan_build_allocate(plan->type_count, sizeof(*block.is_told)),
        .queue = plan_build_allocate(plan->count, sizeof(*block.queue)),
    };
    struct plan_graph providers;

    plan_graph_init(&providers, plan, true);
    for (size_t i = 0; i < plan->count; i++)
        check(&block, i);
    if (block.queue_count > 0)
        spread(&block, &providers);
    plan_graph_finish(&providers);
    free(block.is_told);
    free(block.queue);
}
