/* SPDX-License-Identifier: Apache-2.0 */
/* Answers one request of server reflection: a look-up in the index, wrapped in a message. */
#include "answer.h"

#include <stdlib.h>

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServiceResponse service_message;

#define ASKS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define ANSWERS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

static const char no_memory[] = "no memory for the answer";

void answer_finish(struct answer *answer)
{
    free(answer->items);
    free(answer->pointers);
    answer->items = answer->pointers = NULL;
}

void answer_refuse(struct answer *answer, enum berth_code code, const char *message)
{
    answer_finish(answer);
    grpc__reflection__v1__error_response__init(&answer->error);
    answer->error.error_code = (int32_t)code;
    answer->error.error_message = (char *)(uintptr_t)message;
    answer->response.message_response_case = ANSWERS(ERROR_RESPONSE);
    answer->response.error_response = &answer->error;
}

/* The files go out as they came in. */
static void answer_files(struct answer *answer, const struct descriptor_index *index,
                         const struct descriptor_file *file, const char *otherwise)
{
    const struct descriptor_file **files;
    ProtobufCBinaryData *bytes;
    size_t count;

    if (file == NULL) {
        answer_refuse(answer, BERTH_NOT_FOUND, otherwise);
        return;
    }
    files = answer->pointers = calloc(descriptor_index_file_count(index), sizeof(*files));
    if (files == NULL) {
        answer_refuse(answer, BERTH_RESOURCE_EXHAUSTED, no_memory);
        return;
    }
    count = descriptor_index_closure(index, file, files);
    bytes = answer->items = calloc(count, sizeof(*bytes));
    if (bytes == NULL) {
        answer_refuse(answer, BERTH_RESOURCE_EXHAUSTED, no_memory);
        return;
    }
    for (size_t i = 0; i < count; i++)
        bytes[i] =
            (ProtobufCBinaryData){.len = files[i]->length, .data = (uint8_t *)(uintptr_t)files[i]->bytes};
    answer->files.n_file_descriptor_proto = count;
    answer->files.file_descriptor_proto = bytes;
    answer->response.message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
    answer->response.file_descriptor_response = &answer->files;
}

static void answer_numbers(struct answer *answer, const struct descriptor_index *index, const char *type)
{
    size_t count;
    const struct descriptor_entry *extensions = descriptor_index_extensions(index, type, &count);
    int32_t *numbers;

    if (extensions == NULL && descriptor_index_symbol(index, type) == NULL) {
        answer_refuse(answer, BERTH_NOT_FOUND, "no service here defines this type");
        return;
    }
    numbers = answer->items = calloc(count + 1, sizeof(*numbers));
    if (numbers == NULL) {
        answer_refuse(answer, BERTH_RESOURCE_EXHAUSTED, no_memory);
        return;
    }
    for (size_t i = 0; i < count; i++)
        numbers[i] = extensions[i].number;
    answer->extensions.base_type_name = (char *)(uintptr_t)type;
    answer->extensions.n_extension_number = count;
    answer->extensions.extension_number = numbers;
    answer->response.message_response_case = ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE);
    answer->response.all_extension_numbers_response = &answer->extensions;
}

static void answer_services(struct answer *answer, const struct descriptor_index *index)
{
    size_t count;
    const char *const *names = descriptor_index_services(index, &count);
    service_message *services = answer->items = calloc(count + 1, sizeof(*services));
    service_message **pointers = answer->pointers = calloc(count + 1, sizeof(service_message *));

    if (services == NULL || pointers == NULL) {
        answer_refuse(answer, BERTH_RESOURCE_EXHAUSTED, no_memory);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        grpc__reflection__v1__service_response__init(&services[i]);
        services[i].name = (char *)(uintptr_t)names[i];
        pointers[i] = &services[i];
    }
    answer->services.n_service = count;
    answer->services.service = pointers;
    answer->response.message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
    answer->response.list_services_response = &answer->services;
}

static void init(struct answer *answer, const request_message *request)
{
    grpc__reflection__v1__server_reflection_response__init(&answer->response);
    grpc__reflection__v1__file_descriptor_response__init(&answer->files);
    grpc__reflection__v1__extension_number_response__init(&answer->extensions);
    grpc__reflection__v1__list_service_response__init(&answer->services);
    answer->items = answer->pointers = NULL;
    answer->response.valid_host = request->host;
    answer->response.original_request = (request_message *)(uintptr_t)request;
}

void answer_make(struct answer *answer, const struct descriptor_index *index, const request_message *request)
{
    init(answer, request);
    switch ((int)request->message_request_case) {
    case ASKS(FILE_BY_FILENAME):
        answer_files(answer, index, descriptor_index_file(index, request->file_by_filename),
                     "no service here has a file of this name");
        return;
    case ASKS(FILE_CONTAINING_SYMBOL):
        answer_files(answer, index, descriptor_index_symbol(index, request->file_containing_symbol),
                     "no service here defines this symbol");
        return;
    case ASKS(FILE_CONTAINING_EXTENSION):
        answer_files(answer, index,
                     descriptor_index_extension(index, request->file_containing_extension->containing_type,
                                                request->file_containing_extension->extension_number),
                     "no service here defines this extension");
        return;
    case ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE):
        answer_numbers(answer, index, request->all_extension_numbers_of_type);
        return;
    case ASKS(LIST_SERVICES):
        answer_services(answer, index);
        return;
    default:
        answer_refuse(answer, BERTH_INVALID_ARGUMENT, "unknown kind of request");
    }
}
