/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC's health checking: the daemon's readiness, and for each service whether calls reach an instance that
 * can do its job.
 */
#include "health-plugin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <berth/ending.h>

#include "conditions.h"

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* Longer than any name in a manifest; names are kept while they are watched. */
#define SERVICE_MAX 1024

static const char going[] = "the daemon is stopping";

/* A call that watches a service, and the status it was sent last. */
struct watch {
    LIST_ENTRY(watch) link;
    struct berth_call *call;
    char *service;
    serving_status told;
    bool is_told;
};

struct health {
    const struct berth_host *host;
    struct berth_watch *changes;
    struct conditions conditions;
    /** Something has changed since the last refresh. */
    bool is_stale;
    LIST_HEAD(, watch) watches;
};

struct search {
    struct health *health;
    const char *service;
    const char *transport;
    bool found;
    bool live;
    enum condition condition;
};

static enum condition find_condition(struct health *health, const char *uri)
{
    if (health->is_stale)
        health->is_stale = !conditions_refresh(&health->conditions, health->host->inspect);
    return conditions_find(&health->conditions, uri);
}

static bool compare_route(void *context, const struct berth_route_info *route)
{
    struct search *search = context;

    if (strcmp(route->service, search->service) != 0)
        return true;
    search->found = berth_route_takes(route, search->transport);
    search->live = route->live;
    if (search->found && search->live)
        search->condition = find_condition(search->health, route->plugin);
    return false;
}

/* Only local callers may ask for plugins, as for the services that list them. */
static bool may_ask_for_plugins(const struct berth_call *call)
{
    return strcmp(call->transport, "tcp") != 0;
}

/* The status of a service, or of a plugin by its URI. Services that may not use the caller's transport are
 * unknown to it. */
static serving_status find_status(const struct berth_call *call, const char *service)
{
    struct health *health = call->instance;
    const struct berth_host *host = health->host;
    const struct berth_daemon_info *daemon = host->inspect->daemon;
    struct search search = {.health = health, .service = service, .transport = call->transport};

    if (*service == '\0')
        return daemon->ready && !daemon->draining ? SERVING : NOT_SERVING;
    host->router->each(host->router, compare_route, &search);
    if (!search.found && may_ask_for_plugins(call)) {
        search.condition = find_condition(health, service);
        search.found = search.live = search.condition != CONDITION_UNKNOWN;
    }
    if (!search.found)
        return SERVICE_UNKNOWN;
    return search.live && search.condition != CONDITION_ILL && !daemon->draining ? SERVING : NOT_SERVING;
}

static void check(struct berth_call *call, const check_request *request)
{
    check_response reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    reply.status = find_status(call, request->service);
    if (reply.status == SERVICE_UNKNOWN)
        berth_call_finish(call, BERTH_NOT_FOUND, "unknown service");
    else
        grpc_health_v1_health_check_reply(call, &reply);
}

/* Sends the status if it changed; a caller that does not read gets it once there is room. */
static void tell(struct watch *watch)
{
    check_response reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    reply.status = find_status(watch->call, watch->service);
    if ((watch->is_told && reply.status == watch->told) || !berth_call_can_send(watch->call))
        return;
    if (grpc_health_v1_health_watch_send(watch->call, &reply) != BERTH_OK)
        return;
    watch->told = reply.status;
    watch->is_told = true;
}

static void on_change(void *context)
{
    struct health *health = context;
    struct watch *watch;

    health->is_stale = true;
    LIST_FOREACH(watch, &health->watches, link)
    tell(watch);
}

static struct watch *watch_create(struct berth_call *call, const char *service)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (watch != NULL)
        watch->service = strdup(service);
    if (watch == NULL || watch->service == NULL) {
        free(watch);
        return NULL;
    }
    watch->call = call;
    return watch;
}

static void watch(struct berth_call *call, const check_request *request)
{
    struct health *health = call->instance;
    struct watch *watch;

    if (health->host->inspect->daemon->draining) {
        berth_call_finish(call, BERTH_UNAVAILABLE, going);
        return;
    }
    if (strlen(request->service) > SERVICE_MAX) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "the service name is too long");
        return;
    }
    watch = watch_create(call, request->service);
    if (watch == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory to watch a service");
        return;
    }
    call->state = watch;
    LIST_INSERT_HEAD(&health->watches, watch, link);
    tell(watch);
}

static void on_watch_writable(struct berth_call *call)
{
    if (call->state != NULL)
        tell(call->state);
}

static void on_watch_end(struct berth_call *call, enum berth_code code)
{
    struct watch *watch = call->state;

    if (watch == NULL)
        return;
    LIST_REMOVE(watch, link);
    free(watch->service);
    free(watch);
}

const struct grpc_health_v1_health_handlers health_health_handlers = {
    .check = {.on_message = check},
    .watch = {.on_message = watch, .on_writable = on_watch_writable, .on_end = on_watch_end},
};

enum berth_code health_init(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    struct health *health;

    if (!BERTH_HAS(host->inspect, watch))
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "this daemon is older than the health plugin and does not report changes; upgrade berthd");
    health = calloc(1, sizeof(*health));
    if (health == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the health service");
    health->host = host;
    health->is_stale = true;
    health->changes = host->inspect->watch(host->inspect, on_change, health);
    if (health->changes == NULL) {
        free(health);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to watch for changes");
    }
    *ret_instance = health;
    return BERTH_OK;
}

/* Watches do not end by themselves and would hold up a shutdown or an upgrade until the drain times out. */
enum berth_code health_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct health *health = instance;
    struct watch *watch = LIST_FIRST(&health->watches);

    while (watch != NULL) {
        struct watch *next = LIST_NEXT(watch, link);

        tell(watch);
        berth_call_end(host, watch->call, going);
        watch = next;
    }
    return BERTH_OK;
}

enum berth_code health_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct health *health = instance;

    host->inspect->unwatch(host->inspect, health->changes);
    conditions_finish(&health->conditions);
    free(health);
    return BERTH_OK;
}
