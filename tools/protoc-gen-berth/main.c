/* SPDX-License-Identifier: Apache-2.0 */
/* protoc-gen-berth: protoc's plugin for typed handlers and clients. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "messages.h"
#include "plugin.h"
#include "stream.h"

static const char help[] =
    "usage: protoc --berth_out=DIR [--berth_opt=WORD,...] -I DIR FILE.proto...\n"
    "\n"
    "protoc-gen-berth is a plugin of protoc, which starts it. For each FILE.proto it writes\n"
    "\n"
    "  service   FILE.berth.h, FILE.berth.c: for each service a table of typed handlers, its\n"
    "            struct berth_service, typed replies, and descriptors for reflection\n"
    "  client    FILE.client.h, FILE.client.c: typed calls on a channel of libberth-rpc\n"
    "  calls     FILE.calls.h, FILE.calls.c: typed calls of a plugin to other services of its\n"
    "            own daemon\n"
    "  interface FILE.interface.h, FILE.interface.c: for each service an interface between\n"
    "            plugins, with its stub and skeleton for use across processes\n"
    "  messages  FILE.pb-c.h, FILE.pb-c.c: the messages, written by protobuf-c's protoc-gen-c\n"
    "\n"
    "Default of --berth_opt: service,client. For a file without services, empty files are\n"
    "written, so that a build can rely on them. protoc finds this program in PATH, or with\n"
    "--plugin=/path/protoc-gen-berth.\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 request answered, including errors in a .proto; 1 no valid request, or the\n"
    "response cannot be written; 2 wrong usage.\n";

static bool write_answer(uint8_t *bytes, size_t length)
{
    bool written = stream_write(STDOUT_FILENO, bytes, length);

    free(bytes);
    if (!written)
        fprintf(stderr, "protoc-gen-berth: cannot write the response: %s\n", strerror(errno));
    return written;
}

/*
 * The parameter is for this program and unknown to protobuf-c's. Services are omitted: nobody would call the
 * code generated for them, and a method named "delete" makes a header that is not valid C++.
 */
static enum berth_code generate_messages(const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                                         uint8_t **ret_bytes, size_t *ret_length, struct berth_error *err)
{
    Google__Protobuf__Compiler__CodeGeneratorRequest own = *request;
    Google__Protobuf__FileDescriptorProto *files = calloc(request->n_proto_file + 1, sizeof(*files));
    Google__Protobuf__FileDescriptorProto **list = calloc(request->n_proto_file + 1, sizeof(*list));
    enum berth_code code;
    uint8_t *bytes;
    size_t length;

    if (files == NULL || list == NULL)
        abort();
    for (size_t i = 0; i < request->n_proto_file; i++) {
        files[i] = *request->proto_file[i];
        files[i].n_service = 0;
        list[i] = &files[i];
    }
    own.proto_file = list;
    own.parameter = NULL;
    bytes = malloc(google__protobuf__compiler__code_generator_request__get_packed_size(&own) + 1);
    if (bytes == NULL)
        abort();
    length = google__protobuf__compiler__code_generator_request__pack(&own, bytes);
    code = messages_generate(bytes, length, ret_bytes, ret_length, err);
    free(bytes);
    free(list);
    free(files);
    return code;
}

/*
 * Concatenated messages of one type are one message with all their files. For other fields the last one wins:
 * what this program supports.
 */
static void append(uint8_t **bytes, size_t *length, const uint8_t *more, size_t more_length)
{
    *bytes = realloc(*bytes, *length + more_length + 1);
    if (*bytes == NULL)
        abort();
    memcpy(*bytes + *length, more, more_length);
    *length += more_length;
}

static enum berth_code answer(const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                              uint8_t **ret_bytes, size_t *ret_length, struct berth_error *err)
{
    struct plugin_options options;
    enum berth_code code = plugin_options_parse(request->parameter, &options, err);
    uint8_t *own, *all = NULL;
    size_t own_length, all_length = 0;

    if (code == BERTH_OK)
        code = plugin_generate(request, &options, &own, &own_length, err);
    if (code != BERTH_OK)
        return code;
    if (options.messages)
        code = generate_messages(request, &all, &all_length, err);
    if (code == BERTH_OK) {
        append(&all, &all_length, own, own_length);
        *ret_bytes = all;
        *ret_length = all_length;
    }
    free(own);
    return code;
}

static int run(const uint8_t *bytes, size_t length)
{
    Google__Protobuf__Compiler__CodeGeneratorRequest *request = plugin_unpack(bytes, length);
    struct berth_error err;
    uint8_t *response;
    size_t response_length;

    if (request == NULL || request->n_file_to_generate == 0) {
        fputs("protoc-gen-berth: standard input is not a request from protoc; see protoc-gen-berth --help\n",
              stderr);
        google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
        return 1;
    }
    if (answer(request, &response, &response_length, &err) != BERTH_OK)
        plugin_refuse(err.message, &response, &response_length);
    google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
    return write_answer(response, response_length) ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *word = argc < 2 ? "" : argv[1];
    struct berth_error err;
    uint8_t *bytes;
    size_t length;
    int code;

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return fputs(help, stdout) < 0;
    if (strcmp(word, "--version") == 0)
        return puts("protoc-gen-berth " BERTH_VERSION) < 0;
    if (argc > 1 || isatty(STDIN_FILENO)) {
        fputs("protoc-gen-berth: takes no arguments; run protoc --berth_out instead, see "
              "protoc-gen-berth --help\n",
              stderr);
        return 2;
    }
    if (stream_read(STDIN_FILENO, "standard input", &bytes, &length, &err) != BERTH_OK) {
        fprintf(stderr, "protoc-gen-berth: %s\n", err.message);
        return 1;
    }
    code = run(bytes, length);
    free(bytes);
    return code;
}
