/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the manifests of all modules, and decides which of several provides a plugin. */
#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/text/utf8.h>

#include <core/base/names.h>
#include <core/elf/elf.h>
#include <core/scan/scan.h>
#include <core/trust/trust.h>
#include <sdk/base/memory.h>

/* Warnings about one manifest, and about all of them: a folder of newer modules must not flood the log. */
#define MANIFEST_WARNINGS_MAX 8
#define ALL_WARNINGS_MAX 64

/* For each URI assigned until now, its place among the winners. */
struct contest {
    struct catalog *catalog;
    struct name_table winners;
};

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

    *loser = (struct catalog_loser){.plugin = plugin, .winner = winner, .place = place};
    if (strcmp(winner->uri, plugin->uri) == 0)
        loser->reason = memory_format("%s (%s %s) is used instead: %s; remove one of the two files",
                                      first->path, first->module, first->version, why);
    else
        loser->reason = memory_format("%s (%s %s) is used instead of this whole module, as plugins of "
                                      "two versions are never mixed: %s; remove one of the two files",
                                      first->path, first->module, first->version, why);
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
    catalog->plugins = memory_allocate(total, sizeof(*catalog->plugins));
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
    catalog->losers = memory_allocate(total, sizeof(*catalog->losers));
    name_table_init(&contest.winners, total);
    for (size_t i = 0; i < count; i++)
        add_manifest(&contest, manifests[i]);
    name_table_finish(&contest.winners);
    qsort(catalog->plugins, catalog->count, sizeof(*catalog->plugins), compare_plugins);
    qsort(catalog->losers, catalog->loser_count, sizeof(*catalog->losers), compare_losers);
}

static void set_makers_apart(struct catalog *catalog)
{
    size_t kept = 0;

    catalog->makers = memory_allocate(catalog->count, sizeof(*catalog->makers));
    for (size_t i = 0; i < catalog->count; i++)
        if (catalog->plugins[i]->makes != NULL)
            catalog->makers[catalog->maker_count++] = catalog->plugins[i];
        else
            catalog->plugins[kept++] = catalog->plugins[i];
    catalog->count = kept;
}

static void decide(struct catalog *catalog, const struct manifest *const *manifests, size_t count)
{
    add_all(catalog, manifests, count);
    if (has_twins(catalog))
        hold_contest(catalog, manifests, count);
    set_makers_apart(catalog);
}

void catalog_init(struct catalog *catalog, const struct manifest *const *manifests, size_t count)
{
    *catalog = (struct catalog){0};
    decide(catalog, manifests, count);
}

struct reader {
    /* NULL: only owner and mode matter. */
    struct trust *trust;
    struct scan *scan;
    struct catalog *catalog;
    struct library_finder *finder;
    struct library_names names;
    /* The number of warnings about ignored parts of manifests, printed or not. */
    size_t warnings;
};

static char *reason_of(struct config_diagnostics *diagnostics)
{
    size_t first = 0;
    char *line, *reason;

    config_diagnostics_sort(diagnostics);
    while (first < diagnostics->count && diagnostics->items[first].severity != CONFIG_ERROR)
        first++;
    if (first == diagnostics->count)
        return memory_copy("its manifest is invalid");
    line = config_diagnostic_format(&diagnostics->items[first]);
    if (diagnostics->error_count == 1)
        return line;
    reason = memory_format("%s (and %zu more in this manifest)", line, diagnostics->error_count - 1);
    free(line);
    return reason;
}

/* Warns of ignored parts of a manifest; of many, the first few are enough. */
static void warn_of_ignored(struct reader *reader, struct config_diagnostics *diagnostics)
{
    size_t said = 0;

    config_diagnostics_sort(diagnostics);
    for (; said < diagnostics->count && said < MANIFEST_WARNINGS_MAX; said++) {
        char *line = config_diagnostic_format(&diagnostics->items[said]);

        if (reader->warnings++ < ALL_WARNINGS_MAX)
            scan_warn(reader->scan, "%s", line);
        free(line);
    }
    if (said < diagnostics->count && reader->warnings++ < ALL_WARNINGS_MAX)
        scan_warn(reader->scan, "%s: and %zu more warnings about this file", diagnostics->items[0].mark.file,
                  diagnostics->count - said + diagnostics->dropped);
}

