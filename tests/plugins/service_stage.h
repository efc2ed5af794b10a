/* SPDX-License-Identifier: Apache-2.0 */
/* A service.v1 plugin with a store in memory and an exchange that notes what it is told, beside the grpc.v1
 * plugin of the same module in the fake host. */
#ifndef SERVICE_STAGE_H
#define SERVICE_STAGE_H

#include "plugin_stage.h"

#include <berth/store_memory.h>
#include <berth/types/events.h>
#include <berth/types/namespaces.h>

static struct service_stage {
    struct berth_host host;
    struct berth_testing *testing;
    struct berth_store_memory *memory;
    /* For a service that needs it. */
    const struct berth_namespaces *namespaces;
    void *service;
    bool service_closed;
    bool store_closed;
    /* "namespace topic type" and the value of each event, a line each. */
    char told[8192];
    struct berth_store_bytes last_event;
    uint8_t last_bytes[4096];
    struct berth_testing_call *call;
} stage;

static enum berth_code stage_publish(void *instance, const struct berth_event *event, struct berth_error *err)
{
    size_t used = strlen(stage.told);

    snprintf(stage.told + used, sizeof(stage.told) - used, "%s %s %s\n", event->namespace_name, event->topic,
             event->type_url);
    stage.last_event = (struct berth_store_bytes){stage.last_bytes, event->value_length};
    if (event->value_length > 0 && event->value_length <= sizeof(stage.last_bytes))
        memcpy(stage.last_bytes, event->value, event->value_length);
    return BERTH_OK;
}

static const struct berth_exchange stage_exchange = {.size = sizeof(stage_exchange),
                                                     .publish = stage_publish};

static enum berth_code stage_get(const struct berth_host *host, const char *uri, struct berth_ref *ret_ref,
                                 struct berth_error *err)
{
    if (strcmp(uri, BERTH_NAMESPACES_URI) == 0 && stage.namespaces != NULL)
        *ret_ref = (struct berth_ref){.uri = uri, .interface = stage.namespaces, .instance = NULL};
    else if (strcmp(uri, BERTH_EXCHANGE_URI) == 0)
        *ret_ref = (struct berth_ref){.uri = uri, .interface = &stage_exchange, .instance = NULL};
    else
        return berth_error_set(err, BERTH_NOT_FOUND, "%s is not there", uri);
    return BERTH_OK;
}

static enum berth_code stage_get_single(const struct berth_host *host, const char *type,
                                        struct berth_ref *ret_ref, struct berth_error *err)
{
    assert_string_equal(type, BERTH_STORE_TYPE);
    *ret_ref = (struct berth_ref){
        .uri = "io.berth.store.v1.memory", .interface = &berth_store_interface, .instance = stage.memory};
    return BERTH_OK;
}

static void stage_complete(const struct berth_host *host, enum berth_step step, enum berth_code code,
                           void *instance, const char *message)
{
    assert_int_equal(step, BERTH_STEP_CLOSE);
    assert_false(stage.service_closed);
    stage.service_closed = true;
}

static bool stage_logs(const struct berth_host *host, enum berth_log_level level)
{
    return false;
}

static void stage_on_store_closed(void *context)
{
    *(bool *)context = true;
}

static bool stage_is_set(void *context)
{
    return *(bool *)context;
}

/* @param settings  of the grpc.v1 plugin; NULL: none. */
static int stage_create(const char *uri, const char *settings, const char *service_uri, const void *interface,
                        const struct berth_namespaces *namespaces,
                        enum berth_code (*init)(const struct berth_host *host, void *prepared,
                                                void **ret_instance, struct berth_error *err))
{
    struct berth_error err;

    memset(&stage, 0, sizeof(stage));
    stage.host = (struct berth_host){
        .size = sizeof(stage.host),
        .uri = service_uri,
        .get = stage_get,
        .get_single = stage_get_single,
        .complete = stage_complete,
        .logs = stage_logs,
    };
    stage.namespaces = namespaces;
    stage.testing = plugin_create(uri, settings);
    stage.memory = berth_store_memory_create(berth_testing_loop(stage.testing));
    assert_non_null(stage.memory);
    assert_int_equal(init(&stage.host, NULL, &stage.service, &err), BERTH_OK);
    berth_testing_provide(stage.testing, service_uri, interface, stage.service);
    plugin_start(stage.testing);
    return 0;
}

static int stage_destroy(enum berth_code (*close)(const struct berth_host *host, void *instance,
                                                  struct berth_error *err))
{
    struct berth_error err = {""};
    enum berth_code code;

    berth_testing_call_destroy(stage.call);
    code = close(&stage.host, stage.service, &err);
    stage.service_closed = stage.service_closed || code == BERTH_OK;
    assert_true(berth_testing_run_until(stage.testing, stage_is_set, &stage.service_closed));
    berth_store_memory_close(stage.memory, stage_on_store_closed, &stage.store_closed);
    assert_true(berth_testing_run_until(stage.testing, stage_is_set, &stage.store_closed));
    plugin_destroy(stage.testing);
    return 0;
}

/* Sends one request and waits for what ends the call; the stage keeps the call until the next one. */
static struct berth_testing_call *stage_call_bytes(const char *namespace_name, const char *path,
                                                   const void *bytes, size_t length)
{
    const struct berth_testing_call_options options = {.namespace_name = namespace_name, .transport = "grpc"};

    berth_testing_call_destroy(stage.call);
    stage.call = berth_testing_call_create(stage.testing, path, &options);
    berth_testing_call_send(stage.call, bytes, length);
    berth_testing_call_half_close(stage.call);
    for (int turn = 0; turn < 10000 && berth_testing_call_code(stage.call) == BERTH_PENDING; turn++)
        berth_testing_run(stage.testing);
    return stage.call;
}

static struct berth_testing_call *stage_call(const char *namespace_name, const char *path,
                                             const ProtobufCMessage *request)
{
    size_t length = protobuf_c_message_get_packed_size(request);
    uint8_t *bytes = malloc(length + 1);

    assert_non_null(bytes);
    protobuf_c_message_pack(request, bytes);
    stage_call_bytes(namespace_name, path, bytes, length);
    free(bytes);
    return stage.call;
}

/* For the fields of a request, which are not const. */
static char *stage_text(const char *value)
{
    return (char *)(uintptr_t)(value == NULL ? "" : value);
}

/* Another process changes the store. @param value  NULL: removes the entry. */
static void stage_put_as_other(const char *bucket, const char *key, const char *value)
{
    struct berth_error err;
    struct berth_store_bytes bytes = {value, value == NULL ? 0 : strlen(value)};

    assert_int_equal(
        berth_store_memory_write_as_other(stage.memory, bucket, berth_store_text(key), bytes, &err),
        BERTH_OK);
    for (int turn = 0; turn < 100; turn++)
        berth_testing_run(stage.testing);
}

static void stage_assert(enum berth_code code, const char *message)
{
    assert_string_equal(berth_testing_call_message(stage.call), message);
    assert_int_equal(berth_testing_call_code(stage.call), code);
}

#endif
