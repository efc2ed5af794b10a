/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berthctl call: any method, with requests and responses as JSON.
 *
 * Requests are lines for a method that takes many, else one text. Lines from standard input are read by a
 * thread, because it may be a file, a pipe or a terminal, and go through a socket to the loop, which reads on
 * while the call can take more. At the end of the call the thread is left behind.
 */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <berth/protobuf.h>
#include <berth/rpc/client.h>

#include <config/text/diagnostics.h>
#include <config/text/utf8.h>
#include <google/rpc/status.pb-c.h>

#include <sdk/base/base64.h>
#include <sdk/base/memory.h>
#include <sdk/base/text_file.h>

#include <tools/berthctl/print/json_text.h>
#include <tools/berthctl/daemon/reflect.h>

/* Of JSON; a request in protobuf may have 16 MiB. */
#define INPUT_MAX ((size_t)64 << 20)

struct exchange {
    const struct command_options *options;
    struct reflect *reflect;
    const char *path;
    struct berth_json_method method;
    struct berth_json_options output;
    uv_loop_t loop;
    struct berth_rpc_channel *channel;
    struct berth_rpc_call *call;
    uv_signal_t interrupt, terminate;

    /** Requests not sent yet, from `sent` on; where they are from, NULL: the command line; and their number.
     */
    char *input;
    size_t length, sent, count;
    const char *source;
    bool is_whole, is_half_closed;
    /** The loop's end of the socket; used if `reads`. */
    uv_pipe_t pipe;
    bool reads;

    bool is_interrupted, is_over;
    int exit_code;
    /** The status and its details, kept until the loop has ended: decoding may ask the server once more. */
    enum berth_code code;
    struct berth_error message;
    void *details;
    size_t details_length;
};

static bool takes_many(const struct exchange *exchange)
{
    return exchange->method.kind == BERTH_METHOD_CLIENT_STREAM ||
           exchange->method.kind == BERTH_METHOD_BIDI_STREAM;
}

static bool sends_many(const struct exchange *exchange)
{
    return exchange->method.kind == BERTH_METHOD_SERVER_STREAM ||
           exchange->method.kind == BERTH_METHOD_BIDI_STREAM;
}

/* As the documentation of most languages has them. */
static const char *status_name(enum berth_code code)
{
    static const char *const names[] = {
        "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
        "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
        "DataLoss", "Unauthenticated",
    };

    return code <= BERTH_UNAUTHENTICATED ? names[code] : "Unknown";
}

/* Ends the call for a reason of ours; what follows of it is not printed. */
static void give_up(struct exchange *exchange, int exit_code)
{
    if (exchange->exit_code == COMMAND_EXIT_OK)
        exchange->exit_code = exit_code;
    exchange->is_interrupted = true;
    berth_rpc_call_cancel(exchange->call);
}

/* @return was it sent? If not, the call is cancelled and the reason said. */
static bool send_text(struct exchange *exchange, const char *text, size_t length)
{
    struct berth_error err;
    size_t message_length;
    void *message;
    enum berth_code code = berth_json_to_message(exchange->reflect->types, exchange->method.input, text,
                                                 length, NULL, &message, &message_length, &err);

    if (code == BERTH_OK) {
        code = berth_rpc_call_send(exchange->call, message, message_length);
        free(message);
        if (code != BERTH_OK)
            berth_error_set(&err, code, "a request of %zu bytes is too large", message_length);
    }
    if (code == BERTH_OK)
        return true;
    utf8_make_line(err.message);
    fputs("berthctl: call: ", stderr);
    if (exchange->source != NULL)
        fprintf(stderr, "%s: ", exchange->source);
    if (takes_many(exchange))
        fprintf(stderr, "request %zu: ", exchange->count);
    fprintf(stderr, "%s (see berthctl describe %s)\n", err.message, exchange->method.input);
    give_up(exchange, COMMAND_EXIT_USAGE);
    return false;
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isspace((unsigned char)text[i]))
            return false;
    return true;
}

/* @return is there a line that is complete? */
static bool next_line(struct exchange *exchange, const char **ret_line, size_t *ret_length)
{
    const char *line = exchange->input + exchange->sent;
    size_t rest = exchange->length - exchange->sent;
    const char *end = rest == 0 ? NULL : memchr(line, '\n', rest);

    if (end == NULL && (!exchange->is_whole || rest == 0))
        return false;
    *ret_line = line;
    *ret_length = end == NULL ? rest : (size_t)(end - line);
    exchange->sent += end == NULL ? rest : *ret_length + 1;
    return true;
}