static void keep_problem(void *context, const struct library_problem *problem)
{
    struct manifest *manifest = context;

    if (manifest->objection != NULL)
        return;
    manifest->objection_code = problem->code == BERTH_NOT_FOUND ? BERTH_UNAVAILABLE : problem->code;
    manifest->objection = memory_format("%s: %s", manifest->path, problem->message);
    utf8_make_line(manifest->objection);
}

static char *take(char **text)
{
    char *taken = *text;

    *text = NULL;
    return taken;
}

static struct catalog_library *find_library(const struct catalog *catalog, const char *path)
{
    for (size_t i = 0; i < catalog->library_count; i++)
        if (strcmp(catalog->libraries[i].path, path) == 0)
            return &catalog->libraries[i];
    return NULL;
}

static struct catalog_library *add_library(struct catalog *catalog, const char *path, struct trust_seal *seal)
{
    catalog->libraries = memory_grow(catalog->libraries, catalog->library_count, sizeof(*catalog->libraries));
    catalog->libraries[catalog->library_count] = (struct catalog_library){
        .path = memory_copy(path), .signer = take(&seal->key_id), .sha256 = take(&seal->sha256)};
    return &catalog->libraries[catalog->library_count++];
}

/* Each once, whoever brings it along. */
static const struct catalog_library *check_library(struct reader *reader, const struct library *library)
{
    char *real = realpath(library->path, NULL);
    const char *path = real != NULL ? real : library->path;
    struct catalog_library *known = find_library(reader->catalog, path);

    if (known == NULL) {
        struct trust_seal seal;
        struct berth_error err;
        enum berth_code code =
            trust_check_file(reader->trust, path, library->image->bytes, library->image->length, &seal, &err);

        known = add_library(reader->catalog, path, &seal);
        known->code = code;
        known->objection = code != BERTH_OK ? memory_copy(err.message) : NULL;
        trust_seal_finish(&seal);
    }
    free(real);
    return known;
}

static void keep_library(struct manifest *manifest, const struct library *library)
{
    manifest->libraries =
        memory_grow(manifest->libraries, manifest->library_count, sizeof(*manifest->libraries));
    manifest->libraries[manifest->library_count++] =
        (struct manifest_library){.path = memory_copy(library->path), .status = *library->status};
}

/* What a module brings along runs with the same rights, and is judged alike. */
static void judge_own_libraries(struct reader *reader, struct manifest *manifest,
                                const struct library_list *list)
{
    if (reader->trust == NULL || !trust_needs_libraries(reader->trust))
        return;
    for (size_t i = 0; i < list->count; i++) {
        const struct catalog_library *library =
            list->items[i].is_own ? check_library(reader, &list->items[i]) : NULL;
        struct berth_error text;

        if (library == NULL)
            continue;
        keep_library(manifest, &list->items[i]);
        if (library->objection == NULL)
            continue;
        berth_error_set(&text, library->code, "needs the library %.200s, which is not trusted: %s",
                        list->items[i].name, library->objection);
        keep_problem(manifest, &(struct library_problem){library->code, false, text.message});
    }
}

static void check_libraries(struct reader *reader, struct manifest *manifest, const char *path,
                            const void *bytes, size_t length)
{
    struct library_list list = {0};
    struct elf_image image;

    if (!elf_image_init(&image, bytes, length)) {
        keep_problem(manifest, &(struct library_problem){BERTH_INVALID_ARGUMENT, false,
                                                         "its dynamic section is damaged or too long"});
        return;
    }
    residence_predict(&image, &manifest->residence);
    library_find_all(reader->finder, &image, path, keep_problem, manifest, &list);
    judge_own_libraries(reader, manifest, &list);
    manifest->conflict = library_names_add(&reader->names, reader->finder, &image, manifest->path, &list);
    library_list_finish(&list);
    if (manifest->conflict != NULL) {
        utf8_make_line(manifest->conflict);
        scan_warn(reader->scan, "%s: %s", manifest->path, manifest->conflict);
    }
}

