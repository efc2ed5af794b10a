/* SPDX-License-Identifier: Apache-2.0 */
/* The types of events whose fields filters can ask for. */
#ifndef EVENTS_EVENT_TYPES_H
#define EVENTS_EVENT_TYPES_H

#include <protobuf-c/protobuf-c.h>

/** @param type_url  "containerd.events.TaskExit", also behind "type.googleapis.com/". @return NULL: unknown.
 */
const ProtobufCMessageDescriptor *event_types_find(const char *type_url);

#endif
