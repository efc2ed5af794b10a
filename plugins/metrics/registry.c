/* SPDX-License-Identifier: Apache-2.0 */
/* The registry as a plugin: it asks the host whose metrics may still be shown. */
#include "metrics-plugin.h"

#include <stdlib.h>
#include <string.h>

#include "metrics.h"

struct registry {
    const struct berth_host *host;
    struct registry_config config;
};

/* Not while it starts: an init that fails frees what its collectors look at before the host hears of it. */
static bool show(void *context, const struct berth_plugin_info *info)
{
    if (info->uri != NULL && metrics_is_running(info->state))
        berth_metrics_registry_show(context, info->uri, info->generation);
    return true;
}

static void on_sweep(void *context, struct berth_metrics_registry *metrics)
{
    const struct registry *self = context;

    self->host->inspect->each(self->host->inspect, show, metrics);
}

struct search {
    const char *uri;
    uint64_t generation;
    bool lives;
};

static bool compare(void *context, const struct berth_plugin_info *info)
{
    struct search *search = context;
    bool may_run = (info->state >= BERTH_STATE_PREPARING && info->state <= BERTH_STATE_DRAINING) ||
                   info->state == BERTH_STATE_TIMED_OUT;

    if (info->uri != NULL && info->generation == search->generation && strcmp(info->uri, search->uri) == 0)
        search->lives = search->lives || may_run;
    return true;
}

static bool lives(void *context, const char *uri, uint64_t generation)
{
    const struct registry *self = context;
    struct search search = {.uri = uri, .generation = generation};

    self->host->inspect->each(self->host->inspect, compare, &search);
    return search.lives;
}

static void on_warning(void *context, const char *text)
{
    const struct registry *self = context;

    berth_log(self->host, BERTH_LOG_WARN, "%s", text);
}

/* Its close has not ended in time: who knows what still runs. */
static bool abandon(void *context, const struct berth_plugin_info *info)
{
    if (info->uri != NULL && info->state == BERTH_STATE_TIMED_OUT)
        berth_metrics_registry_abandon(context, info->uri);
    return true;
}

enum berth_code registry_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct registry *self = berth_metrics_registry_context(instance);

    host->inspect->each(host->inspect, abandon, instance);
    berth_metrics_registry_destroy(instance);
    registry_config_finish(&self->config);
    free(self);
    return BERTH_OK;
}

enum berth_code registry_init(const struct berth_host *host, void *prepared, void **ret_instance,
                              struct berth_error *err)
{
    struct registry *self = calloc(1, sizeof(*self));
    struct berth_metrics_options options = {
        .on_sweep = on_sweep, .lives = lives, .on_warning = on_warning, .context = self};
    struct berth_metrics_registry *metrics = NULL;
    enum berth_code code;

    if (self == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the metrics");
    self->host = host;
    code = registry_config_init(&self->config, host->settings, err);
    if (code != BERTH_OK) {
        free(self);
        return code;
    }
    options.max_series = (size_t)self->config.max_series;
    metrics = berth_metrics_registry_create(&options);
    code = metrics == NULL
               ? berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the metrics")
               : berth_metrics_registry_add_source(metrics, daemon_write, (void *)(uintptr_t)host, err);
    if (code == BERTH_OK) {
        *ret_instance = metrics;
        return BERTH_OK;
    }
    berth_metrics_registry_destroy(metrics);
    registry_config_finish(&self->config);
    free(self);
    return code;
}

enum berth_code registry_reconfigure(const struct berth_host *host, void *instance,
                                     const struct berth_settings *before, struct berth_error *err)
{
    struct registry *self = berth_metrics_registry_context(instance);
    struct registry_config config;
    enum berth_code code = registry_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    registry_config_finish(&self->config);
    self->config = config;
    berth_metrics_registry_set_max_series(instance, (size_t)config.max_series);
    return BERTH_OK;
}

enum berth_code registry_save_state(const struct berth_host *host, void *instance,
                                    const struct berth_state_writer *writer, struct berth_error *err)
{
    return berth_metrics_registry_save(instance, writer, err);
}

enum berth_code registry_load_state(const struct berth_host *host, void *instance, uint32_t version,
                                    const void *bytes, size_t length, struct berth_error *err)
{
    if (version != BERTH_METRICS_STATE)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "state of version %u; expected %u", version,
                               BERTH_METRICS_STATE);
    return berth_metrics_registry_load(instance, bytes, length, err);
}

const struct berth_metrics registry_interface = BERTH_METRICS_REGISTRY_TABLE;