/* What follows from one file alone. */
struct found {
    struct trust_seal seal;
    /* NULL, with the code and the reason. */
    struct manifest *manifest;
    struct config_diagnostics diagnostics;
    enum berth_code code;
    char *reason;
};

static void drop_found(void *context)
{
    struct found *found = context;

    trust_seal_finish(&found->seal);
    manifest_destroy(found->manifest);
    config_diagnostics_finish(&found->diagnostics);
    free(found->reason);
    free(found);
}

static enum berth_code check_trust(struct trust *trust, const struct scan_file *file, const void *bytes,
                                   size_t length, struct trust_seal *ret_seal, struct berth_error *err)
{
    if (trust == NULL)
        return BERTH_OK;
    if (file->pin != NULL)
        return trust_check_earlier(trust, file->path, bytes, length, file->pin->signature, ret_seal, err);
    return trust_check_file(trust, file->path, bytes, length, ret_seal, err);
}

/* Nothing reads the bytes before they are trusted. From any thread. */
static void *read_found(void *context, const struct scan_file *file, const void *bytes, size_t length)
{
    const struct reader *reader = context;
    struct found *found = memory_allocate(1, sizeof(*found));
    struct berth_error err;
    size_t text_length;
    char *text;

    found->diagnostics.forgives_unknown = true;
    found->code = check_trust(reader->trust, file, bytes, length, &found->seal, &err);
    if (found->code == BERTH_OK)
        found->code = note_find(bytes, length, file->path, &text, &text_length, &err);
    if (found->code != BERTH_OK) {
        found->reason = memory_copy(err.message);
        return found;
    }
    found->manifest = manifest_parse(file->shown, text, text_length, &found->diagnostics);
    free(text);
    if (found->manifest == NULL) {
        found->code = BERTH_INVALID_ARGUMENT;
        found->reason = reason_of(&found->diagnostics);
    }
    return found;
}

/* Takes over the manifest, unless its file may not run for what it says. */
static enum berth_code add_found(struct reader *reader, const struct scan_file *file, struct found *found,
                                 const void *bytes, size_t length, char **ret_reason)
{
    struct catalog *catalog = reader->catalog;
    struct manifest *manifest = found->manifest;
    struct trust_seal *seal = &found->seal;
    enum berth_code code = BERTH_OK;
    struct berth_error err;

    if (reader->trust != NULL)
        code = trust_check_module(reader->trust, file->path, seal, manifest->module, manifest->version, &err);
    if (code != BERTH_OK) {
        *ret_reason = memory_copy(err.message);
        return code;
    }
    found->manifest = NULL;
    manifest->is_verified = seal->state == TRUST_SIGNED;
    manifest->signer = take(&seal->key_id);
    manifest->signer_comment = take(&seal->comment);
    manifest->sha256 = take(&seal->sha256);
    manifest->signature = take(&seal->signature);
    check_libraries(reader, manifest, file->path, bytes, length);
    catalog->manifests =
        memory_grow(catalog->manifests, catalog->manifest_count, sizeof(*catalog->manifests));
    catalog->manifests[catalog->manifest_count++] = manifest;
    return BERTH_OK;
}

/* What also depends on the files before it. */
static enum berth_code take_found(void *context, const struct scan_file *file, const void *bytes,
                                  size_t length, void *read, char **ret_reason)
{
    struct reader *reader = context;
    struct found *found = read;
    enum berth_code code = found->code;

    if (code == BERTH_OK) {
        warn_of_ignored(reader, &found->diagnostics);
        code = add_found(reader, file, found, bytes, length, ret_reason);
    } else {
        *ret_reason = take(&found->reason);
    }
    /* An ordinary library is nothing that runs, but a module may bring it along. */
    if (code == BERTH_NOT_FOUND && reader->trust != NULL && trust_needs_libraries(reader->trust) &&
        find_library(reader->catalog, file->path) == NULL)
        add_library(reader->catalog, file->path, &found->seal);
    drop_found(found);
    return code;
}

