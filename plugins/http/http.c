/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server: plugins of type io.containerd.http.v1 or io.berth.http.v1 answer below their prefixes, and
 * services that allow the transport http are called by the Connect protocol.
 */
#include "http-plugin.h"

#include <string.h>

#include "connect.h"
#include "idle.h"
#include "listen.h"

struct http {
    struct berth_rpc_plugin base;
    struct http_config config;
    struct connect *connect;
    struct idle *idle;
};

const struct berth_server http_interface = BERTH_RPC_PLUGIN_INTERFACE;

/* As a browser writes it: "https://example.org", "http://localhost:3000". */
static bool is_origin(const char *origin)
{
    const char *host = strstr(origin, "://");
    size_t scheme = strspn(origin, "abcdefghijklmnopqrstuvwxyz0123456789+-.");

    if (host == NULL || host != origin + scheme || scheme == 0)
        return false;
    host += 3;
    return *host != '\0' && host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._~:[]%")] == '\0';
}

/* A value that is not an origin would never match. */
static void check_origins(const struct berth_check *check, const struct http_config *config)
{
    for (size_t i = 0; i < config->cors_origins.count; i++)
        if (!is_origin(config->cors_origins.items[i]))
            berth_check_problem(
                check, BERTH_LOG_ERROR, "cors_origins",
                "\"%.100s\" is not an origin: write scheme, host and port only, in lower case, as "
                "https://example.org or http://localhost:3000",
                config->cors_origins.items[i]);
    for (size_t i = 0; i < config->cors_headers.count; i++) {
        const char *name = config->cors_headers.items[i];

        if (*name == '\0' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] != '\0')
            berth_check_problem(
                check, BERTH_LOG_ERROR, "cors_headers",
                "\"%.100s\" is not the name of a header field in lower case, as authorization", name);
    }
}

