/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creates, updates and removes containers, each by one change of the store, and publishes events for changes
 * by this daemon and by others that share its store.
 */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include <berth/labels.h>
#include <berth/protobuf.h>
#include <berth/wire.h>
#include <containerd/services/containers/v1/containers.pb-c.h>

#include "container.h"

#define EXTENSIONS_PREFIX "extensions."

enum container_event {
    CONTAINER_CREATED,
    CONTAINER_UPDATED,
    CONTAINER_DELETED,
};

enum berth_code containers_bucket(const char *namespace_name, char ret_bucket[CONTAINERS_BUCKET_SIZE],
                                  struct berth_error *err)
{
    struct berth_error why;
    enum berth_code code = berth_identifier_check(namespace_name, &why);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "namespace validation: %.1900s", why.message);
    snprintf(ret_bucket, CONTAINERS_BUCKET_SIZE, "%s%s", BERTH_CONTAINERS_BUCKET_PREFIX, namespace_name);
    return BERTH_OK;
}

static const struct {
    const char *topic;
    const char *type_url;
    /* Which field of a container becomes which of the event; ended by 0. A Runtime is one in both. */
    struct {
        uint32_t from;
        uint32_t to;
    } fields[5];
} events[] = {
    [CONTAINER_CREATED] = {"/containers/create",
                           "containerd.events.ContainerCreate",
                           {{CONTAINER_ID, 1}, {CONTAINER_IMAGE, 2}, {CONTAINER_RUNTIME, 3}}},
    [CONTAINER_UPDATED] =
        {"/containers/update",
         "containerd.events.ContainerUpdate",
         {{CONTAINER_ID, 1}, {CONTAINER_IMAGE, 2}, {CONTAINER_LABELS, 3}, {CONTAINER_SNAPSHOT_KEY, 4}}},
    [CONTAINER_DELETED] = {"/containers/delete", "containerd.events.ContainerDelete", {{CONTAINER_ID, 1}}},
};

static void copy_field(enum container_event event, const struct berth_wire_field *field,
                       struct berth_wire_buffer *buffer)
{
    for (size_t i = 0; events[event].fields[i].from != 0; i++)
        if (events[event].fields[i].from == field->number && field->type == BERTH_WIRE_BYTES)
            berth_wire_put_bytes(buffer, events[event].fields[i].to, field->data, field->length);
}

static void publish(struct containers_service *service, enum container_event event,
                    const char *namespace_name, struct berth_store_bytes value)
{
    struct berth_wire wire = berth_wire_of(value.data, value.length);
    struct berth_wire_buffer buffer = {0};
    struct berth_wire_field field;
    struct berth_event told = {
        .size = sizeof(told),
        .namespace_name = namespace_name,
        .topic = events[event].topic,
        .type_url = events[event].type_url,
    };
    struct berth_error err = {"no memory"};

    while (berth_wire_next(&wire, &field))
        copy_field(event, &field, &buffer);
    told.value = buffer.bytes;
    told.value_length = buffer.length;
    if (buffer.failed || service->exchange->publish(service->exchange_instance, &told, &err) != BERTH_OK)
        berth_log(service->host, BERTH_LOG_WARN, "cannot publish event namespace=%s topic=%s: %s",
                  namespace_name, told.topic, err.message);
    berth_wire_finish(&buffer);
}

void containers_on_change(void *context, const struct berth_store_change *change)
{
    const char *namespace_name = change->bucket + strlen(BERTH_CONTAINERS_BUCKET_PREFIX);

    if (change->after.data == NULL)
        publish(context, CONTAINER_DELETED, namespace_name, change->before);
    else if (change->before.data == NULL)
        publish(context, CONTAINER_CREATED, namespace_name, change->after);
    else
        publish(context, CONTAINER_UPDATED, namespace_name, change->after);
}

struct change {
    /* First: the store hands it back. */
    struct berth_store_update update;
    struct containers_service *service;
    enum container_event event;
    berth_containers_done *done;
    void *context;
    char bucket[CONTAINERS_BUCKET_SIZE];
    char id[BERTH_IDENTIFIER_MAX + 1];
    /* An update: the container as asked, and behind it the paths of the mask, each with its NUL. A removal:
     * the id as asked. */
    struct berth_wire_buffer asked;
    size_t asked_length;
    /* The container as it is to be, or an id that is to go. */
    struct berth_wire_buffer result;
};

