/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine in memory: committed entries in a tree, and batches that are committed in a later turn of the
 * loop.
 */
#include <berth/store_memory.h>

#include <stdlib.h>
#include <string.h>

#include <bsd/sys/tree.h>

#include "names.h"

struct memory_entry {
    RB_ENTRY(memory_entry) node;
    /* To be written. */
    struct memory_entry *next;
    struct store_name name;
    /* `data` NULL: to be removed; never in the tree. */
    struct berth_store_bytes value;
    bool is_damaged;
    char bytes[];
};

RB_HEAD(memory_tree, memory_entry);

struct memory_list {
    struct memory_entry *first;
    struct memory_entry *last;
};

struct berth_store_memory {
    struct berth_store_core *core;
    struct memory_tree entries;
    /* Copies of the writes of the batch in flight. */
    struct memory_list staged;
    struct memory_list others;
    bool is_committing;
    bool has_memory;
    bool is_closing;
    uv_check_t turn;
    uv_idle_t awake;
    void (*on_closed)(void *context);
    void *context;
};

static int compare(struct memory_entry *left, struct memory_entry *right)
{
    return store_name_compare(&left->name, &right->name);
}

RB_GENERATE_INTERNAL(memory_tree, memory_entry, node, compare, __attribute__((unused)) static)

static const struct berth_store_limits limits = {
    .size = sizeof(limits),
    .max_value = 1 << 20,
    .max_writes = 1024,
    .max_change = 4 << 20,
};

static struct memory_entry *create_entry(const struct store_name *name, struct berth_store_bytes value)
{
    size_t bucket_bytes = strlen(name->bucket) + 1;
    struct memory_entry *entry = malloc(sizeof(*entry) + bucket_bytes + name->key.length + value.length);
    char *key;

    if (entry == NULL)
        return NULL;
    key = entry->bytes + bucket_bytes;
    *entry = (struct memory_entry){.name = {entry->bytes, {key, name->key.length}}};
    memcpy(entry->bytes, name->bucket, bucket_bytes);
    memcpy(key, name->key.data, name->key.length);
    if (value.data != NULL) {
        entry->value = (struct berth_store_bytes){key + name->key.length, value.length};
        memcpy(key + name->key.length, value.data, value.length);
    }
    return entry;
}

static void append(struct memory_list *list, struct memory_entry *entry)
{
    if (list->last == NULL)
        list->first = entry;
    else
        list->last->next = entry;
    list->last = entry;
}

static struct memory_entry *take(struct memory_list *list)
{
    struct memory_entry *entry = list->first;

    if (entry == NULL)
        return NULL;
    list->first = entry->next;
    if (list->first == NULL)
        list->last = NULL;
    return entry;
}

static void forget(struct memory_list *list)
{
    for (struct memory_entry *entry = take(list); entry != NULL; entry = take(list))
        free(entry);
}

/*
 * Inserts the entry, unless it has no value. @return the previous entry of that name, to be freed; may be
 * NULL.
 */
static struct memory_entry *replace(struct berth_store_memory *memory, struct memory_entry *entry)
{
    struct memory_entry *before = RB_FIND(memory_tree, &memory->entries, entry);

    if (before != NULL)
        RB_REMOVE(memory_tree, &memory->entries, before);
    if (entry->value.data != NULL)
        RB_INSERT(memory_tree, &memory->entries, entry);
    return before;
}

static void apply(struct berth_store_memory *memory, struct memory_entry *entry)
{
    bool is_kept = entry->value.data != NULL;

    free(replace(memory, entry));
    if (!is_kept)
        free(entry);
}

static void apply_as_other(struct berth_store_memory *memory, struct memory_entry *entry)
{
    struct memory_entry *before = replace(memory, entry);
    struct berth_store_change change = {
        .size = sizeof(change),
        .cause = BERTH_STORE_OTHER,
        .bucket = entry->name.bucket,
        .key = entry->name.key,
        .after = entry->value,
    };
    bool is_kept = entry->value.data != NULL;

    if (before != NULL)
        change.before = before->value;
    if (before != NULL || is_kept)
        berth_store_core_tell(memory->core, &change);
    free(before);
    if (!is_kept)
        free(entry);
}

static void commit_staged(struct berth_store_memory *memory)
{
    enum berth_code code = !memory->has_memory            ? BERTH_RESOURCE_EXHAUSTED
                           : memory->others.first != NULL ? BERTH_ABORTED
                                                          : BERTH_OK;

    memory->is_committing = false;
    if (code != BERTH_OK)
        forget(&memory->staged);
    for (struct memory_entry *entry = take(&memory->staged); entry != NULL; entry = take(&memory->staged))
        apply(memory, entry);
    berth_store_committed(memory->core, code,
                          code == BERTH_OK        ? NULL
                          : code == BERTH_ABORTED ? "another daemon wrote first"
                                                  : "no memory for what is written");
}

static void on_turn(uv_check_t *turn)
{
    struct berth_store_memory *memory = turn->data;
    struct memory_list others;

    uv_check_stop(&memory->turn);
    uv_idle_stop(&memory->awake);
    if (memory->is_committing)
        commit_staged(memory);
    others = memory->others;
    memory->others = (struct memory_list){0};
    for (struct memory_entry *entry = take(&others); entry != NULL; entry = take(&others))
        apply_as_other(memory, entry);
}

static void stay_awake(uv_idle_t *awake)
{
}

static void wake(struct berth_store_memory *memory)
{
    uv_check_start(&memory->turn, on_turn);
    uv_idle_start(&memory->awake, stay_awake);
}

