/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides who will not run: first because of what a plugin, its module or the configuration says, then
 * because of a requirement. Decides only what is certain ahead of time: a provider that will run may still
 * end in any state.
 */
#include "build.h"

static const char *disabled_reason(struct plan_build *build, const struct config_mark *mark)
{
    if (mark->file == NULL)
        return "listed in disabled_plugins";
    return plan_build_text(build, "listed in disabled_plugins at %s:%u:%u", mark->file, mark->line,
                           mark->column);
}

static void disable(struct plan_build *build)
{
    for (size_t i = 0; i < build->settings->disabled_count; i++) {
        const struct settings_uri *disabled = &build->settings->disabled[i];
        size_t entry = name_table_find(&build->memory->uris, disabled->uri);

        if (entry != NAME_TABLE_NONE && plan_build_will_run(build, entry))
            plan_build_stop(build, entry, BERTH_STATE_DISABLED, BERTH_SKIP,
                            disabled_reason(build, &disabled->mark), PLAN_NONE);
    }
}

static void stop_on_request(struct plan_build *build)
{
    for (size_t i = 0; i < build->settings->stopped_count; i++) {
        size_t entry = name_table_find(&build->memory->uris, build->settings->stopped[i]);

        if (entry != NAME_TABLE_NONE && plan_build_will_run(build, entry))
            plan_build_stop(build, entry, BERTH_STATE_DISABLED, BERTH_SKIP,
                            plan_build_text(build, "stopped on request; run `berthctl plugins start %s`",
                                            build->settings->stopped[i]),
                            PLAN_NONE);
    }
}

static void quarantine(struct plan_build *build)
{
    for (size_t i = 0; i < build->settings->quarantined_count; i++) {
        const struct settings_quarantine *quarantined = &build->settings->quarantined[i];
        size_t entry = name_table_find(&build->memory->uris, quarantined->uri);

        if (entry != NAME_TABLE_NONE && plan_build_will_run(build, entry))
            plan_build_stop(build, entry, BERTH_STATE_QUARANTINED, BERTH_UNAVAILABLE,
                            plan_build_text(build, "%s", quarantined->reason), PLAN_NONE);
    }
}

static void skip(struct plan_build *build)
{
    for (size_t i = 0; i < build->settings->unset_count; i++) {
        const struct settings_unset *unset = &build->settings->unset[i];
        size_t entry = name_table_find(&build->memory->uris, unset->uri);
        struct berth_error sentence;

        if (entry == NAME_TABLE_NONE || !plan_build_will_run(build, entry))
            continue;
        manifest_explain_unset(unset->condition, &sentence);
        plan_build_stop(build, entry, BERTH_STATE_SKIPPED, BERTH_SKIP,
                        plan_build_text(build, "%s", sentence.message), PLAN_NONE);
    }
}

static const char *broken_requirement(struct plan_build *build, const struct manifest_plugin *plugin,
                                      const struct manifest_requirement *requirement)
{
    if (strcmp(requirement->name, plugin->type) == 0)
        return plan_build_text(build,
                               "requires its own type %s, which it cannot provide for itself (list the other "
                               "providers by URI)",
                               plugin->type);
    if (strcmp(requirement->name, plugin->uri) == 0)
        return plan_build_text(build, "requires itself (%s); remove that line from its manifest",
                               plugin->uri);
    if (strcmp(requirement->name, "*") == 0 && plugin->requirement_count > 1)
        return plan_build_text(build,
                               "requires \"*\" and %zu other%s; \"*\" already means all and must be alone",
                               plugin->requirement_count - 1, plugin->requirement_count > 2 ? "s" : "");
    return NULL;
}

static void reject_broken(struct plan_build *build, size_t entry)
{
    const struct manifest_plugin *plugin = build->plan->entries[entry].plugin;
    const struct manifest *manifest = plugin->manifest;
    const char *reason = manifest->objection;

    for (size_t i = 0; i < plugin->requirement_count && reason == NULL; i++)
        reason = broken_requirement(build, plugin, &plugin->requirements[i]);
    if (reason != NULL)
        plan_build_stop(build, entry, BERTH_STATE_REJECTED,
                        manifest->objection != NULL ? manifest->objection_code : BERTH_INVALID_ARGUMENT,
                        reason, PLAN_NONE);
}

void plan_rules_apply(struct plan_build *build)
{
    disable(build);
    stop_on_request(build);
    quarantine(build);
    skip(build);
    for (size_t i = 0; i < build->plan->count; i++)
        if (plan_build_will_run(build, i))
            reject_broken(build, i);
}

struct block {
    struct plan_build *build;
    struct plan_graph dependents;
    /** Types whose dependents have heard that it has settled. */
    bool *is_told;
    /** Entries that were stopped and whose dependents have not heard of it. */
    size_t *queue;
    size_t queue_count;
};

/* Stops an entry if one of its requirements can never be met. */
static void check(struct block *block, size_t entry)
{
    struct plan_build *build = block->build;
    struct verdict verdict;

    if (!plan_build_will_run(build, entry))
        return;
    verdict = verdicts_decide(build->verdicts, entry);
    if (verdict.code == BERTH_OK)
        return;
    plan_build_stop(build, entry, verdict.state, verdict.code,
                    plan_build_keep(build, verdicts_explain(build->verdicts, &verdict)), verdict.cause);
    block->queue[block->queue_count++] = entry;
}

/* Dependents are entries and, of an entry, its type, which tells its own once all of its members have
 * settled. */
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

void plan_rules_block(struct plan_build *build)
{
    const struct plan *plan = build->plan;
    struct block block = {
        .build = build,
        .is_told = memory_allocate(plan->type_count, sizeof(*block.is_told)),
        .queue = memory_allocate(plan->count, sizeof(*block.queue)),
    };
    struct plan_graph providers;

    /* The graph is that of before the checks: in it, one that was stopped is still a node with dependents. */
    plan_graph_init(&providers, plan, true);
    for (size_t i = 0; i < plan->count; i++)
        check(&block, i);
    if (block.queue_count > 0) {
        plan_graph_init_reverse(&block.dependents, &providers);
        for (size_t i = 0; i < block.queue_count; i++)
            tell(&block, block.queue[i]);
        plan_graph_finish(&block.dependents);
    }
    plan_graph_finish(&providers);
    free(block.is_told);
    free(block.queue);
}