/** Who is told how a change ends. */
struct change_request {
    struct containers_service *service;
    const char *namespace_name;
    berth_containers_done *done;
    void *context;
};

/* One change less is outstanding. May free the service. */
static void release(struct containers_service *service)
{
    const struct berth_host *host = service->host;

    service->outstanding--;
    if (!service->closes || service->outstanding > 0)
        return;
    free(service);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static enum berth_code no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the change of a container");
}

static void destroy_change(struct change *change)
{
    if (change == NULL)
        return;
    berth_wire_finish(&change->asked);
    berth_wire_finish(&change->result);
    free(change);
}

static void on_done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct change *change = (struct change *)update;
    struct containers_service *service = change->service;
    struct berth_store_bytes result = {change->result.bytes, change->result.length};

    if (code == BERTH_OK)
        publish(service, change->event, change->bucket + strlen(BERTH_CONTAINERS_BUCKET_PREFIX), result);
    if (change->event == CONTAINER_DELETED)
        result.length = 0;
    change->done(change->context, code, message, result);
    destroy_change(change);
    release(service);
}

static enum berth_code create_change(const struct change_request *request, struct berth_store_bytes id,
                                     enum container_event event, struct change **ret_change,
                                     struct berth_error *err)
{
    struct change *change = calloc(1, sizeof(*change));
    enum berth_code code;

    if (change == NULL)
        return no_memory(err);
    code = containers_bucket(request->namespace_name, change->bucket, err);
    if (code != BERTH_OK) {
        free(change);
        return code;
    }
    change->update.done = on_done;
    change->service = request->service;
    change->event = event;
    change->done = request->done;
    change->context = request->context;
    if (id.length > 0)
        snprintf(change->id, sizeof(change->id), "%.*s",
                 (int)(id.length <= BERTH_IDENTIFIER_MAX ? id.length : 0), (const char *)id.data);
    *ret_change = change;
    return BERTH_OK;
}

/* Asks the store for it; where `code` says that it cannot be made, it is destroyed. @return `code`. */
static enum berth_code ask(struct change *change, enum berth_code code,
                           enum berth_code (*function)(struct berth_store_update *update,
                                                       struct berth_store_txn *txn, struct berth_error *err))
{
    if (code == BERTH_OK) {
        change->update.change = function;
        change->service->outstanding++;
        change->service->store->update(change->service->store_instance, &change->update);
    } else {
        destroy_change(change);
    }
    return code;
}

static enum berth_code get_stored(const struct change *change, struct berth_store_txn *txn,
                                  struct berth_store_bytes *ret_value, struct berth_error *err)
{
    if (*change->id == '\0')
        return BERTH_NOT_FOUND;
    return change->service->store->get(txn, change->bucket, berth_store_text(change->id), ret_value, err);
}

static enum berth_code put_result(const struct change *change, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    return change->service->store->put(
        txn, change->bucket, berth_store_text(change->id),
        (struct berth_store_bytes){change->result.bytes, change->result.length}, err);
}

static enum berth_code create(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct change *change = (struct change *)update;
    const struct containers_service *service = change->service;
    struct berth_store_bytes there;
    enum berth_code code = get_stored(change, txn, &there, err);

    if (code == BERTH_OK)
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "container \"%s\": already exists", change->id);
    if (code == BERTH_NOT_FOUND)
        code = service->namespaces->ensure(service->namespaces_instance, txn,
                                           change->bucket + strlen(BERTH_CONTAINERS_BUCKET_PREFIX), err);
    return code == BERTH_OK ? put_result(change, txn, err) : code;
}

/* Whatever times the caller gave, the server sets its own. */
static enum berth_code complete_new(struct change *change, struct container *asked, struct berth_error *err)
{
    struct berth_error why;
    uint8_t time[24];
    enum berth_code code = container_check(asked, &why);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "create container failed validation: %.1900s", why.message);
    asked->fields[CONTAINER_CREATED_AT] = asked->fields[CONTAINER_UPDATED_AT] = container_now(time);
    return container_write(asked, &change->result) ? BERTH_OK : no_memory(err);
}

