/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes the lock file. */
#include "trust.h"

#include <stdlib.h>
#include <string.h>

#include <config/print/print.h>
#include <config/schema/literal.h>
#include <config/schema/value.h>
#include <config/tree/tree.h>
#include <sdk/base/memory.h>

struct trust_lock {
    struct config_tree *tree;
    struct config_values *values;
    struct trust_locked *items;
    size_t count;
};

#define TEXT(place, ...)                                                                                     \
    FIELD(.kind = SCHEMA_STRING, .index = place, .has_min = true, .min = 1, .has_max = true, .max = 255,     \
          .name = __VA_ARGS__)

static const char sha256_pattern[] = "[0-9a-f]{64}";
static const char key_id_pattern[] = "[0-9A-F]{16}";

static const struct schema lock_schema = {
    .kind = SCHEMA_OBJECT,
    FIELDS(
        FIELD(.kind = SCHEMA_INT, .name = "version", .index = 0, .required = true, .has_min = true, .min = 1,
              .has_max = true, .max = 1),
        FIELD(.kind = SCHEMA_LIST, .name = "modules", .index = 1, .default_ = EMPTY(CONFIG_LIST),
              .items = FIELD(.kind = SCHEMA_OBJECT,
                             FIELDS(TEXT(0, "module", .required = true), TEXT(1, "version", .required = true),
                                    TEXT(2, "file", .required = true),
                                    TEXT(3, "sha256", .required = true, .pattern = sha256_pattern),
                                    TEXT(4, "signer", .pattern = key_id_pattern)))),
        FIELD(.kind = SCHEMA_LIST, .name = "libraries", .index = 2, .default_ = EMPTY(CONFIG_LIST),
              .items = FIELD(.kind = SCHEMA_OBJECT,
                             FIELDS(TEXT(0, "file", .required = true),
                                    TEXT(1, "sha256", .required = true, .pattern = sha256_pattern),
                                    TEXT(2, "signer", .pattern = key_id_pattern))))),
};

static const char *text_of(const struct config_values *values, const struct berth_value *map, const char *key)
{
    const struct berth_settings *settings = config_values_settings(values);

    return settings->string(settings->find(map, key));
}

/* A schema does not look into an item that is null. */
static void take(struct trust_lock *lock, const char *list_name, struct config_diagnostics *diagnostics)
{
    const struct berth_settings *settings = config_values_settings(lock->values);
    const struct berth_value *list = settings->find(settings->root, list_name);

    for (size_t i = 0; i < list->count; i++) {
        const struct berth_value *item = list->items[i];

        lock->items = memory_grow(lock->items, lock->count, sizeof(*lock->items));
        lock->items[lock->count++] = (struct trust_locked){
            .module = text_of(lock->values, item, "module"),
            .version = text_of(lock->values, item, "version"),
            .file = text_of(lock->values, item, "file"),
            .sha256 = text_of(lock->values, item, "sha256"),
            .signer = text_of(lock->values, item, "signer"),
            .mark = item->mark,
        };
        if (lock->items[lock->count - 1].file == NULL || lock->items[lock->count - 1].sha256 == NULL)
            config_diagnostics_add(diagnostics, CONFIG_ERROR, &lock->items[lock->count - 1].mark,
                                   "%s: an entry needs file and sha256; write the lock file again with "
                                   "`berthd plan --lock`",
                                   list_name);
    }
}

struct trust_lock *trust_lock_parse(const char *path, const char *text, size_t length,
                                    struct config_diagnostics *diagnostics)
{
    const struct config_check_options options = {0};
    struct trust_lock *lock = memory_allocate(1, sizeof(*lock));
    size_t errors = diagnostics->error_count;

    lock->tree = config_yaml_read(path, text, length, &config_limits_file, diagnostics);
    if (lock->tree != NULL && config_tree_root(lock->tree) == NULL)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &(struct config_mark){.file = path},
                               "is empty, expected a lock file");
    else if (lock->tree != NULL)
        lock->values =
            config_values_create(&lock_schema, config_tree_root(lock->tree), &options, diagnostics);
    if (lock->values == NULL) {
        trust_lock_destroy(lock);
        return NULL;
    }
    take(lock, "modules", diagnostics);
    take(lock, "libraries", diagnostics);
    if (diagnostics->error_count > errors) {
        trust_lock_destroy(lock);
        return NULL;
    }
    return lock;
}

void trust_lock_destroy(struct trust_lock *lock)
{
    if (lock == NULL)
        return;
    free(lock->items);
    config_values_destroy(lock->values);
    config_tree_destroy(lock->tree);
    free(lock);
}

const struct trust_locked *trust_lock_items(const struct trust_lock *lock, size_t *ret_count)
{
    *ret_count = lock->count;
    return lock->items;
}

static int compare_texts(const char *a, const char *b)
{
    return a == NULL || b == NULL ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

/* Modules by name before libraries by file; what is the same in all stands beside each other. */
static int compare_locked(const void *a, const void *b)
{
    const struct trust_locked *left = a, *right = b;
    int order = compare_texts(left->module, right->module);

    if (order == 0)
        order = compare_texts(left->version, right->version);
    if (order == 0)
        order = strcmp(left->file, right->file);
    return order != 0 ? order : strcmp(left->sha256, right->sha256);
}

static void add_member(struct config_text *out, const char *key, const char *text)
{
    if (text == NULL)
        return;
    config_text_add(out, "    %s: ", key);
    if (config_print_is_plain(text, strlen(text)))
        config_text_add(out, "%s\n", text);
    else {
        config_text_add_quoted(out, text, strlen(text));
        config_text_add(out, "\n");
    }
}

static void add_entry(struct config_text *out, const struct trust_locked *item)
{
    size_t start = out->length;

    add_member(out, "module", item->module);
    add_member(out, "version", item->version);
    add_member(out, "file", item->file);
    add_member(out, "sha256", item->sha256);
    add_member(out, "signer", item->signer);
    out->bytes[start + 2] = '-';
}

static void add_list(struct config_text *out, const char *name, const struct trust_locked *items,
                     size_t count, bool of_modules)
{
    size_t added = 0;

    for (size_t i = 0; i < count; i++) {
        if ((items[i].module != NULL) != of_modules ||
            (i > 0 && compare_locked(&items[i - 1], &items[i]) == 0))
            continue;
        if (added++ == 0)
            config_text_add(out, "%s:\n", name);
        add_entry(out, &items[i]);
    }
    if (added == 0)
        config_text_add(out, "%s: []\n", name);
}

char *trust_lock_format(const struct trust_locked *items, size_t count)
{
    struct trust_locked *sorted = memory_allocate(count, sizeof(*sorted));
    struct config_text out = {0};

    for (size_t i = 0; i < count; i++)
        sorted[i] = items[i];
    qsort(sorted, count, sizeof(*sorted), compare_locked);
    config_text_add(&out,
                    "# The modules that berthd may load, by their hashes: written by `berthd plan --lock`,\n"
                    "# enforced where berthd.yaml has `lock` with this file's path.\n"
                    "version: 1\n");
    add_list(&out, "modules", sorted, count, true);
    add_list(&out, "libraries", sorted, count, false);
    free(sorted);
    return config_text_take(&out);
}
