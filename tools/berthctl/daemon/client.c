/* SPDX-License-Identifier: Apache-2.0 */
/* Packs questions, waits for answers and unpacks them. */
#include "client.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <berth/protobuf.h>
#include <berth/rpc/client.h>

#include <config/text/utf8.h>

#include <sdk/base/memory.h>

/* A daemon that streams without end must not fill our memory. */
#define MESSAGES_MAX 1000000
#define MESSAGES_BYTES_MAX (size_t)(256 * 1024 * 1024)

/* Packed by protobuf-c; aborts when memory is out: all of it came from the command line. */
static void *pack(const ProtobufCMessage *message, size_t *ret_length)
{
    void *bytes = memory_allocate(1, protobuf_c_message_get_packed_size(message) + 1);

    *ret_length = protobuf_c_message_pack(message, bytes);
    return bytes;
}

/* An answer is as little trusted as a request. */
static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                                size_t length)
{
    return berth_unpack_within(descriptor, bytes, length, 4 * length + BERTH_UNPACK_SLACK);
}

enum berth_code client_ask(const struct client *client, const char *path, const ProtobufCMessage *request,
                           const ProtobufCMessageDescriptor *answer, void *ret_answer,
                           struct berth_error *err)
{
    size_t request_length, length;
    void *bytes = pack(request, &request_length), *response;
    ProtobufCMessage *message;
    const struct berth_rpc_unary_options options = {
        .size = sizeof(options),
        .address = client->address,
        .path = path,
        .timeout_ms = client->timeout_ms,
        .request = bytes,
        .request_length = request_length,
        .tls = client->tls,
    };
    enum berth_code code = berth_rpc_unary_blocking(&options, &response, &length, err);

    free(bytes);
    if (code != BERTH_OK) {
        utf8_make_line(err->message);
        return code;
    }
    message = unpack(answer, response, length);
    free(response);
    if (message == NULL)
        return berth_error_set(err, BERTH_INTERNAL, "the response to %s is not a valid %s", path,
                               answer->name);
    memcpy(ret_answer, &message, sizeof(message));
    return BERTH_OK;
}

enum berth_code client_introspect(const struct client *client, char *const *filters, size_t count,
                                  Containerd__Services__Introspection__V1__PluginsResponse **ret_answer,
                                  struct berth_error *err)
{
    Containerd__Services__Introspection__V1__PluginsRequest request =
        CONTAINERD__SERVICES__INTROSPECTION__V1__PLUGINS_REQUEST__INIT;

    request.n_filters = count;
    request.filters = (char **)filters;
    return client_ask(client, "/containerd.services.introspection.v1.Introspection/Plugins", &request.base,
                      &containerd__services__introspection__v1__plugins_response__descriptor, ret_answer,
                      err);
}

enum berth_code client_server(const struct client *client,
                              Containerd__Services__Introspection__V1__ServerResponse **ret_answer,
                              struct berth_error *err)
{
    Google__Protobuf__Empty request = GOOGLE__PROTOBUF__EMPTY__INIT;

    return client_ask(client, "/containerd.services.introspection.v1.Introspection/Server", &request.base,
                      &containerd__services__introspection__v1__server_response__descriptor, ret_answer, err);
}

enum berth_code client_version(const struct client *client,
                               Containerd__Services__Version__V1__VersionResponse **ret_answer,
                               struct berth_error *err)
{
    Google__Protobuf__Empty request = GOOGLE__PROTOBUF__EMPTY__INIT;

    return client_ask(client, "/containerd.services.version.v1.Version/Version", &request.base,
                      &containerd__services__version__v1__version_response__descriptor, ret_answer, err);
}

enum berth_code client_costs(const struct client *client, Berth__Inspect__V1__CostsResponse **ret_answer,
                             struct berth_error *err)
{
    Berth__Inspect__V1__CostsRequest request = BERTH__INSPECT__V1__COSTS_REQUEST__INIT;

    return client_ask(client, "/berth.inspect.v1.Inspect/Costs", &request.base,
                      &berth__inspect__v1__costs_response__descriptor, ret_answer, err);
}

enum berth_code client_settings(const struct client *client, const char *uri,
                                Berth__Inspect__V1__SettingsResponse **ret_answer, struct berth_error *err)
{
    Berth__Inspect__V1__SettingsRequest request = BERTH__INSPECT__V1__SETTINGS_REQUEST__INIT;

    request.uri = (char *)(uintptr_t)uri;
    return client_ask(client, "/berth.inspect.v1.Inspect/Settings", &request.base,
                      &berth__inspect__v1__settings_response__descriptor, ret_answer, err);
}

enum berth_code client_daemon(const struct client *client, Berth__Inspect__V1__DaemonResponse **ret_answer,
                              struct berth_error *err)
{
    Berth__Inspect__V1__DaemonRequest request = BERTH__INSPECT__V1__DAEMON_REQUEST__INIT;

    return client_ask(client, "/berth.inspect.v1.Inspect/Daemon", &request.base,
                      &berth__inspect__v1__daemon_response__descriptor, ret_answer, err);
}

/* A stream of messages as it comes in. */
struct stream {
    const struct client *client;
    const struct client_stream *what;
    struct berth_rpc_channel *channel;
    struct berth_rpc_call *call;
    struct berth_error *err;
    enum berth_code code;
    size_t count, bytes;
    /** Of what has no end: until the daemon answers, and for whoever has seen enough. */
    uv_timer_t patience;
    uv_signal_t interrupt, terminate;
    bool is_interrupted;
};

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    struct stream *stream = context;

    if (stream->what->is_endless)
        uv_timer_stop(&stream->patience);
}