enum berth_code containers_create(void *instance, const char *namespace_name, struct berth_store_bytes value,
                                  berth_containers_done *done, void *context, struct berth_error *err)
{
    const struct change_request request = {instance, namespace_name, done, context};
    struct container asked = {0};
    struct change *change = NULL;
    enum berth_code code = berth_text_check(&containerd__services__containers__v1__container__descriptor,
                                            value.data, value.length, err);

    if (code == BERTH_OK)
        code = container_read(&asked, value, err);
    if (code == BERTH_OK)
        code = create_change(&request, asked.fields[CONTAINER_ID], CONTAINER_CREATED, &change, err);
    if (code == BERTH_OK)
        code = complete_new(change, &asked, err);
    container_finish(&asked);
    return ask(change, code, create);
}

static void replace_labels(struct container *container, const struct container *asked)
{
    container->labels.count = 0;
    berth_wire_map_take_all(&container->labels, &asked->labels);
}

/* Extensions are added and replaced, never removed. */
static void merge_extension(struct container *container, const struct container *asked, const char *key)
{
    if (berth_wire_map_find(&asked->extensions, key, strlen(key)) != NULL)
        berth_wire_map_take(&container->extensions, &asked->extensions, key, strlen(key));
}

static enum berth_code apply_path(struct container *container, const struct container *asked,
                                  const char *path, const char *id, struct berth_error *err)
{
    static const struct {
        const char *path;
        enum container_field field;
    } fields[] = {
        {"spec", CONTAINER_SPEC}, {"image", CONTAINER_IMAGE}, {"snapshotkey", CONTAINER_SNAPSHOT_KEY}};
    const char *label = berth_label_of_path(path);
    char quoted[BERTH_ERROR_MAX - 256];

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(path, fields[i].path) != 0)
            continue;
        container->fields[fields[i].field] = asked->fields[fields[i].field];
        return BERTH_OK;
    }
    if (strcmp(path, "labels") == 0)
        replace_labels(container, asked);
    else if (strcmp(path, "extensions") == 0)
        berth_wire_map_take_all(&container->extensions, &asked->extensions);
    else if (label != NULL)
        berth_wire_map_take(&container->labels, &asked->labels, label, strlen(label));
    else if (strncmp(path, EXTENSIONS_PREFIX, strlen(EXTENSIONS_PREFIX)) == 0)
        merge_extension(container, asked, path + strlen(EXTENSIONS_PREFIX));
    else {
        berth_identifier_quote(path, quoted, sizeof(quoted));
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "cannot update %s field on \"%s\": invalid argument", quoted, id);
    }
    return BERTH_OK;
}

static bool are_same(struct berth_store_bytes one, struct berth_store_bytes other)
{
    return one.length == other.length && (one.length == 0 || memcmp(one.data, other.data, one.length) == 0);
}

/* In an update without a mask, immutable fields must be unchanged. */
static enum berth_code check_fixed(const struct container *container, const struct container *asked,
                                   struct berth_error *err)
{
    if (!are_same(container->fields[CONTAINER_SNAPSHOTTER], asked->fields[CONTAINER_SNAPSHOTTER]))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "container.Snapshotter field is immutable: invalid argument");
    if (!are_same(container_find(container->fields[CONTAINER_RUNTIME], CONTAINER_RUNTIME_NAME),
                  container_find(asked->fields[CONTAINER_RUNTIME], CONTAINER_RUNTIME_NAME)))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "container.Runtime.Name field is immutable: invalid argument");
    return BERTH_OK;
}

static enum berth_code apply_all(struct container *container, const struct container *asked, const char *id,
                                 struct berth_error *err)
{
    static const char *const paths[] = {"labels", "spec", "extensions", "image", "snapshotkey"};
    enum berth_code code = check_fixed(container, asked, err);

    for (size_t i = 0; code == BERTH_OK && i < sizeof(paths) / sizeof(paths[0]); i++)
        code = apply_path(container, asked, paths[i], id, err);
    return code;
}

static enum berth_code apply(const struct change *change, struct container *container,
                             const struct container *asked, struct berth_error *err)
{
    const char *path = (const char *)change->asked.bytes + change->asked_length;
    const char *end = (const char *)change->asked.bytes + change->asked.length;
    enum berth_code code = BERTH_OK;

    if (path == end)
        return apply_all(container, asked, change->id, err);
    for (; code == BERTH_OK && path < end; path += strlen(path) + 1)
        code = apply_path(container, asked, path, change->id, err);
    return code;
}

static enum berth_code complete_update(struct change *change, struct container *container,
                                       struct berth_error *err)
{
    struct berth_error why;
    uint8_t time[24];
    enum berth_code code = container_check(container, &why);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "update failed validation: %.1900s", why.message);
    container->fields[CONTAINER_UPDATED_AT] = container_now(time);
    change->result.length = 0;
    return container_write(container, &change->result) ? BERTH_OK : no_memory(err);
}