void http_check(const struct berth_check *check)
{
    struct http_config config;
    struct berth_error err;

    if (http_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    http_check_place(check, &(const struct http_place)HTTP_PLACE(&config));
    check_origins(check, &config);
    http_config_finish(&config);
}

static void destroy(struct berth_rpc_plugin *base)
{
    struct http *self = (struct http *)base;

    idle_destroy(self->idle);
    connect_destroy(self->connect);
    http_config_finish(&self->config);
    berth_rpc_plugin_finish(base);
    free(self);
}

/* The handlers that are ready. */
struct collection {
    const struct berth_host *host;
    struct berth_rpc_http_mount *mounts;
    size_t count;
    bool is_out_of_memory;
};

static bool add_mount(struct collection *collection, const char *uri, const struct berth_http *handler,
                      void *instance)
{
    struct berth_rpc_http_mount *mounts =
        realloc(collection->mounts, (collection->count + 1) * sizeof(*mounts));

    if (mounts == NULL) {
        collection->is_out_of_memory = true;
        return false;
    }
    collection->mounts = mounts;
    mounts[collection->count++] =
        (struct berth_rpc_http_mount){.handler = handler, .instance = instance, .owner = uri};
    return true;
}

static bool collect(void *context, const struct berth_ref *ref)
{
    return add_mount(context, ref->uri, ref->interface, ref->instance);
}

/* One that runs already needs nobody to stand in for it. */
static bool collect_idle(void *context, const char *uri, const struct berth_http *handler, void *instance)
{
    struct collection *collection = context;

    for (size_t i = 0; i < collection->count; i++)
        if (strcmp(collection->mounts[i].owner, uri) == 0)
            return true;
    return add_mount(collection, uri, handler, instance);
}

static enum berth_code mount_all(struct http *self, const struct http_config *config, struct berth_error *err)
{
    struct collection collection = {.host = self->base.host};
    enum berth_code code = berth_each(self->base.host, "io.containerd.http.v1", collect, &collection, err);

    if (code == BERTH_OK)
        code = berth_each(self->base.host, "io.berth.http.v1", collect, &collection, err);
    if (code == BERTH_OK &&
        (!idle_each(self->idle, collect_idle, &collection) || collection.is_out_of_memory))
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the HTTP handlers");
    if (code == BERTH_OK) {
        const struct berth_rpc_connect_options connect = {
            .size = sizeof(connect),
            .json = connect_json(self->connect),
            .origins = (const char *const *)config->cors_origins.items,
            .origin_count = config->cors_origins.count,
            .headers = (const char *const *)config->cors_headers.items,
            .header_count = config->cors_headers.count,
            .max_age_s = (uint32_t)(config->cors_max_age / 1000000000),
        };
        const struct berth_rpc_http_options options = {
            HTTP_TIMEOUTS(config),
            .mounts = collection.mounts,
            .mount_count = collection.count,
            .hosts = (const char *const *)config->hosts.items,
            .host_count = config->hosts.count,
            .connect = &connect,
        };

        code = berth_rpc_server_set_http(self->base.server, &options, err);
    }
    free(collection.mounts);
    return code;
}

static struct berth_rpc_server_options limits_of(const struct http_config *config)
{
    return (struct berth_rpc_server_options){
        HTTP_LIMITS(config),
        .transport = "http",
        .max_send_message_bytes = (uint64_t)config->max_send_message_bytes,
        .compression = (enum berth_rpc_compression)config->compression,
    };
}

static enum berth_code listen_again(struct berth_rpc_plugin *base, struct berth_error *err)
{
    const struct http *self = (const struct http *)base;

    return http_listen(base, &(const struct http_place)HTTP_PLACE(&self->config), err);
}

/* A handler that starts when it is called was added. */
static void mount_again(void *context)
{
    struct http *self = context;
    struct berth_error err;

    if (mount_all(self, &self->config, &err) != BERTH_OK)
        berth_log(self->base.host, BERTH_LOG_WARN, "cannot update the HTTP handlers: %s", err.message);
}

static enum berth_code set_up(struct berth_rpc_plugin *base, struct berth_error *err)
{
    struct http *self = (struct http *)base;
    enum berth_code code = http_config_init(&self->config, base->host->settings, err);
    struct berth_rpc_server_options options = limits_of(&self->config);

    base->listen_again = listen_again;
    if (code == BERTH_OK) {
        self->connect = connect_create(base->host);
        self->idle = idle_create(base->host, mount_again, self);
        if (self->connect == NULL || self->idle == NULL)
            code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to watch the services");
    }
    return code == BERTH_OK ? berth_rpc_plugin_create(base, &options, err) : code;
}

enum berth_code http_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    return berth_rpc_plugin_init(host, sizeof(struct http), set_up, destroy, ret_instance, err);
}

enum berth_code http_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct http *self = instance;
    enum berth_code code = mount_all(self, &self->config, err);

    return code == BERTH_OK ? listen_again(&self->base, err) : code;
}

/* Memory aside, only the address can fail: it is first. */
enum berth_code http_reconfigure(const struct berth_host *host, void *instance,
                                 const struct berth_settings *before, struct berth_error *err)
{
    struct http *self = instance;
    struct http_config config;
    struct berth_rpc_server_options limits;
    enum berth_code code = http_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    limits = limits_of(&config);
    code = http_move(&self->base, &(const struct http_place)HTTP_PLACE(&self->config),
                     &(const struct http_place)HTTP_PLACE(&config), err);
    if (code == BERTH_OK)
        code = mount_all(self, &config, err);
    if (code == BERTH_OK)
        code = berth_rpc_server_set_options(self->base.server, &limits, err);
    if (code != BERTH_OK) {
        http_config_finish(&config);
        return code;
    }
    http_config_finish(&self->config);
    self->config = config;
    return BERTH_OK;
}

enum berth_code http_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_drain(instance);
}

enum berth_code http_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_close(instance);
}
