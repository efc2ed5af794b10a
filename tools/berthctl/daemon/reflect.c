/* SPDX-License-Identifier: Apache-2.0 */
/* Asks grpc.reflection, one question a stream: v1, else v1alpha, whose messages are the same. */
#include "reflect.h"

#include <stdlib.h>
#include <string.h>

#include <berth/protobuf.h>

#include <config/text/diagnostics.h>
#include <config/text/utf8.h>
#include <google/protobuf/descriptor.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>

#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>

#define FILES_MAX 4096
/* Imports of all files; most are named more than once. */
#define IMPORTS_MAX (64 * FILES_MAX)
#define SET_MAX BERTH_JSON_MAX_INPUT

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;
typedef Google__Protobuf__FileDescriptorProto file_message;

#define ASKS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define ANSWERS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

enum berth_code reflect_begin(struct reflect *reflect, const struct client *client, const char *protoset,
                              struct berth_error *err)
{
    struct berth_error reason;
    enum berth_code code;
    size_t length;
    char *set;

    *reflect = (struct reflect){.client = client, .protoset = protoset};
    code = berth_json_types_create(&reflect->types, err);
    if (code != BERTH_OK || protoset == NULL)
        return code;
    if (text_file_read(protoset, SET_MAX, &set, &length, &reason) != BERTH_OK)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "--protoset: %s", reason.message);
    if (berth_json_types_add(reflect->types, set, length, &reason) != BERTH_OK)
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT, "--protoset: %s: %s", protoset, reason.message);
    free(set);
    return code;
}

void reflect_finish(struct reflect *reflect)
{
    berth_json_types_destroy(reflect->types);
    for (size_t i = 0; i < reflect->file_count; i++)
        free(reflect->files[i]);
    free(reflect->files);
}

static const char *path_of(const struct reflect *reflect)
{
    return reflect->is_alpha ? "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
                             : "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
}

