/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creates, updates and removes namespaces, each by one change of the store, and publishes events for changes
 * by this daemon and by others that share its store.
 */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include <berth/labels.h>
#include <berth/namespace.h>
#include <berth/protobuf.h>
#include <berth/wire_map.h>
#include <containerd/services/namespaces/v1/namespace.pb-c.h>

/* Fields of containerd.services.namespaces.v1.Namespace. */
enum { NAME = 1, LABELS = 2 };

/* A namespace as it is stored. Borrows from the bytes it was read from. Zero-initialise. */
struct value {
    struct berth_store_bytes name;
    struct berth_wire_map labels;
    /* Fields that this program does not know, as they stand. */
    struct berth_wire_buffer others;
};

static bool read_field(struct value *value, const struct berth_wire_field *field)
{
    if (field->number == LABELS && field->type == BERTH_WIRE_BYTES)
        return berth_wire_map_read(&value->labels, field);
    if (field->number == NAME && field->type == BERTH_WIRE_BYTES)
        value->name = (struct berth_store_bytes){field->data, field->length};
    else
        berth_wire_put(&value->others, field->whole, field->whole_length);
    return true;
}

static enum berth_code value_read(struct value *value, struct berth_store_bytes bytes,
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
            "malformed containerd.services.namespaces.v1.Namespace of %zu bytes: invalid argument",
            bytes.length);
    if (value->labels.failed || value->others.failed)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a namespace of %zu bytes",
                               bytes.length);
    berth_wire_map_settle(&value->labels);
    return BERTH_OK;
}

static enum berth_code value_check(struct value *value, struct berth_error *err)
{
    berth_wire_map_settle(&value->labels);
    return berth_labels_check(&value->labels, "namespace.Labels", err);
}

static bool value_write(struct value *value, struct berth_wire_buffer *buffer)
{
    berth_labels_settle(&value->labels);
    berth_wire_put_bytes(buffer, NAME, value->name.data, value->name.length);
    berth_wire_map_put(&value->labels, buffer, LABELS);
    berth_wire_put(buffer, value->others.bytes, value->others.length);
    return !buffer->failed && !value->labels.failed && !value->others.failed;
}

static void value_finish(struct value *value)
{
    berth_wire_map_finish(&value->labels);
    berth_wire_finish(&value->others);
}

enum namespace_event {
    NAMESPACE_CREATED,
    NAMESPACE_UPDATED,
    NAMESPACE_DELETED,
};

static const struct {
    const char *topic;
    const char *type_url;
} events[] = {
    [NAMESPACE_CREATED] = {"/namespaces/create", "containerd.events.NamespaceCreate"},
    [NAMESPACE_UPDATED] = {"/namespaces/update", "containerd.events.NamespaceUpdate"},
    [NAMESPACE_DELETED] = {"/namespaces/delete", "containerd.events.NamespaceDelete"},
};

/* Namespace, NamespaceCreate and NamespaceUpdate are one shape; NamespaceDelete is its name. */
static void publish(struct namespaces_service *service, enum namespace_event event, const char *name,
                    struct berth_store_bytes value)
{
    const struct berth_event told = {
        .size = sizeof(told),
        .namespace_name = name,
        .topic = events[event].topic,
        .type_url = events[event].type_url,
        .value = value.data,
        .value_length = value.length,
    };
    struct berth_error err;

    if (service->exchange->publish(service->exchange_instance, &told, &err) != BERTH_OK)
        berth_log(service->host, BERTH_LOG_WARN, "cannot publish event namespace=%s topic=%s: %s", name,
                  told.topic, err.message);
}

void namespaces_on_change(void *context, const struct berth_store_change *change)
{
    struct namespaces_service *service = context;
    uint8_t bytes[8 + BERTH_STORE_NAME_MAX];
    char name[BERTH_STORE_NAME_MAX + 1];
    size_t length = change->key.length;

    if (strcmp(change->bucket, NAMESPACES_BUCKET) != 0 || length > BERTH_STORE_NAME_MAX)
        return;
    snprintf(name, sizeof(name), "%.*s", (int)length, (const char *)change->key.data);
    if (change->after.data == NULL) {
        size_t head = 1 + berth_wire_varint(length, bytes + 1);

        bytes[0] = 1 << 3 | BERTH_WIRE_BYTES;
        memcpy(bytes + head, change->key.data, length);
        publish(service, NAMESPACE_DELETED, name, (struct berth_store_bytes){bytes, head + length});
    } else {
        publish(service, change->before.data == NULL ? NAMESPACE_CREATED : NAMESPACE_UPDATED, name,
                change->after);
    }
}

