/* SPDX-License-Identifier: Apache-2.0 */
/* Packs questions, waits for answers and unpacks them. */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include <berth/protobuf.h>
#include <berth/rpc/client.h>

#include <config/utf8.h>

#include <sdk/base/memory.h>

/* A daemon that streams without end must not fill our memory. */
#define PLUGINS_MAX 1000000
#define PLUGINS_BYTES_MAX (size_t)(256 * 1024 * 1024)

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

static enum berth_code ask(const struct client *client, const char *path, const ProtobufCMessage *request,
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
    return ask(client, "/containerd.services.introspection.v1.Introspection/Plugins", &request.base,
               &containerd__services__introspection__v1__plugins_response__descriptor, ret_answer, err);
}

enum berth_code client_server(const struct client *client,
                              Containerd__Services__Introspection__V1__ServerResponse **ret_answer,
                              struct berth_error *err)
{
    Google__Protobuf__Empty request = GOOGLE__PROTOBUF__EMPTY__INIT;

    return ask(client, "/containerd.services.introspection.v1.Introspection/Server", &request.base,
               &containerd__services__introspection__v1__server_response__descriptor, ret_answer, err);
}

enum berth_code client_version(const struct client *client,
                               Containerd__Services__Version__V1__VersionResponse **ret_answer,
                               struct berth_error *err)
{
    Google__Protobuf__Empty request = GOOGLE__PROTOBUF__EMPTY__INIT;

    return ask(client, "/containerd.services.version.v1.Version/Version", &request.base,
               &containerd__services__version__v1__version_response__descriptor, ret_answer, err);
}

enum berth_code client_daemon(const struct client *client, Berth__Inspect__V1__DaemonResponse **ret_answer,
                              struct berth_error *err)
{
    Berth__Inspect__V1__DaemonRequest request = BERTH__INSPECT__V1__DAEMON_REQUEST__INIT;

    return ask(client, "/berth.inspect.v1.Inspect/Daemon", &request.base,
               &berth__inspect__v1__daemon_response__descriptor, ret_answer, err);
}

/* A stream of plugins as it comes in. */
struct stream {
    struct plugin_list *list;
    struct berth_rpc_channel *channel;
    struct berth_error *err;
    enum berth_code code;
    size_t received;
};

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct stream *stream = context;
    plugin_message *plugin = NULL;

    stream->received += length;
    if (stream->list->count < PLUGINS_MAX && stream->received <= PLUGINS_BYTES_MAX)
        plugin = (plugin_message *)unpack(&berth__inspect__v1__plugin__descriptor, message, length);
    if (plugin != NULL) {
        plugin_list_add(stream->list, plugin);
        return;
    }
    berth_rpc_call_fail(call, BERTH_INTERNAL, "the daemon's list of plugins is not readable");
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct stream *stream = context;

    if (stream->code == BERTH_OK && code != BERTH_OK)
        stream->code = berth_error_set(stream->err, code, "%s", message);
    berth_rpc_channel_close(stream->channel, NULL, NULL);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_message = on_message,
    .on_end = on_end,
};

static enum berth_code start_call(const struct client *client, char *const *filters, size_t count, bool all,
                                  struct stream *stream)
{
    const struct berth_rpc_call_options options = {
        .size = sizeof(options),
        .path = "/berth.inspect.v1.Inspect/Plugins",
        .timeout_ms = client->timeout_ms,
    };
    Berth__Inspect__V1__PluginsRequest request = BERTH__INSPECT__V1__PLUGINS_REQUEST__INIT;
    struct berth_rpc_call *call;
    enum berth_code code;
    size_t length;
    void *bytes;

    request.n_filters = count;
    request.filters = (char **)filters;
    request.all = all;
    code = berth_rpc_call_start(stream->channel, &options, &handlers, stream, &call, stream->err);
    if (code != BERTH_OK)
        return code;
    bytes = pack(&request.base, &length);
    code = berth_rpc_call_send(call, bytes, length);
    free(bytes);
    if (code == BERTH_OK) {
        berth_rpc_call_half_close(call);
        return BERTH_OK;
    }
    stream->code = berth_error_set(stream->err, code, "the filters are too long to be sent");
    berth_rpc_call_cancel(call);
    return BERTH_OK;
}

static void run_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    if (uv_loop_close(loop) != 0)
        abort();
}

enum berth_code client_plugins(const struct client *client, char *const *filters, size_t count, bool all,
                               struct plugin_list *ret_list, struct berth_error *err)
{
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options), .address = client->address, .tls = client->tls};
    struct plugin_list list = {0};
    struct stream stream = {.list = &list, .err = err};
    enum berth_code code;
    uv_loop_t loop;

    if (uv_loop_init(&loop) != 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no event loop: out of file descriptors");
    code = berth_rpc_channel_create(&loop, &options, &stream.channel, err);
    if (code == BERTH_OK) {
        code = start_call(client, filters, count, all, &stream);
        if (code != BERTH_OK)
            berth_rpc_channel_close(stream.channel, NULL, NULL);
    }
    run_loop(&loop);
    if (code == BERTH_OK)
        code = stream.code;
    if (code != BERTH_OK) {
        utf8_make_line(err->message);
        plugin_list_finish(&list);
        return code;
    }
    *ret_list = list;
    return BERTH_OK;
}
