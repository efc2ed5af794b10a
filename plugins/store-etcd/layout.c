/* SPDX-License-Identifier: Apache-2.0 */
/* The meaning of keys in etcd: the head, an entry, a daemon. */
#include "layout.h"

#include <string.h>

#define SEPARATOR ','

static void append(struct layout_key *key, const void *bytes, size_t length)
{
    size_t room = sizeof(key->bytes) - key->length;

    if (length > room)
        length = room;
    if (length > 0)
        memcpy(key->bytes + key->length, bytes, length);
    key->length += length;
}

static void join(struct layout_key *key, const struct layout *layout, const char *folder, const void *bytes,
                 size_t length)
{
    *key = layout->begin;
    append(key, folder, strlen(folder));
    append(key, bytes, length);
}

void layout_init(struct layout *layout, const char *prefix)
{
    memset(layout, 0, sizeof(*layout));
    append(&layout->begin, prefix, strnlen(prefix, LAYOUT_PREFIX_MAX));
    layout->end = layout->begin;
    append(&layout->begin, "/", 1);
    append(&layout->end, "0", 1);
    join(&layout->head, layout, "head", NULL, 0);
}

void layout_name(struct layout_name *name, const char *bucket, struct berth_store_bytes key)
{
    size_t length = strnlen(bucket, BERTH_STORE_BUCKET_MAX);
    size_t room = sizeof(name->bytes) - length - 1;

    memcpy(name->bytes, bucket, length);
    name->bytes[length++] = SEPARATOR;
    if (key.length < room)
        room = key.length;
    if (room > 0)
        memcpy(name->bytes + length, key.data, room);
    name->length = length + room;
}

size_t layout_bucket_length(const void *name, size_t length)
{
    const unsigned char *separator = memchr(name, SEPARATOR, length);

    return separator == NULL ? length : (size_t)(separator - (const unsigned char *)name);
}

void layout_entry_key(const struct layout *layout, const struct layout_name *name, struct layout_key *ret_key)
{
    join(ret_key, layout, "data/", name->bytes, name->length);
}

void layout_node_key(const struct layout *layout, const char *id, struct layout_key *ret_key)
{
    join(ret_key, layout, "nodes/", id, strlen(id));
}

static bool is_in_a_bucket_name(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '-' && c <= '9');
}

static bool is_entry_name(const struct layout_name *name)
{
    size_t bucket = layout_bucket_length(name->bytes, name->length);

    /* The separator does not count. */
    if (bucket == 0 || bucket > BERTH_STORE_BUCKET_MAX || name->length - bucket < 2 ||
        name->length - 1 > BERTH_STORE_NAME_MAX)
        return false;
    for (size_t i = 0; i < bucket; i++)
        if (name->bytes[i] != '_' && !is_in_a_bucket_name(name->bytes[i]))
            return false;
    return true;
}

/* Is the key below the folder? Then `ret_skip` is the folder's length. */
static bool is_below(const unsigned char *key, size_t length, const char *folder, size_t *ret_skip)
{
    *ret_skip = strlen(folder);
    return length > *ret_skip && memcmp(key, folder, *ret_skip) == 0;
}

enum layout_kind layout_parse(const struct layout *layout, const void *key, size_t length,
                              struct layout_name *ret_name)
{
    const unsigned char *rest = key;
    size_t skip = layout->begin.length;

    if (length == layout->head.length && memcmp(key, layout->head.bytes, length) == 0)
        return LAYOUT_HEAD;
    if (length <= skip || memcmp(key, layout->begin.bytes, skip) != 0)
        return LAYOUT_FOREIGN;
    rest += skip;
    length -= skip;
    if (is_below(rest, length, "nodes/", &skip))
        return LAYOUT_NODE;
    if (!is_below(rest, length, "data/", &skip) || length - skip > sizeof(ret_name->bytes))
        return LAYOUT_FOREIGN;
    ret_name->length = length - skip;
    memcpy(ret_name->bytes, rest + skip, ret_name->length);
    return is_entry_name(ret_name) ? LAYOUT_ENTRY : LAYOUT_FOREIGN;
}