static void half_close(struct exchange *exchange)
{
    exchange->is_half_closed = true;
    berth_rpc_call_half_close(exchange->call);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer);
static void on_input(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);

/* Sends what is here while the call can take it; reads on once nothing is left. */
static void pump(struct exchange *exchange)
{
    const char *line;
    size_t length;

    while (!exchange->is_over && !exchange->is_interrupted && berth_rpc_call_can_send(exchange->call) &&
           next_line(exchange, &line, &length)) {
        if (is_blank(line, length))
            continue;
        exchange->count++;
        if (!send_text(exchange, line, length))
            return;
    }
    if (exchange->is_over || exchange->is_interrupted)
        return;
    if (!berth_rpc_call_can_send(exchange->call))
        return;
    if (!exchange->is_whole)
        uv_read_start((uv_stream_t *)&exchange->pipe, allocate, on_input);
    else if (!exchange->is_half_closed)
        half_close(exchange);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    struct exchange *exchange = handle->data;

    if (exchange->sent > 0)
        memmove(exchange->input, exchange->input + exchange->sent, exchange->length - exchange->sent);
    exchange->length -= exchange->sent;
    exchange->sent = 0;
    exchange->input = memory_or_abort(realloc(exchange->input, exchange->length + 65536));
    *ret_buffer = uv_buf_init(exchange->input + exchange->length, 65536);
}

static void on_input(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct exchange *exchange = stream->data;

    if (count == 0)
        return;
    if (count > 0)
        exchange->length += (size_t)count;
    else
        exchange->is_whole = true;
    uv_read_stop(stream);
    if (exchange->length > INPUT_MAX) {
        fprintf(stderr, "berthctl: call: %s: a line of more than %zu MiB\n", exchange->source,
                INPUT_MAX >> 20);
        give_up(exchange, COMMAND_EXIT_USAGE);
        return;
    }
    pump(exchange);
}

static void *copy_input(void *context)
{
    int socket = (int)(intptr_t)context;
    char bytes[16384];
    ssize_t count;

    while ((count = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0 || (count < 0 && errno == EINTR))
        for (ssize_t done = 0, sent; done < count; done += sent) {
            sent = send(socket, bytes + done, (size_t)(count - done), MSG_NOSIGNAL);
            if (sent < 0)
                return NULL;
        }
    close(socket);
    return NULL;
}

static bool read_lines_of_input(struct exchange *exchange)
{
    int sockets[2];
    pthread_t thread;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        return false;
    uv_pipe_init(&exchange->loop, &exchange->pipe, 0);
    exchange->pipe.data = exchange;
    exchange->reads = true;
    if (uv_pipe_open(&exchange->pipe, sockets[0]) != 0 ||
        pthread_create(&thread, NULL, copy_input, (void *)(intptr_t)sockets[1]) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

/* Malloced. */
static char *format_base64(const void *bytes, size_t length)
{
    char *text = memory_allocate(BASE64_ENCODED_LENGTH(length) + 3, 1);

    base64_encode(bytes, length, text);
    base64_pad(text, BASE64_ENCODED_LENGTH(length));
    return text;
}

static void print_metadata(const struct berth_metadata *metadata, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(metadata[i].key);
        bool is_binary = length > 4 && strcmp(metadata[i].key + length - 4, "-bin") == 0;
        char *value = is_binary ? format_base64(metadata[i].value, metadata[i].value_length) : NULL;

        fputs("< ", stderr);
        utf8_write_line(stderr, metadata[i].key);
        fputs(": ", stderr);
        utf8_write_line(stderr, is_binary ? value : metadata[i].value);
        fputc('\n', stderr);
        free(value);
    }
}

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    struct exchange *exchange = context;

    if (exchange->options->with_metadata)
        print_metadata(metadata, count);
}

/* A message a line, flushed: it may go to a pipe. */
static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct exchange *exchange = context;
    struct berth_error err;
    size_t text_length;
    char *text;

    if (exchange->is_interrupted)
        return;
    if (berth_json_from_message(exchange->reflect->types, exchange->method.output, message, length,
                                &exchange->output, &text, &text_length, &err) != BERTH_OK) {
        utf8_make_line(err.message);
        fprintf(stderr, "berthctl: call: cannot decode the response: %s\n", err.message);
        give_up(exchange, COMMAND_EXIT_BAD_NEWS);
        return;
    }
    json_text_write(stdout, text, text_length);
    if (text_length == 0 || text[text_length - 1] != '\n')
        putchar('\n');
    fflush(stdout);
    free(text);
}