static void commit(void *self, const struct berth_store_batch *batch)
{
    struct berth_store_memory *memory = self;

    memory->is_committing = true;
    memory->has_memory = true;
    for (size_t i = 0; i < batch->count && memory->has_memory; i++) {
        const struct berth_store_write *write = &batch->writes[i];
        struct memory_entry *entry =
            create_entry(&(struct store_name){write->bucket, write->key}, write->value);

        memory->has_memory = entry != NULL;
        if (entry != NULL)
            append(&memory->staged, entry);
    }
    wake(memory);
}

static enum berth_code read_value(const struct memory_entry *entry, struct berth_store_bytes *ret_value,
                                  struct berth_error *err)
{
    *ret_value = entry->is_damaged ? (struct berth_store_bytes){0} : entry->value;
    if (entry->is_damaged)
        return berth_error_set(err, BERTH_DATA_LOSS, "bucket %s, key \"%.*s\": the entry is damaged",
                               entry->name.bucket, (int)entry->name.key.length,
                               (const char *)entry->name.key.data);
    return BERTH_OK;
}

static enum berth_code get(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    struct berth_store_memory *memory = self;
    struct memory_entry wanted = {.name = {bucket, key}};
    struct memory_entry *entry = RB_FIND(memory_tree, &memory->entries, &wanted);

    if (entry == NULL)
        return BERTH_NOT_FOUND;
    return read_value(entry, ret_value, err);
}

static enum berth_code next(void *self, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err)
{
    struct berth_store_memory *memory = self;
    struct memory_entry wanted = {.name = {bucket, after}};
    struct memory_entry *entry = RB_NFIND(memory_tree, &memory->entries, &wanted);

    if (entry != NULL && compare(entry, &wanted) == 0)
        entry = RB_NEXT(memory_tree, NULL, entry);
    if (entry == NULL || strcmp(entry->name.bucket, bucket) != 0)
        return BERTH_NOT_FOUND;
    ret_entry->key = entry->name.key;
    return read_value(entry, &ret_entry->value, err);
}

static enum berth_code next_bucket(void *self, const char *after, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                   struct berth_error *err)
{
    struct berth_store_memory *memory = self;
    struct memory_entry wanted = {.name = {after, {0}}};
    struct memory_entry *entry = RB_NFIND(memory_tree, &memory->entries, &wanted);

    while (entry != NULL && strcmp(entry->name.bucket, after) == 0)
        entry = RB_NEXT(memory_tree, NULL, entry);
    if (entry == NULL)
        return BERTH_NOT_FOUND;
    memcpy(ret_bucket, entry->name.bucket, strlen(entry->name.bucket) + 1);
    return BERTH_OK;
}

static const struct berth_store_engine engine = {
    .size = sizeof(engine),
    .get = get,
    .next = next,
    .next_bucket = next_bucket,
    .commit = commit,
};

struct berth_store_memory *berth_store_memory_create(uv_loop_t *loop)
{
    struct berth_store_memory *memory = calloc(1, sizeof(*memory));

    if (memory == NULL)
        return NULL;
    memory->core = berth_store_core_create(loop, &engine, memory, &limits);
    if (memory->core == NULL) {
        free(memory);
        return NULL;
    }
    uv_check_init(loop, &memory->turn);
    uv_idle_init(loop, &memory->awake);
    memory->turn.data = memory;
    memory->awake.data = memory;
    return memory;
}

static void on_awake_closed(uv_handle_t *handle)
{
    struct berth_store_memory *memory = handle->data;
    void (*on_closed)(void *context) = memory->on_closed;
    void *context = memory->context;
    struct memory_entry *next_entry;

    for (struct memory_entry *entry = RB_MIN(memory_tree, &memory->entries); entry != NULL;
         entry = next_entry) {
        next_entry = RB_NEXT(memory_tree, &memory->entries, entry);
        RB_REMOVE(memory_tree, &memory->entries, entry);
        free(entry);
    }
    forget(&memory->others);
    free(memory);
    if (on_closed != NULL)
        on_closed(context);
}

static void on_turn_closed(uv_handle_t *handle)
{
    struct berth_store_memory *memory = handle->data;

    uv_close((uv_handle_t *)&memory->awake, on_awake_closed);
}

static void on_core_closed(void *self)
{
    struct berth_store_memory *memory = self;

    uv_close((uv_handle_t *)&memory->turn, on_turn_closed);
}

void berth_store_memory_close(struct berth_store_memory *memory, void (*on_closed)(void *context),
                              void *context)
{
    memory->is_closing = true;
    memory->on_closed = on_closed;
    memory->context = context;
    berth_store_core_close(memory->core, on_core_closed);
}

bool berth_store_memory_damage(struct berth_store_memory *memory, const char *bucket,
                               struct berth_store_bytes key)
{
    struct memory_entry wanted = {.name = {bucket, key}};
    struct memory_entry *entry = RB_FIND(memory_tree, &memory->entries, &wanted);

    if (entry != NULL)
        entry->is_damaged = true;
    return entry != NULL;
}

enum berth_code berth_store_memory_write_as_other(struct berth_store_memory *memory, const char *bucket,
                                                  struct berth_store_bytes key,
                                                  struct berth_store_bytes value, struct berth_error *err)
{
    struct store_name name = {bucket, key};
    enum berth_code code = store_name_check(&name, err);
    struct memory_entry *entry;

    if (code != BERTH_OK)
        return code;
    if (memory->is_closing)
        return berth_error_set(err, BERTH_UNAVAILABLE, "the store is closing");
    entry = create_entry(&name, value);
    if (entry == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "bucket \"%s\": no memory for what is written",
                               bucket);
    append(&memory->others, entry);
    wake(memory);
    return BERTH_OK;
}