static enum berth_code renew(struct change *change, struct container *container, struct berth_error *err)
{
    const struct berth_store_bytes value = {change->asked.bytes, change->asked_length};
    struct container asked = {0};
    enum berth_code code = container_read(&asked, value, err);

    if (code == BERTH_OK)
        code = apply(change, container, &asked, err);
    if (code == BERTH_OK)
        code = complete_update(change, container, err);
    container_finish(&asked);
    return code;
}

static enum berth_code update(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct change *change = (struct change *)update;
    struct container container = {0};
    struct berth_store_bytes there;
    enum berth_code code = get_stored(change, txn, &there, err);

    if (code == BERTH_NOT_FOUND)
        return berth_error_set(err, code, "container \"%s\": not found", change->id);
    if (code == BERTH_OK)
        code = container_read(&container, there, err);
    if (code == BERTH_INVALID_ARGUMENT)
        code = berth_error_set(err, BERTH_DATA_LOSS, "container \"%s\" is damaged in the store", change->id);
    if (code == BERTH_OK)
        code = renew(change, &container, err);
    if (code == BERTH_OK)
        code = put_result(change, txn, err);
    container_finish(&container);
    return code;
}

/* Taking them over again has no effect, but costs as much as the request is large. */
static bool is_repeated(const char *path, unsigned *taken)
{
    unsigned bit = strcmp(path, "labels") == 0 ? 1 : strcmp(path, "extensions") == 0 ? 2 : 0;
    bool is_repeated = (*taken & bit) != 0;

    *taken |= bit;
    return is_repeated;
}

/* The change outlives the request. */
static bool keep(struct change *change, struct berth_store_bytes value, const char *const *paths,
                 size_t path_count)
{
    unsigned taken = 0;

    berth_wire_put(&change->asked, value.data, value.length);
    change->asked_length = value.length;
    for (size_t i = 0; i < path_count; i++)
        if (!is_repeated(paths[i], &taken))
            berth_wire_put(&change->asked, paths[i], strlen(paths[i]) + 1);
    return !change->asked.failed;
}

enum berth_code containers_update(void *instance, const char *namespace_name, struct berth_store_bytes value,
                                  const char *const *paths, size_t path_count, berth_containers_done *done,
                                  void *context, struct berth_error *err)
{
    const struct change_request request = {instance, namespace_name, done, context};
    struct berth_store_bytes id = container_find(value, CONTAINER_ID);
    struct change *change = NULL;
    enum berth_code code;

    if (id.length == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "Container.ID required");
    code = berth_text_check(&containerd__services__containers__v1__container__descriptor, value.data,
                            value.length, err);
    if (code == BERTH_OK)
        code = create_change(&request, id, CONTAINER_UPDATED, &change, err);
    if (code == BERTH_OK && !keep(change, value, paths, path_count))
        code = no_memory(err);
    return ask(change, code, update);
}

/* The id as requested; may be invalid. */
static const char *asked_id(const struct change *change)
{
    return (const char *)change->asked.bytes;
}

static enum berth_code remove_one(struct berth_store_update *update, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    struct change *change = (struct change *)update;
    struct berth_store_bytes there;
    enum berth_code code = get_stored(change, txn, &there, err);

    if (code == BERTH_NOT_FOUND)
        return berth_error_set(err, code, "container %.1500s: not found", asked_id(change));
    /* A damaged entry is removed too. */
    return code == BERTH_OK || code == BERTH_DATA_LOSS
               ? change->service->store->remove(txn, change->bucket, berth_store_text(change->id), err)
               : code;
}

enum berth_code containers_remove(void *instance, const char *namespace_name, const char *id,
                                  berth_containers_done *done, void *context, struct berth_error *err)
{
    const struct change_request request = {instance, namespace_name, done, context};
    struct change *change = NULL;
    enum berth_code code = create_change(&request, berth_store_text(id), CONTAINER_DELETED, &change, err);

    if (code != BERTH_OK)
        return code;
    berth_wire_put(&change->asked, id, strlen(id) + 1);
    berth_wire_put_bytes(&change->result, CONTAINER_ID, id, strlen(id));
    if (change->asked.failed || change->result.failed)
        code = no_memory(err);
    return ask(change, code, remove_one);
}
