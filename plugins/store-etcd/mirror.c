/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted copy of the store in memory, and the revisions that change it. */
#include "mirror.h"

#include <stdlib.h>
#include <string.h>

static int compare(const unsigned char *one, size_t one_length, const unsigned char *other,
                   size_t other_length)
{
    size_t shorter = one_length < other_length ? one_length : other_length;
    int order = memcmp(one, other, shorter);

    return order != 0 ? order : (one_length > other_length) - (one_length < other_length);
}

static int entry_compare(const struct mirror_entry *one, const struct mirror_entry *other)
{
    return compare(one->bytes, one->name_length, other->bytes, other->name_length);
}

RB_GENERATE_INTERNAL(mirror_tree, mirror_entry, link, entry_compare, __attribute__((unused)) static)

static struct mirror_entry *first_of(const struct mirror *mirror)
{
    return RB_MIN(mirror_tree, (struct mirror_tree *)&mirror->entries);
}

static struct mirror_entry *following(struct mirror_entry *entry)
{
    return RB_NEXT(mirror_tree, NULL, entry);
}

struct mirror_entry *mirror_entry_create(const struct layout_name *name, const void *value, size_t length)
{
    struct mirror_entry *entry = malloc(sizeof(*entry) + name->length + length);

    if (entry == NULL)
        return NULL;
    memset(entry, 0, sizeof(*entry));
    entry->name_length = name->length;
    entry->value_length = length;
    memcpy(entry->bytes, name->bytes, name->length);
    if (length > 0)
        memcpy(entry->bytes + name->length, value, length);
    return entry;
}

static uint64_t entry_bytes(const struct mirror_entry *entry)
{
    return sizeof(*entry) + entry->name_length + entry->value_length;
}

struct berth_store_bytes mirror_entry_key(const struct mirror_entry *entry)
{
    size_t start = layout_bucket_length(entry->bytes, entry->name_length) + 1;

    return (struct berth_store_bytes){entry->bytes + start, entry->name_length - start};
}

struct berth_store_bytes mirror_entry_value(const struct mirror_entry *entry)
{
    return (struct berth_store_bytes){entry->bytes + entry->name_length, entry->value_length};
}

void mirror_entry_bucket(const struct mirror_entry *entry, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1])
{
    size_t length = layout_bucket_length(entry->bytes, entry->name_length);

    memcpy(ret_bucket, entry->bytes, length);
    ret_bucket[length] = '\0';
}

static struct mirror_entry *take(struct mirror *mirror, struct mirror_entry *entry)
{
    if (entry == NULL)
        return NULL;
    RB_REMOVE(mirror_tree, &mirror->entries, entry);
    mirror->count--;
    mirror->bytes -= entry_bytes(entry);
    return entry;
}

struct mirror_entry *mirror_remove(struct mirror *mirror, const struct mirror_entry *named)
{
    return take(mirror, RB_FIND(mirror_tree, &mirror->entries, (struct mirror_entry *)named));
}

struct mirror_entry *mirror_put(struct mirror *mirror, struct mirror_entry *entry)
{
    struct mirror_entry *replaced = mirror_remove(mirror, entry);

    RB_INSERT(mirror_tree, &mirror->entries, entry);
    mirror->count++;
    mirror->bytes += entry_bytes(entry);
    return replaced;
}

/* The first that is not before the name. */
static struct mirror_entry *find_from(const struct mirror *mirror, const struct layout_name *name)
{
    struct mirror_entry *entry = RB_ROOT(&mirror->entries);
    struct mirror_entry *found = NULL;

    while (entry != NULL) {
        if (compare(entry->bytes, entry->name_length, name->bytes, name->length) >= 0) {
            found = entry;
            entry = RB_LEFT(entry, link);
        } else {
            entry = RB_RIGHT(entry, link);
        }
    }
    return found;
}

static bool is_named(const struct mirror_entry *entry, const struct layout_name *name)
{
    return entry->name_length == name->length && memcmp(entry->bytes, name->bytes, name->length) == 0;
}

struct mirror_entry *mirror_find(const struct mirror *mirror, const char *bucket,
                                 struct berth_store_bytes key)
{
    struct layout_name name;
    struct mirror_entry *entry;

    layout_name(&name, bucket, key);
    entry = find_from(mirror, &name);
    return entry != NULL && is_named(entry, &name) ? entry : NULL;
}

struct mirror_entry *mirror_next(const struct mirror *mirror, const char *bucket,
                                 struct berth_store_bytes after)
{
    size_t bucket_length = strlen(bucket);
    struct layout_name name;
    struct mirror_entry *entry;

    layout_name(&name, bucket, after);
    entry = find_from(mirror, &name);
    if (entry != NULL && is_named(entry, &name))
        entry = following(entry);
    if (entry == NULL || layout_bucket_length(entry->bytes, entry->name_length) != bucket_length)
        return NULL;
    return memcmp(entry->bytes, bucket, bucket_length) == 0 ? entry : NULL;
}

struct mirror_entry *mirror_next_bucket(const struct mirror *mirror, const char *after)
{
    struct layout_name name;