void namespaces_destroy(struct namespaces_service *service)
{
    free(service->occupants);
    free(service);
}

/* One change less is outstanding. May free the service. */
static void release(struct namespaces_service *service)
{
    const struct berth_host *host = service->host;

    service->outstanding--;
    if (!service->closes || service->outstanding > 0)
        return;
    namespaces_destroy(service);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

struct change {
    /* First: the store hands it back. */
    struct berth_store_update update;
    struct namespaces_service *service;
    enum namespace_event event;
    berth_namespaces_done *done;
    void *context;
    char name[BERTH_IDENTIFIER_MAX + 1];
    /* The namespace as it was asked for, and behind it the paths of the mask, each with its NUL. */
    struct berth_wire_buffer asked;
    size_t value_length;
    /* The namespace as it is to be. */
    struct berth_wire_buffer result;
    bool was_damaged;
};

static void destroy(struct change *change)
{
    if (change == NULL)
        return;
    berth_wire_finish(&change->asked);
    berth_wire_finish(&change->result);
    free(change);
}

static struct berth_store_bytes asked_value(const struct change *change)
{
    return (struct berth_store_bytes){change->asked.bytes, change->value_length};
}

static void on_done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct change *change = (struct change *)update;
    struct namespaces_service *service = change->service;
    struct berth_store_bytes result = {change->result.bytes, change->result.length};

    if (code == BERTH_OK && change->was_damaged)
        berth_log(service->host, BERTH_LOG_WARN,
                  "replaced a damaged namespace; its labels are those of the update namespace=%s",
                  change->name);
    if (code == BERTH_OK)
        publish(service, change->event, change->name, asked_value(change));
    change->done(change->context, code, message, result);
    destroy(change);
    release(service);
}

static enum berth_code no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the change of a namespace");
}

/* A change of the namespace that `value` names, for `value` as it was asked. NULL with the reason. */
static struct change *make_change(struct namespaces_service *service, struct berth_store_bytes value,
                                  struct berth_store_bytes name, berth_namespaces_done *done, void *context)
{
    struct change *change = calloc(1, sizeof(*change));

    if (change == NULL)
        return NULL;
    change->update.done = on_done;
    change->service = service;
    change->done = done;
    change->context = context;
    snprintf(change->name, sizeof(change->name), "%.*s", (int)name.length, (const char *)name.data);
    berth_wire_put(&change->asked, value.data, value.length);
    change->value_length = value.length;
    if (!change->asked.failed)
        return change;
    destroy(change);
    return NULL;
}

/* Asks the store for it; where `code` says that it cannot be made, it is destroyed. @return `code`. */
static enum berth_code ask(struct change *change, enum berth_code code, enum namespace_event event,
                           enum berth_code (*function)(struct berth_store_update *update,
                                                       struct berth_store_txn *txn, struct berth_error *err))
{
    if (code == BERTH_OK) {
        change->event = event;
        change->update.change = function;
        change->service->outstanding++;
        change->service->store->update(change->service->store_instance, &change->update);
    } else {
        destroy(change);
    }
    return code;
}

static enum berth_code check_name(struct berth_store_bytes name, struct berth_error *err)
{
    char text[BERTH_LABEL_MAX];

    snprintf(text, sizeof(text), "%.*s", (int)(name.length < sizeof(text) ? name.length : sizeof(text)),
             (const char *)name.data);
    return berth_identifier_check(text, err);
}

static enum berth_code put_result(struct change *change, struct berth_store_txn *txn, struct berth_error *err)
{
    return change->service->store->put(
        txn, NAMESPACES_BUCKET, berth_store_text(change->name),
        (struct berth_store_bytes){change->result.bytes, change->result.length}, err);
}

static enum berth_code create(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct change *change = (struct change *)update;
    struct berth_store_bytes there;
    enum berth_code code =
        change->service->store->get(txn, NAMESPACES_BUCKET, berth_store_text(change->name), &there, err);

    if (code == BERTH_OK)
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "namespace \"%s\": already exists", change->name);
    return code == BERTH_NOT_FOUND ? put_result(change, txn, err) : code;
}

