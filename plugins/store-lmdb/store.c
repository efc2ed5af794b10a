/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin: prepare opens the file, and sdk/store runs on an engine that reads and writes it. */
#include "store-lmdb-plugin.h"

#include <stdlib.h>

#include <berth/store_engine.h>

#include "engine.h"
#include "schema.h"

struct store {
    /* First: what berth_store's functions look for. */
    struct berth_store_core *core;
    const struct berth_host *host;
    struct engine engine;
};

static bool is_cancelled(void *context)
{
    const struct berth_prepare *prepare = context;

    return prepare->is_cancelled(prepare);
}

static enum berth_code open_store(const struct berth_prepare *prepare, const struct lmdb_config *config,
                                  struct environment **ret_environment, struct berth_error *err)
{
    struct environment_options options = {
        .map_size = (uint64_t)config->map_size,
        .max_size = (uint64_t)config->max_size,
        .is_checked_fully = config->check == LMDB_CONFIG_CHECK_FULL,
        .is_cancelled = is_cancelled,
        .context = (void *)(uintptr_t)prepare,
    };
    enum berth_code code = prepare->root_dir(prepare, &options.folder, err);

    return code == BERTH_OK ? environment_open(&options, ret_environment, err) : code;
}

enum berth_code lmdb_prepare(const struct berth_prepare *prepare, void **ret_prepared,
                             struct berth_error *err)
{
    struct lmdb_config config;
    struct environment *environment;
    enum berth_code code = lmdb_config_init(&config, prepare->settings, err);

    if (code != BERTH_OK)
        return code;
    code = open_store(prepare, &config, &environment, err);
    lmdb_config_finish(&config);
    if (code == BERTH_OK)
        *ret_prepared = environment;
    return code;
}

void lmdb_discard(void *prepared)
{
    environment_close(prepared);
}

static void on_committed(void *context, enum berth_code code, const char *message)
{
    struct store *store = context;

    berth_store_committed(store->core, code, message);
}

static const struct berth_store_limits limits = {
    .size = sizeof(limits),
    .max_value = ENGINE_VALUE_MAX,
    .max_writes = ENGINE_WRITES_MAX,
    .max_change = ENGINE_CHANGE_MAX,
};

static void log_what_was_done(const struct berth_host *host, const struct environment *environment)
{
    if (environment->found_schema != SCHEMA_VERSION)
        berth_log(host, BERTH_LOG_INFO, "upgraded %s from schema %u to %u", environment->path,
                  environment->found_schema, SCHEMA_VERSION);
}

static void give_up(void *context)
{
    struct store *store = context;
    const struct berth_host *host = store->host;

    environment_close(store->engine.environment);
    free(store);
    berth_fail_init(host, BERTH_RESOURCE_EXHAUSTED, "no memory for the store");
}

static enum berth_code start_core(struct store *store, void **ret_instance)
{
    store->core = berth_store_core_create(store->host->loop, &engine_functions, &store->engine, &limits);
    if (store->core == NULL) {
        engine_stop(&store->engine, give_up);
        return BERTH_PENDING;
    }
    berth_store_core_measure(store->core, store->host);
    berth_store_core_watch_snapshots(store->core, store->host);
    log_what_was_done(store->host, store->engine.environment);
    *ret_instance = store;
    return BERTH_OK;
}

enum berth_code lmdb_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    struct store *store = calloc(1, sizeof(*store));
    enum berth_code code;

    if (store == NULL) {
        environment_close(prepared);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the store");
    }
    store->host = host;
    code = engine_start(&store->engine, host, prepared, on_committed, store, err);
    if (code == BERTH_OK)
        return start_core(store, ret_instance);
    environment_close(prepared);
    free(store);
    return code;
}

/* The initial size of the map and the check matter when the file is opened. */
enum berth_code lmdb_reconfigure(const struct berth_host *host, void *instance,
                                 const struct berth_settings *before, struct berth_error *err)
{
    struct store *store = instance;
    struct lmdb_config config;
    enum berth_code code = lmdb_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    environment_set_max_size(store->engine.environment, (uint64_t)config.max_size);
    lmdb_config_finish(&config);
    return BERTH_OK;
}

static void on_stopped(void *context)
{
    struct store *store = context;
    const struct berth_host *host = store->host;

    environment_close(store->engine.environment);
    free(store);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

/* `self` is the engine's. */
static void on_core_closed(void *self)
{
    struct engine *engine = self;

    engine_stop(engine, on_stopped);
}

enum berth_code lmdb_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct store *store = instance;

    berth_store_core_close(store->core, on_core_closed);
    return BERTH_PENDING;
}

const struct berth_store lmdb_interface = BERTH_STORE_INTERFACE;
