/* SPDX-License-Identifier: Apache-2.0 */
/* A stored lease, and the resources it can hold. */
#include "record.h"

#include <string.h>

#include <berth/namespace.h>
#include <berth/protobuf.h>
#include <berth/wire_map.h>
#include <containerd/services/leases/v1/leases.pb-c.h>

/* Of a resource: type and id together, in bytes. */
#define RESOURCE_MAX 4096

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define ENCODED "ABCDEFGHIJKLMNOPQRSTUVWXYZ" LOWER DIGITS "=_-"

static const char no_digest[] = "invalid checksum digest format";

/* Lower-case words and numbers, joined by single `+`, `.`, `_` and `-`. */
static bool is_algorithm(const char *text, size_t length)
{
    bool joins = true;

    for (size_t i = 0; i < length; i++) {
        bool is_word = strchr(LOWER DIGITS, text[i]) != NULL;

        if (!is_word && (joins || strchr("+._-", text[i]) == NULL))
            return false;
        joins = !is_word;
    }
    return !joins;
}

/* Length of the encoded part for a known algorithm; 0 for others. */
static size_t encoded_length(const char *text, size_t length)
{
    static const struct {
        const char *name;
        size_t length;
    } known[] = {{"sha256", 64}, {"sha384", 96}, {"sha512", 128}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == length && strncmp(text, known[i].name, length) == 0)
            return known[i].length;
    return 0;
}

const char *digest_check(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    size_t wanted;

    if (length == 0 || colon[1] == '\0')
        return no_digest;
    wanted = encoded_length(text, length);
    if (wanted == 0) {
        bool is_one = is_algorithm(text, length) && colon[1 + strspn(colon + 1, ENCODED)] == '\0';

        return is_one ? "unsupported digest algorithm" : no_digest;
    }
    if (strlen(colon + 1) != wanted)
        return "invalid checksum digest length";
    return colon[1 + strspn(colon + 1, "abcdef" DIGITS)] == '\0' ? NULL : no_digest;
}

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

/* By type, then by id, in byte order. As of strcmp. */
static int resource_compare(const struct resource *a, const struct resource *b)
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

/* Fields of containerd.services.leases.v1.Lease, and ours. */
enum {
    ID = 1,
    CREATED_AT = 2,
    LABELS = 3,
    RESOURCES = 16,
};

static enum berth_code say_no_lease(struct berth_error *err)
{
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "malformed containerd.services.leases.v1.Lease: invalid argument");
}

static enum berth_code say_no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a lease");
}

static enum berth_code take_id(struct record_draft *draft, const struct berth_wire_field *field,
                               struct berth_error *err)
{
    if (field->length > BERTH_LEASE_ID_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "the lease's id has %zu bytes, at most %d are allowed: invalid argument",
                               field->length, BERTH_LEASE_ID_MAX);
    memcpy(draft->id, field->data, field->length);
    draft->id[field->length] = '\0';
    return BERTH_OK;
}

static enum berth_code take_field(struct record_draft *draft, struct berth_wire_map *labels,
                                  const struct berth_wire_field *field, struct berth_error *err)
{
    if (field->type != BERTH_WIRE_BYTES)
        return BERTH_OK;
    if (field->number == ID)
        return take_id(draft, field, err);
    if (field->number == LABELS && !berth_wire_map_read(labels, field))
        return say_no_lease(err);
    return BERTH_OK;
}

/* Leaves out labels without a value. containerd does not limit the labels of leases; the store's limits
 * apply. */
static enum berth_code check_label(struct berth_wire_entry *label, struct berth_error *err)
{
    char quoted[1024], value[512];

    if (label->key_length > 0 || label->value_length == 0) {
        if (label->value_length == 0)
            label->value = NULL;
        return BERTH_OK;
    }
    snprintf(value, sizeof(value), "%.*s", (int)(label->value_length < 500 ? label->value_length : 500),
             (const char *)label->value);
    berth_identifier_quote(value, quoted, sizeof(quoted));
    return berth_error_set(err, BERTH_UNKNOWN, "failed to set label \"\"=%s: key required", quoted);
}

static enum berth_code settle(struct berth_wire_map *labels, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    if (labels->failed)
        return say_no_memory(err);
    berth_wire_map_settle(labels);
    for (size_t i = 0; i < labels->count && code == BERTH_OK; i++)
        code = check_label(&labels->entries[i], err);
    berth_wire_map_settle(labels);
    return code;
}

static enum berth_code take_labels(struct record_draft *draft, struct berth_wire_map *labels,
                                   struct berth_error *err)
{
    enum berth_code code = settle(labels, err);
    const struct berth_wire_entry *expiry;

    if (code != BERTH_OK)
        return code;
    expiry = berth_wire_map_find(labels, EXPIRY_LABEL, strlen(EXPIRY_LABEL));
    if (expiry != NULL)
        draft->expires = expiry_parse((const char *)expiry->value, expiry->value_length, &draft->expiry);
    draft->has_bad_expiry = expiry != NULL && !draft->expires;
    berth_wire_map_put(labels, &draft->labels, LABELS);
    return draft->labels.failed ? say_no_memory(err) : BERTH_OK;
}

enum berth_code record_draft_init(struct record_draft *draft, struct berth_store_bytes lease,
                                  struct berth_error *err)
{
    struct berth_wire wire = berth_wire_of(lease.data, lease.length);
    struct berth_wire_map labels = {0};
    struct berth_wire_field field;
    enum berth_code code =
        berth_text_check(&containerd__services__leases__v1__lease__descriptor, lease.data, lease.length, err);