static void on_writable(void *context, struct berth_rpc_call *call)
{
    struct exchange *exchange = context;

    if (takes_many(exchange))
        pump(exchange);
}

static void keep_details(struct exchange *exchange, const struct berth_metadata *trailers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(trailers[i].key, "grpc-status-details-bin") == 0 && exchange->details == NULL) {
            exchange->details_length = trailers[i].value_length;
            exchange->details = memory_allocate(1, exchange->details_length + 1);
            memcpy(exchange->details, trailers[i].value, exchange->details_length);
        }
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct exchange *exchange = context;

    exchange->is_over = true;
    exchange->code = code;
    berth_error_set(&exchange->message, code, "%s", message);
    keep_details(exchange, trailers, count);
    if (exchange->options->with_metadata)
        print_metadata(trailers, count);
    berth_rpc_channel_close(exchange->channel, NULL, NULL);
    uv_close((uv_handle_t *)&exchange->interrupt, NULL);
    uv_close((uv_handle_t *)&exchange->terminate, NULL);
    if (exchange->reads)
        uv_close((uv_handle_t *)&exchange->pipe, NULL);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_headers = on_headers,
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

/* Whoever watches a stream ends it well. */
static void on_signal(uv_signal_t *signal, int number)
{
    struct exchange *exchange = signal->data;

    give_up(exchange, sends_many(exchange) ? COMMAND_EXIT_OK : 128 + number);
}

static void watch_signals(struct exchange *exchange)
{
    uv_signal_init(&exchange->loop, &exchange->interrupt);
    uv_signal_init(&exchange->loop, &exchange->terminate);
    exchange->interrupt.data = exchange->terminate.data = exchange;
    uv_signal_start(&exchange->interrupt, on_signal, SIGINT);
    uv_signal_start(&exchange->terminate, on_signal, SIGTERM);
}

/* Of a unary call as long as any other question; of a stream none. */
static uint64_t deadline_of(const struct exchange *exchange)
{
    if (exchange->options->deadline_ms != 0)
        return exchange->options->deadline_ms;
    return exchange->method.kind == BERTH_METHOD_UNARY ? exchange->options->client.timeout_ms : 0;
}

static enum berth_code start_call(struct exchange *exchange, const struct berth_metadata *metadata,
                                  size_t count, struct berth_error *err)
{
    const struct berth_rpc_channel_options where = {.size = sizeof(where),
                                                    .address = exchange->options->client.address,
                                                    .tls = exchange->options->client.tls};
    const struct berth_rpc_call_options what = {
        .size = sizeof(what),
        .path = exchange->path,
        .timeout_ms = deadline_of(exchange),
        .metadata = metadata,
        .metadata_count = count,
        .kind = exchange->method.kind,
    };
    enum berth_code code = berth_rpc_channel_create(&exchange->loop, &where, &exchange->channel, err);

    if (code != BERTH_OK)
        return code;
    code = berth_rpc_call_start(exchange->channel, &what, &handlers, exchange, &exchange->call, err);
    if (code != BERTH_OK)
        berth_rpc_channel_close(exchange->channel, NULL, NULL);
    return code;
}

static void begin_input(struct exchange *exchange)
{
    if (!takes_many(exchange)) {
        if (send_text(exchange, exchange->input, exchange->length))
            half_close(exchange);
        return;
    }
    if (!exchange->is_whole && !read_lines_of_input(exchange)) {
        fprintf(stderr, "berthctl: call: cannot read standard input: %s\n", strerror(errno));
        give_up(exchange, COMMAND_EXIT_BAD_NEWS);
        return;
    }
    pump(exchange);
}

/* The details of a status are any messages; a type that the server describes is decoded. */
static void print_details(struct exchange *exchange)
{
    ProtobufCMessage *status = berth_unpack_within(&google__rpc__status__descriptor, exchange->details,
                                                   exchange->details_length, 1 << 20);
    Google__Rpc__Status *details = (Google__Rpc__Status *)status;

    for (size_t i = 0; details != NULL && i < details->n_details; i++) {
        const Google__Protobuf__Any *any = details->details[i];
        const char *slash = strrchr(any->type_url, '/');
        size_t length = google__protobuf__any__get_packed_size(any), text_length;
        uint8_t *bytes = memory_allocate(1, length + 1);
        struct berth_error err;
        char *text;

        google__protobuf__any__pack(any, bytes);
        reflect_learn(exchange->reflect, slash == NULL ? any->type_url : slash + 1, &err);
        if (berth_json_from_message(exchange->reflect->types, "google.protobuf.Any", bytes, length, NULL,
                                    &text, &text_length, &err) == BERTH_OK) {
            fputs("  ", stderr);
            json_text_write(stderr, text, text_length);
            fputc('\n', stderr);
            free(text);
        }
        free(bytes);
    }
    protobuf_c_message_free_unpacked(status, NULL);
}

