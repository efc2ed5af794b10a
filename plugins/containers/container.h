/* SPDX-License-Identifier: Apache-2.0 */
/* A container as it is stored, by its fields. */
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
    /** One more than the fields that are taken apart. */
    CONTAINER_FIELDS = 11,

    CONTAINER_RUNTIME_NAME = 1,
};

/** Borrows from the bytes it was read from. Zero-initialise. */
struct container {
    /** By their numbers; `data` is NULL where a field is not there. The maps are not among them. */
    struct berth_store_bytes fields[CONTAINER_FIELDS];
    struct berth_wire_map labels;
    struct berth_wire_map extensions;
    /** Fields that are not taken apart, or not known, as they stand. */
    struct berth_wire_buffer others;
};

/** @return BERTH_OK; BERTH_INVALID_ARGUMENT where it is no Container message; BERTH_RESOURCE_EXHAUSTED. */
enum berth_code container_read(struct container *container, struct berth_store_bytes bytes,
                               struct berth_error *err);
/** Settles the maps, and checks the whole by containerd's rules. */
enum berth_code container_check(struct container *container, struct berth_error *err);
/** As a message; labels without a value are left out. @return false without memory. */
bool container_write(struct container *container, struct berth_wire_buffer *buffer);
void container_finish(struct container *container);

/** A field of the message in `bytes`; `data` is NULL where it is not there. */
struct berth_store_bytes container_find(struct berth_store_bytes bytes, uint32_t number);

/** The time as a google.protobuf.Timestamp; lives in `ret_bytes`. */
struct berth_store_bytes container_now(uint8_t ret_bytes[24]);

#endif
