/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the C names of everything generated, and rejects a .proto with conflicting ones. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

#include "names.h"
#include "protos.h"

/* A service's array of this size is 64 MiB of C. */
#define DESCRIPTORS_MAX ((size_t)16 << 20)

/* Field numbers in descriptor.proto; the path to an element in a file consists of these. */
#define FILE_SERVICE 6
#define SERVICE_METHOD 2

struct reading {
    const struct protos *protos;
    const struct protos_file *file;
    /* Stems of services and methods of all files: they become symbols of one program. */
    struct names_set taken;
    struct berth_error *err;
};

/* The comment above the element at a path; NULL if there is none. */
static const char *find_comment(const struct protos_file *file, const int32_t *path, size_t length)
{
    const Google__Protobuf__SourceCodeInfo *info = file->proto->source_code_info;

    for (size_t i = 0; info != NULL && i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *place = info->location[i];

        if (place->n_path == length && memcmp(place->path, path, length * sizeof(*path)) == 0)
            return place->leading_comments;
    }
    return NULL;
}

static enum berth_code take(struct reading *reading, const char *stem, const char *meaning)
{
    const char *other = names_set_add(&reading->taken, stem, meaning);

    if (other == NULL)
        return BERTH_OK;
    return berth_error_set(reading->err, BERTH_INVALID_ARGUMENT,
                           "%s: %s and %s would both be \"%s\" in C: rename one of them",
                           reading->file->proto->name, other, meaning, stem);
}

/* The C names of a method's request or reply. */
static enum berth_code name_message(struct reading *reading, const char *method, const char *type_name,
                                    char **ret_type, char **ret_symbol)
{
    const char *name = type_name == NULL ? "" : type_name;
    const struct protos_message *message =
        protos_find_message(reading->protos, *name == '.' ? name + 1 : name);

    if (message == NULL)
        return berth_error_set(
            reading->err, BERTH_INVALID_ARGUMENT,
            "%s: %s uses \"%.200s\", which is missing from the request: run this program through protoc",
            reading->file->proto->name, method, name);
    *ret_type = names_type(message->c_name);
    *ret_symbol = names_symbol(message->c_name);
    return BERTH_OK;
}

static enum berth_method_kind kind_of(const Google__Protobuf__MethodDescriptorProto *proto)
{
    if (proto->client_streaming)
        return proto->server_streaming ? BERTH_METHOD_BIDI_STREAM : BERTH_METHOD_CLIENT_STREAM;
    return proto->server_streaming ? BERTH_METHOD_SERVER_STREAM : BERTH_METHOD_UNARY;
}

static enum berth_code read_method(struct reading *reading, const struct model_service *service,
                                   const Google__Protobuf__MethodDescriptorProto *proto,
                                   struct model_method *method)
{
    enum berth_code code;
    char *words, *meaning;

    method->name = proto->name == NULL ? "" : proto->name;
    if (!names_is_word(method->name))
        return berth_error_set(reading->err, BERTH_INVALID_ARGUMENT,
                               "%s: %s: \"%.60s\" is not a valid method name", reading->file->proto->name,
                               service->name, method->name);
    words = names_words(method->name);
    method->member = names_snake(method->name);
    method->stem = memory_format("%s_%s", service->stem, words);
    method->constant = names_upper(method->stem);
    method->kind = kind_of(proto);
    free(words);
    meaning = memory_format("method %s/%s", service->name, method->name);
    code = take(reading, method->stem, meaning);
    if (code == BERTH_OK)
        code =
            name_message(reading, meaning, proto->input_type, &method->request_type, &method->request_symbol);
    if (code == BERTH_OK)
        code = name_message(reading, meaning, proto->output_type, &method->reply_type, &method->reply_symbol);
    free(meaning);
    return code;
}

static enum berth_code name_service(struct reading *reading, const char *word, struct model_service *service)
{
    const char *package = reading->file->proto->package;
    enum berth_code code;
    char *meaning;

