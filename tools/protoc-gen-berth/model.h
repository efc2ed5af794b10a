/* SPDX-License-Identifier: Apache-2.0 */
/* A request of protoc, with all its names in C. */
#ifndef PROTOC_GEN_BERTH_MODEL_H
#define PROTOC_GEN_BERTH_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <berth/call.h>
#include <google/protobuf/compiler/plugin.pb-c.h>

struct model_method {
    /** As in the .proto: "SayHello". */
    const char *name;
    /** "say_hello", or "class_" if that would be a keyword: a member of the service's struct. */
    char *member;
    /** "helloworld_greeter_say_hello", and the same in capitals. */
    char *stem;
    char *constant;
    /** "Helloworld__HelloRequest" and "helloworld__hello_request". */
    char *request_type;
    char *request_symbol;
    char *reply_type;
    char *reply_symbol;
    enum berth_method_kind kind;
    /** The comment above it in the .proto, or NULL. */
    const char *comment;
};

struct model_service {
    /** Including its package: "helloworld.Greeter". */
    char *name;
    /** "helloworld_greeter", and the same in capitals. */
    char *stem;
    char *constant;
    struct model_method *methods;
    size_t method_count;
    const char *comment;
};

/** One .proto to generate code for. */
struct model_file {
    /** "a/x.proto", without its suffix, and as part of an identifier. */
    const char *name;
    char *stem;
    char *identifier;
    struct model_service *services;
    size_t service_count;
    /** A serialised FileDescriptorSet of the file and all its imports, imports first. */
    uint8_t *descriptors;
    size_t descriptors_length;
};

struct model {
    struct model_file *files;
    size_t count;
};

/**
 * Reads a request.
 *
 * @param request  borrowed as long as the model.
 * @param model    to be finished whatever this returns.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with a message that names the file and what to do.
 */
enum berth_code model_init(struct model *model,
                           const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                           struct berth_error *err);
void model_finish(struct model *model);

#endif
