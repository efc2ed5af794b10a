/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one entry of proxy_plugins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/address.h>

#include "proxy.h"

#define NANOSECONDS_PER_SECOND UINT64_C(1000000000)
/* Shorter than any sensible timeout of init. A server that takes longer is listed as degraded until then. */
#define PATIENCE_NS (4 * NANOSECONDS_PER_SECOND)

const struct berth_service *const proxy_services[] = {&forward_service, NULL};

static void finish_start(struct proxy *proxy)
{
    if (!proxy->is_starting)
        return;
    proxy->is_starting = false;
    berth_complete_init(proxy->host, proxy);
}

/* With a program it is worth waiting for, because it takes its time to begin to listen. */
static bool may_come_soon(const struct proxy *proxy)
{
    return proxy->program != NULL && !program_has_failed(proxy->program) && uv_hrtime() < proxy->patience_ns;
}

static void take_state(struct proxy *proxy, const char *reason)
{
    bool was_connected = proxy->is_connected, is_news;

    if (reason != NULL && proxy->is_starting && may_come_soon(proxy))
        return;
    is_news = was_connected != (reason == NULL) || (reason != NULL && strcmp(reason, proxy->reason) != 0);
    proxy->is_connected = reason == NULL;
    berth_series_set(proxy->connected, reason == NULL ? 1 : 0);
    snprintf(proxy->reason, sizeof(proxy->reason), "%s", reason == NULL ? "" : reason);
    finish_start(proxy);
    if (reason != NULL)
        berth_add_export(proxy->host, "last_error", reason);
    berth_add_export(proxy->host, "connected", reason == NULL ? "true" : "false");
    if (reason == NULL && proxy->is_not_serving)
        berth_report(proxy->host, BERTH_UNAVAILABLE, "the server reports NOT_SERVING");
    else
        berth_report(proxy->host, reason == NULL ? BERTH_OK : BERTH_UNAVAILABLE, reason);
    if (is_news && reason == NULL)
        berth_log(proxy->host, BERTH_LOG_INFO, "connected address=%s", proxy->address);
    else if (is_news)
        berth_log(proxy->host, was_connected ? BERTH_LOG_WARN : BERTH_LOG_INFO, "not connected: %s", reason);
}

/* "linux/amd64" or "linux/arm/v7". */
static void show_platform(const struct berth_host *host, const char *text)
{
    char parts[3][64] = {"", "", ""};

    if (sscanf(text, "%63[^/]/%63[^/]/%63s", parts[0], parts[1], parts[2]) >= 2)
        berth_add_platform(host, parts[0], parts[1], parts[2][0] != '\0' ? parts[2] : NULL);
}

static void show(const struct proxy *proxy)
{
    const struct proxy_config *config = &proxy->config;

    berth_add_export(proxy->host, "address", proxy->address);
    berth_add_export(proxy->host, "connected", "false");
    if (config->platform != NULL)
        show_platform(proxy->host, config->platform);
    for (size_t i = 0; i < config->exports.count; i++)
        berth_add_export(proxy->host, config->exports.items[i].key, config->exports.items[i].value);
    for (size_t i = 0; i < config->capabilities.count; i++)
        berth_add_capability(proxy->host, config->capabilities.items[i]);
}

static void count(struct proxy *proxy)
{
    const struct berth_host *host = proxy->host;

    proxy->connected =
        berth_metrics_gauge(host, "proxy_connected", "Whether the server behind the socket answers: 1 or 0.");
    proxy->latency = berth_metrics_gauge(host, "proxy_latency_seconds", "Duration of the last health check.");
    proxy->starts = berth_metrics_counter(host, "proxy_starts_total", "Starts of the program.");
}

static enum berth_code choose_address(struct proxy *proxy, struct berth_error *err)
{
    const char *folder;
    enum berth_code code;

    if (proxy->config.address != NULL) {
        proxy->address = strdup(proxy->config.address);
    } else {
        code = berth_state_dir(proxy->host, &folder, err);
        if (code != BERTH_OK)
            return code;
        if (asprintf(&proxy->address, "unix:%s/server.sock", folder) < 0)
            proxy->address = NULL;
    }
    return proxy->address != NULL
               ? BERTH_OK
               : berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the address");
}

static enum berth_code open_channel(struct proxy *proxy, struct berth_error *err)
{
    const struct berth_rpc_channel_options where = {
        .size = sizeof(where),
        .address = proxy->address,
        .connect_timeout_ms = (uint32_t)(proxy->config.check_timeout / 1000000 + 1),
        .max_recv_message_bytes = (uint64_t)proxy->config.max_message,
        .max_send_message_bytes = (uint64_t)proxy->config.max_message,
        .max_queued_bytes = 4 * (uint64_t)proxy->config.max_message,
        .compress = proxy->config.compress,
    };

    return berth_rpc_channel_create(proxy->host->loop, &where, &proxy->channel, err);
}

static void destroy(struct proxy *proxy)
{
    free(proxy->address);
    proxy_config_finish(&proxy->config);
    free(proxy);
}