enum berth_code namespaces_create(void *instance, struct berth_store_bytes value, berth_namespaces_done *done,
                                  void *context, struct berth_error *err)
{
    struct value asked = {0};
    struct change *change = NULL;
    enum berth_code code = berth_text_check(&containerd__services__namespaces__v1__namespace__descriptor,
                                            value.data, value.length, err);

    if (code == BERTH_OK)
        code = value_read(&asked, value, err);
    if (code == BERTH_OK)
        code = check_name(asked.name, err);
    if (code == BERTH_OK)
        code = value_check(&asked, err);
    if (code == BERTH_OK) {
        change = make_change(instance, value, asked.name, done, context);
        if (change == NULL || !value_write(&asked, &change->result))
            code = no_memory(err);
    }
    value_finish(&asked);
    return ask(change, code, NAMESPACE_CREATED, create);
}

/* Sets the labels that the paths name, or all of them where there is no path. */
static enum berth_code set_labels(const struct change *change, const struct value *asked, struct value *value)
{
    const char *path = (const char *)change->asked.bytes + change->value_length;
    const char *end = (const char *)change->asked.bytes + change->asked.length;

    if (path == end) {
        value->labels.count = 0;
        berth_wire_map_take_all(&value->labels, &asked->labels);
    }
    for (; path < end; path += strlen(path) + 1) {
        const char *key = berth_label_of_path(path);

        berth_wire_map_take(&value->labels, &asked->labels, key, strlen(key));
    }
    return value->labels.failed ? BERTH_RESOURCE_EXHAUSTED : BERTH_OK;
}

static enum berth_code update_value(struct change *change, struct value *value, struct berth_error *err)
{
    struct value asked = {0};
    enum berth_code code = value_read(&asked, asked_value(change), err);

    if (code == BERTH_OK && set_labels(change, &asked, value) != BERTH_OK)
        code = no_memory(err);
    if (code == BERTH_OK)
        code = value_check(value, err);
    change->result.length = 0;
    if (code == BERTH_OK && !value_write(value, &change->result))
        code = no_memory(err);
    value_finish(&asked);
    return code;
}

static enum berth_code update(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct change *change = (struct change *)update;
    struct value value = {0};
    struct berth_store_bytes there = {"", 0};
    enum berth_code code =
        change->service->store->get(txn, NAMESPACES_BUCKET, berth_store_text(change->name), &there, err);

    /* It may hold containers, and so not be removed: what the update says makes it whole again. */
    change->was_damaged = code == BERTH_DATA_LOSS;
    if (change->was_damaged) {
        there = (struct berth_store_bytes){"", 0};
        code = change->service->store->remove(txn, NAMESPACES_BUCKET, berth_store_text(change->name), err);
    }
    if (code == BERTH_OK || code == BERTH_NOT_FOUND)
        code = value_read(&value, there, err);
    if (code == BERTH_INVALID_ARGUMENT)
        code =
            berth_error_set(err, BERTH_DATA_LOSS, "namespace \"%s\" is damaged in the store", change->name);
    value.name = berth_store_text(change->name);
    if (code == BERTH_OK)
        code = update_value(change, &value, err);
    if (code == BERTH_OK)
        code = put_result(change, txn, err);
    value_finish(&value);
    return code;
}

static enum berth_code keep_paths(struct change *change, const char *const *paths, size_t count,
                                  struct berth_error *err)
{
    for (size_t i = 0; i < count; i++) {
        char quoted[BERTH_ERROR_MAX - 256];

        if (berth_label_of_path(paths[i]) == NULL) {
            berth_identifier_quote(paths[i], quoted, sizeof(quoted));
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "cannot update %s field", quoted);
        }
        berth_wire_put(&change->asked, paths[i], strlen(paths[i]) + 1);
    }
    return change->asked.failed ? no_memory(err) : BERTH_OK;
}

enum berth_code namespaces_update(void *instance, struct berth_store_bytes value, const char *const *paths,
                                  size_t path_count, berth_namespaces_done *done, void *context,
                                  struct berth_error *err)
{
    struct value asked = {0};
    struct change *change = NULL;
    enum berth_code code = berth_text_check(&containerd__services__namespaces__v1__namespace__descriptor,
                                            value.data, value.length, err);

