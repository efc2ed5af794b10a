/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All plugins that the modules register, each URI once: the one decision on which of several modules provides
 * it. The configuration is checked against this list, and the plan is made of it.
 */
#ifndef CORE_MANIFEST_CATALOG_H
#define CORE_MANIFEST_CATALOG_H

#include "manifest.h"

/** A plugin that is not used because another module comes first. */
struct catalog_loser {
    const struct manifest_plugin *plugin;
    /** The plugin that is used instead; where only its module is replaced, one of the other copy's. */
    const struct manifest_plugin *winner;
    /** One sentence. */
    char *reason;
    /** How many lost before it. */
    size_t place;
};

struct catalog {
    /** By URI, each URI once. */
    const struct manifest_plugin **plugins;
    size_t count;
    /** By URI, those of one URI in the order in which they were found. */
    struct catalog_loser *losers;
    size_t loser_count;
};

/**
 * Decides who wins, as a shell does with PATH: of two plugins with one URI the one whose module comes first.
 * Two modules of the same name with a URI in common are two versions of one module: the later one is not used
 * at all, so that plugins of two versions never meet. Of a module with another name the other plugins run.
 *
 * @param manifests  in the order of the search: directories as in plugin_dirs, file names sorted within each.
 *                   Borrowed for as long as the catalog lives.
 */
void catalog_init(struct catalog *catalog, const struct manifest *const *manifests, size_t count);
void catalog_finish(struct catalog *catalog);

/** The plugin that is used under this URI, or NULL. */
const struct manifest_plugin *catalog_find(const struct catalog *catalog, const char *uri);
/** The first that is not used under this URI, or NULL. */
const struct catalog_loser *catalog_find_loser(const struct catalog *catalog, const char *uri);

#endif
