/* SPDX-License-Identifier: Apache-2.0 */
/* Decides which of several modules provides a plugin, and says of each that lost why. Pure. */
#include "catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <core/base/names.h>

/* Where each URI that has been given away so far stands among the winners. */
struct contest {
    struct catalog *catalog;
    struct name_table winners;
};

/* Allocations follow from manifests, which their readers bound. */
static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        abort();
    return memory;
}

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path);
}

static const char *why_first(const struct manifest *winner, const struct manifest *loser)
{
    size_t length = folder_length(winner->path);

    if (length == folder_length(loser->path) && strncmp(winner->path, loser->path, length) == 0)
        return "its file name sorts first";
    return "its directory comes first in plugin_dirs";
}

static const struct manifest_plugin *winner_of(const struct contest *contest, const char *uri)
{
    size_t index = name_table_find(&contest->winners, uri);

    return index == NAME_TABLE_NONE ? NULL : contest->catalog->plugins[index];
}

/* A plugin of an earlier version of the same module, which has a URI in common with this one; or NULL. */
static const struct manifest_plugin *find_other_version(const struct contest *contest,
                                                        const struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->plugin_count; i++) {
        const struct manifest_plugin *winner = winner_of(contest, manifest->plugins[i].uri);

        if (winner != NULL && strcmp(winner->manifest->module, manifest->module) == 0)
            return winner;
    }
    return NULL;
}

static void lose(struct contest *contest, const struct manifest_plugin *plugin,
                 const struct manifest_plugin *winner)
{
    size_t place = contest->catalog->loser_count++;
    struct catalog_loser *loser = &contest->catalog->losers[place];
    const struct manifest *first = winner->manifest;
    const char *why = why_first(first, plugin->manifest);
    int length;

    *loser = (struct catalog_loser){.plugin = plugin, .winner = winner, .place = place};
    if (strcmp(winner->uri, plugin->uri) == 0)
        length = asprintf(&loser->reason, "%s (%s %s) is used instead: %s; remove one of the two files",
                          first->path, first->module, first->version, why);
    else
        length = asprintf(&loser->reason,
                          "%s (%s %s) is used instead of this whole module, as plugins of two versions are "
                          "never mixed: %s; remove one of the two files",
                          first->path, first->module, first->version, why);
    if (length < 0)
        abort();
}

static void add_manifest(struct contest *contest, const struct manifest *manifest)
{
    const struct manifest_plugin *other_version = find_other_version(contest, manifest);

    for (size_t i = 0; i < manifest->plugin_count; i++) {
        const struct manifest_plugin *plugin = &manifest->plugins[i];
        const struct manifest_plugin *winner = winner_of(contest, plugin->uri);

        if (winner == NULL)
            winner = other_version;
        if (winner != NULL) {
            lose(contest, plugin, winner);
            continue;
        }
        name_table_add(&contest->winners, plugin->uri, contest->catalog->count);
        contest->catalog->plugins[contest->catalog->count++] = plugin;
    }
}

static int compare_plugins(const void *a, const void *b)
{
    const struct manifest_plugin *left = *(const struct manifest_plugin *const *)a;
    const struct manifest_plugin *right = *(const struct manifest_plugin *const *)b;

    return strcmp(left->uri, right->uri);
}

static int compare_losers(const void *a, const void *b)
{
    const struct catalog_loser *left = a;
    const struct catalog_loser *right = b;
    int order = strcmp(left->plugin->uri, right->plugin->uri);

    return order != 0 ? order : (left->place > right->place) - (left->place < right->place);
}

static void add_all(struct catalog *catalog, const struct manifest *const *manifests, size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += manifests[i]->plugin_count;
    catalog->plugins = allocate(total, sizeof(*catalog->plugins));
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < manifests[i]->plugin_count; k++)
            catalog->plugins[catalog->count++] = &manifests[i]->plugins[k];
    qsort(catalog->plugins, catalog->count, sizeof(*catalog->plugins), compare_plugins);
}

static bool has_twins(const struct catalog *catalog)
{
    for (size_t i = 1; i < catalog->count; i++)
        if (strcmp(catalog->plugins[i - 1]->uri, catalog->plugins[i]->uri) == 0)
            return true;
    return false;
}

static void hold_contest(struct catalog *catalog, const struct manifest *const *manifests, size_t count)
{
    struct contest contest = {.catalog = catalog};
    size_t total = catalog->count;

    catalog->count = 0;
    catalog->losers = allocate(total, sizeof(*catalog->losers));
    name_table_init(&contest.winners, total);
    for (size_t i = 0; i < count; i++)
        add_manifest(&contest, manifests[i]);
    name_table_finish(&contest.winners);
    qsort(catalog->plugins, catalog->count, sizeof(*catalog->plugins), compare_plugins);
    qsort(catalog->losers, catalog->loser_count, sizeof(*catalog->losers), compare_losers);
}

void catalog_init(struct catalog *catalog, const struct manifest *const *manifests, size_t count)
{
    *catalog = (struct catalog){0};
    add_all(catalog, manifests, count);
    if (has_twins(catalog))
        hold_contest(catalog, manifests, count);
}

void catalog_finish(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->loser_count; i++)
        free(catalog->losers[i].reason);
    free(catalog->plugins);
    free(catalog->losers);
    *catalog = (struct catalog){0};
}

const struct manifest_plugin *catalog_find(const struct catalog *catalog, const char *uri)
{
    struct manifest_plugin key = {.uri = uri};
    const struct manifest_plugin *wanted = &key;
    const struct manifest_plugin *const *found =
        bsearch(&wanted, catalog->plugins, catalog->count, sizeof(*catalog->plugins), compare_plugins);

    return found == NULL ? NULL : *found;
}

const struct catalog_loser *catalog_find_loser(const struct catalog *catalog, const char *uri)
{
    for (size_t i = 0; i < catalog->loser_count; i++)
        if (strcmp(catalog->losers[i].plugin->uri, uri) == 0)
            return &catalog->losers[i];
    return NULL;
}
