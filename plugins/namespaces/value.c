/* SPDX-License-Identifier: Apache-2.0 */
/* A namespace as it is stored, by its fields: containerd.services.namespaces.v1.Namespace. */
#include "value.h"

#include <berth/labels.h>

enum { NAME = 1, LABELS = 2 };

static bool read_field(struct namespace_value *value, const struct berth_wire_field *field)
{
    if (field->number == LABELS && field->type == BERTH_WIRE_BYTES)
        return berth_wire_map_read(&value->labels, field);
    if (field->number == NAME && field->type == BERTH_WIRE_BYTES)
        value->name = (struct berth_store_bytes){field->data, field->length};
    else
        berth_wire_put(&value->others, field->whole, field->whole_length);
    return true;
}

enum berth_code namespace_value_read(struct namespace_value *value, struct berth_store_bytes bytes,
                                     struct berth_error *err)
{
    struct berth_wire wire = berth_wire_of(bytes.data, bytes.length);
    struct berth_wire_field field;
    bool is_whole = true;

    value->name = berth_store_text("");
    while (is_whole && berth_wire_next(&wire, &field))
        is_whole = read_field(value, &field);
    if (!is_whole || !berth_wire_is_whole(&wire))
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "%zu bytes are no containerd.services.namespaces.v1.Namespace: invalid argument", bytes.length);
    if (value->labels.failed || value->others.failed)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a namespace of %zu bytes",
                               bytes.length);
    berth_wire_map_settle(&value->labels);
    return BERTH_OK;
}

enum berth_code namespace_value_check(struct namespace_value *value, struct berth_error *err)
{
    berth_wire_map_settle(&value->labels);
    return berth_labels_check(&value->labels, "namespace.Labels", err);
}

bool namespace_value_write(struct namespace_value *value, struct berth_wire_buffer *buffer)
{
    berth_labels_settle(&value->labels);
    berth_wire_put_bytes(buffer, NAME, value->name.data, value->name.length);
    berth_wire_map_put(&value->labels, buffer, LABELS);
    berth_wire_put(buffer, value->others.bytes, value->others.length);
    return !buffer->failed && !value->labels.failed && !value->others.failed;
}

void namespace_value_finish(struct namespace_value *value)
{
    berth_wire_map_finish(&value->labels);
    berth_wire_finish(&value->others);
}