static void on_message(void *context, struct berth_rpc_call *call, const void *bytes, size_t length)
{
    struct stream *stream = context;
    ProtobufCMessage *message = NULL;

    stream->bytes += length;
    stream->count++;
    if (stream->what->is_endless || (stream->count <= MESSAGES_MAX && stream->bytes <= MESSAGES_BYTES_MAX))
        message = unpack(stream->what->answer, bytes, length);
    if (message != NULL)
        stream->what->on_message(stream->what->context, message);
    else
        berth_rpc_call_fail(call, BERTH_INTERNAL, "cannot decode the daemon's list");
}

static void on_patience_over(uv_timer_t *timer)
{
    struct stream *stream = timer->data;

    berth_rpc_call_fail(stream->call, BERTH_DEADLINE_EXCEEDED, "the daemon does not respond");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct stream *stream = handle->data;

    stream->is_interrupted = true;
    berth_rpc_call_cancel(stream->call);
}

static void close_handles(struct stream *stream)
{
    if (!stream->what->is_endless)
        return;
    uv_close((uv_handle_t *)&stream->patience, NULL);
    uv_close((uv_handle_t *)&stream->interrupt, NULL);
    uv_close((uv_handle_t *)&stream->terminate, NULL);
}

/* google.rpc.RetryInfo, which <berth/ending.h> puts into the status. */
static bool has_retry_info(const struct berth_metadata *trailers, size_t count)
{
    static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";

    for (size_t i = 0; i < count; i++)
        if (strcmp(trailers[i].key, "grpc-status-details-bin") == 0 &&
            memmem(trailers[i].value, trailers[i].value_length, type, sizeof(type) - 1) != NULL)
            return true;
    return false;
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct stream *stream = context;

    if (stream->what->ret_is_replaced != NULL)
        *stream->what->ret_is_replaced = code == BERTH_UNAVAILABLE && has_retry_info(trailers, count);
    if (stream->code == BERTH_OK && code != BERTH_OK && !stream->is_interrupted)
        stream->code = berth_error_set(stream->err, code, "%s", message);
    berth_rpc_channel_close(stream->channel, NULL, NULL);
    close_handles(stream);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_headers = on_headers,
    .on_message = on_message,
    .on_end = on_end,
};

static void watch_for_end(struct stream *stream, uv_loop_t *loop)
{
    uv_timer_init(loop, &stream->patience);
    uv_signal_init(loop, &stream->interrupt);
    uv_signal_init(loop, &stream->terminate);
    stream->patience.data = stream->interrupt.data = stream->terminate.data = stream;
    uv_timer_start(&stream->patience, on_patience_over, stream->client->timeout_ms, 0);
    uv_signal_start(&stream->interrupt, on_signal, SIGINT);
    uv_signal_start(&stream->terminate, on_signal, SIGTERM);
}

static enum berth_code start_call(struct stream *stream, uv_loop_t *loop)
{
    const struct client_stream *what = stream->what;
    const struct berth_rpc_call_options options = {
        .size = sizeof(options),
        .path = what->path,
        .timeout_ms = what->is_endless ? 0 : stream->client->timeout_ms,
    };
    enum berth_code code;
    size_t length;
    void *bytes;

    code = berth_rpc_call_start(stream->channel, &options, &handlers, stream, &stream->call, stream->err);
    if (code != BERTH_OK)
        return code;
    if (what->is_endless)
        watch_for_end(stream, loop);
    bytes = pack(what->request, &length);
    code = berth_rpc_call_send(stream->call, bytes, length);
    free(bytes);
    if (code == BERTH_OK) {
        berth_rpc_call_half_close(stream->call);
        return BERTH_OK;
    }
    stream->code = berth_error_set(stream->err, code, "the arguments are too long to be sent");
    berth_rpc_call_cancel(stream->call);
    return BERTH_OK;
}

static void run_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    if (uv_loop_close(loop) != 0)
        abort();
}

enum berth_code client_stream(const struct client *client, const struct client_stream *what,
                              struct berth_error *err)
{
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options), .address = client->address, .tls = client->tls};
    struct stream stream = {.client = client, .what = what, .err = err};
    enum berth_code code;
    uv_loop_t loop;

    if (uv_loop_init(&loop) != 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "cannot create an event loop: out of file descriptors");
    code = berth_rpc_channel_create(&loop, &options, &stream.channel, err);
    if (code == BERTH_OK) {
        code = start_call(&stream, &loop);
        if (code != BERTH_OK)
            berth_rpc_channel_close(stream.channel, NULL, NULL);
    }
    run_loop(&loop);
    if (code == BERTH_OK)
        code = stream.code;
    if (code != BERTH_OK)
        utf8_make_line(err->message);
    return code;
}

static void add_plugin(void *context, ProtobufCMessage *message)
{
    plugin_list_add(context, (plugin_message *)message);
}

enum berth_code client_plugins(const struct client *client, char *const *filters, size_t count, bool all,
                               struct plugin_list *ret_list, struct berth_error *err)
{
    Berth__Inspect__V1__PluginsRequest request = BERTH__INSPECT__V1__PLUGINS_REQUEST__INIT;
    struct plugin_list list = {0};
    const struct client_stream what = {
        .path = "/berth.inspect.v1.Inspect/Plugins",
        .request = &request.base,
        .answer = &berth__inspect__v1__plugin__descriptor,
        .on_message = add_plugin,
        .context = &list,
    };
    enum berth_code code;

    request.n_filters = count;
    request.filters = (char **)filters;
    request.all = all;
    code = client_stream(client, &what, err);
    if (code == BERTH_OK)
        *ret_list = list;
    else
        plugin_list_finish(&list);
    return code;
}
