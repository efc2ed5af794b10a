/* SPDX-License-Identifier: Apache-2.0 */
/* What etcd has of the store, in memory and in order. */
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

int mirror_entry_compare(const struct mirror_entry *one, const struct mirror_entry *other)
{
    return compare(one->bytes, one->name_length, other->bytes, other->name_length);
}

RB_PROTOTYPE(mirror_tree, mirror_entry, link, mirror_entry_compare)
RB_GENERATE(mirror_tree, mirror_entry, link, mirror_entry_compare)

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

uint64_t mirror_entry_bytes(const struct mirror_entry *entry)
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
    mirror->bytes -= mirror_entry_bytes(entry);
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
    mirror->bytes += mirror_entry_bytes(entry);
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
        entry = mirror_following(entry);
    if (entry == NULL || layout_bucket_length(entry->bytes, entry->name_length) != bucket_length)
        return NULL;
    return memcmp(entry->bytes, bucket, bucket_length) == 0 ? entry : NULL;
}

struct mirror_entry *mirror_next_bucket(const struct mirror *mirror, const char *after)
{
    struct layout_name name;

    if (after[0] == '\0')
        return mirror_first(mirror);
    /* The separator's successor is after all keys of the bucket and not after any longer bucket's name. */
    layout_name(&name, after, (struct berth_store_bytes){NULL, 0});
    name.bytes[name.length - 1]++;
    return find_from(mirror, &name);
}

struct mirror_entry *mirror_first(const struct mirror *mirror)
{
    return RB_MIN(mirror_tree, (struct mirror_tree *)&mirror->entries);
}

struct mirror_entry *mirror_following(struct mirror_entry *entry)
{
    return RB_NEXT(mirror_tree, NULL, entry);
}

void mirror_finish(struct mirror *mirror)
{
    struct mirror_entry *entry;

    while ((entry = RB_ROOT(&mirror->entries)) != NULL)
        free(take(mirror, entry));
}
