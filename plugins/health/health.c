/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's health checking: the daemon's readiness, and of each service whether calls reach an instance. */
#include "health-plugin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <berth/protobuf.h>
#include <grpc/health/v1/health.pb-c.h>

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* Longer names than a manifest may have. They are kept for as long as somebody watches. */
#define SERVICE_MAX 1024

static const char going[] = "the daemon is stopping";

/* One who watches a service, and what it was told last. */
struct watch {
    LIST_ENTRY(watch) link;
    struct berth_call *call;
    char *service;
    serving_status told;
    bool is_told;
};

struct health {
    const struct berth_host *host;
    struct health_config config;
    /* Runs as long as somebody watches. */
    uv_timer_t timer;
    LIST_HEAD(, watch) watches;
};

struct search {
    const char *service;
    bool found;
    bool live;
};

static bool compare_route(void *context, const struct berth_route_info *route)
{
    struct search *search = context;

    if (strcmp(route->service, search->service) != 0)
        return true;
    search->found = true;
    search->live = route->live;
    return false;
}

static serving_status find_status(const struct health *health, const char *service)
{
    const struct berth_host *host = health->host;
    const struct berth_daemon_info *daemon = host->inspect->daemon;
    struct search search = {.service = service};

    if (*service == '\0')
        return daemon->ready && !daemon->draining ? SERVING : NOT_SERVING;
    host->router->each(host->router, compare_route, &search);
    if (!search.found)
        return SERVICE_UNKNOWN;
    return search.live && !daemon->draining ? SERVING : NOT_SERVING;
}

/* The service that a request names, to be freed; NULL where the call has been finished. */
static char *take_service(struct berth_call *call, const void *request, size_t length)
{
    check_request *asked =
        (void *)berth_call_unpack(call, &grpc__health__v1__health_check_request__descriptor, request, length);
    char *service;

    if (asked == NULL)
        return NULL;
    if (strlen(asked->service) > SERVICE_MAX) {
        protobuf_c_message_free_unpacked(&asked->base, NULL);
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "no service has a name as long as this");
        return NULL;
    }
    service = strdup(asked->service);
    protobuf_c_message_free_unpacked(&asked->base, NULL);
    if (service == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the name of a service");
    return service;
}

static void check(struct berth_call *call, const void *request, size_t length)
{
    check_response reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    char *service = take_service(call, request, length);

    if (service == NULL)
        return;
    reply.status = find_status(call->instance, service);
    free(service);
    if (reply.status == SERVICE_UNKNOWN)
        berth_call_finish(call, BERTH_NOT_FOUND, "unknown service");
    else
        berth_call_reply_message(call, &reply.base);
}

const struct berth_handler health_check = {
    .on_message = check,
};

/* Tells of a change; who does not read is told once there is room. */
static void tell(struct watch *watch)
{
    check_response reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    reply.status = find_status(watch->call->instance, watch->service);
    if ((watch->is_told && reply.status == watch->told) || !berth_call_can_send(watch->call))
        return;
    if (berth_call_send_message(watch->call, &reply.base) != BERTH_OK)
        return;
    watch->told = reply.status;
    watch->is_told = true;
}

static void on_timer(uv_timer_t *timer)
{
    struct health *health = timer->data;
    struct watch *watch;

    LIST_FOREACH(watch, &health->watches, link)
    tell(watch);
}

static void add_watch(struct health *health, struct watch *watch)
{
    uint64_t interval_ms = (uint64_t)health->config.watch_interval / 1000000;

    if (LIST_EMPTY(&health->watches))
        uv_timer_start(&health->timer, on_timer, interval_ms, interval_ms);
    LIST_INSERT_HEAD(&health->watches, watch, link);
    tell(watch);
}

static void watch(struct berth_call *call, const void *request, size_t length)
{
    const struct health *health = call->instance;
    char *service = take_service(call, request, length);
    struct watch *watch;

    if (service == NULL)
        return;
    if (health->host->inspect->daemon->draining) {
        free(service);
        berth_call_finish(call, BERTH_UNAVAILABLE, going);
        return;
    }
    watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        free(service);
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory to watch a service");
        return;
    }
    watch->call = call;
    watch->service = service;
    call->state = watch;
    add_watch(call->instance, watch);
}

static void on_watch_writable(struct berth_call *call)
{
    if (call->state != NULL)
        tell(call->state);
}

static void on_watch_end(struct berth_call *call, enum berth_code code)
{
    struct health *health = call->instance;
    struct watch *watch = call->state;

    if (watch == NULL)
        return;
    LIST_REMOVE(watch, link);
    if (LIST_EMPTY(&health->watches))
        uv_timer_stop(&health->timer);
    free(watch->service);
    free(watch);
}

const struct berth_handler health_watch = {
    .on_message = watch,
    .on_writable = on_watch_writable,
    .on_end = on_watch_end,
};

enum berth_code health_init(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    struct health *health = calloc(1, sizeof(*health));
    enum berth_code code;

    if (health == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the health service");
    code = health_config_init(&health->config, host->settings, err);
    if (code != BERTH_OK) {
        free(health);
        return code;
    }
    health->host = host;
    uv_timer_init(host->loop, &health->timer);
    health->timer.data = health;
    *ret_instance = health;
    return BERTH_OK;
}

/* Watches have no end of their own and would keep the daemon for as long as a drain may take. */
enum berth_code health_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct health *health = instance;
    struct watch *watch = LIST_FIRST(&health->watches);

    while (watch != NULL) {
        struct watch *next = LIST_NEXT(watch, link);

        tell(watch);
        berth_call_finish(watch->call, BERTH_UNAVAILABLE, going);
        watch = next;
    }
    return BERTH_OK;
}

static void on_timer_closed(uv_handle_t *timer)
{
    struct health *health = timer->data;
    const struct berth_host *host = health->host;

    health_config_finish(&health->config);
    free(health);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code health_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct health *health = instance;

    uv_close((uv_handle_t *)&health->timer, on_timer_closed);
    return BERTH_PENDING;
}
