/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a request and the messages in them, found by name. */
#ifndef PROTOC_GEN_BERTH_PROTOS_H
#define PROTOC_GEN_BERTH_PROTOS_H

#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <google/protobuf/compiler/plugin.pb-c.h>

/** A file, and what protobuf-c calls its package: its own name, or what the option c_package says. */
struct protos_file {
    Google__Protobuf__FileDescriptorProto *proto;
    char *c_package;
};

struct protos_message {
    /** With its package: "helloworld.HelloRequest". */
    char *name;
    /** What protobuf-c makes its C names of. */
    char *c_name;
};

struct protos {
    /** In the request's order: what is imported stands first. */
    struct protos_file *files;
    size_t file_count;
    /** By name. */
    struct protos_message *messages;
    size_t message_count;
};

/** @param protos  finish it whatever this returns; borrows from the request. */
enum berth_code protos_init(struct protos *protos,
                            const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                            struct berth_error *err);
void protos_finish(struct protos *protos);

/** The place of a file of that name among the first `count`; `count` where it is not there. */
size_t protos_find_file(const struct protos *protos, const char *name, size_t count);
/** @param name  with its package, without a dot before it. @return NULL where it is not there. */
const struct protos_message *protos_find_message(const struct protos *protos, const char *name);

/**
 * Serialises a file and all it imports, without the places in their texts.
 * @param ret_bytes  malloced.
 */
enum berth_code protos_descriptors(const struct protos *protos, size_t file, uint8_t **ret_bytes,
                                   size_t *ret_length, struct berth_error *err);

#endif
