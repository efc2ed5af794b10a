/* SPDX-License-Identifier: Apache-2.0 */
/* Tells an index of all that one .proto file defines. */
#ifndef REFLECTION_DESCRIPTOR_WALK_H
#define REFLECTION_DESCRIPTOR_WALK_H

#include <google/protobuf/descriptor.pb-c.h>

#include "descriptor_index.h"

/** @return false where something has no name, one that is too long, or the index is full: it is left out. */
bool descriptor_walk(struct descriptor_index *index, size_t file,
                     const Google__Protobuf__FileDescriptorProto *descriptor);

#endif
