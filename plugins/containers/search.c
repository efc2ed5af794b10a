/* SPDX-License-Identifier: Apache-2.0 */
/* Containers looked through by a filter, without unpacking them: fields are found on the wire when asked for.
 */
#include "search.h"

#include <string.h>

#include "container.h"

enum berth_code search_init(struct search *search, const char *const *filters, size_t filter_count,
                            struct berth_error *err)
{
    return filter_count == 0 ? BERTH_OK : berth_filter_create(filters, filter_count, &search->filter, err);
}

void search_finish(struct search *search)
{
    berth_filter_destroy(search->filter);
    berth_wire_finish(&search->copy);
}

/*
 * The string with a NUL behind it. On the wire a tag follows it, or nothing; the NUL is put over that in the
 * copy, where nothing but strings is ever read, so that all strings of one container may be asked for.
 */
static const char *end_in_copy(struct search *search, struct berth_store_bytes string)
{
    size_t place = (size_t)((const uint8_t *)string.data - (const uint8_t *)search->value.data);

    search->copy.bytes[place + string.length] = '\0';
    return (const char *)search->copy.bytes + place;
}

/* The names of a path are joined with dots, as a label's key may hold some. */
static bool is_key(const struct berth_store_bytes key, const char *const *path, size_t count)
{
    const char *at = key.data;
    const char *end = at + key.length;

    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(path[i]);

        if (i > 0 && (at == end || *at++ != '.'))
            return false;
        if ((size_t)(end - at) < length || memcmp(at, path[i], length) != 0)
            return false;
        at += length;
    }
    return at == end;
}

static bool find_label(struct berth_store_bytes value, const char *const *path, size_t count,
                       struct berth_store_bytes *ret_label)
{
    struct berth_wire wire = berth_wire_of(value.data, value.length);
    struct berth_wire_field field;

    while (berth_wire_next(&wire, &field)) {
        struct berth_store_bytes entry = {field.data, field.length};
        struct berth_store_bytes key;

        if (field.number != CONTAINER_LABELS || field.type != BERTH_WIRE_BYTES)
            continue;
        key = container_find(entry, 1);
        if (key.data == NULL || !is_key(key, path, count))
            continue;
        *ret_label = container_find(entry, 2);
        return ret_label->data != NULL;
    }
    return false;
}

static bool find_field(const struct search *search, const char *const *path, size_t count,
                       struct berth_store_bytes *ret_string)
{
    *ret_string = (struct berth_store_bytes){NULL, 0};
    if (strcmp(path[0], "id") == 0)
        *ret_string = container_find(search->value, CONTAINER_ID);
    else if (strcmp(path[0], "image") == 0)
        *ret_string = container_find(search->value, CONTAINER_IMAGE);
    else if (strcmp(path[0], "runtime") == 0 && count > 1 && strcmp(path[1], "name") == 0)
        *ret_string =
            container_find(container_find(search->value, CONTAINER_RUNTIME), CONTAINER_RUNTIME_NAME);
    else if (strcmp(path[0], "labels") == 0 && count > 1)
        return find_label(search->value, path + 1, count - 1, ret_string);
    return ret_string->length > 0;
}

static bool on_field(void *context, const char *const *path, size_t count, const char **ret_value)
{
    struct search *search = context;
    struct berth_store_bytes string;

    if (!find_field(search, path, count, &string))
        return false;
    *ret_value = end_in_copy(search, string);
    return true;
}

bool search_matches(struct search *search, struct berth_store_bytes value)
{
    if (search->filter == NULL)
        return true;
    search->value = value;
    search->copy.length = 0;
    if (!berth_wire_reserve(&search->copy, value.length + 1))
        return false;
    berth_wire_put(&search->copy, value.data, value.length);
    return berth_filter_matches(search->filter, on_field, search);
}
