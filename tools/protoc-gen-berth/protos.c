/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes the files of a request: each message by its name, with what protobuf-c derives its C names from. */
#include "protos.h"

#include <stdlib.h>
#include <string.h>

#include <berth/protobuf.h>

#include <sdk/base/memory.h>

#include "names.h"
#include "protobuf_c_options.pb-c.h"

/* The number of the extension pb_c_file of google.protobuf.FileOptions. */
#define PB_C_FILE 1019

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

/* Bytes of the varint that a length-delimited value begins with. */
static size_t prefix_length(const ProtobufCMessageUnknownField *field)
{
    size_t i = 0;

    while (i < field->len && (field->data[i] & 0x80) != 0)
        i++;
    return i < field->len ? i + 1 : field->len;
}

/* The caller frees. An option may be set in several parts; the last one wins. */
static char *find_c_package(const Google__Protobuf__FileDescriptorProto *proto)
{
    const ProtobufCMessage *options = proto->options == NULL ? NULL : &proto->options->base;
    char *found = NULL;

    for (unsigned i = 0; options != NULL && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        Berth__Generator__ProtobufCFileOptions *own;
        size_t prefix = prefix_length(field);

        if (field->tag != PB_C_FILE || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        own = (void *)berth_unpack(&berth__generator__protobuf_cfile_options__descriptor,
                                   field->data + prefix, field->len - prefix, NULL);
        if (own != NULL && own->c_package != NULL) {
            free(found);
            found = memory_copy(own->c_package);
        }
        berth__generator__protobuf_cfile_options__free_unpacked(own, NULL);
    }
    return found != NULL ? found : memory_copy(text_or_empty(proto->package));
}

static char *qualify(const char *package, const char *name)
{
    return memory_format("%s%s%s", package, *package == '\0' ? "" : ".", name);
}

struct indexing {
    struct protos *protos;
    size_t capacity;
    const char *file;
    struct berth_error *err;
};

static void add_message(struct indexing *indexing, char *name, char *c_name)
{
    struct protos *protos = indexing->protos;

    if (protos->message_count == indexing->capacity) {
        indexing->capacity = 2 * indexing->capacity + 64;
        protos->messages = reallocarray(protos->messages, indexing->capacity, sizeof(*protos->messages));
        if (protos->messages == NULL)
            abort();
    }
    protos->messages[protos->message_count++] = (struct protos_message){.name = name, .c_name = c_name};
}

static enum berth_code add_messages(struct indexing *indexing, const char *scope, const char *c_scope,
                                    Google__Protobuf__DescriptorProto *const *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *word = text_or_empty(messages[i]->name);
        enum berth_code code;

        if (!names_is_word(word))
            return berth_error_set(indexing->err, BERTH_INVALID_ARGUMENT,
                                   "%s: \"%.60s\" is not a valid message name", indexing->file, word);

        char *name = qualify(scope, word);
        char *c_name = qualify(c_scope, word);

        add_message(indexing, name, c_name);
        code = add_messages(indexing, name, c_name, messages[i]->nested_type, messages[i]->n_nested_type);
        if (code != BERTH_OK)
            return code;
    }
    return BERTH_OK;
}

static enum berth_code add_file(struct indexing *indexing, Google__Protobuf__FileDescriptorProto *proto)
{
    struct protos_file *file = &indexing->protos->files[indexing->protos->file_count++];
    const char *package = text_or_empty(proto->package);

    *file = (struct protos_file){.proto = proto, .c_package = find_c_package(proto)};
    indexing->file = text_or_empty(proto->name);
    if (!names_is_file(indexing->file))
        return berth_error_set(indexing->err, BERTH_INVALID_ARGUMENT,
                               "\"%.200s\" is not a file name that C can include: remove quotes, \"..\" and "
                               "non-printable characters",
                               indexing->file);
    if (*package != '\0' && !names_is_full(package))
        return berth_error_set(indexing->err, BERTH_INVALID_ARGUMENT,
                               "%s: \"%.200s\" is not a valid package name", indexing->file, package);
    if (*file->c_package != '\0' && !names_is_full(file->c_package))
        return berth_error_set(indexing->err, BERTH_INVALID_ARGUMENT,
                               "%s: the option c_package is \"%.200s\": use words separated by dots",
                               indexing->file, file->c_package);
    return add_messages(indexing, package, file->c_package, proto->message_type, proto->n_message_type);
}

static int compare_messages(const void *a, const void *b)
{
    const struct protos_message *left = a, *right = b;

    return strcmp(left->name, right->name);
}

enum berth_code protos_init(struct protos *protos,
                            const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                            struct berth_error *err)
{
    struct indexing indexing = {.protos = protos, .err = err};

    *protos = (struct protos){0};
    protos->files = memory_allocate(request->n_proto_file + 1, sizeof(*protos->files));
    for (size_t i = 0; i < request->n_proto_file; i++) {
        enum berth_code code = add_file(&indexing, request->proto_file[i]);

        if (code != BERTH_OK)
            return code;
    }
    if (protos->message_count > 0)
        qsort(protos->messages, protos->message_count, sizeof(*protos->messages), compare_messages);
    return BERTH_OK;
}

void protos_finish(struct protos *protos)
{
    for (size_t i = 0; i < protos->message_count; i++) {
        free(protos->messages[i].name);
        free(protos->messages[i].c_name);
    }
    for (size_t i = 0; i < protos->file_count; i++)
        free(protos->files[i].c_package);
    free(protos->messages);
    free(protos->files);
    *protos = (struct protos){0};
}

size_t protos_find_file(const struct protos *protos, const char *name, size_t count)
{
    size_t i = 0;

    while (i < count && strcmp(protos->files[i].proto->name, name) != 0)
        i++;
    return i;
}

const struct protos_message *protos_find_message(const struct protos *protos, const char *name)
{
    struct protos_message key = {.name = (char *)(uintptr_t)name};

    if (protos->message_count == 0)
        return NULL;
    return bsearch(&key, protos->messages, protos->message_count, sizeof(key), compare_messages);
}
