/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's namespaces service: decodes requests and encodes replies. */
#include "namespaces-plugin.h"

#include <stdlib.h>

#include <berth/answer.h>
#include <berth/protobuf.h>
#include <berth/types/namespaces.h>
#include <berth/wire.h>

typedef Containerd__Services__Namespaces__V1__Namespace namespace_message;

struct namespaces {
    const struct berth_namespaces *service;
    void *instance;
    /** Of List's reply. */
    size_t max_list_bytes;
};

enum berth_code namespaces_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                struct berth_error *err)
{
    struct namespaces_config config;
    struct namespaces *namespaces;
    struct berth_ref ref;
    enum berth_code code = berth_get(host, BERTH_NAMESPACES_URI, &ref, err);

    if (code == BERTH_OK)
        code = namespaces_config_init(&config, host->settings, err);
    if (code != BERTH_OK)
        return code;
    namespaces = malloc(sizeof(*namespaces));
    if (namespaces == NULL)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the namespaces service");
    else
        *namespaces = (struct namespaces){
            .service = ref.interface,
            .instance = ref.instance,
            .max_list_bytes = (size_t)config.max_list_bytes,
        };
    namespaces_config_finish(&config);
    if (code == BERTH_OK)
        *ret_instance = namespaces;
    return code;
}

enum berth_code namespaces_reconfigure(const struct berth_host *host, void *instance,
                                       const struct berth_settings *before, struct berth_error *err)
{
    struct namespaces *namespaces = instance;
    struct namespaces_config config;
    enum berth_code code = namespaces_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    namespaces->max_list_bytes = (size_t)config.max_list_bytes;
    namespaces_config_finish(&config);
    return BERTH_OK;
}

enum berth_code namespaces_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    free(instance);
    return BERTH_OK;
}

/* Field 1 of every reply but Delete's. */
static void append(void *context, struct berth_store_bytes value)
{
    berth_wire_put_bytes(context, 1, value.data, value.length);
}

static bool append_next(void *context, struct berth_store_bytes value)
{
    return berth_list_reply_add(context, value.data, value.length);
}

static void get(struct berth_call *call,
                const Containerd__Services__Namespaces__V1__GetNamespaceRequest *request)
{
    const struct namespaces *namespaces = call->instance;
    struct berth_wire_buffer found = {0};
    struct berth_error err;
    enum berth_code code =
        namespaces->service->get(namespaces->instance, NULL, request->name, append, &found, &err);

    berth_call_answer_wire(call, &found, code, err.message);
}

static void list(struct berth_call *call,
                 const Containerd__Services__Namespaces__V1__ListNamespacesRequest *request)
{
    const struct namespaces *namespaces = call->instance;
    struct berth_list_reply found = {.max_bytes = namespaces->max_list_bytes};
    struct berth_error err;
    enum berth_code code = namespaces->service->list(namespaces->instance, NULL, append_next, &found, &err);

    if (code == BERTH_OK && found.is_too_long)
        code = berth_error_set(&err, BERTH_RESOURCE_EXHAUSTED,
                               "the list of namespaces exceeds max_list_bytes (%zu)", found.max_bytes);
    berth_call_answer_wire(call, &found.wire, code, err.message);
}

static void on_changed(void *context, enum berth_code code, const char *message,
                       struct berth_store_bytes value)
{
    berth_answer_finish_field(context, code, message, value.data, value.length);
}

static void on_removed(void *context, enum berth_code code, const char *message,
                       struct berth_store_bytes value)
{
    berth_answer_finish(context, code, message);
}

/* A namespace that is not there has neither name nor labels. */
static void pack(const namespace_message *message, struct berth_wire_buffer *buffer)
{
    berth_wire_put_message(buffer, message == NULL ? NULL : &message->base);
}

static void create(struct berth_call *call,
                   const Containerd__Services__Namespaces__V1__CreateNamespaceRequest *request)
{
    const struct namespaces *namespaces = call->instance;
    struct berth_answer *answer = berth_answer_later(call);
    struct berth_wire_buffer asked = {0};
    struct berth_error err = {"no memory for the call"};
    enum berth_code code = BERTH_RESOURCE_EXHAUSTED;

    if (answer == NULL)
        return;
    pack(request->namespace_, &asked);
    if (!asked.failed)
        code = namespaces->service->create(namespaces->instance,
                                           (struct berth_store_bytes){asked.bytes, asked.length}, on_changed,
                                           answer, &err);
    berth_wire_finish(&asked);
    if (code != BERTH_OK)
        berth_answer_finish(answer, code, err.message);
}

static void update(struct berth_call *call,
                   const Containerd__Services__Namespaces__V1__UpdateNamespaceRequest *request)
{
    const struct namespaces *namespaces = call->instance;
    const Google__Protobuf__FieldMask *mask = request->update_mask;
    struct berth_answer *answer = berth_answer_later(call);
    struct berth_wire_buffer asked = {0};
    struct berth_error err = {"no memory for the call"};
    enum berth_code code = BERTH_RESOURCE_EXHAUSTED;

    if (answer == NULL)
        return;
    pack(request->namespace_, &asked);
    if (!asked.failed)
        code = namespaces->service->update(namespaces->instance,
                                           (struct berth_store_bytes){asked.bytes, asked.length},
                                           mask == NULL ? NULL : (const char *const *)mask->paths,
                                           mask == NULL ? 0 : mask->n_paths, on_changed, answer, &err);
    berth_wire_finish(&asked);
    if (code != BERTH_OK)
        berth_answer_finish(answer, code, err.message);
}

static void delete_(struct berth_call *call,
                    const Containerd__Services__Namespaces__V1__DeleteNamespaceRequest *request)
{
    const struct namespaces *namespaces = call->instance;
    struct berth_answer *answer = berth_answer_later(call);
    struct berth_error err;
    enum berth_code code;

    if (answer == NULL)
        return;
    code = namespaces->service->remove(namespaces->instance, request->name, on_removed, answer, &err);
    if (code != BERTH_OK)
        berth_answer_finish(answer, code, err.message);
}

const struct containerd_services_namespaces_v1_namespaces_handlers namespaces_namespaces_handlers = {
    .get = {.on_message = get},
    .list = {.on_message = list},
    .create = {.on_message = create, .on_end = berth_answer_on_end},
    .update = {.on_message = update, .on_end = berth_answer_on_end},
    .delete_ = {.on_message = delete_, .on_end = berth_answer_on_end},
};
