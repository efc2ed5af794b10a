/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of leases, each by one change of the store. */
#include "changes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "record.h"

enum berth_code service_bucket(const char *namespace_name, char ret_bucket[SERVICE_BUCKET_MAX],
                               struct berth_error *err)
{
    enum berth_code code = berth_identifier_check(namespace_name, err);

    if (code == BERTH_OK)
        snprintf(ret_bucket, SERVICE_BUCKET_MAX, SERVICE_BUCKET_PREFIX "%s", namespace_name);
    return code;
}

static enum berth_code say_not_found(const char *id, struct berth_error *err)
{
    char quoted[BERTH_ERROR_MAX - 256];

    berth_identifier_quote(id, quoted, sizeof(quoted));
    return berth_error_set(err, BERTH_NOT_FOUND, "lease %s: not found", quoted);
}

enum berth_code service_find(const struct service *service, struct berth_store_txn *txn, const char *bucket,
                             const char *id, struct berth_store_bytes *ret_record, struct berth_error *err)
{
    size_t length = strlen(id);
    enum berth_code code = BERTH_NOT_FOUND;

    if (length > 0 && length <= BERTH_LEASE_ID_MAX)
        code = service->store->get(txn, bucket, berth_store_text(id), ret_record, err);
    return code == BERTH_NOT_FOUND ? say_not_found(id, err) : code;
}

struct change {
    struct berth_store_update update;
    struct service *service;
    berth_leases_done *done;
    void *context;
    char namespace_name[BERTH_IDENTIFIER_MAX + 1];
    char bucket[SERVICE_BUCKET_MAX];
    char id[BERTH_LEASE_ID_MAX + 1];

    /** A new lease. */
    struct berth_wire_buffer record;
    bool expires;
    struct expiry expiry;
    /** What it is to keep, or no longer: a copy. */
    struct berth_store_bytes resource;
    bool keeps;
};

static struct berth_store_bytes bytes_of(const struct berth_wire_buffer *buffer)
{
    return (struct berth_store_bytes){buffer->bytes, buffer->length};
}

static enum berth_code say_no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to change a lease");
}

static void destroy(struct change *change)
{
    berth_wire_finish(&change->record);
    free((void *)(uintptr_t)change->resource.data);
    free(change);
}

bool service_free_if_closed(struct service *service)
{
    if (!service->is_closing || service->changes > 0 || service->sweeper.store != NULL)
        return false;
    free(service);
    return true;
}

static void on_done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct change *change = (struct change *)update;
    struct service *service = change->service;
    const struct berth_host *host = service->host;

    if (code == BERTH_OK && change->expires)
        sweeper_hear(&service->sweeper, &change->expiry);
    change->done(change->context, code, message,
                 code == BERTH_OK ? bytes_of(&change->record) : (struct berth_store_bytes){NULL, 0});
    destroy(change);
    service->changes--;
    if (service_free_if_closed(service))
        berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static enum berth_code start(struct service *service, const char *namespace_name, berth_leases_done *done,
                             void *context, struct change **ret_change, struct berth_error *err)
{
    struct change *change;
    enum berth_code code;

    if (service->is_closing)
        return berth_error_set(err, BERTH_UNAVAILABLE, "the leases service is closing");
    change = calloc(1, sizeof(*change));
    if (change == NULL)
        return say_no_memory(err);
    code = service_bucket(namespace_name, change->bucket, err);
    if (code != BERTH_OK) {
        free(change);
        return code;
    }
    snprintf(change->namespace_name, sizeof(change->namespace_name), "%s", namespace_name);
    change->service = service;
    change->done = done;
    change->context = context;
    change->update.done = on_done;
    *ret_change = change;
    return BERTH_OK;
}

/* Asks the store for it; where `code` says that it cannot be made, it is destroyed. @return `code`. */
static enum berth_code ask(struct change *change, enum berth_code code,
                           enum berth_code (*apply)(struct berth_store_update *update,
                                                    struct berth_store_txn *txn, struct berth_error *err))
{
    if (code == BERTH_OK) {
        change->update.change = apply;
        change->service->changes++;
        change->service->store->update(change->service->store_instance, &change->update);
    } else {
        destroy(change);
    }
    return code;
}

