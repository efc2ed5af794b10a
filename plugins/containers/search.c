/* SPDX-License-Identifier: Apache-2.0 */
/* Matches containers against a filter without unpacking them: fields are located on the wire when needed. */
#include "search.h"

#include <string.h>

#include <berth/labels.h>

#include "container.h"

enum berth_code search_init(struct search *search, const char *const *filters, size_t filter_count,
                            struct berth_error *err)
{
    return filter_count == 0 ? BERTH_OK : berth_filter_create(filters, filter_count, &search->filter, err);
}

void search_finish(struct search *search)
{
    berth_filter_destroy(search->filter);
    berth_wire_map_finish(&search->labels);
    berth_wire_finish(&search->copy);
}

/*
 * The string with a NUL behind it, at its place in the copy. On the wire a tag follows it, or nothing, so the
 * NUL is in the way of no other string, and all strings of one container may be asked for.
 */
static const char *end_in_copy(struct search *search, struct berth_store_bytes string)
{
    size_t place = (size_t)((const uint8_t *)string.data - (const uint8_t *)search->value.data);
    char *copy = (char *)search->copy.bytes + place;

    memcpy(copy, string.data, string.length);
    copy[string.length] = '\0';
    return copy;
}

/* The names of a path are joined with dots, as a label's key may hold some. 0: longer than any key. */
static size_t join(const char *const *path, size_t count, char ret_key[BERTH_LABEL_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(path[i]);

        if (length >= BERTH_LABEL_MAX - used)
            return 0;
        if (i > 0)
            ret_key[used++] = '.';
        memcpy(ret_key + used, path[i], length);
        used += length;
    }
    return used;
}

/* In order, so that a filter of many selectors costs a container of many labels no more than their sum. */
static void read_labels(struct search *search)
{
    struct berth_wire wire = berth_wire_of(search->value.data, search->value.length);
    struct berth_wire_field field;

    search->labels.count = 0;
    while (berth_wire_next(&wire, &field))
        if (field.number == CONTAINER_LABELS && field.type == BERTH_WIRE_BYTES)
            berth_wire_map_read(&search->labels, &field);
    berth_wire_map_settle(&search->labels);
    search->has_labels = true;
    search->copy.failed = search->copy.failed || search->labels.failed;
}

static bool find_label(struct search *search, const char *const *path, size_t count,
                       struct berth_store_bytes *ret_label)
{
    char key[BERTH_LABEL_MAX];
    size_t length = join(path, count, key);
    const struct berth_wire_entry *label;

    if (!search->has_labels)
        read_labels(search);
    label = length > 0 ? berth_wire_map_find(&search->labels, key, length) : NULL;
    if (label == NULL)
        return false;
    *ret_label = (struct berth_store_bytes){label->value, label->value_length};
    return true;
}

static bool find_field(struct search *search, const char *const *path, size_t count,
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
        return find_label(search, path + 1, count - 1, ret_string);
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

enum berth_code search_match(struct search *search, struct berth_store_bytes value, bool *ret_matches,
                             struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    *ret_matches = true;
    if (search->filter == NULL)
        return BERTH_OK;
    search->value = value;
    search->has_labels = false;
    if (berth_wire_reserve(&search->copy, value.length + 1))
        code = berth_filter_match(search->filter, on_field, search, ret_matches, err);
    if (search->copy.failed)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "out of memory while filtering a container of %zu bytes", value.length);
    return code;
}
