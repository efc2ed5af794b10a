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
    struct text_value items[16];
};

void generate_file_values(struct generate_values *values, const struct model_file *file);
void generate_service_values(struct generate_values *values, const struct model_service *service);
void generate_method_values(struct generate_values *values, const struct model_service *service,
                            const struct model_method *method);

/** Does its caller, or its handler, send a stream of messages? */
bool generate_streams_requests(const struct model_method *method);
bool generate_streams_replies(const struct model_method *method);

/** The four files of a .proto: "x.berth.h", "x.berth.c", "x.client.h", "x.client.c". */
void generate_service_header(FILE *out, const struct model_file *file);
void generate_service_source(FILE *out, const struct model_file *file);
void generate_client_header(FILE *out, const struct model_file *file);
void generate_client_source(FILE *out, const struct model_file *file);

#endif