static int finish(struct exchange *exchange)
{
    if (exchange->is_interrupted || exchange->code == BERTH_OK)
        return exchange->exit_code;
    fflush(stdout);
    utf8_make_line(exchange->message.message);
    /* Such a message names the address. */
    if (exchange->code == BERTH_UNAVAILABLE &&
        strstr(exchange->message.message, exchange->options->client.address) != NULL)
        return command_fail(exchange->options, exchange->code, &exchange->message);
    fprintf(stderr, "%s: %s\n", status_name(exchange->code), exchange->message.message);
    if (exchange->details != NULL)
        print_details(exchange);
    return COMMAND_EXIT_STATUS + (int)exchange->code;
}

static int run(struct exchange *exchange, const struct berth_metadata *metadata, size_t count)
{
    struct berth_error err;
    enum berth_code code;

    if (uv_loop_init(&exchange->loop) != 0) {
        fprintf(stderr, "berthctl: call: cannot create an event loop: out of file descriptors\n");
        return COMMAND_EXIT_BAD_NEWS;
    }
    code = start_call(exchange, metadata, count, &err);
    if (code == BERTH_OK) {
        watch_signals(exchange);
        begin_input(exchange);
    }
    uv_run(&exchange->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&exchange->loop) != 0)
        abort();
    if (code != BERTH_OK) {
        utf8_make_line(err.message);
        fprintf(stderr, "berthctl: call: %s\n", err.message);
        return COMMAND_EXIT_USAGE;
    }
    return finish(exchange);
}

/* Headers of the command line: "key: value", base64 where the key ends in "-bin". */

static void metadata_finish(struct berth_metadata *metadata, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)metadata[i].key);
        free((char *)(uintptr_t)metadata[i].value);
    }
    free(metadata);
}

