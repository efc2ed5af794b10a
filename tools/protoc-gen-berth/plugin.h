/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes that protoc sends to those it reads. Touches no file and starts nothing. */
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
    bool messages;
};

/** Unpacks a request; what it may allocate is bounded. @return to be freed with free_unpacked, or NULL. */
Google__Protobuf__Compiler__CodeGeneratorRequest *plugin_unpack(const void *bytes, size_t length);

/** Reads "service,client"; nothing is these two. BERTH_INVALID_ARGUMENT for a word that is not known. */
enum berth_code plugin_options_parse(const char *text, struct plugin_options *ret_options,
                                     struct berth_error *err);

/**
 * Writes the code that a request asks for.
 *
 * @param ret_bytes  malloced: a serialised CodeGeneratorResponse, whose files can be followed by those of
 * another.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT where something is wrong with a .proto.
 */
enum berth_code plugin_generate(const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                                const struct plugin_options *options, uint8_t **ret_bytes, size_t *ret_length,
                                struct berth_error *err);

/** A serialised response that says what is wrong. @param ret_bytes  malloced. */
void plugin_refuse(const char *sentence, uint8_t **ret_bytes, size_t *ret_length);

#endif
