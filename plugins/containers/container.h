/* SPDX-License-Identifier: Apache-2.0 */
/* A stored container, by its fields. */
#ifndef CONTAINERS_CONTAINER_H
#define CONTAINERS_CONTAINER_H

#include <berth/types/store.h>
#include <berth/wire_map.h>

/** Fields of containerd.services.containers.v1.Container, and of the Runtime in it. */
enum container_field {
    CONTAINER_ID = 1,
    CONTAINER_LABELS = 2,
    CONTAINER_IMAGE = 3,
    CONTAINER_RUNTIME = 4,
    CONTAINER_SPEC = 5,
    CONTAINER_SNAPSHOTTER = 6,
    CONTAINER_SNAPSHOT_KEY = 7,
    CONTAINER_CREATED_AT = 8,
    CONTAINER_UPDATED_AT = 9,
    CONTAINER_EXTENSIONS = 10,
    /** One more than the highest number of a parsed field. */
    CONTAINER_FIELDS = 11,

    CONTAINER_RUNTIME_NAME = 1,
};

/** Borrows from the bytes it was read from. Zero-initialise. */
struct container {
    /** Indexed by their numbers; `data` is NULL if a field is absent. Maps are not included. */
    struct berth_store_bytes fields[CONTAINER_FIELDS];
    struct berth_wire_map labels;
    struct berth_wire_map extensions;
    /** Other and unknown fields, as encoded. */
    struct berth_wire_buffer others;
};

/**
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT if it is not a valid Container message; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code container_read(struct container *container, struct berth_store_bytes bytes,
                               struct berth_error *err);
/** Settles the maps, and checks the container by containerd's rules. */
enum berth_code container_check(struct container *container, struct berth_error *err);
/** Encodes it as a message, without empty labels. @return false without memory. */
bool container_write(struct container *container, struct berth_wire_buffer *buffer);
void container_finish(struct container *container);

/** A field of the message in `bytes`; `data` is NULL if it is absent. */
struct berth_store_bytes container_find(struct berth_store_bytes bytes, uint32_t number);

/** The current time as a google.protobuf.Timestamp; lives in `ret_bytes`. */
struct berth_store_bytes container_now(uint8_t ret_bytes[24]);

#endif
