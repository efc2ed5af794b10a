/* SPDX-License-Identifier: Apache-2.0 */
/* What a lease can keep, and what it cannot. */
#include "resource.h"

#include <string.h>

#include <berth/protobuf.h>
#include <berth/wire.h>

#include "digest.h"

bool resource_read(struct berth_store_bytes message, struct resource *ret_resource)
{
    struct berth_wire wire = berth_wire_of(message.data, message.length);
    struct resource resource = {{"", 0}, {"", 0}};
    struct berth_wire_field field;

    while (berth_wire_next(&wire, &field)) {
        struct berth_store_bytes text = {field.data, field.length};

        if (field.type != BERTH_WIRE_BYTES)
            continue;
        if (field.number == 1)
            resource.id = text;
        else if (field.number == 2)
            resource.type = text;
    }
    if (!berth_wire_is_whole(&wire))
        return false;
    *ret_resource = resource;
    return true;
}

static int compare_texts(struct berth_store_bytes a, struct berth_store_bytes b)
{
    size_t shared = a.length < b.length ? a.length : b.length;
    int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;

    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

int resource_compare(const struct resource *a, const struct resource *b)
{
    int order = compare_texts(a->type, b->type);

    return order != 0 ? order : compare_texts(a->id, b->id);
}

/* Within bounds already. */
static bool copy_text(struct berth_store_bytes text, char ret_copy[RESOURCE_MAX + 1])
{
    if (!berth_string_is_text(text.data, text.length))
        return false;
    memcpy(ret_copy, text.data, text.length);
    ret_copy[text.length] = '\0';
    return true;
}

static enum berth_code check_content(const char *id, struct berth_error *err)
{
    const char *wrong = digest_check(id);

    if (wrong == NULL)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "invalid content resource id %.1024s: %s: invalid argument", id, wrong);
}

static enum berth_code check_snapshot(const char *type, struct berth_error *err)
{
    const char *slash = strchr(type, '/');

    if (slash != NULL && slash[1] != '\0' && strchr(slash + 1, '/') == NULL)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "invalid snapshot resource type %.1024s: invalid argument", type);
}

static enum berth_code check_type(const char *type, const char *id, struct berth_error *err)
{
    static const char *const simple[] = {"content", "images", "ingests"};
    size_t length = strcspn(type, "/");

    for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
        if (length != strlen(simple[i]) || strncmp(type, simple[i], length) != 0)
            continue;
        if (type[length] != '\0')
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "invalid resource type %.1024s: invalid argument", type);
        return i == 0 ? check_content(id, err) : BERTH_OK;
    }
    if (length == strlen("snapshots") && strncmp(type, "snapshots", length) == 0)
        return check_snapshot(type, err);
    return berth_error_set(err, BERTH_UNIMPLEMENTED,
                           "resource type %.1024s not supported yet: not implemented", type);
}

enum berth_code resource_check(const struct resource *resource, struct berth_error *err)
{
    char type[RESOURCE_MAX + 1], id[RESOURCE_MAX + 1];
    enum berth_code code;

    if (resource->type.length > RESOURCE_MAX || resource->id.length > RESOURCE_MAX - resource->type.length)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "type and id of a resource have more than %d bytes: invalid argument",
                               RESOURCE_MAX);
    if (!copy_text(resource->type, type) || !copy_text(resource->id, id))
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "field %s of containerd.services.leases.v1.Resource is not text: invalid argument",
            berth_string_is_text(resource->type.data, resource->type.length) ? "id" : "type");
    code = check_type(type, id, err);
    if (code == BERTH_OK && resource->id.length == 0)
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "a resource of type %.1024s must have an id: invalid argument", type);
    return code;
}