    if (!names_is_word(word))
        return berth_error_set(reading->err, BERTH_INVALID_ARGUMENT,
                               "%s: \"%.60s\" is not a valid service name", reading->file->proto->name, word);
    service->name = package == NULL || *package == '\0' ? memory_format("%s", word)
                                                        : memory_format("%s.%s", package, word);
    service->stem = names_for_service(service->name);
    service->constant = names_upper(service->stem);
    meaning = memory_format("service %s", service->name);
    code = take(reading, service->stem, meaning);
    free(meaning);
    return code;
}

static enum berth_code read_service(struct reading *reading, size_t number, struct model_service *service)
{
    const Google__Protobuf__ServiceDescriptorProto *proto = reading->file->proto->service[number];
    int32_t path[] = {FILE_SERVICE, (int32_t)number, SERVICE_METHOD, 0};
    enum berth_code code = name_service(reading, proto->name == NULL ? "" : proto->name, service);

    service->comment = find_comment(reading->file, path, 2);
    service->methods = memory_allocate(proto->n_method + 1, sizeof(*service->methods));
    for (size_t i = 0; i < proto->n_method && code == BERTH_OK; i++) {
        struct model_method *method = &service->methods[service->method_count++];

        path[3] = (int32_t)i;
        method->comment = find_comment(reading->file, path, 4);
        code = read_method(reading, service, proto->method[i], method);
    }
    return code;
}

static enum berth_code read_file(struct reading *reading, const char *name, struct model_file *file)
{
    size_t place = protos_find_file(reading->protos, name, reading->protos->file_count);
    enum berth_code code;

    if (place == reading->protos->file_count)
        return berth_error_set(reading->err, BERTH_INVALID_ARGUMENT,
                               "%.200s: is missing from the request: run this program through protoc", name);
    reading->file = &reading->protos->files[place];
    file->name = reading->file->proto->name;
    file->stem = names_file_stem(file->name);
    file->identifier = names_file_identifier(file->name);
    file->services = memory_allocate(reading->file->proto->n_service + 1, sizeof(*file->services));
    code = protos_descriptors(reading->protos, place, &file->descriptors, &file->descriptors_length,
                              reading->err);
    if (code == BERTH_OK && file->descriptors_length > DESCRIPTORS_MAX)
        return berth_error_set(
            reading->err, BERTH_INVALID_ARGUMENT,
            "%s: its descriptors and those of its imports have %zu bytes, the maximum is %zu", file->name,
            file->descriptors_length, DESCRIPTORS_MAX);
    for (size_t i = 0; i < reading->file->proto->n_service && code == BERTH_OK; i++)
        code = read_service(reading, i, &file->services[file->service_count++]);
    return code;
}

enum berth_code model_init(struct model *model,
                           const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                           struct berth_error *err)
{
    struct protos protos;
    struct reading reading = {.protos = &protos, .err = err};
    enum berth_code code = protos_init(&protos, request, err);

    *model = (struct model){.files = calloc(request->n_file_to_generate + 1, sizeof(*model->files))};
    if (model->files == NULL)
        abort();
    for (size_t i = 0; i < request->n_file_to_generate && code == BERTH_OK; i++)
        code = read_file(&reading, request->file_to_generate[i], &model->files[model->count++]);
    names_set_finish(&reading.taken);
    protos_finish(&protos);
    return code;
}

static void finish_service(struct model_service *service)
{
    for (size_t i = 0; i < service->method_count; i++) {
        struct model_method *method = &service->methods[i];

        free(method->member);
        free(method->stem);
        free(method->constant);
        free(method->request_type);
        free(method->request_symbol);
        free(method->reply_type);
        free(method->reply_symbol);
    }
    free(service->methods);
    free(service->name);
    free(service->stem);
    free(service->constant);
}

void model_finish(struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        struct model_file *file = &model->files[i];

        for (size_t j = 0; j < file->service_count; j++)
            finish_service(&file->services[j]);
        free(file->services);
        free(file->descriptors);
        free(file->identifier);
        free(file->stem);
    }
    free(model->files);
    *model = (struct model){0};
}
