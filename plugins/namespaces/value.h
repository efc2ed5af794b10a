/* SPDX-License-Identifier: Apache-2.0 */
/* A namespace as it is stored, by its fields. */
#ifndef NAMESPACES_VALUE_H
#define NAMESPACES_VALUE_H

#include <berth/types/store.h>
#include <berth/wire_map.h>

/** Borrows from the bytes it was read from. Zero-initialise. */
struct namespace_value {
    struct berth_store_bytes name;
    struct berth_wire_map labels;
    /** Fields that this program does not know, as they stand. */
    struct berth_wire_buffer others;
};

/** @return BERTH_OK; BERTH_INVALID_ARGUMENT where it is no Namespace message; BERTH_RESOURCE_EXHAUSTED. */
enum berth_code namespace_value_read(struct namespace_value *value, struct berth_store_bytes bytes,
                                     struct berth_error *err);
/** Settles the labels and checks them by containerd's rules. */
enum berth_code namespace_value_check(struct namespace_value *value, struct berth_error *err);
/** As a message; labels without a value are left out. @return false without memory. */
bool namespace_value_write(struct namespace_value *value, struct berth_wire_buffer *buffer);
void namespace_value_finish(struct namespace_value *value);

#endif
