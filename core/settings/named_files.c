/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a plugin's settings name, such as certificates: which of them have changed since they were
 * named. */
#include "store.h"

#include <string.h>

#include <config/print/each.h>
#include <core/scan/scan.h>

/* Of one section; more are not looked at. */
#define FILES_MAX 64

struct search {
    struct settings_store *store;
    struct settings_section *section;
    struct config_text path;
};

static void look(struct search *search, const char *path)
{
    struct settings_section *section = search->section;
    struct settings_file *file;

    if (section->file_count == FILES_MAX)
        return;
    if (section->files == NULL)
        section->files = config_arena_allocate(&search->store->arena, FILES_MAX * sizeof(*section->files));
    file = &section->files[section->file_count++];
    file->setting = config_arena_copy(&search->store->arena, search->path.bytes, search->path.length);
    file->path = path;
    file->exists = stat(path, &file->status) == 0;
}

/* As deep as the schema. */
static void search_in(struct search *search, const struct berth_value *value)
{
    size_t length = search->path.length;

    if (value->schema == NULL)
        return;
    if (value->kind == BERTH_VALUE_STRING && value->schema->kind == SCHEMA_PATH &&
        value->schema->format == CONFIG_FORMAT_FILE)
        look(search, value->string);
    if (value->kind != BERTH_VALUE_LIST && value->kind != BERTH_VALUE_MAP)
        return;
    for (size_t i = 0; i < value->count; i++) {
        const struct berth_value *item = value->items[i];

        if (item == NULL)
            continue;
        if (value->kind == BERTH_VALUE_MAP)
            config_print_add_key(&search->path, item->key);
        else
            config_text_add(&search->path, "[%zu]", i);
        search_in(search, item);
        search->path.length = length;
        if (search->path.bytes != NULL)
            search->path.bytes[length] = '\0';
    }
}

void settings_find_files(struct settings_store *store, struct settings_section *section)
{
    struct search search = {.store = store, .section = section};

    if ((section->plugin->callbacks & MANIFEST_CALLBACK_RECONFIGURE) == 0 || section->values == NULL)
        return;
    search_in(&search, config_values_root(section->values));
    config_text_finish(&search.path);
}

static const struct settings_file *find(const struct settings_section *section,
                                        const struct settings_file *wanted)
{
    for (size_t i = 0; i < section->file_count; i++)
        if (strcmp(section->files[i].setting, wanted->setting) == 0 &&
            strcmp(section->files[i].path, wanted->path) == 0)
            return &section->files[i];
    return NULL;
}

const struct settings_file *settings_next_changed_file(const struct settings_section *before,
                                                       const struct settings_section *after, size_t *place)
{
    while (*place < after->file_count) {
        const struct settings_file *file = &after->files[(*place)++], *old = find(before, file);

        if (old != NULL && (old->exists != file->exists ||
                            (file->exists && !verify_is_same_content(&old->status, &file->status))))
            return file;
    }
    return NULL;
}
