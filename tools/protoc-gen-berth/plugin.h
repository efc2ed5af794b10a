/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes sent by protoc to those it reads. Uses no files and starts no programs. */
#ifndef PROTOC_GEN_BERTH_PLUGIN_H
#define PROTOC_GEN_BERTH_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <google/protobuf/compiler/plugin.pb-c.h>

/** What --berth_opt asks for. */
struct plugin_options {
    bool service;
    bool client;
    bool calls;
    bool interface;
    bool messages;
};

/** Unpacks a request with limited memory. @return to be freed with free_unpacked, or NULL. */
Google__Protobuf__Compiler__CodeGeneratorRequest *plugin_unpack(const void *bytes, size_t length);

/** Parses "service,client"; empty means these two. BERTH_INVALID_ARGUMENT for an unknown word. */
enum berth_code plugin_options_parse(const char *text, struct plugin_options *ret_options,
                                     struct berth_error *err);

/**
 * Generates the code for a request.
 *
 * @param ret_bytes  malloced: a serialised CodeGeneratorResponse, to which the files of another may be
 *                   appended.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT if something is wrong with a .proto.
 */
enum berth_code plugin_generate(const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                                const struct plugin_options *options, uint8_t **ret_bytes, size_t *ret_length,
                                struct berth_error *err);

/** A serialised response with an error message. @param ret_bytes  malloced. */
void plugin_refuse(const char *sentence, uint8_t **ret_bytes, size_t *ret_length);

#endif
