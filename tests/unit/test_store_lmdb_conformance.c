/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule of <berth/types/store.h> over the engine of one file, with a map that has to grow on the way. */
#include <plugins/store-lmdb/engine.h>

#include <berth/store_test.h>

#include "scratch.h"

static char folder[PATH_MAX];

struct store {
    struct berth_store_core *core;
    struct berth_host host;
    struct engine engine;
    void (*on_closed)(void *closing);
    void *closing;
};

static enum berth_code add_export(const struct berth_host *host, const char *key, const char *value)
{
    return BERTH_OK;
}

static void report(const struct berth_host *host, enum berth_code code, const char *message)
{
}

static void fail_instance(const struct berth_host *host, enum berth_code code, const char *message)
{
    fprintf(stderr, "the store has failed: %s\n", message);
    abort();
}

static void on_committed(void *context, enum berth_code code, const char *message)
{
    struct store *store = context;

    berth_store_committed(store->core, code, message);
}

static void remove_files(void)
{
    static const char *const names[] = {"berth.mdb", "berth.mdb-lock", "lock"};
    char path[PATH_MAX + 16];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
}

static enum berth_code start(struct store *store, struct environment *environment, struct berth_error *err)
{
    static const struct berth_store_limits limits = {
        .size = sizeof(limits),
        .max_value = ENGINE_VALUE_MAX,
        .max_writes = ENGINE_WRITES_MAX,
        .max_change = ENGINE_CHANGE_MAX,
    };
    enum berth_code code = engine_start(&store->engine, &store->host, environment, on_committed, store, err);

    if (code == BERTH_OK)
        store->core = berth_store_core_create(store->host.loop, &engine_functions, &store->engine, &limits);
    return code;
}

static enum berth_code open_store(void *context, uv_loop_t *loop, bool is_fresh, void **ret_instance,
                                  struct berth_error *err)
{
    const struct environment_options options = {
        .folder = folder, .map_size = 1 << 20, .max_size = 1 << 30, .is_checked_fully = true};
    struct store *store = calloc(1, sizeof(*store));
    struct environment *environment;
    enum berth_code code;

    if (is_fresh)
        remove_files();
    code = environment_open(&options, &environment, err);
    store->host = (struct berth_host){
        .size = sizeof(store->host),
        .loop = loop,
        .add_export = add_export,
        .report = report,
        .fail = fail_instance,
    };
    if (code == BERTH_OK)
        code = start(store, environment, err);
    if (code == BERTH_OK)
        *ret_instance = store;
    return code;
}

static void on_stopped(void *context)
{
    struct store *store = context;
    void (*on_closed)(void *closing) = store->on_closed;
    void *closing = store->closing;

    environment_close(store->engine.environment);
    free(store);
    on_closed(closing);
}

static void on_core_closed(void *self)
{
    engine_stop(self, on_stopped);
}

static void close_store(void *context, void *instance, void (*on_closed)(void *closing), void *closing)
{
    struct store *store = instance;

    store->on_closed = on_closed;
    store->closing = closing;
    berth_store_core_close(store->core, on_core_closed);
}

int main(int argc, char **argv)
{
    static const struct berth_store_harness harness = {
        .size = sizeof(harness),
        .name = "lmdb",
        .open = open_store,
        .close = close_store,
        .survives = true,
        .random_changes = 500,
    };
    int code;

    scratch_create(folder);
    code = berth_store_test(&harness, argc, argv);
    scratch_remove(folder);
    return code;
}