/* @return BERTH_OK with a response that is no error; else what the server says. */
static enum berth_code ask(struct reflect *reflect, const request_message *request,
                           response_message **ret_response, struct berth_error *err)
{
    const ProtobufCMessageDescriptor *answer = &grpc__reflection__v1__server_reflection_response__descriptor;
    enum berth_code code =
        client_ask(reflect->client, path_of(reflect), &request->base, answer, ret_response, err);

    reflect->has_answered_error = false;
    if (code == BERTH_UNIMPLEMENTED && !reflect->is_alpha) {
        reflect->is_alpha = true;
        code = client_ask(reflect->client, path_of(reflect), &request->base, answer, ret_response, err);
    }
    if (code == BERTH_UNIMPLEMENTED)
        return berth_error_set(err, code,
                               "it has no reflection (grpc.reflection.v1 or v1alpha); use --protoset FILE");
    if (code != BERTH_OK || (*ret_response)->message_response_case != ANSWERS(ERROR_RESPONSE))
        return code;
    code = (enum berth_code)(*ret_response)->error_response->error_code;
    if (code <= BERTH_OK || code > BERTH_UNAUTHENTICATED)
        code = BERTH_UNKNOWN;
    utf8_make_line((*ret_response)->error_response->error_message);
    reflect->has_answered_error = true;
    berth_error_set(err, code, "%s", (*ret_response)->error_response->error_message);
    protobuf_c_message_free_unpacked(&(*ret_response)->base, NULL);
    return code;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void names_add(struct reflect_names *names, const char *name)
{
    names->names = memory_grow(names->names, names->count, sizeof(*names->names));
    names->names[names->count++] = memory_copy(name);
}

enum berth_code reflect_services(struct reflect *reflect, struct reflect_names *ret_names,
                                 struct berth_error *err)
{
    request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct reflect_names names = {0};
    response_message *response = NULL;
    enum berth_code code;
    char all[] = "*";

    for (size_t i = 0; reflect->protoset != NULL && berth_json_service(reflect->types, i) != NULL; i++)
        names_add(&names, berth_json_service(reflect->types, i));
    if (reflect->protoset == NULL) {
        request.message_request_case = ASKS(LIST_SERVICES);
        request.list_services = all;
        code = ask(reflect, &request, &response, err);
        if (code != BERTH_OK)
            return code;
        if (response->message_response_case == ANSWERS(LIST_SERVICES_RESPONSE))
            for (size_t i = 0; i < response->list_services_response->n_service; i++)
                names_add(&names, response->list_services_response->service[i]->name);
        protobuf_c_message_free_unpacked(&response->base, NULL);
    }
    for (size_t i = 0; i < names.count; i++)
        utf8_make_line(names.names[i]);
    if (names.count > 0)
        qsort(names.names, names.count, sizeof(*names.names), compare_names);
    *ret_names = names;
    return BERTH_OK;
}

void reflect_names_finish(struct reflect_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
}

/* A FileDescriptorSet as it grows, and the imports that have not come with it. */
struct harvest {
    char *set;
    size_t length;
    struct reflect_names wanted;
};

static bool is_known(const struct reflect *reflect, const char *file)
{
    /* The library has these. */
    if (strncmp(file, "google/protobuf/", 16) == 0)
        return true;
    for (size_t i = 0; i < reflect->file_count; i++)
        if (strcmp(reflect->files[i], file) == 0)
            return true;
    return false;
}

static void note_known(struct reflect *reflect, const char *file)
{
    reflect->files = memory_grow(reflect->files, reflect->file_count, sizeof(*reflect->files));
    reflect->files[reflect->file_count++] = memory_copy(file);
}

static void set_append(struct harvest *harvest, const ProtobufCBinaryData *file)
{
    size_t rest = file->len;

    harvest->set = memory_or_abort(realloc(harvest->set, harvest->length + file->len + 16));
    harvest->set[harvest->length++] = 0x0A;
    for (; rest >= 0x80; rest >>= 7)
        harvest->set[harvest->length++] = (char)(rest | 0x80);
    harvest->set[harvest->length++] = (char)rest;
    memcpy(harvest->set + harvest->length, file->data, file->len);
    harvest->length += file->len;
}

static enum berth_code take_file(struct reflect *reflect, struct harvest *harvest,
                                 const ProtobufCBinaryData *bytes, struct berth_error *err)
{
    file_message *file =
        (file_message *)berth_unpack_within(&google__protobuf__file_descriptor_proto__descriptor, bytes->data,
                                            bytes->len, 64 * bytes->len + BERTH_UNPACK_SLACK);

    if (file == NULL || file->name == NULL) {
        protobuf_c_message_free_unpacked(file == NULL ? NULL : &file->base, NULL);
        return berth_error_set(err, BERTH_INTERNAL, "the server sent an invalid FileDescriptorProto");
    }
    if (!is_known(reflect, file->name)) {
        note_known(reflect, file->name);
        set_append(harvest, bytes);
        for (size_t i = 0; i < file->n_dependency; i++)
            names_add(&harvest->wanted, file->dependency[i]);
    }
    protobuf_c_message_free_unpacked(&file->base, NULL);
    return BERTH_OK;
}

static enum berth_code check_size(const struct reflect *reflect, const struct harvest *harvest,
                                  struct berth_error *err)
{
    if (reflect->file_count <= FILES_MAX && harvest->wanted.count <= IMPORTS_MAX &&
        harvest->length <= SET_MAX)
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "the server's descriptors are too large");
}

static enum berth_code take_files(struct reflect *reflect, struct harvest *harvest,
                                  const request_message *request, struct berth_error *err)
{
    response_message *response;
    enum berth_code code = ask(reflect, request, &response, err);

    if (code != BERTH_OK)
        return code;
    if (response->message_response_case != ANSWERS(FILE_DESCRIPTOR_RESPONSE)) {
        protobuf_c_message_free_unpacked(&response->base, NULL);
        return berth_error_set(err, BERTH_INTERNAL, "the server's reflection sent something else");
    }
    for (size_t i = 0; i < response->file_descriptor_response->n_file_descriptor_proto && code == BERTH_OK;
         i++)
        code =
            take_file(reflect, harvest, &response->file_descriptor_response->file_descriptor_proto[i], err);
    protobuf_c_message_free_unpacked(&response->base, NULL);
    return code != BERTH_OK ? code : check_size(reflect, harvest, err);
}

/* Imports that a server does not know are let pass, as the library does. */
static enum berth_code take_imports(struct reflect *reflect, struct harvest *harvest, struct berth_error *err)
{
    request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;

