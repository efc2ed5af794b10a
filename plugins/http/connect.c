/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the Connect protocol as JSON, by the descriptors that modules carry. A service's descriptors
 * are read with its first JSON call, into a set of their own, since two modules may have different files of
 * the same name. Any change in the daemon drops them; calls in flight keep theirs.
 */
#include "connect.h"

#include <stdlib.h>

#include <berth/json.h>
#include <berth/plugin.h>

/* Maximum number of sets kept; one more drops all of them. */
#define SETS_MAX 64

#define BUCKETS 256

/* The descriptors of one service. */
struct set {
    size_t references;
    struct berth_json_types *types;
    /** The router's copy of its name; the address identifies the service. */
    const char *service;
    struct set *next;
};

/* One method. */
struct types {
    size_t references;
    struct set *set;
    struct berth_json_method method;
    /** The router's copy of its path; the address identifies the method. */
    const char *path;
    struct types *next;
};

struct connect {
    const struct berth_host *host;
    struct berth_watch *changes;
    struct berth_rpc_connect_json json;
    struct set *sets;
    size_t set_count;
    struct types *methods[BUCKETS];
};

static void set_drop(struct set *set)
{
    if (--set->references > 0)
        return;
    berth_json_types_destroy(set->types);
    free(set);
}

static void types_drop(struct types *types)
{
    if (--types->references > 0)
        return;
    set_drop(types->set);
    free(types);
}

static void forget(void *context)
{
    struct connect *connect = context;

    for (size_t i = 0; i < BUCKETS; i++)
        while (connect->methods[i] != NULL) {
            struct types *types = connect->methods[i];

            connect->methods[i] = types->next;
            types_drop(types);
        }
    while (connect->sets != NULL) {
        struct set *set = connect->sets;

        connect->sets = set->next;
        set_drop(set);
    }
    connect->set_count = 0;
}

static enum berth_code make_set(struct connect *connect, const struct berth_route_info *route,
                                struct set **ret_set, struct berth_error *err)
{
    struct set *set;
    enum berth_code code;

    if (route->descriptors == NULL && BERTH_HAS(connect->host->inspect, activate) &&
        (int)connect->host->inspect->activate(connect->host->inspect, route->plugin, err) == BERTH_PENDING)
        return berth_error_set(
            err, BERTH_UNAVAILABLE,
            "%s is still starting, and its JSON messages cannot be decoded before; try again", route->plugin);
    if (route->descriptors == NULL)
        return berth_error_set(err, BERTH_UNIMPLEMENTED,
                               "%s has no descriptors, so this server cannot read or write its messages as "
                               "JSON; send protobuf (for the author of %s: list its .proto under protos)",
                               route->service, route->plugin);
    set = calloc(1, sizeof(*set));
    if (set == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the descriptors of %s",
                               route->service);
    code = berth_json_types_create(&set->types, err);
    if (code == BERTH_OK)
        code = berth_json_types_add(set->types, route->descriptors, route->descriptors_length, err);
    if (code != BERTH_OK) {
        berth_json_types_destroy(set->types);
        free(set);
        return code;
    }
    if (connect->set_count == SETS_MAX)
        forget(connect);
    set->references = 1;
    set->service = route->service;
    set->next = connect->sets;
    connect->sets = set;
    connect->set_count++;
    *ret_set = set;
    return BERTH_OK;
}

static enum berth_code find_set(struct connect *connect, const struct berth_route_info *route,
                                struct set **ret_set, struct berth_error *err)
{
    for (struct set *set = connect->sets; set != NULL; set = set->next)
        if (set->service == route->service) {
            *ret_set = set;
            return BERTH_OK;
        }
    return make_set(connect, route, ret_set, err);
}

static struct types **bucket_of(struct connect *connect, const char *path)
{
    return &connect->methods[((uintptr_t)path >> 4) % BUCKETS];
}

static enum berth_code make_types(struct connect *connect, const struct berth_method_info *method,
                                  const struct berth_route_info *route, struct types **ret_types,
                                  struct berth_error *err)
{
    struct types **bucket = bucket_of(connect, method->path);
    struct berth_json_method found;
    struct types *types;
    struct set *set = NULL;
    enum berth_code code = find_set(connect, route, &set, err);

    if (code == BERTH_OK &&
        berth_json_method_find(set->types, method->service, method->method, &found, err) != BERTH_OK)
        code = berth_error_set(err, BERTH_UNIMPLEMENTED,
                               "the descriptors of %s lack %s; send protobuf (for the author of %s: "
                               "rebuild it)",
                               route->service, method->path, route->plugin);
    if (code != BERTH_OK)
        return code;
    types = calloc(1, sizeof(*types));
    if (types == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the types of %s", method->path);
    set->references++;
    *types =
        (struct types){.references = 1, .set = set, .method = found, .path = method->path, .next = *bucket};
    *bucket = types;
    *ret_types = types;
    return BERTH_OK;
}

static enum berth_code find(void *context, const struct berth_method_info *method,
                            const struct berth_route_info *route, void **ret_types, struct berth_error *err)
{
    struct connect *connect = context;
    struct types *types = *bucket_of(connect, method->path);
    enum berth_code code = BERTH_OK;

    while (types != NULL && types->path != method->path)
        types = types->next;
    if (types == NULL)
        code = make_types(connect, method, route, &types, err);
    if (code != BERTH_OK)
        return code;
    types->references++;
    *ret_types = types;
    return BERTH_OK;
}

static void release(void *context, void *types)
{
    types_drop(types);
}

/* Fields that a later version of the .proto adds are skipped, as in binary messages. */
static enum berth_code to_message(void *context, const char *text, size_t length, size_t max,
                                  void **ret_message, size_t *ret_length, struct berth_error *err)
{
    const struct types *types = context;
    const struct berth_json_options options = {
        .size = sizeof(options), .ignore_unknown = true, .max_bytes = max};

    return berth_json_to_message(types->set->types, types->method.input, text, length, &options, ret_message,
                                 ret_length, err);
}

static enum berth_code from_message(void *context, const void *message, size_t length, size_t max,
                                    char **ret_text, size_t *ret_length, struct berth_error *err)
{
    const struct types *types = context;
    const struct berth_json_options options = {.size = sizeof(options), .max_bytes = max};

    return berth_json_from_message(types->set->types, types->method.output, message, length, &options,
                                   ret_text, ret_length, err);
}

static bool has_no_side_effects(void *context)
{
    const struct types *types = context;

    return types->method.has_no_side_effects;
}

struct connect *connect_create(const struct berth_host *host)
{
    struct connect *connect = calloc(1, sizeof(*connect));

    if (connect == NULL)
        return NULL;
    connect->host = host;
    connect->json = (struct berth_rpc_connect_json){
        .size = sizeof(connect->json),
        .context = connect,
        .find = find,
        .release = release,
        .to_message = to_message,
        .from_message = from_message,
        .has_no_side_effects = has_no_side_effects,
    };
    connect->changes = host->inspect->watch(host->inspect, forget, connect);
    if (connect->changes == NULL) {
        free(connect);
        return NULL;
    }
    return connect;
}

void connect_destroy(struct connect *connect)
{
    if (connect == NULL)
        return;
    connect->host->inspect->unwatch(connect->host->inspect, connect->changes);
    forget(connect);
    free(connect);
}

const struct berth_rpc_connect_json *connect_json(const struct connect *connect)
{
    return &connect->json;
}