static void warn_of_pin(struct scan *scan, const struct scan_file *file, const struct manifest *manifest)
{
    if (file->held_back[0] == '\0')
        scan_warn(
            scan,
            "%s: %s %s is used because of a rollback, although the installed file is missing or unreadable",
            file->shown, manifest->module, manifest->version);
    else
        scan_warn(
            scan,
            "%s: %s %s is used, held back from %s on disk by a rollback, until another file is installed "
            "or `berthctl plugins upgrade` is run",
            file->shown, manifest->module, manifest->version, file->held_back);
}

void catalog_warn_of_pins(struct scan *scan, const struct scan_pin *pins, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pins[i].objection != NULL)
            scan_warn(scan, "%s; using the installed file, which was held back by a rollback",
                      pins[i].objection);
}

/* What is used of each file, in the order of the search. @return how many there are. */
static size_t collect(const struct catalog *catalog, struct scan *scan,
                      const struct catalog_fallback *fallback, const struct manifest **ret_used)
{
    size_t found = 0, count = 0;

    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_file *file = &scan->files[i];
        const struct manifest *manifest = NULL;

        if (file->reason == NULL) {
            catalog->manifests[found]->file = file;
            if (file->held_back != NULL)
                warn_of_pin(scan, file, catalog->manifests[found]);
            ret_used[count++] = catalog->manifests[found++];
            continue;
        }
        if (file->code != BERTH_NOT_FOUND && fallback != NULL && fallback->find != NULL)
            manifest = fallback->find(fallback->context, file);
        if (manifest == NULL)
            continue;
        scan_warn(scan, "%s; %s %s, which is running, stays in use until the file is fixed or removed",
                  file->reason, manifest->module, manifest->version);
        ret_used[count++] = manifest;
    }
    return count;
}

void catalog_read(const char *const *directories, size_t count, struct trust *trust,
                  const struct catalog_fallback *fallback, struct scan *ret_scan, struct catalog *ret_catalog)
{
    const struct manifest **used;
    struct reader reader = {
        .trust = trust, .scan = ret_scan, .catalog = ret_catalog, .finder = library_finder_create(true)};
    const struct scan_reader files = {
        .read = read_found, .take = take_found, .drop = drop_found, .context = &reader};
    const struct scan_rules rules = {
        .needs_owner = trust == NULL || trust_needs_owner(trust),
        .pins = fallback != NULL ? fallback->pins : NULL,
        .pin_count = fallback != NULL ? fallback->pin_count : 0,
        .is_cancelled = fallback != NULL ? fallback->is_cancelled : NULL,
    };

    *ret_catalog = (struct catalog){0};
    if (!rules.needs_owner)
        library_finder_trust_all(reader.finder);
    scan_directories(directories, count, &rules, &files, ret_scan);
    if (reader.warnings > ALL_WARNINGS_MAX)
        scan_warn(ret_scan, "and %zu more warnings about manifests", reader.warnings - ALL_WARNINGS_MAX);
    library_finder_destroy(reader.finder);
    library_names_finish(&reader.names);
    used = memory_allocate(ret_scan->count, sizeof(*used));
    decide(ret_catalog, used, collect(ret_catalog, ret_scan, fallback, used));
    free(used);
}

void catalog_finish(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->loser_count; i++)
        free(catalog->losers[i].reason);
    for (size_t i = 0; i < catalog->manifest_count; i++)
        manifest_destroy(catalog->manifests[i]);
    for (size_t i = 0; i < catalog->library_count; i++) {
        free(catalog->libraries[i].path);
        free(catalog->libraries[i].objection);
        free(catalog->libraries[i].signer);
        free(catalog->libraries[i].sha256);
    }
    free(catalog->libraries);
    free(catalog->manifests);
    free(catalog->plugins);
    free(catalog->losers);
    free(catalog->makers);
    berth_arena_finish(&catalog->arena);
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