    if (code == BERTH_OK)
        code = value_read(&asked, value, err);
    if (code == BERTH_OK)
        code = check_name(asked.name, err);
    if (code == BERTH_OK)
        change = make_change(instance, value, asked.name, done, context);
    value_finish(&asked);
    if (code == BERTH_OK)
        code = change == NULL ? no_memory(err) : keep_paths(change, paths, path_count, err);
    return ask(change, code, NAMESPACE_UPDATED, update);
}

static void bucket_of(const struct berth_namespace_occupant *occupant, const char *name,
                      char ret_bucket[BERTH_STORE_BUCKET_MAX + 1])
{
    snprintf(ret_bucket, BERTH_STORE_BUCKET_MAX + 1, "%s%s", occupant->bucket_prefix, name);
}

static enum berth_code check_is_empty(const struct namespaces_service *service, struct berth_store_txn *txn,
                                      const char *name, struct berth_error *err)
{
    const struct berth_store_bytes first = {"", 0};

    for (size_t i = 0; i < service->occupant_count; i++) {
        char bucket[BERTH_STORE_BUCKET_MAX + 1];
        struct berth_store_entry entry;
        enum berth_code code;

        if (service->occupants[i]->kind == NULL)
            continue;
        bucket_of(service->occupants[i], name, bucket);
        code = service->store->next(txn, bucket, first, &entry, err);
        if (code == BERTH_OK)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                                   "namespace \"%s\" must be empty, but it still has %s: failed precondition",
                                   name, service->occupants[i]->kind);
        if (code != BERTH_NOT_FOUND)
            return code;
    }
    return BERTH_OK;
}

/* Removes the entries that do not keep a namespace. */
static enum berth_code empty(const struct namespaces_service *service, struct berth_store_txn *txn,
                             const char *name, struct berth_error *err)
{
    const struct berth_store_bytes first = {"", 0};
    enum berth_code code = BERTH_NOT_FOUND;

    for (size_t i = 0; code == BERTH_NOT_FOUND && i < service->occupant_count; i++) {
        char bucket[BERTH_STORE_BUCKET_MAX + 1];
        struct berth_store_entry entry;

        if (service->occupants[i]->kind != NULL)
            continue;
        bucket_of(service->occupants[i], name, bucket);
        code = service->store->next(txn, bucket, first, &entry, err);
        while (code == BERTH_OK || (code == BERTH_DATA_LOSS && entry.key.length > 0)) {
            code = service->store->remove(txn, bucket, entry.key, err);
            if (code == BERTH_OK)
                code = service->store->next(txn, bucket, first, &entry, err);
        }
    }
    return code == BERTH_NOT_FOUND ? BERTH_OK : code;
}

static enum berth_code remove_one(struct berth_store_update *update, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    struct change *change = (struct change *)update;
    const struct berth_store *store = change->service->store;
    struct berth_store_bytes key = berth_store_text(change->name);
    struct berth_store_bytes there;
    enum berth_code code = check_is_empty(change->service, txn, change->name, err);

    if (code == BERTH_OK)
        code = store->get(txn, NAMESPACES_BUCKET, key, &there, err);
    if (code == BERTH_NOT_FOUND)
        return berth_error_set(err, code, "namespace \"%s\": not found", change->name);
    /* A damaged entry is removed too. */
    if (code == BERTH_OK || code == BERTH_DATA_LOSS)
        code = store->remove(txn, NAMESPACES_BUCKET, key, err);
    return code == BERTH_OK ? empty(change->service, txn, change->name, err) : code;
}

enum berth_code namespaces_remove(void *instance, const char *name, berth_namespaces_done *done,
                                  void *context, struct berth_error *err)
{
    struct berth_wire_buffer event = {0};
    struct change *change = NULL;
    char quoted[BERTH_ERROR_MAX - 256];

    if (!berth_identifier_matches(name) || strlen(name) > BERTH_IDENTIFIER_MAX) {
        berth_identifier_quote(name, quoted, sizeof(quoted));
        return berth_error_set(err, BERTH_NOT_FOUND, "namespace %s: not found", quoted);
    }
    berth_wire_put_bytes(&event, 1, name, strlen(name));
    if (!event.failed)
        change = make_change(instance, (struct berth_store_bytes){event.bytes, event.length},
                             berth_store_text(name), done, context);
    berth_wire_finish(&event);
    return ask(change, change == NULL ? no_memory(err) : BERTH_OK, NAMESPACE_DELETED, remove_one);
}
