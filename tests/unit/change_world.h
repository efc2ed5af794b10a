/* SPDX-License-Identifier: Apache-2.0 */
/* What a survey finds, from literals: modules, a configuration, and the plan that they make. */
#ifndef TESTS_CHANGE_WORLD_H
#define TESTS_CHANGE_WORLD_H

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <core/change/change.h>
#include <core/settings/store.h>

#define WORLD_MODULES 64

struct world {
    struct manifest *manifests[WORLD_MODULES];
    size_t manifest_count;
    struct catalog catalog;
    struct settings *settings;
    struct plan *plan;
};

/** @param modules  manifests, to a NULL; each file is called after its module. */
static inline void world_open(struct world *world, const char *const *modules, const char *name,
                              const char *configuration)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree;

    *world = (struct world){0};
    for (; modules[world->manifest_count] != NULL; world->manifest_count++) {
        const char *text = modules[world->manifest_count];
        char path[64];

        snprintf(path, sizeof(path), "/p/%.*s.so", (int)strcspn(text + strlen("{module: "), ","),
                 text + strlen("{module: "));
        world->manifests[world->manifest_count] = manifest_parse(path, text, strlen(text), &diagnostics);
        if (world->manifests[world->manifest_count] == NULL)
            fail_msg("%s: %s", text, diagnostics.items[0].message);
    }
    catalog_init(&world->catalog, (const struct manifest *const *)world->manifests, world->manifest_count);
    tree = config_yaml_read(name, configuration, strlen(configuration), &config_limits_file, &diagnostics);
    world->settings = settings_create(tree, &(struct settings_options){0}, &diagnostics);
    if (world->settings == NULL ||
        !settings_check_plugins(world->settings, &world->catalog, false, &diagnostics))
        fail_msg("%s", diagnostics.items[0].message);
    world->plan = plan_create(&world->catalog, &world->settings->plan);
    config_diagnostics_finish(&diagnostics);
}

static inline void world_close(struct world *world)
{
    plan_destroy(world->plan);
    settings_destroy(world->settings);
    catalog_finish(&world->catalog);
    for (size_t i = 0; i < world->manifest_count; i++)
        manifest_destroy(world->manifests[i]);
}

/** All that starts with the daemon, as if it had; to be freed. Plans without idle plugins: `run_count`. */
static inline struct change_running *world_run(const struct world *world)
{
    size_t count = 0;

    struct change_running *running = calloc(world->plan->run_count + 1, sizeof(*running));

    assert_non_null(running);
    for (size_t i = 0; i < world->plan->run_count; i++)
        if (plan_entry_starts(&world->plan->entries[i]))
            running[count++] = (struct change_running){.entry = &world->plan->entries[i],
                                                       .settings = world->settings,
                                                       .generation = 1,
                                                       .is_ready = true,
                                                       .start_ns = 2000000};
    return running;
}

static inline size_t world_count_running(const struct world *world)
{
    size_t count = 0;

    for (size_t i = 0; i < world->plan->run_count; i++)
        count += plan_entry_starts(&world->plan->entries[i]);
    return count;
}

#endif
