/* SPDX-License-Identifier: Apache-2.0 */
/* A stored container, by its fields, and containerd's rules for it. */
#include "container.h"

#include <time.h>

#include <berth/labels.h>
#include <berth/namespace.h>

struct berth_store_bytes container_find(struct berth_store_bytes bytes, uint32_t number)
{
    struct berth_wire wire = berth_wire_of(bytes.data, bytes.length);
    struct berth_store_bytes found = {NULL, 0};
    struct berth_wire_field field;

    while (berth_wire_next(&wire, &field))
        if (field.number == number && field.type == BERTH_WIRE_BYTES)
            found = (struct berth_store_bytes){field.data, field.length};
    return found;
}

struct berth_store_bytes container_now(uint8_t ret_bytes[24])
{
    struct timespec now;
    size_t length = 0;

    clock_gettime(CLOCK_REALTIME, &now);
    ret_bytes[length++] = 1 << 3 | BERTH_WIRE_VARINT;
    length += berth_wire_varint((uint64_t)now.tv_sec, ret_bytes + length);
    ret_bytes[length++] = 2 << 3 | BERTH_WIRE_VARINT;
    length += berth_wire_varint((uint64_t)now.tv_nsec, ret_bytes + length);
    return (struct berth_store_bytes){ret_bytes, length};
}

/* protobuf merges repeated occurrences of these fields; no library writes them, so they are refused. */
static bool is_message(uint32_t number)
{
    return number == CONTAINER_RUNTIME || number == CONTAINER_SPEC || number == CONTAINER_CREATED_AT ||
           number == CONTAINER_UPDATED_AT;
}

static bool read_field(struct container *container, const struct berth_wire_field *field)
{
    if (field->type != BERTH_WIRE_BYTES || field->number >= CONTAINER_FIELDS)
        berth_wire_put(&container->others, field->whole, field->whole_length);
    else if (field->number == CONTAINER_LABELS)
        return berth_wire_map_read(&container->labels, field);
    else if (field->number == CONTAINER_EXTENSIONS)
        return berth_wire_map_read(&container->extensions, field);
    else if (is_message(field->number) && container->fields[field->number].data != NULL)
        return false;
    else
        container->fields[field->number] = (struct berth_store_bytes){field->data, field->length};
    return true;
}

enum berth_code container_read(struct container *container, struct berth_store_bytes bytes,
                               struct berth_error *err)
{
    struct berth_wire wire = berth_wire_of(bytes.data, bytes.length);
    struct berth_wire_field field;
    bool is_whole = true;

    while (is_whole && berth_wire_next(&wire, &field))
        is_whole = read_field(container, &field);
    if (!is_whole || !berth_wire_is_whole(&wire))
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "malformed containerd.services.containers.v1.Container of %zu bytes: invalid argument",
            bytes.length);
    if (container->labels.failed || container->extensions.failed || container->others.failed)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a container of %zu bytes",
                               bytes.length);
    berth_wire_map_settle(&container->labels);
    berth_wire_map_settle(&container->extensions);
    return BERTH_OK;
}

static enum berth_code check_id(struct berth_store_bytes id, struct berth_error *err)
{
    char text[1024];
    struct berth_error why;
    enum berth_code code;

    snprintf(text, sizeof(text), "%.*s", (int)(id.length < sizeof(text) ? id.length : sizeof(text)),
             id.data == NULL ? "" : (const char *)id.data);
    code = berth_identifier_check(text, &why);
    if (code != BERTH_OK)
        berth_error_set(err, code, "container.ID: %.1900s", why.message);
    return code;
}

static enum berth_code check_fields(const struct container *container, struct berth_error *err)
{
    const struct berth_store_bytes *fields = container->fields;
    const char *wrong = NULL;

    if (container_find(fields[CONTAINER_RUNTIME], CONTAINER_RUNTIME_NAME).length == 0)
        wrong = "container.Runtime.Name must be set";
    else if (fields[CONTAINER_SPEC].data == NULL)
        wrong = "container.Spec must be set";
    else if (fields[CONTAINER_SNAPSHOT_KEY].length > 0 && fields[CONTAINER_SNAPSHOTTER].length == 0)
        wrong = "container.Snapshotter must be set if container.SnapshotKey is set";
    return wrong == NULL ? BERTH_OK
                         : berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: invalid argument", wrong);
}

enum berth_code container_check(struct container *container, struct berth_error *err)
{
    enum berth_code code = check_id(container->fields[CONTAINER_ID], err);

    berth_wire_map_settle(&container->labels);
    berth_wire_map_settle(&container->extensions);
    if (code == BERTH_OK && berth_wire_map_find(&container->extensions, "", 0) != NULL)
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "container.Extension keys must not be zero-length: invalid argument");
    if (code == BERTH_OK)
        code = berth_labels_check(&container->labels, "containers.Labels", err);
    return code == BERTH_OK ? check_fields(container, err) : code;
}

bool container_write(struct container *container, struct berth_wire_buffer *buffer)
{
    berth_labels_settle(&container->labels);
    for (uint32_t i = CONTAINER_ID; i < CONTAINER_FIELDS; i++) {
        if (i == CONTAINER_LABELS)
            berth_wire_map_put(&container->labels, buffer, i);
        else if (i == CONTAINER_EXTENSIONS)
            berth_wire_map_put(&container->extensions, buffer, i);
        else if (container->fields[i].data != NULL)
            berth_wire_put_bytes(buffer, i, container->fields[i].data, container->fields[i].length);
    }
    berth_wire_put(buffer, container->others.bytes, container->others.length);
    return !buffer->failed && !container->labels.failed && !container->extensions.failed;
}

void container_finish(struct container *container)
{
    berth_wire_map_finish(&container->labels);
    berth_wire_map_finish(&container->extensions);
    berth_wire_finish(&container->others);
}