    request.message_request_case = ASKS(FILE_BY_FILENAME);
    for (size_t i = 0; i < harvest->wanted.count; i++) {
        char *name = harvest->wanted.names[i];
        enum berth_code code;

        if (is_known(reflect, name))
            continue;
        request.file_by_filename = name;
        code = take_files(reflect, harvest, &request, err);
        if (code != BERTH_OK && code != BERTH_NOT_FOUND)
            return code;
        if (!is_known(reflect, name))
            note_known(reflect, name);
        code = check_size(reflect, harvest, err);
        if (code != BERTH_OK)
            return code;
    }
    return BERTH_OK;
}

enum berth_code reflect_learn(struct reflect *reflect, const char *symbol, struct berth_error *err)
{
    request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct harvest harvest = {0};
    enum berth_code code;
    char *text;

    if (berth_json_describe(reflect->types, symbol, false, &text, err) == BERTH_OK) {
        free(text);
        return BERTH_OK;
    }
    if (reflect->protoset != NULL)
        return BERTH_NOT_FOUND;
    request.message_request_case = ASKS(FILE_CONTAINING_SYMBOL);
    request.file_containing_symbol = (char *)(uintptr_t)symbol;
    code = take_files(reflect, &harvest, &request, err);
    if (code == BERTH_OK)
        code = take_imports(reflect, &harvest, err);
    if (code == BERTH_OK &&
        berth_json_types_add(reflect->types, harvest.set, harvest.length, err) != BERTH_OK)
        code = BERTH_INTERNAL;
    free(harvest.set);
    reflect_names_finish(&harvest.wanted);
    return code;
}

/* The services that end with ".name". @return how many; `ret_last` is one of them. */
static size_t find_by_end(const struct reflect_names *services, const char *name, const char **ret_last)
{
    size_t count = 0;

    for (size_t i = 0; i < services->count; i++) {
        const char *service = services->names[i];
        size_t length = strlen(service), end = strlen(name);

        if (length > end && service[length - end - 1] == '.' && strcmp(service + length - end, name) == 0) {
            *ret_last = service;
            count++;
        }
    }
    return count;
}

static bool is_listed(const struct reflect_names *services, const char *name)
{
    for (size_t i = 0; i < services->count; i++)
        if (strcmp(services->names[i], name) == 0)
            return true;
    return false;
}

/* A name without a package is compared with such names. */
static struct config_hint hint_at_service(const struct reflect_names *services, const char *name)
{
    const char **known = memory_allocate(services->count, sizeof(*known));
    struct config_hint hint;

    for (size_t i = 0; i < services->count; i++) {
        const char *end = strrchr(services->names[i], '.');

        known[i] = strchr(name, '.') == NULL && end != NULL ? end + 1 : services->names[i];
    }
    hint = config_hint(name, known, services->count);
    free(known);
    return hint;
}

static enum berth_code refuse_service(const struct reflect_names *services, const char *name, size_t count,
                                      struct berth_error *err)
{
    if (count > 1)
        return berth_error_set(
            err, BERTH_NOT_FOUND,
            "%zu services end with \"%s\"; give the full name (berthctl services lists them)", count, name);
    return berth_error_set(
        err, BERTH_NOT_FOUND,
        "no service \"%s\"%s; `berthctl services` lists them, `berthctl status` plugins that do not run",
        name, hint_at_service(services, name).text);
}

enum berth_code reflect_find_service(struct reflect *reflect, const char *name, char **ret_name,
                                     struct berth_error *err)
{
    struct reflect_names services;
    struct berth_json_method method;
    const char *found = NULL;
    enum berth_code code = reflect_learn(reflect, name, err);
    size_t count;

    if (code == BERTH_OK && berth_json_method_at(reflect->types, name, 0, &method)) {
        *ret_name = memory_copy(name);
        return BERTH_OK;
    }
    if (code != BERTH_OK && code != BERTH_NOT_FOUND)
        return code;
    code = reflect_services(reflect, &services, err);
    if (code != BERTH_OK)
        return code;
    count = find_by_end(&services, name, &found);
    code = count == 1 ? reflect_learn(reflect, found, err) : refuse_service(&services, name, count, err);
    if (code == BERTH_NOT_FOUND && (count == 1 || is_listed(&services, name)))
        berth_error_set(err, code, "the server lists service %s without describing it; use --protoset FILE",
                        count == 1 ? found : name);
    if (code == BERTH_OK)
        *ret_name = memory_copy(found);
    reflect_names_finish(&services);
    return code;
}