static bool take_launcher(void *context, const struct berth_plugin_info *info)
{
    struct proxy *proxy = context;

    if (strcmp(info->uri, proxy->host->uri) != 0)
        return true;
    if (info->isolation != NULL) {
        proxy->launcher = info->isolation->launcher;
        proxy->launcher_input = info->isolation->launcher_input;
    }
    return false;
}

/* A server that somebody else starts is not ours to confine. */
static enum berth_code find_launcher(struct proxy *proxy, struct berth_error *err)
{
    const struct berth_inspect *inspect = proxy->host->inspect;

    inspect->each(inspect, take_launcher, proxy);
    if (proxy->launcher != NULL && proxy->config.command.count == 0)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "isolation confines the program of command, which is not set; remove it from "
                               "isolation, and confine the server where it is started");
    return BERTH_OK;
}

static enum berth_code set_up(struct proxy *proxy, struct berth_error *err)
{
    enum berth_code code = proxy_config_init(&proxy->config, proxy->host->settings, err);

    count(proxy);
    if (code == BERTH_OK)
        code = find_launcher(proxy, err);
    if (code == BERTH_OK)
        code = choose_address(proxy, err);
    if (code == BERTH_OK && proxy->config.command.count > 0)
        code = program_create(proxy, &proxy->program, err);
    if (code == BERTH_OK)
        code = open_channel(proxy, err);
    return code;
}

static void on_part_closed(struct proxy *proxy)
{
    const struct berth_host *host = proxy->host;

    if (--proxy->open_handles > 0 || !proxy->is_closing)
        return;
    destroy(proxy);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static void on_gone(struct proxy *proxy)
{
    on_part_closed(proxy);
}

/* Of an init that failed after the program was started. */
static void on_gone_early(struct proxy *proxy)
{
    destroy(proxy);
}

static void on_channel_closed(void *context)
{
    on_part_closed(context);
}

/* Without memory the old channel goes on. */
static void reconnect(struct proxy *proxy)
{
    struct berth_rpc_channel *former = proxy->channel;
    struct berth_error err;

    if (open_channel(proxy, &err) != BERTH_OK) {
        proxy->channel = former;
        return;
    }
    proxy->open_handles++;
    berth_rpc_channel_close(former, on_channel_closed, proxy);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

enum berth_code proxy_init(const struct berth_host *host, void *prepared, void **ret_instance,
                           struct berth_error *err)
{
    struct proxy *proxy = calloc(1, sizeof(*proxy));
    enum berth_code code;

    if (proxy == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the proxy");
    proxy->host = host;
    proxy->take_state = take_state;
    proxy->reconnect = reconnect;
    proxy->patience_ns = uv_hrtime() + PATIENCE_NS;
    code = set_up(proxy, err);
    if (code != BERTH_OK) {
        if (proxy->program != NULL)
            program_stop(proxy->program, on_gone_early);
        else
            destroy(proxy);
        return code;
    }
    show(proxy);
    uv_timer_init(host->loop, &proxy->timer);
    proxy->timer.data = proxy;
    proxy->is_starting = true;
    *ret_instance = proxy;
    health_start(proxy);
    return BERTH_PENDING;
}

enum berth_code proxy_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct proxy *proxy = instance;

    proxy->is_closing = true;
    proxy->open_handles += 2 + (proxy->program != NULL);
    uv_close((uv_handle_t *)&proxy->timer, on_timer_closed);
    berth_rpc_channel_close(proxy->channel, on_channel_closed, proxy);
    if (proxy->program != NULL)
        program_stop(proxy->program, on_gone);
    return BERTH_PENDING;
}

static void check_command(const struct berth_check *check, const struct proxy_config *config)
{
    if (config->command.count == 0 && config->address == NULL)
        berth_check_problem(check, BERTH_LOG_ERROR, "address",
                            "set the address of the server, or a command that starts it");
    if (config->command.count == 0)
        return;
    if (config->command.items[0][0] != '/')
        berth_check_problem(check, BERTH_LOG_ERROR, "command.0",
                            "\"%s\" is not an absolute path, and PATH is not searched",
                            config->command.items[0]);
    else if (access(config->command.items[0], X_OK) != 0)
        berth_check_problem(check, BERTH_LOG_WARN, "command.0", "%s cannot be executed at present",
                            config->command.items[0]);
}

void proxy_check(const struct berth_check *check)
{
    struct proxy_config config;
    struct berth_address address;
    struct berth_error err;

    if (proxy_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    check_command(check, &config);
    if (config.address != NULL && berth_address_parse(config.address, &address, &err) != BERTH_OK)
        berth_check_problem(check, BERTH_LOG_ERROR, "address", "%s", err.message);
    if (config.services.count == 0 && strncmp(check->uri, "io.containerd.", 14) != 0)
        berth_check_problem(check, BERTH_LOG_WARN, "services",
                            "no service is listed, so nothing can be called");
    proxy_config_finish(&config);
}
