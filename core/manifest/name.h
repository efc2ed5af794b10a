/* SPDX-License-Identifier: Apache-2.0 */
/* The names inside a manifest; those that others ask about too stand in manifest.h. */
#ifndef CORE_MANIFEST_NAME_H
#define CORE_MANIFEST_NAME_H

#include <stdbool.h>

#define MANIFEST_ID_MAX 76
/* A URI names a folder, so type, dot and id together stay below NAME_MAX. */
#define MANIFEST_TYPE_MAX 128
#define MANIFEST_SETTING_MAX 255

/** "SayHello": an identifier of C and of protobuf. */
bool manifest_identifier_is_valid(const char *name);
/** "helloworld.Greeter". */
bool manifest_service_is_valid(const char *name);
/** "ttrpc": `[a-z][a-z0-9-]*`, of at most 31 bytes. */
bool manifest_transport_is_valid(const char *name);
/** "example/v1/greeter.proto": letters, digits and `_-./+`, relative, without a "..". */
bool manifest_proto_is_valid(const char *path);
/** "limits.burst". */
bool manifest_setting_is_valid(const char *path);
/** The same, in which `*` may stand for every key of a map: "hosts.*.port". Not as the first or last step. */
bool manifest_rename_is_valid(const char *path);

#endif
