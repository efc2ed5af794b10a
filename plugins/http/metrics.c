/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics server: what the registry of io.berth.metrics.v1 has, for Prometheus. Clients that ask within a
 * second share one text; each is sent in slices as fast as it reads, so that one that stops reading holds
 * that text and a slice.
 */
#include "http-plugin.h"

#include <berth/types/metrics.h>

#include "listen.h"

#define SLICE_BYTES (size_t)(32 * 1024)

struct metrics {
    struct berth_rpc_plugin base;
    struct metrics_config config;
    struct berth_ref registry;
};

/* The state of a request. */
struct scrape {
    const struct berth_metrics_text *text;
    size_t sent;
};

const struct berth_server metrics_interface = BERTH_RPC_PLUGIN_INTERFACE;

static const struct berth_metrics *registry_of(const struct metrics *self)
{
    return self->registry.interface;
}

static void on_writable(struct berth_http_request *request)
{
    struct scrape *scrape = request->state;

    while (scrape->sent < scrape->text->length && berth_http_can_write(request)) {
        size_t left = scrape->text->length - scrape->sent;
        size_t length = left < SLICE_BYTES ? left : SLICE_BYTES;

        if (berth_http_write(request, scrape->text->text + scrape->sent, length) != BERTH_OK)
            return;
        scrape->sent += length;
    }
    if (scrape->sent == scrape->text->length)
        berth_http_end(request);
}

static void on_end(struct berth_http_request *request)
{
    const struct metrics *self = request->instance;
    struct scrape *scrape = request->state;

    if (scrape == NULL)
        return;
    registry_of(self)->release(self->registry.instance, scrape->text);
    free(scrape);
}

static void refuse(struct berth_http_request *request, const char *reason)
{
    berth_http_respond(request, 503, "text/plain; charset=utf-8", reason, strlen(reason));
}

static void on_request(struct berth_http_request *request)
{
    const struct metrics *self = request->instance;
    const struct berth_http_header type = {"Content-Type", BERTH_METRICS_CONTENT_TYPE};
    struct scrape *scrape;
    struct berth_error err = {0};

    if (request->rest[0] != '\0') {
        static const char where[] = "the metrics are at /v1/metrics and /metrics\n";

        berth_http_respond(request, 404, "text/plain; charset=utf-8", where, sizeof(where) - 1);
        return;
    }
    scrape = calloc(1, sizeof(*scrape));
    if (scrape == NULL) {
        refuse(request, "out of memory\n");
        return;
    }
    if (registry_of(self)->write(self->registry.instance, &scrape->text, &err) != BERTH_OK) {
        free(scrape);
        refuse(request, err.message);
        return;
    }
    request->state = scrape;
    berth_http_begin(request, 200, &type, 1, (int64_t)scrape->text->length);
    on_writable(request);
}

#define METRICS_AT(path)                                                                                     \
    {                                                                                                        \
        .size = sizeof(struct berth_http), .prefix = (path), .methods = "GET", .on_request = on_request,     \
        .on_writable = on_writable, .on_end = on_end                                                         \
    }

static const struct berth_http handlers[] = {METRICS_AT("/v1/metrics"), METRICS_AT("/metrics")};

void metrics_check(const struct berth_check *check)
{
    struct metrics_config config;
    struct berth_error err;

    if (metrics_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    http_check_place(check, &(const struct http_place)HTTP_PLACE(&config));
    metrics_config_finish(&config);
}

static void destroy(struct berth_rpc_plugin *base)
{
    struct metrics *self = (struct metrics *)base;

    metrics_config_finish(&self->config);
    berth_rpc_plugin_finish(base);
    free(self);
}

static enum berth_code find_registry(struct metrics *self, struct berth_error *err)
{
    enum berth_code code = berth_get_single(self->base.host, BERTH_METRICS_TYPE, &self->registry, err);

    if (code == BERTH_NOT_FOUND)
        return berth_error_set(err, BERTH_SKIP,
                               "no metrics to serve: no plugin of type " BERTH_METRICS_TYPE " is ready");
    return code;
}

static struct berth_rpc_server_options limits_of(const struct metrics_config *config)
{
    return (struct berth_rpc_server_options){HTTP_LIMITS(config), .transport = "http"};
}

static enum berth_code listen_again(struct berth_rpc_plugin *base, struct berth_error *err)
{
    const struct metrics *self = (const struct metrics *)base;

    return http_listen(base, &(const struct http_place)HTTP_PLACE(&self->config), err);
}

static enum berth_code set_up(struct berth_rpc_plugin *base, struct berth_error *err)
{
    struct metrics *self = (struct metrics *)base;
    enum berth_code code = metrics_config_init(&self->config, base->host->settings, err);
    struct berth_rpc_server_options options = limits_of(&self->config);

    base->listen_again = listen_again;
    if (code == BERTH_OK)
        code = find_registry(self, err);
    return code == BERTH_OK ? berth_rpc_plugin_create(base, &options, err) : code;
}

enum berth_code metrics_init(const struct berth_host *host, void *prepared, void **ret_instance,
                             struct berth_error *err)
{
    return berth_rpc_plugin_init(host, sizeof(struct metrics), set_up, destroy, ret_instance, err);
}

static enum berth_code mount(struct metrics *self, const struct metrics_config *config,
                             struct berth_error *err)
{
    const char *owner = self->base.host->uri;
    const struct berth_rpc_http_mount mounts[] = {
        {.handler = &handlers[0], .instance = self, .owner = owner},
        {.handler = &handlers[1], .instance = self, .owner = owner},
    };
    const struct berth_rpc_http_options options = {
        HTTP_TIMEOUTS(config),
        .mounts = mounts,
        .mount_count = sizeof(mounts) / sizeof(mounts[0]),
        .hosts = (const char *const *)config->hosts.items,
        .host_count = config->hosts.count,
    };

    return berth_rpc_server_set_http(self->base.server, &options, err);
}

enum berth_code metrics_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct metrics *self = instance;
    enum berth_code code = mount(self, &self->config, err);

    return code == BERTH_OK ? listen_again(&self->base, err) : code;
}

/* Memory aside, only the address can fail: it is first. */
enum berth_code metrics_reconfigure(const struct berth_host *host, void *instance,
                                    const struct berth_settings *before, struct berth_error *err)
{
    struct metrics *self = instance;
    struct metrics_config config;
    struct berth_rpc_server_options limits;
    enum berth_code code = metrics_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    limits = limits_of(&config);
    code = http_move(&self->base, &(const struct http_place)HTTP_PLACE(&self->config),
                     &(const struct http_place)HTTP_PLACE(&config), err);
    if (code == BERTH_OK)
        code = mount(self, &config, err);
    if (code == BERTH_OK)
        code = berth_rpc_server_set_options(self->base.server, &limits, err);
    if (code != BERTH_OK) {
        metrics_config_finish(&config);
        return code;
    }
    metrics_config_finish(&self->config);
    self->config = config;
    return BERTH_OK;
}

enum berth_code metrics_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_drain(instance);
}

enum berth_code metrics_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_close(instance);
}
