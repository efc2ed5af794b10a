/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's leases service: passes requests to the service, and returns its bytes. */
#include "leases-plugin.h"
#include "listing.h"

#include <stdlib.h>

#include <berth/answer.h>
#include <berth/namespace.h>
#include <berth/protobuf.h>

enum berth_code leases_init(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    struct leases_config config;
    struct leases *leases;
    struct berth_ref ref;
    enum berth_code code = berth_get(host, BERTH_LEASES_URI, &ref, err);

    if (code == BERTH_OK)
        code = leases_config_init(&config, host->settings, err);
    if (code != BERTH_OK)
        return code;
    leases = malloc(sizeof(*leases));
    if (leases == NULL)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the leases service");
    else
        *leases = (struct leases){
            .host = host,
            .service = ref.interface,
            .instance = ref.instance,
            .max_list_bytes = (size_t)config.max_list_bytes,
        };
    leases_config_finish(&config);
    if (code == BERTH_OK)
        *ret_instance = leases;
    return code;
}

enum berth_code leases_reconfigure(const struct berth_host *host, void *instance,
                                   const struct berth_settings *before, struct berth_error *err)
{
    struct leases *leases = instance;
    struct leases_config config;
    enum berth_code code = leases_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    leases->max_list_bytes = (size_t)config.max_list_bytes;
    leases_config_finish(&config);
    return BERTH_OK;
}

enum berth_code leases_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    free(instance);
    return BERTH_OK;
}

/* The namespace, or the call is finished. */
static bool find_namespace(struct berth_call *call, const char **ret_name)
{
    struct berth_error err;
    enum berth_code code = berth_call_namespace(call, ret_name, &err);

    if (code != BERTH_OK)
        berth_call_finish(call, code, err.message);
    return code == BERTH_OK;
}

/* Packs a request's message again, so that it contains no more than its handler saw. A message without fields
 * is not NULL. On failure the call is finished. */
static bool pack(struct berth_call *call, const ProtobufCMessage *message, struct berth_wire_buffer *buffer)
{
    if (berth_wire_reserve(buffer, 1))
        berth_wire_put_message(buffer, message);
    if (!buffer->failed)
        return true;
    berth_wire_finish(buffer);
    berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a call");
    return false;
}

static void on_created(void *context, enum berth_code code, const char *message,
                       struct berth_store_bytes value)
{
    berth_answer_finish_field(context, code, message, value.data, value.length);
}

/* CreateRequest has the numbers of Lease. */
static void create(struct berth_call *call, const Containerd__Services__Leases__V1__CreateRequest *asked)
{
    const struct leases *leases = call->instance;
    struct berth_answer *answer;
    struct berth_wire_buffer lease = {0};
    struct berth_error err;
    const char *name;
    enum berth_code code;

    if (!find_namespace(call, &name) || !pack(call, &asked->base, &lease))
        return;
    answer = berth_answer_later(call);
    if (answer != NULL) {
        code = leases->service->create(leases->instance, name,
                                       (struct berth_store_bytes){lease.bytes, lease.length}, on_created,
                                       answer, &err);
        if (code != BERTH_OK)
            berth_answer_finish(answer, code, err.message);
    }
    berth_wire_finish(&lease);
}

/* The answer is google.protobuf.Empty. */
static void on_changed(void *context, enum berth_code code, const char *message,
                       struct berth_store_bytes value)
{
    berth_answer_finish(context, code, message);
}

/* `sync` makes no difference: only the lease itself is removed, and that is done when the call is answered.
 */
static void remove_lease(struct berth_call *call,
                         const Containerd__Services__Leases__V1__DeleteRequest *asked)
{
    const struct leases *leases = call->instance;
    struct berth_answer *answer;
    struct berth_error err;
    const char *name;
    enum berth_code code;

    if (!find_namespace(call, &name))
        return;
    answer = berth_answer_later(call);
    if (answer == NULL)
        return;
    code = leases->service->remove(leases->instance, name, asked->id, on_changed, answer, &err);
    if (code != BERTH_OK)
        berth_answer_finish(answer, code, err.message);
}

typedef enum berth_code change_resource(void *instance, const char *namespace_name, const char *id,
                                        struct berth_store_bytes resource, berth_leases_done *done,
                                        void *context, struct berth_error *err);

static void set_resource(struct berth_call *call, change_resource *change, const char *id,
                         const Containerd__Services__Leases__V1__Resource *resource)
{
    const struct leases *leases = call->instance;
    struct berth_answer *answer;
    struct berth_wire_buffer packed = {0};
    struct berth_error err;
    const char *name;
    enum berth_code code;

    if (!find_namespace(call, &name) || (resource != NULL && !pack(call, &resource->base, &packed)))
        return;
    answer = berth_answer_later(call);
    if (answer != NULL) {
        code = change(leases->instance, name, id, (struct berth_store_bytes){packed.bytes, packed.length},
                      on_changed, answer, &err);
        if (code != BERTH_OK)
            berth_answer_finish(answer, code, err.message);
    }
    berth_wire_finish(&packed);
}

static void add_resource(struct berth_call *call,
                         const Containerd__Services__Leases__V1__AddResourceRequest *asked)
{
    const struct leases *leases = call->instance;

    set_resource(call, leases->service->add_resource, asked->id, asked->resource);
}

static void delete_resource(struct berth_call *call,
                            const Containerd__Services__Leases__V1__DeleteResourceRequest *asked)
{
    const struct leases *leases = call->instance;

    set_resource(call, leases->service->remove_resource, asked->id, asked->resource);
}

static bool add_to_list(void *context, struct berth_store_bytes value)
{
    return berth_list_reply_add(context, value.data, value.length);
}

static void finish_list(struct berth_call *call, struct berth_list_reply *list, enum berth_code code,
                        const char *message)
{
    struct berth_error err;

    if (code == BERTH_OK && list->is_too_long) {
        code = berth_error_set(&err, BERTH_RESOURCE_EXHAUSTED,
                               "the list exceeds max_list_bytes (%zu): narrow the filters", list->max_bytes);
        message = err.message;
    }
    berth_call_answer_wire(call, &list->wire, code, message);
}

static void list_resources(struct berth_call *call,
                           const Containerd__Services__Leases__V1__ListResourcesRequest *asked)
{
    const struct leases *leases = call->instance;
    struct berth_list_reply found = {.max_bytes = leases->max_list_bytes};
    struct berth_error err = {""};
    const char *name;
    enum berth_code code;

    if (!find_namespace(call, &name))
        return;
    code = leases->service->resources(leases->instance, NULL, name, asked->id, add_to_list, &found, &err);
    finish_list(call, &found, code, err.message);
}

const struct containerd_services_leases_v1_leases_handlers leases_leases_handlers = {
    .create = {.on_message = create, .on_end = berth_answer_on_end},
    .delete_ = {.on_message = remove_lease, .on_end = berth_answer_on_end},
    .list = {.on_message = listing_begin, .on_end = listing_on_end},
    .add_resource = {.on_message = add_resource, .on_end = berth_answer_on_end},
    .delete_resource = {.on_message = delete_resource, .on_end = berth_answer_on_end},
    .list_resources = {.on_message = list_resources},
};
