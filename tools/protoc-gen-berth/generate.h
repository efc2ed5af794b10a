/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that generate code. */
#ifndef PROTOC_GEN_BERTH_GENERATE_H
#define PROTOC_GEN_BERTH_GENERATE_H

#include <stdio.h>

#include "model.h"

/** "$name$" in a text stands for a value. */
struct text_value {
    const char *name;
    const char *value;
};

/** Writes `text` with the values of a list that ends with a NULL name; each "$name$" must be among them. */
void text_fill(FILE *out, const struct text_value *values, const char *text);
/** A comment of the .proto, each line behind `before`; nothing where `comment` is NULL. It cannot end the C
 * comment. */
void text_write_comment(FILE *out, const char *before, const char *comment);

/** The values of placeholders for a file, a service or a method; ends with a NULL name. */
struct generate_values {
    struct text_value items[24];
};

void generate_file_values(struct generate_values *values, const struct model_file *file);
void generate_service_values(struct generate_values *values, const struct model_service *service);
void generate_method_values(struct generate_values *values, const struct model_service *service,
                            const struct model_method *method);

/** Where typed calls go: over a channel of libberth-rpc, or to the services of the plugin's own daemon. */
struct generate_way {
    const char *ending, *guard, *header;
    /** Of the functions and types of a call; a struct of this name is one. */
    const char *prefix;
    /** Between the name of a method and that of a function. */
    const char *infix;
    /** The parameter that says where a call goes, and its name. */
    const char *where, *from;
    const char *set_kind, *filled, *limits;
    bool has_blocking;
};

extern const struct generate_way generate_on_channel, generate_in_host;

/** Adds the placeholders of a way. */
void generate_way_values(struct generate_values *values, const struct generate_way *way);

/** Does its caller, or its handler, send a stream of messages? */
bool generate_streams_requests(const struct model_method *method);
bool generate_streams_replies(const struct model_method *method);

/** @return BERTH_OK; BERTH_INVALID_ARGUMENT if a service cannot be an interface, with the reason. */
enum berth_code generate_interface_check(const struct model *model, struct berth_error *err);

/** The files of a .proto: "x.berth.h", "x.berth.c", "x.client.h", "x.client.c", "x.calls.h", "x.calls.c",
 * "x.interface.h", "x.interface.c". */
void generate_service_header(FILE *out, const struct model_file *file);
void generate_service_source(FILE *out, const struct model_file *file);
void generate_client_header(FILE *out, const struct model_file *file);
void generate_client_source(FILE *out, const struct model_file *file);
void generate_calls_header(FILE *out, const struct model_file *file);
void generate_calls_source(FILE *out, const struct model_file *file);
void generate_interface_header(FILE *out, const struct model_file *file);
void generate_interface_source(FILE *out, const struct model_file *file);

#endif
