/* SPDX-License-Identifier: Apache-2.0 */
/* Answers a request of protoc. */
#include "plugin.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <berth/protobuf.h>

#include <sdk/base/memory.h>

#include "generate.h"
#include "model.h"
#include "names.h"

/* Descriptors are small on the wire and large in memory. */
#define UNPACK_FACTOR 64

typedef Google__Protobuf__Compiler__CodeGeneratorRequest code_request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse code_response;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File code_file;

static const struct output {
    const char *ending;
    /** The option that asks for it. */
    size_t option;
    void (*generate)(FILE *out, const struct model_file *file);
} outputs[] = {
    {"berth.h", offsetof(struct plugin_options, service), generate_service_header},
    {"berth.c", offsetof(struct plugin_options, service), generate_service_source},
    {"client.h", offsetof(struct plugin_options, client), generate_client_header},
    {"client.c", offsetof(struct plugin_options, client), generate_client_source},
    {"calls.h", offsetof(struct plugin_options, calls), generate_calls_header},
    {"calls.c", offsetof(struct plugin_options, calls), generate_calls_source},
    {"interface.h", offsetof(struct plugin_options, interface), generate_interface_header},
    {"interface.c", offsetof(struct plugin_options, interface), generate_interface_source},
};

code_request *plugin_unpack(const void *bytes, size_t length)
{
    return (code_request *)berth_unpack_within(
        &google__protobuf__compiler__code_generator_request__descriptor, bytes, length,
        UNPACK_FACTOR * length + BERTH_UNPACK_SLACK);
}

static bool set_option(struct plugin_options *options, const char *word, size_t length)
{
    const struct {
        const char *name;
        bool *option;
    } known[] = {
        {"service", &options->service},     {"client", &options->client},     {"calls", &options->calls},
        {"interface", &options->interface}, {"messages", &options->messages},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == length && memcmp(known[i].name, word, length) == 0)
            return *known[i].option = true;
    return false;
}

enum berth_code plugin_options_parse(const char *text, struct plugin_options *ret_options,
                                     struct berth_error *err)
{
    struct plugin_options options = {0};

    if (text == NULL || *text == '\0') {
        *ret_options = (struct plugin_options){.service = true, .client = true};
        return BERTH_OK;
    }
    for (;;) {
        size_t length = strcspn(text, ",");

        if (!set_option(&options, text, length))
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "--berth_opt: unknown word \"%.*s\": use service, client, calls, "
                                   "interface and messages, separated by commas",
                                   (int)(length < 60 ? length : 60), text);
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *ret_options = options;
    return BERTH_OK;
}

static code_file *write_file(const struct model_file *file, const struct output *output)
{
    code_file *result = malloc(sizeof(*result));
    size_t length;
    FILE *out;

    if (result == NULL)
        abort();
    *result = (code_file)GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FILE__INIT;
    result->name = memory_format("%s.%s", file->stem, output->ending);
    out = open_memstream(&result->content, &length);
    if (out == NULL)
        abort();
    output->generate(out, file);
    fclose(out);
    return result;
}

static void pack(const code_response *response, uint8_t **ret_bytes, size_t *ret_length)
{
    *ret_length = google__protobuf__compiler__code_generator_response__get_packed_size(response);
    *ret_bytes = malloc(*ret_length + 1);
    if (*ret_bytes == NULL)
        abort();
    google__protobuf__compiler__code_generator_response__pack(response, *ret_bytes);
}

static void write_response(const struct model *model, const struct plugin_options *options,
                           uint8_t **ret_bytes, size_t *ret_length)
{
    const size_t count = sizeof(outputs) / sizeof(outputs[0]);
    code_response response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    code_file **files = memory_allocate(count * model->count + 1, sizeof(*files));

    for (size_t i = 0; i < model->count; i++)
        for (size_t j = 0; j < count; j++)
            if (*(const bool *)((const char *)options + outputs[j].option))
                files[response.n_file++] = write_file(&model->files[i], &outputs[j]);
    response.file = files;
    response.has_supported_features = true;
    response.supported_features =
        GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL;
    pack(&response, ret_bytes, ret_length);
    for (size_t i = 0; i < response.n_file; i++)
        protobuf_c_message_free_unpacked(&files[i]->base, NULL);
    free(files);
}

enum berth_code plugin_generate(const code_request *request, const struct plugin_options *options,
                                uint8_t **ret_bytes, size_t *ret_length, struct berth_error *err)
{
    struct model model;
    enum berth_code code = model_init(&model, request, err);

    if (code == BERTH_OK && options->interface)
        code = generate_interface_check(&model, err);
    if (code == BERTH_OK)
        write_response(&model, options, ret_bytes, ret_length);
    model_finish(&model);
    return code;
}

void plugin_refuse(const char *sentence, uint8_t **ret_bytes, size_t *ret_length)
{
    code_response response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;

    response.error = (char *)(uintptr_t)sentence;
    pack(&response, ret_bytes, ret_length);
}