/* As containerd makes them: nanoseconds of the time, and three random bytes. */
static enum berth_code make_id(char ret_id[BERTH_LEASE_ID_MAX + 1], struct berth_error *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[3];
    uint32_t number;

    if (getentropy(random, sizeof(random)) != 0)
        return berth_error_set(err, BERTH_UNAVAILABLE, "no random bytes for a lease's id: %s",
                               strerror(errno));
    number = (uint32_t)random[0] << 16 | (uint32_t)random[1] << 8 | random[2];
    snprintf(ret_id, BERTH_LEASE_ID_MAX + 1, "%u-%c%c%c%c", expiry_now().nanoseconds, letters[number >> 18],
             letters[number >> 12 & 63], letters[number >> 6 & 63], letters[number & 63]);
    return BERTH_OK;
}

static enum berth_code apply_create(struct berth_store_update *update, struct berth_store_txn *txn,
                                    struct berth_error *err)
{
    const struct change *change = (struct change *)update;
    const struct service *service = change->service;
    const struct berth_store *store = service->store;
    struct berth_store_bytes key = berth_store_text(change->id);
    char quoted[BERTH_ERROR_MAX - 256];
    struct berth_store_bytes other;
    struct index_key index;
    enum berth_code code =
        service->namespaces->ensure(service->namespaces_instance, txn, change->namespace_name, err);

    if (code != BERTH_OK)
        return code;
    code = store->get(txn, change->bucket, key, &other, err);
    if (code == BERTH_OK) {
        berth_identifier_quote(change->id, quoted, sizeof(quoted));
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "lease %s: already exists", quoted);
    }
    if (code == BERTH_NOT_FOUND)
        code = store->put(txn, change->bucket, key, bytes_of(&change->record), err);
    if (code != BERTH_OK || !change->expires)
        return code;
    index_make(&index, &change->expiry, change->namespace_name, change->id);
    return store->put(txn, INDEX_BUCKET, (struct berth_store_bytes){index.bytes, index.length},
                      (struct berth_store_bytes){"", 0}, err);
}

static enum berth_code draft(struct change *change, struct berth_store_bytes value, struct berth_error *err)
{
    const struct expiry now = expiry_now();
    struct record_draft draft;
    enum berth_code code = record_draft_init(&draft, value, err);

    if (code != BERTH_OK)
        return code;
    if (draft.id[0] == '\0')
        code = make_id(draft.id, err);
    if (code == BERTH_OK && !record_write(&draft, &now, &change->record))
        code = say_no_memory(err);
    if (draft.has_bad_expiry)
        berth_log(change->service->host, BERTH_LOG_INFO,
                  "ignoring label " EXPIRY_LABEL
                  ", not an RFC 3339 time; the lease does not expire lease=%s namespace=%s",
                  draft.id, change->namespace_name);
    memcpy(change->id, draft.id, sizeof(change->id));
    change->expires = draft.expires;
    change->expiry = draft.expiry;
    record_draft_finish(&draft);
    return code;
}

enum berth_code change_create(void *instance, const char *namespace_name, struct berth_store_bytes value,
                              berth_leases_done *done, void *context, struct berth_error *err)
{
    struct change *change = NULL;
    enum berth_code code = start(instance, namespace_name, done, context, &change, err);

    return code == BERTH_OK ? ask(change, draft(change, value, err), apply_create) : code;
}

static enum berth_code apply_remove(struct berth_store_update *update, struct berth_store_txn *txn,
                                    struct berth_error *err)
{
    const struct change *change = (struct change *)update;
    const struct berth_store *store = change->service->store;
    struct berth_store_bytes record;
    struct expiry expiry;
    struct index_key index;
    enum berth_code code = service_find(change->service, txn, change->bucket, change->id, &record, err);

    if (code == BERTH_OK && record_expiry(record, &expiry)) {
        index_make(&index, &expiry, change->namespace_name, change->id);
        code = store->remove(txn, INDEX_BUCKET, (struct berth_store_bytes){index.bytes, index.length}, err);
    }
    /* The index entry of a damaged lease is removed when it expires. */
    if (code == BERTH_OK || code == BERTH_DATA_LOSS)
        code = store->remove(txn, change->bucket, berth_store_text(change->id), err);
    return code;
}

