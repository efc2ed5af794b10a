/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin io.berth.store.v1.etcd: makes a store from its settings. */
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "store-etcd-plugin.h"
#include "store.h"

#define NS_PER_MS 1000000
/* Size of a request besides names and values: per write, and fixed. */
#define WRITE_OVERHEAD (LAYOUT_PREFIX_MAX + 64)
#define REQUEST_OVERHEAD 1024

const struct berth_store etcd_interface = BERTH_STORE_INTERFACE;

struct instance {
    const struct berth_host *host;
    struct etcd_config config;
    struct berth_rpc_tls_options tls;
    /* Why the start failed. */
    enum berth_code code;
    struct berth_error failure;
};

static uint64_t milliseconds(int64_t nanoseconds)
{
    return (uint64_t)nanoseconds / NS_PER_MS;
}

/* NULL for clear text. */
static const struct berth_rpc_tls_options *choose_tls(const struct etcd_config *config,
                                                      struct berth_rpc_tls_options *tls)
{
    *tls = (struct berth_rpc_tls_options){
        .size = sizeof(*tls),
        .certificate_file = config->tls_cert,
        .key_file = config->tls_key,
        .ca_file = config->tls_ca,
        .server_name = config->tls_name,
    };
    return config->tls || config->tls_ca != NULL || config->tls_cert != NULL || config->tls_key != NULL ||
                   config->tls_name != NULL
               ? tls
               : NULL;
}

static enum berth_code choose_limits(const struct etcd_config *config, struct berth_store_limits *ret_limits,
                                     struct berth_error *err)
{
    uint64_t overhead = REQUEST_OVERHEAD + (uint64_t)config->max_writes * WRITE_OVERHEAD;
    uint64_t request = (uint64_t)config->max_request;
    uint64_t value = (uint64_t)config->max_value;

    if (request < overhead || request - overhead < value + BERTH_STORE_NAME_MAX)
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "max_request (%llu bytes) is too small for a value of max_value (%llu bytes) and the names of "
            "max_writes (%lld) writes; raise it, and etcd's --max-request-bytes with it",
            (unsigned long long)request, (unsigned long long)value, (long long)config->max_writes);
    *ret_limits = (struct berth_store_limits){
        .size = sizeof(*ret_limits),
        .max_value = value,
        .max_writes = (uint64_t)config->max_writes,
        .max_change = request - overhead,
    };
    return BERTH_OK;
}

static enum berth_code choose(struct instance *self, struct store_options *ret_options,
                              struct berth_error *err)
{
    const struct etcd_config *config = &self->config;

    *ret_options = (struct store_options){
        .endpoints = config->endpoints.items,
        .endpoint_count = config->endpoints.count,
        .prefix = config->prefix,
        .tls = choose_tls(config, &self->tls),
        .user = config->user,
        .password = config->password,
        .dial_timeout_ms = milliseconds(config->dial_timeout),
        .commit_timeout_ms = milliseconds(config->commit_timeout),
        .max_stale_ms = milliseconds(config->max_stale),
        .lease_ttl_ms = milliseconds(config->lease_ttl),
        .max_mirror = (uint64_t)config->max_mirror,
        .max_request = (uint64_t)config->max_request,
    };
    return choose_limits(config, &ret_options->limits, err);
}

static void check_tls(const struct berth_check *check, const struct etcd_config *config)
{
    struct berth_rpc_tls_options options;
    struct berth_error err;

    if (choose_tls(config, &options) == NULL) {
        if (config->user != NULL)
            berth_check_problem(check, BERTH_LOG_WARN, "user",
                                "the password is sent in clear text to tcp endpoints; set tls: true");
    } else if ((config->tls_cert == NULL) != (config->tls_key == NULL)) {
        berth_check_problem(check, BERTH_LOG_ERROR, config->tls_cert == NULL ? "tls_key" : "tls_cert",
                            "tls_cert and tls_key go together; set %s too",
                            config->tls_cert == NULL ? "tls_cert" : "tls_key");
    } else if (berth_rpc_channel_check_tls(&options, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, config->tls_cert == NULL ? "tls_ca" : "tls_cert", "%s",
                            err.message);
    }
}