    if (after[0] == '\0')
        return first_of(mirror);
    /* The separator's successor is after all keys of the bucket and not after any longer bucket's name. */
    layout_name(&name, after, (struct berth_store_bytes){NULL, 0});
    name.bytes[name.length - 1]++;
    return find_from(mirror, &name);
}

void mirror_finish(struct mirror *mirror)
{
    struct mirror_entry *entry;

    while ((entry = RB_ROOT(&mirror->entries)) != NULL)
        free(take(mirror, entry));
}

struct revision *revision_create(int64_t number)
{
    struct revision *revision = calloc(1, sizeof(*revision));

    if (revision == NULL)
        return NULL;
    revision->number = number;
    revision->memory = sizeof(*revision);
    revision->end = &revision->first;
    return revision;
}

void revision_destroy(struct revision *revision)
{
    struct revision_change *change;

    if (revision == NULL)
        return;
    while ((change = revision->first) != NULL) {
        revision->first = change->next;
        /* A mirror owns what was put into it. */
        if (change->is_removal || !revision->is_applied)
            free(change->entry);
        free(change->before);
        free(change);
    }
    free(revision);
}

static bool add_change(struct revision *revision, const struct layout_name *name, bool is_removal,
                       const ProtobufCBinaryData *value)
{
    struct revision_change *change = calloc(1, sizeof(*change));

    if (change == NULL)
        return false;
    change->is_removal = is_removal;
    change->entry = mirror_entry_create(name, value->data, is_removal ? 0 : value->len);
    if (change->entry == NULL) {
        free(change);
        return false;
    }
    revision->memory += sizeof(*change) + entry_bytes(change->entry);
    if (!is_removal)
        revision->bytes += entry_bytes(change->entry);
    *revision->end = change;
    revision->end = &change->next;
    return true;
}

static void move_head(struct revision *revision, bool is_removal, const ProtobufCBinaryData *value)
{
    size_t length = value->len < sizeof(revision->head) ? value->len : sizeof(revision->head) - 1;

    revision->moves_head = true;
    revision->removes_head = is_removal;
    memset(revision->head, 0, sizeof(revision->head));
    if (!is_removal && length > 0)
        memcpy(revision->head, value->data, length);
}

bool revision_add(struct revision *revision, const struct layout *layout, const Mvccpb__Event *event)
{
    bool is_removal = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    struct layout_name name;

    switch (layout_parse(layout, event->kv->key.data, event->kv->key.len, &name)) {
    case LAYOUT_HEAD:
        move_head(revision, is_removal, &event->kv->value);
        return true;
    case LAYOUT_NODE:
        revision->nodes += is_removal ? -1 : event->kv->version == 1;
        return true;
    case LAYOUT_ENTRY:
        return add_change(revision, &name, is_removal, &event->kv->value);
    case LAYOUT_FOREIGN:
        break;
    }
    return true;
}

void revision_apply(struct revision *revision, struct mirror *mirror)
{
    for (struct revision_change *change = revision->first; change != NULL; change = change->next)
        change->before =
            change->is_removal ? mirror_remove(mirror, change->entry) : mirror_put(mirror, change->entry);
    if (revision->moves_head) {
        mirror->head_revision = revision->removes_head ? 0 : revision->number;
        memcpy(mirror->head, revision->head, sizeof(mirror->head));
    }
    mirror->nodes += revision->nodes;
    mirror->revision = revision->number;
    revision->is_applied = true;
}

static void tell(struct berth_store_core *core, enum berth_store_cause cause,
                 const struct mirror_entry *before, const struct mirror_entry *after)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 1];
    struct berth_store_change change = {.size = sizeof(change), .cause = cause, .bucket = bucket};

    mirror_entry_bucket(after != NULL ? after : before, bucket);
    change.key = mirror_entry_key(after != NULL ? after : before);
    if (before != NULL)
        change.before = mirror_entry_value(before);
    if (after != NULL)
        change.after = mirror_entry_value(after);
    berth_store_core_tell(core, &change);
}

void revision_tell(const struct revision *revision, struct berth_store_core *core,
                   enum berth_store_cause cause)
{
    for (const struct revision_change *change = revision->first; change != NULL; change = change->next)
        if (change->before != NULL || !change->is_removal)
            tell(core, cause, change->before, change->is_removal ? NULL : change->entry);
}

static bool has_same_value(const struct mirror_entry *one, const struct mirror_entry *other)
{
    struct berth_store_bytes a = mirror_entry_value(one), b = mirror_entry_value(other);

    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

void revision_tell_difference(const struct mirror *before, const struct mirror *after,
                              struct berth_store_core *core)
{
    struct mirror_entry *old = first_of(before), *new = first_of(after);

    while (old != NULL || new != NULL) {
        int order = old == NULL ? 1 : new == NULL ? -1 : entry_compare(old, new);

        if (order < 0)
            tell(core, BERTH_STORE_CAUGHT_UP, old, NULL);
        else if (order > 0)
            tell(core, BERTH_STORE_CAUGHT_UP, NULL, new);
        else if (!has_same_value(old, new))
            tell(core, BERTH_STORE_CAUGHT_UP, old, new);
        old = order <= 0 ? following(old) : old;
        new = order >= 0 ? following(new) : new;
    }
}