/* Refuses ids that no lease can have. */
static enum berth_code set_id(struct change *change, const char *id, struct berth_error *err)
{
    if (*id == '\0' || strlen(id) > BERTH_LEASE_ID_MAX)
        return say_not_found(id, err);
    strcpy(change->id, id);
    return BERTH_OK;
}

enum berth_code change_remove(void *instance, const char *namespace_name, const char *id,
                              berth_leases_done *done, void *context, struct berth_error *err)
{
    struct change *change = NULL;
    enum berth_code code = start(instance, namespace_name, done, context, &change, err);

    return code == BERTH_OK ? ask(change, set_id(change, id, err), apply_remove) : code;
}

/* Looks up the lease first, as containerd does, so that clients see errors in the same order. */
static enum berth_code set_resource(const struct service *service, struct berth_store_txn *txn,
                                    const char *bucket, const char *id, struct berth_store_bytes message,
                                    bool keeps, struct berth_error *err)
{
    struct berth_wire_buffer written = {0};
    struct berth_store_bytes record;
    struct resource resource;
    bool changed;
    enum berth_code code = service_find(service, txn, bucket, id, &record, err);

    if (code != BERTH_OK)
        return code;
    if (message.data == NULL || !resource_read(message, &resource))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "a resource is required: invalid argument");
    code = resource_check(&resource, err);
    if (code != BERTH_OK)
        return code;
    if (!record_set_resource(record, &resource, keeps, &written, &changed))
        code = say_no_memory(err);
    else if (changed)
        code = service->store->put(txn, bucket, berth_store_text(id), bytes_of(&written), err);
    berth_wire_finish(&written);
    return code;
}

static enum berth_code apply_resource(struct berth_store_update *update, struct berth_store_txn *txn,
                                      struct berth_error *err)
{
    const struct change *change = (struct change *)update;

    return set_resource(change->service, txn, change->bucket, change->id, change->resource, change->keeps,
                        err);
}

static enum berth_code copy_resource(struct change *change, struct berth_store_bytes resource,
                                     struct berth_error *err)
{
    void *copy;

    if (resource.data == NULL)
        return BERTH_OK;
    copy = malloc(resource.length + 1);
    if (copy == NULL)
        return say_no_memory(err);
    memcpy(copy, resource.data, resource.length);
    change->resource = (struct berth_store_bytes){copy, resource.length};
    return BERTH_OK;
}

static enum berth_code ask_for_resource(void *instance, const char *namespace_name, const char *id,
                                        struct berth_store_bytes resource, bool keeps,
                                        berth_leases_done *done, void *context, struct berth_error *err)
{
    struct change *change = NULL;
    enum berth_code code = start(instance, namespace_name, done, context, &change, err);

    if (code != BERTH_OK)
        return code;
    change->keeps = keeps;
    code = set_id(change, id, err);
    if (code == BERTH_OK)
        code = copy_resource(change, resource, err);
    return ask(change, code, apply_resource);
}

enum berth_code change_add_resource(void *instance, const char *namespace_name, const char *id,
                                    struct berth_store_bytes resource, berth_leases_done *done, void *context,
                                    struct berth_error *err)
{
    return ask_for_resource(instance, namespace_name, id, resource, true, done, context, err);
}

enum berth_code change_remove_resource(void *instance, const char *namespace_name, const char *id,
                                       struct berth_store_bytes resource, berth_leases_done *done,
                                       void *context, struct berth_error *err)
{
    return ask_for_resource(instance, namespace_name, id, resource, false, done, context, err);
}

enum berth_code change_hold(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                            const char *id, struct berth_store_bytes resource, struct berth_error *err)
{
    char bucket[SERVICE_BUCKET_MAX];
    enum berth_code code = service_bucket(namespace_name, bucket, err);

    return code == BERTH_OK ? set_resource(instance, txn, bucket, id, resource, true, err) : code;
}
