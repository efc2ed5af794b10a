/* SPDX-License-Identifier: Apache-2.0 */
/* The uncommitted writes of a batch: sorted, and each change can be undone as a whole. */
#include "overlay.h"

#include <string.h>

/* What one name held before the running change first wrote there. */
struct overlay_undo {
    struct overlay_undo *previous;
    struct store_overlay_entry *entry;
    struct berth_store_bytes value;
    bool was_there;
};

static int compare(struct store_overlay_entry *left, struct store_overlay_entry *right)
{
    return store_name_compare(&left->name, &right->name);
}

RB_GENERATE_INTERNAL(store_overlay_tree, store_overlay_entry, node, compare, __attribute__((unused)) static)

void store_overlay_begin(struct store_overlay *overlay)
{
    overlay->own = (struct store_overlay_size){0, 0};
    overlay->undo = NULL;
    overlay->mark = overlay->arena;
}

void store_overlay_keep(struct store_overlay *overlay)
{
    for (struct overlay_undo *undo = overlay->undo; undo != NULL; undo = undo->previous)
        undo->entry->undo = NULL;
    overlay->undo = NULL;
}

static uint64_t bytes_of(const struct store_overlay_entry *entry)
{
    return store_name_length(&entry->name) + entry->value.length;
}

static void add(struct store_overlay_size *size, const struct store_overlay_entry *entry)
{
    size->count++;
    size->bytes += bytes_of(entry);
}

static void subtract(struct store_overlay_size *size, const struct store_overlay_entry *entry)
{
    size->count--;
    size->bytes -= bytes_of(entry);
}

void store_overlay_undo(struct store_overlay *overlay)
{
    for (struct overlay_undo *undo = overlay->undo; undo != NULL; undo = undo->previous) {
        subtract(&overlay->all, undo->entry);
        undo->entry->undo = NULL;
        undo->entry->value = undo->value;
        if (undo->was_there)
            add(&overlay->all, undo->entry);
        else
            RB_REMOVE(store_overlay_tree, &overlay->tree, undo->entry);
    }
    overlay->undo = NULL;
    berth_arena_rewind(&overlay->arena, overlay->mark);
}

struct store_overlay_entry *store_overlay_find(struct store_overlay *overlay, const struct store_name *name)
{
    struct store_overlay_entry wanted = {.name = *name};

    return RB_FIND(store_overlay_tree, &overlay->tree, &wanted);
}

static struct store_overlay_entry *create_entry(struct store_overlay *overlay, const struct store_name *name)
{
    size_t bucket_bytes = strlen(name->bucket) + 1;
    struct store_overlay_entry *entry =
        berth_arena_take(&overlay->arena, sizeof(*entry) + bucket_bytes + name->key.length);
    char *text;

    if (entry == NULL)
        return NULL;
    text = (char *)(entry + 1);
    memcpy(text, name->bucket, bucket_bytes);
    memcpy(text + bucket_bytes, name->key.data, name->key.length);
    *entry = (struct store_overlay_entry){
        .name = {.bucket = text, .key = {text + bucket_bytes, name->key.length}},
    };
    return entry;
}

static struct overlay_undo *create_undo(struct store_overlay *overlay, struct store_overlay_entry *entry,
                                        bool was_there)
{
    struct overlay_undo *undo = berth_arena_take(&overlay->arena, sizeof(*undo));

    if (undo != NULL)
        *undo = (struct overlay_undo){overlay->undo, entry, entry->value, was_there};
    return undo;
}

static bool copy_value(struct store_overlay *overlay, struct berth_store_bytes *value)
{
    if (value->data == NULL)
        return true;
    value->data = berth_arena_copy(&overlay->arena, value->data, value->length);
    return value->data != NULL;
}

static void set_value(struct store_overlay *overlay, struct store_overlay_entry *entry,
                      struct berth_store_bytes value)
{
    if (entry->undo != NULL)
        subtract(&overlay->own, entry);
    subtract(&overlay->all, entry);
    entry->value = value;
    add(&overlay->all, entry);
    add(&overlay->own, entry);
}

static void insert(struct store_overlay *overlay, struct store_overlay_entry *entry)
{
    RB_INSERT(store_overlay_tree, &overlay->tree, entry);
    add(&overlay->all, entry);
}

bool store_overlay_write(struct store_overlay *overlay, const struct store_name *name,
                         struct berth_store_bytes value)
{
    struct store_overlay_entry *found = store_overlay_find(overlay, name);
    struct store_overlay_entry *entry = found != NULL ? found : create_entry(overlay, name);
    struct overlay_undo *undo;

    if (entry == NULL || !copy_value(overlay, &value))
        return false;
    undo = entry->undo != NULL ? entry->undo : create_undo(overlay, entry, found != NULL);
    if (undo == NULL)
        return false;
    if (found == NULL)
        insert(overlay, entry);
    set_value(overlay, entry, value);
    if (entry->undo == NULL)
        overlay->undo = undo;
    entry->undo = undo;
    return true;
}

struct store_overlay_entry *store_overlay_following(struct store_overlay_entry *entry)
{
    return RB_NEXT(store_overlay_tree, NULL, entry);
}

struct store_overlay_entry *store_overlay_next(struct store_overlay *overlay, const struct store_name *after)
{
    struct store_overlay_entry wanted = {.name = *after};
    struct store_overlay_entry *entry = RB_NFIND(store_overlay_tree, &overlay->tree, &wanted);

    return entry != NULL && store_name_compare(&entry->name, after) == 0 ? store_overlay_following(entry)
                                                                         : entry;
}

struct store_overlay_entry *store_overlay_next_bucket(struct store_overlay *overlay, const char *after)
{
    /* No bucket's name holds a byte below '-', so none stands between the two. */
    char bound[BERTH_STORE_BUCKET_MAX + 2];
    size_t length = strlen(after);
    struct store_overlay_entry wanted = {.name = {.bucket = bound}};

    memcpy(bound, after, length);
    memcpy(bound + length, "\x01", 2);
    return RB_NFIND(store_overlay_tree, &overlay->tree, &wanted);
}

struct store_overlay_entry *store_overlay_first(struct store_overlay *overlay)
{
    return RB_MIN(store_overlay_tree, &overlay->tree);
}

void store_overlay_clear(struct store_overlay *overlay)
{
    RB_INIT(&overlay->tree);
    overlay->all = (struct store_overlay_size){0, 0};
    overlay->undo = NULL;
    berth_arena_clear(&overlay->arena);
}

void store_overlay_finish(struct store_overlay *overlay)
{
    store_overlay_clear(overlay);
    berth_arena_finish(&overlay->arena);
}
