/* SPDX-License-Identifier: Apache-2.0 */
/* What changes namespaces: create, update and remove, each a function of what the store holds. */
#include "service.h"

#include <stdlib.h>
#include <string.h>

#include <berth/labels.h>
#include <berth/namespace.h>
#include <berth/protobuf.h>
#include <containerd/services/namespaces/v1/namespace.pb-c.h>

#include "value.h"

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
        namespaces_publish(service, change->event, change->name, asked_value(change));
    change->done(change->context, code, message, result);
    destroy(change);
    namespaces_release(service);
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

static void ask(struct change *change, enum namespace_event event,
                enum berth_code (*function)(struct berth_store_update *update, struct berth_store_txn *txn,
                                            struct berth_error *err))
{
    struct namespaces_service *service = change->service;

    change->event = event;
    change->update.change = function;
    service->outstanding++;
    service->store->update(service->store_instance, &change->update);
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
    struct namespace_value asked = {0};
    struct change *change = NULL;
    enum berth_code code = berth_text_check(&containerd__services__namespaces__v1__namespace__descriptor,
                                            value.data, value.length, err);

    if (code == BERTH_OK)
        code = namespace_value_read(&asked, value, err);
    if (code == BERTH_OK)
        code = check_name(asked.name, err);
    if (code == BERTH_OK)
        code = namespace_value_check(&asked, err);
    if (code == BERTH_OK) {
        change = make_change(instance, value, asked.name, done, context);
        if (change == NULL || !namespace_value_write(&asked, &change->result))
            code = no_memory(err);
    }
    namespace_value_finish(&asked);
    if (code == BERTH_OK)
        ask(change, NAMESPACE_CREATED, create);
    else if (change != NULL)
        destroy(change);
    return code;
}

/* Sets the labels that the paths name, or all of them where there is no path. */
static enum berth_code set_labels(const struct change *change, const struct namespace_value *asked,
                                  struct namespace_value *value)
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

static enum berth_code update_value(struct change *change, struct namespace_value *value,
                                    struct berth_error *err)
{
    struct namespace_value asked = {0};
    enum berth_code code = namespace_value_read(&asked, asked_value(change), err);

    if (code == BERTH_OK && set_labels(change, &asked, value) != BERTH_OK)
        code = no_memory(err);
    if (code == BERTH_OK)
        code = namespace_value_check(value, err);
    change->result.length = 0;
    if (code == BERTH_OK && !namespace_value_write(value, &change->result))
        code = no_memory(err);
    namespace_value_finish(&asked);
    return code;
}

static enum berth_code update(struct berth_store_update *update, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct change *change = (struct change *)update;
    struct namespace_value value = {0};
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
        code = namespace_value_read(&value, there, err);
    if (code == BERTH_INVALID_ARGUMENT)
        code =
            berth_error_set(err, BERTH_DATA_LOSS, "namespace \"%s\" is damaged in the store", change->name);
    value.name = berth_store_text(change->name);
    if (code == BERTH_OK)
        code = update_value(change, &value, err);
    if (code == BERTH_OK)
        code = put_result(change, txn, err);
    namespace_value_finish(&value);
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
    struct namespace_value asked = {0};
    struct change *change = NULL;
    enum berth_code code = berth_text_check(&containerd__services__namespaces__v1__namespace__descriptor,
                                            value.data, value.length, err);

    if (code == BERTH_OK)
        code = namespace_value_read(&asked, value, err);
    if (code == BERTH_OK)
        code = check_name(asked.name, err);
    if (code == BERTH_OK)
        change = make_change(instance, value, asked.name, done, context);
    namespace_value_finish(&asked);
    if (code == BERTH_OK)
        code = change == NULL ? no_memory(err) : keep_paths(change, paths, path_count, err);
    if (code == BERTH_OK)
        ask(change, NAMESPACE_UPDATED, update);
    else if (change != NULL)
        destroy(change);
    return code;
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

/* What does not keep a namespace goes with it. */
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
    /* A damaged one too. */
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
    if (change == NULL)
        return no_memory(err);
    ask(change, NAMESPACE_DELETED, remove_one);
    return BERTH_OK;
}