static bool parse_header(const char *text, struct berth_metadata *ret_metadata)
{
    const char *colon = strchr(text, ':');
    char *key, *value;
    size_t length;

    if (colon == NULL || colon == text)
        return false;
    key = memory_copy(text);
    key[colon - text] = '\0';
    for (char *c = key; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    colon += 1 + strspn(colon + 1, " ");
    value = memory_copy(colon);
    length = strlen(value);
    *ret_metadata = (struct berth_metadata){.key = key, .value = value, .value_length = length};
    if (strlen(key) > 4 && strcmp(key + strlen(key) - 4, "-bin") == 0 &&
        !base64_decode(colon, strlen(colon), value, &ret_metadata->value_length))
        return false;
    return true;
}

static int parse_headers(const struct command_options *options, struct berth_metadata **ret_metadata)
{
    struct berth_metadata *metadata = memory_allocate(options->header_count, sizeof(*metadata));

    for (size_t i = 0; i < options->header_count; i++)
        if (!parse_header(options->headers[i], &metadata[i])) {
            fprintf(stderr,
                    "berthctl: call: --header: \"%s\" is not KEY:VALUE, with VALUE in base64 if KEY ends in "
                    "-bin\n",
                    options->headers[i]);
            metadata_finish(metadata, options->header_count);
            return COMMAND_EXIT_USAGE;
        }
    *ret_metadata = metadata;
    return CLI_GO_ON;
}

/* Whole input for a method that takes one request. */
static enum berth_code read_input(struct exchange *exchange, struct berth_error *err)
{
    ssize_t count;

    do {
        exchange->input = memory_or_abort(realloc(exchange->input, exchange->length + 65536));
        count = read(STDIN_FILENO, exchange->input + exchange->length, 65536);
        if (count > 0)
            exchange->length += (size_t)count;
    } while ((count > 0 && exchange->length <= INPUT_MAX) || (count < 0 && errno == EINTR));
    if (count < 0)
        return berth_error_set(err, BERTH_UNKNOWN, "cannot read standard input: %s", strerror(errno));
    if (exchange->length > INPUT_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "standard input is larger than %zu MiB",
                               INPUT_MAX >> 20);
    exchange->is_whole = true;
    return BERTH_OK;
}

/* JSON, @FILE, or "-" for standard input, which is also where a method that takes many finds them. */
static enum berth_code choose_input(struct exchange *exchange, struct berth_error *err)
{
    const struct command_options *options = exchange->options;
    const char *word = options->word_count > 1 ? options->words[1] : takes_many(exchange) ? "-" : "{}";

    if (word[0] == '@') {
        exchange->source = word + 1;
        exchange->is_whole = true;
        return text_file_read(word + 1, INPUT_MAX, &exchange->input, &exchange->length, err);
    }
    if (strcmp(word, "-") != 0) {
        exchange->input = memory_copy(word);
        exchange->length = strlen(word);
        exchange->is_whole = true;
        return BERTH_OK;
    }
    exchange->source = "standard input";
    return takes_many(exchange) ? BERTH_OK : read_input(exchange, err);
}

/* A path "SERVICE/METHOD", a slash before it allowed, or "SERVICE.METHOD". @return are there two parts? */
static bool split(const char *word, char **ret_service, char **ret_method)
{
    const char *start = word + (word[0] == '/'), *cut = strrchr(start, '/');

    if (cut == NULL)
        cut = strrchr(start, '.');
    if (cut == NULL || cut == start || cut[1] == '\0')
        return false;
    *ret_method = memory_copy(cut + 1);
    *ret_service = memory_copy(start);
    (*ret_service)[cut - start] = '\0';
    return true;
}

static void hint_at_method(const struct berth_json_types *types, const char *service, const char *name)
{
    const char *known[256];
    struct berth_json_method method;
    size_t count = 0;

    while (count < 256 && berth_json_method_at(types, service, count, &method))
        known[count++] = method.name;
    fprintf(stderr, "berthctl: call: service %s has no method \"%s\"%s; berthctl describe %s lists them\n",
            service, name, config_hint(name, known, count).text, service);
}

/* Finds the method. @return CLI_GO_ON, or an exit code after a message. */
static int find_method(struct exchange *exchange, const char *service, const char *method, char **ret_path)
{
    struct berth_error err;
    enum berth_code code;
    char *name;

    code = reflect_find_service(exchange->reflect, service, &name, &err);
    if (code == BERTH_NOT_FOUND) {
        fprintf(stderr, "berthctl: call: %s\n", err.message);
        return COMMAND_EXIT_USAGE;
    }
    if (code != BERTH_OK && exchange->reflect->has_answered_error) {
        fprintf(stderr, "%s: %s\n", status_name(code), err.message);
        return COMMAND_EXIT_STATUS + (int)code;
    }
    if (code != BERTH_OK)
        return command_fail(exchange->options, code, &err);
    code = berth_json_method_find(exchange->reflect->types, name, method, &exchange->method, &err);
    if (code == BERTH_OK)
        *ret_path = memory_format("/%s/%s", name, exchange->method.name);
    else
        hint_at_method(exchange->reflect->types, name, method);
    free(name);
    return code == BERTH_OK ? CLI_GO_ON : COMMAND_EXIT_USAGE;
}

static int call(struct exchange *exchange, const struct berth_metadata *metadata)
{
    const struct command_options *options = exchange->options;
    char *service, *method, *path = NULL;
    struct berth_error err;
    int code;

    if (!split(options->words[0], &service, &method)) {
        fprintf(stderr, "berthctl: call: \"%s\" is not SERVICE/METHOD; see berthctl services -l\n",
                options->words[0]);
        return COMMAND_EXIT_USAGE;
    }
    code = find_method(exchange, service, method, &path);
    free(service);
    free(method);
    if (code != CLI_GO_ON)
        return code;
    exchange->path = path;
    if (choose_input(exchange, &err) == BERTH_OK) {
        code = run(exchange, metadata, options->header_count);
    } else {
        fprintf(stderr, "berthctl: call: %s\n", err.message);
        code = COMMAND_EXIT_USAGE;
    }
    free(path);
    return code;
}

int command_call(const struct command_options *options)
{
    struct berth_metadata *metadata;
    struct reflect reflect;
    struct exchange exchange = {
        .options = options,
        .reflect = &reflect,
        .output = {.size = sizeof(exchange.output),
                   .is_pretty = options->is_pretty,
                   .emit_defaults = options->emit_defaults},
    };
    struct berth_error err;
    enum berth_code code;
    int exit_code = parse_headers(options, &metadata);

    if (exit_code != CLI_GO_ON)
        return exit_code;
    code = reflect_begin(&reflect, &options->client, options->protoset, &err);
    exit_code = code == BERTH_OK ? call(&exchange, metadata) : command_fail(options, code, &err);
    reflect_finish(&reflect);
    metadata_finish(metadata, options->header_count);
    free(exchange.input);
    free(exchange.details);
    return exit_code;
}