void etcd_check(const struct berth_check *check)
{
    struct berth_store_limits limits;
    struct etcd_config config;
    struct berth_error err;

    if (etcd_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    if (choose_limits(&config, &limits, &err) != BERTH_OK)
        berth_check_problem(check, BERTH_LOG_ERROR, "max_request", "%s", err.message);
    check_tls(check, &config);
    etcd_config_finish(&config);
}

static void destroy(struct instance *self)
{
    etcd_config_finish(&self->config);
    free(self);
}

static void on_failed_end(struct store *store)
{
    struct instance *self = store->owner;

    free(store);
    berth_fail_init(self->host, self->code, self->failure.message);
    destroy(self);
}

static void on_started(struct store *store, enum berth_code code, const char *message)
{
    struct instance *self = store->owner;

    if (code == BERTH_OK) {
        berth_complete_init(self->host, store);
        return;
    }
    self->code = berth_error_set(&self->failure, code, "%s", message);
    store_end(store, on_failed_end);
}

static enum berth_code start(struct instance *self, struct berth_error *err)
{
    struct store_options options;
    struct store *store;
    enum berth_code code = choose(self, &options, err);

    if (code == BERTH_OK)
        code = store_start(self->host, &options, self, on_started, &store, err);
    if (code != BERTH_OK)
        return code;
    berth_add_export(self->host, "prefix", self->config.prefix);
    berth_add_export(self->host, "node", store->state.id);
    return BERTH_PENDING;
}

enum berth_code etcd_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    struct instance *self = calloc(1, sizeof(*self));
    enum berth_code code;

    (void)prepared, (void)ret_instance;
    if (self == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a store");
    self->host = host;
    code = etcd_config_init(&self->config, host->settings, err);
    if (code != BERTH_OK) {
        free(self);
        return code;
    }
    code = start(self, err);
    if (code != BERTH_PENDING)
        destroy(self);
    return code;
}

static bool is_same(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

/* Do both lead to the same entries, as the same user, within the same limits? */
static bool are_alike(const struct etcd_config *one, const struct etcd_config *other)
{
    const char *const texts[][2] = {
        {one->prefix, other->prefix},     {one->user, other->user},         {one->password, other->password},
        {one->tls_ca, other->tls_ca},     {one->tls_cert, other->tls_cert}, {one->tls_key, other->tls_key},
        {one->tls_name, other->tls_name},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!is_same(texts[i][0], texts[i][1]))
            return false;
    if (one->endpoints.count != other->endpoints.count)
        return false;
    for (size_t i = 0; i < one->endpoints.count; i++)
        if (!is_same(one->endpoints.items[i], other->endpoints.items[i]))
            return false;
    return one->tls == other->tls && one->lease_ttl == other->lease_ttl &&
           one->max_writes == other->max_writes && one->max_value == other->max_value &&
           one->max_request == other->max_request;
}

/* Timeouts and the size of the copy change in place. The strings are the settings', so all are taken anew. */
enum berth_code etcd_reconfigure(const struct berth_host *host, void *instance,
                                 const struct berth_settings *before, struct berth_error *err)
{
    struct store *store = instance;
    struct instance *self = store->owner;
    struct store_options options;
    struct etcd_config config;
    enum berth_code code = etcd_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    if (!are_alike(&self->config, &config)) {
        etcd_config_finish(&config);
        return BERTH_RESTART;
    }
    etcd_config_finish(&self->config);
    self->config = config;
    code = choose(self, &options, err);
    if (code == BERTH_OK)
        store_set_options(store, &options);
    return code;
}

static void on_ended(struct store *store)
{
    struct instance *self = store->owner;
    const struct berth_host *host = self->host;

    free(store);
    destroy(self);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code etcd_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    (void)host, (void)err;
    store_end(instance, on_ended);
    return BERTH_PENDING;
}
