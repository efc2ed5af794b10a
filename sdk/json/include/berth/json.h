/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf messages as JSON and back, by libprotobuf, for any type whose descriptors are at hand:
 *
 *     berth_json_types_create(&types, &err);
 *     berth_json_types_add(types, descriptor_set, set_length, &err);
 *     berth_json_method_find(types, "helloworld.Greeter", "SayHello", &method, &err);
 *     berth_json_to_message(types, method.input, text, length, NULL, &message, &message_length, &err);
 *     berth_json_from_message(types, method.output, reply, reply_length, NULL, &text, &length, &err);
 *
 * The mapping is proto3's, as libprotobuf reads and writes it: names in lowerCamelCase (the names of the
 * .proto are read too), 64-bit integers as strings, bytes as base64, Timestamp and Duration as strings,
 * wrappers as their value, Struct and Value as plain JSON. The reader also takes single quotes, keys without
 * quotes and trailing commas.
 *
 * An Any is {"@type": URL, ...} with the fields of its message; the type is what follows the URL's last
 * slash. If these types do not have it, the Any is {"@type": URL, "value": BASE64}, in both directions.
 *
 * A static library: link it into the module. The first berth_json_types_create loads
 * libberth-json-protobuf into the process, and with it libprotobuf and the C++ library. One set of types is
 * used by one thread at a time; different sets are independent. No function aborts or throws.
 */
#ifndef BERTH_JSON_H
#define BERTH_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/call.h>
#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Largest input of any function here, in bytes; larger ones are refused with RESOURCE_EXHAUSTED. */
#define BERTH_JSON_MAX_INPUT ((size_t)64 << 20)

/** Messages, enums and services, by their full names such as "helloworld.HelloRequest". */
struct berth_json_types;

/**
 * Creates an empty set of types; the well-known types of google.protobuf are in it from the start.
 *
 * @return BERTH_OK; BERTH_UNAVAILABLE if libprotobuf cannot be loaded; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code berth_json_types_create(struct berth_json_types **ret_types, struct berth_error *err);

/** Takes NULL. Names from berth_json_service, berth_json_method_at and _find become invalid. */
void berth_json_types_destroy(struct berth_json_types *types);

/**
 * Adds files: a serialised google.protobuf.FileDescriptorSet, in any order. A file whose name is known is
 * skipped: the first one stays. An import may be in this set or an earlier one; fields whose type is in none
 * cannot be converted, everything else can.
 *
 * @param set  not used after this returns. For a single FileDescriptorProto: its bytes behind 0x0A and their
 *             number as a varint.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with the file and what is wrong with it (files that were added
 *         before it stay); BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code berth_json_types_add(struct berth_json_types *types, const void *set, size_t length,
                                     struct berth_error *err);

/** How to convert. A member that is 0, or beyond `size`, has its default. */
struct berth_json_options {
    /** sizeof(struct berth_json_options) as the caller compiled it. */
    uint32_t size;
    /** Writing: spaces and line breaks, which end with a line break. */
    bool is_pretty;
    /** Writing: also fields that have their default value. Only for messages of moderate size. */
    bool emit_defaults;
    /** Writing: the names of the .proto instead of lowerCamelCase. */
    bool proto_names;
    /** Reading: skip unknown fields instead of refusing them. */
    bool ignore_unknown;
    /** Largest result, in bytes. Default 64 MiB. */
    size_t max_bytes;
};

/**
 * Reads a message from JSON.
 *
 * @param type         full name of the message.
 * @param text         UTF-8; need not end with a NUL.
 * @param options      NULL: defaults.
 * @param ret_message  to be freed with free(); never NULL on success.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT if the text is not JSON of this type, with the field or with line
 *         and column, or if it is nested too deeply (about 100 levels); BERTH_NOT_FOUND for an unknown
 * `type`; BERTH_RESOURCE_EXHAUSTED if text or result are too large, or without memory.
 */
enum berth_code berth_json_to_message(struct berth_json_types *types, const char *type, const char *text,
                                      size_t length, const struct berth_json_options *options,
                                      void **ret_message, size_t *ret_length, struct berth_error *err);

/**
 * Writes a message as JSON, on one line unless `is_pretty` is set.
 *
 * @param options   NULL: defaults.
 * @param ret_text  UTF-8, NUL-terminated, to be freed with free().
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT if the bytes are not a message of this type, or are nested too
 * deeply; BERTH_NOT_FOUND for an unknown `type`; BERTH_RESOURCE_EXHAUSTED if message or result are too large,
 * or without memory.
 */
enum berth_code berth_json_from_message(struct berth_json_types *types, const char *type, const void *message,
                                        size_t length, const struct berth_json_options *options,
                                        char **ret_text, size_t *ret_length, struct berth_error *err);

/** A method of a service. Its strings live as long as the types. */
struct berth_json_method {
    /** "SayHello". */
    const char *name;
    /** Full names of the request and response messages. */
    const char *input, *output;
    enum berth_method_kind kind;
    /** The .proto says idempotency_level = NO_SIDE_EFFECTS. */
    bool has_no_side_effects;
};

/** The services in the order in which they were added. @return the full name; NULL beyond the last. */
const char *berth_json_service(const struct berth_json_types *types, size_t index);

/** The methods of a service in the order of the .proto. @return is there such a service and method? */
bool berth_json_method_at(const struct berth_json_types *types, const char *service, size_t index,
                          struct berth_json_method *ret_method);

/** @return BERTH_OK; BERTH_NOT_FOUND saying which of service and method is unknown. */
enum berth_code berth_json_method_find(const struct berth_json_types *types, const char *service,
                                       const char *method, struct berth_json_method *ret_method,
                                       struct berth_error *err);

/**
 * Describes a service, method, message, field or enum as a .proto file would, with references by full name.
 *
 * @param name      full name: "helloworld.Greeter", "helloworld.Greeter.SayHello".
 * @param as_json   the descriptor as JSON instead: google.protobuf.DescriptorProto, ServiceDescriptorProto,
 *                  MethodDescriptorProto, EnumDescriptorProto or FieldDescriptorProto.
 * @param ret_text  NUL-terminated, ends with a line break, to be freed with free(). Bytes that a descriptor
 *                  took from outside are not escaped.
 * @return BERTH_OK; BERTH_NOT_FOUND; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code berth_json_describe(const struct berth_json_types *types, const char *name, bool as_json,
                                    char **ret_text, struct berth_error *err);

#ifdef __cplusplus
}
#endif

#endif