    *draft = (struct record_draft){0};
    while (code == BERTH_OK && berth_wire_next(&wire, &field))
        code = take_field(draft, &labels, &field, err);
    if (code == BERTH_OK && !berth_wire_is_whole(&wire))
        code = say_no_lease(err);
    if (code == BERTH_OK)
        code = take_labels(draft, &labels, err);
    berth_wire_map_finish(&labels);
    if (code != BERTH_OK)
        record_draft_finish(draft);
    return code;
}

void record_draft_finish(struct record_draft *draft)
{
    berth_wire_finish(&draft->labels);
}

bool record_write(const struct record_draft *draft, const struct expiry *created,
                  struct berth_wire_buffer *ret_record)
{
    struct berth_wire_buffer time = {0};

    berth_wire_put_number(&time, 1, (uint64_t)created->seconds);
    berth_wire_put_number(&time, 2, created->nanoseconds);
    berth_wire_put_bytes(ret_record, ID, draft->id, strlen(draft->id));
    berth_wire_put_bytes(ret_record, CREATED_AT, time.bytes, time.length);
    berth_wire_put(ret_record, draft->labels.bytes, draft->labels.length);
    ret_record->failed = ret_record->failed || time.failed;
    berth_wire_finish(&time);
    return !ret_record->failed;
}

static bool is_resource(const struct berth_wire_field *field)
{
    return field->number == RESOURCES && field->type == BERTH_WIRE_BYTES;
}

size_t record_lease_length(struct berth_store_bytes record)
{
    struct berth_wire wire = berth_wire_of(record.data, record.length);
    const uint8_t *begin = wire.next;
    const uint8_t *end = wire.next;
    struct berth_wire_field field;

    while (berth_wire_next(&wire, &field) && !is_resource(&field))
        end = wire.next;
    return (size_t)(end - begin);
}

/* The value of a label's field where its key is that one. */
static bool find_value(const struct berth_wire_field *label, const char *key,
                       struct berth_store_bytes *ret_value)
{
    struct berth_wire wire = berth_wire_of(label->data, label->length);
    struct berth_store_bytes value = {"", 0};
    struct berth_wire_field part;
    bool is_it = false;

    while (berth_wire_next(&wire, &part)) {
        if (part.number == 1 && part.type == BERTH_WIRE_BYTES)
            is_it = part.length == strlen(key) && memcmp(part.data, key, part.length) == 0;
        else if (part.number == 2 && part.type == BERTH_WIRE_BYTES)
            value = (struct berth_store_bytes){part.data, part.length};
    }
    *ret_value = value;
    return is_it;
}

bool record_expiry(struct berth_store_bytes record, struct expiry *ret_expiry)
{
    struct berth_wire wire = berth_wire_of(record.data, record.length);
    struct berth_store_bytes value;
    struct berth_wire_field field;

    while (berth_wire_next(&wire, &field) && !is_resource(&field))
        if (field.number == LABELS && field.type == BERTH_WIRE_BYTES &&
            find_value(&field, EXPIRY_LABEL, &value))
            return expiry_parse(value.data, value.length, ret_expiry);
    return false;
}

void record_each_resource(struct berth_store_bytes record,
                          bool (*on_resource)(void *context, struct berth_store_bytes resource),
                          void *context)
{
    struct berth_wire wire = berth_wire_of(record.data, record.length);
    struct berth_wire_field field;

    while (berth_wire_next(&wire, &field))
        if (is_resource(&field) &&
            !on_resource(context, (struct berth_store_bytes){field.data, field.length}))
            return;
}

static void put_resource(struct berth_wire_buffer *record, const struct resource *resource)
{
    berth_wire_put_head(record, RESOURCES,
                        berth_wire_size_of_bytes(1, resource->id.length) +
                            berth_wire_size_of_bytes(2, resource->type.length));
    berth_wire_put_bytes(record, 1, resource->id.data, resource->id.length);
    berth_wire_put_bytes(record, 2, resource->type.data, resource->type.length);
}

/* The offsets between which the resource stands, or is to stand. */
static bool find_place(struct berth_store_bytes record, const struct resource *resource, size_t *ret_begin,
                       size_t *ret_end)
{
    struct berth_wire wire = berth_wire_of(record.data, record.length);
    const uint8_t *bytes = wire.next;
    struct berth_wire_field field;
    struct resource other;
    int order = 1;

    *ret_begin = *ret_end = record.length;
    while (order > 0 && berth_wire_next(&wire, &field)) {
        if (!is_resource(&field) ||
            !resource_read((struct berth_store_bytes){field.data, field.length}, &other))
            continue;
        order = resource_compare(resource, &other);
        if (order > 0)
            continue;
        *ret_begin = (size_t)(field.whole - bytes);
        *ret_end = order == 0 ? *ret_begin + field.whole_length : *ret_begin;
    }
    return order == 0;
}

bool record_set_resource(struct berth_store_bytes record, const struct resource *resource, bool keeps,
                         struct berth_wire_buffer *ret_record, bool *ret_changed)
{
    const uint8_t *bytes = record.data;
    size_t begin, end;
    bool found = find_place(record, resource, &begin, &end);

    *ret_changed = found != keeps;
    if (!*ret_changed)
        return true;
    berth_wire_put(ret_record, bytes, begin);
    if (keeps)
        put_resource(ret_record, resource);
    berth_wire_put(ret_record, bytes + end, record.length - end);
    return !ret_record->failed;
}
