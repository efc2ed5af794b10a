/* SPDX-License-Identifier: Apache-2.0 */
/* One change of a container on its way through the store. */
#ifndef CONTAINERS_CHANGE_H
#define CONTAINERS_CHANGE_H

#include <berth/wire.h>

#include "service.h"

struct change {
    /** First: the store hands it back. */
    struct berth_store_update update;
    struct containers_service *service;
    enum container_event event;
    berth_containers_done *done;
    void *context;
    char bucket[CONTAINERS_BUCKET_SIZE];
    char id[BERTH_IDENTIFIER_MAX + 1];
    /** What was asked for; its creator's to use. */
    struct berth_wire_buffer asked;
    size_t asked_length;
    /** The container as it is to be, or an id that is to go. */
    struct berth_wire_buffer result;
};

/** Who is told how a change ends. */
struct change_request {
    struct containers_service *service;
    const char *namespace_name;
    berth_containers_done *done;
    void *context;
};

/**
 * @param id  any bytes; one that is no identifier is cut, and finds nothing.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT where the namespace is none; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code change_create(const struct change_request *request, struct berth_store_bytes id,
                              enum container_event event, struct change **ret_change,
                              struct berth_error *err);
/** Not once it was submitted. NULL is fine. */
void change_destroy(struct change *change);

/** Hands it to the store: `done` follows. */
void change_submit(struct change *change,
                   enum berth_code (*function)(struct berth_store_update *update, struct berth_store_txn *txn,
                                               struct berth_error *err));

/** The container as the store has it; BERTH_NOT_FOUND without a sentence. */
enum berth_code change_get(const struct change *change, struct berth_store_txn *txn,
                           struct berth_store_bytes *ret_value, struct berth_error *err);
/** Puts the result. */
enum berth_code change_put(const struct change *change, struct berth_store_txn *txn, struct berth_error *err);

/** BERTH_RESOURCE_EXHAUSTED with its sentence. */
enum berth_code change_no_memory(struct berth_error *err);

#endif
