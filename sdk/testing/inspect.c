/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin under test sees of its host: itself and what the test provides. */
#include <stdlib.h>
#include <unistd.h>

#include "fake.h"

static const struct berth_testing *testing_of(const struct berth_inspect *inspect)
{
    return inspect->context;
}

/* "io.example.v1" of "io.example.v1.hello" and the rest of it, in place. */
static void split(char *uri, struct berth_plugin_info *info)
{
    size_t length;

    if (!manifest_uri_split(uri, &length))
        return;
    uri[length] = '\0';
    info->type = uri;
    info->id = uri + length + 1;
}

static bool tell_provider(const struct fake_provider *provider,
                          bool (*on_plugin)(void *context, const struct berth_plugin_info *info),
                          void *context)
{
    char *parts = fake_format("%s", provider->uri);
    struct berth_plugin_info info = {
        .size = sizeof(info),
        .uri = provider->uri,
        .state = BERTH_STATE_READY,
        .generation = 1,
        .condition = provider->condition.code,
        .condition_reason = provider->condition.reason,
    };
    bool more;

    split(parts, &info);
    more = on_plugin(context, &info);
    free(parts);
    return more;
}

static void each(const struct berth_inspect *inspect,
                 bool (*on_plugin)(void *context, const struct berth_plugin_info *info), void *context)
{
    const struct berth_testing *testing = testing_of(inspect);
    struct berth_plugin_info info = {
        .size = sizeof(info),
        .uri = testing->description->uri,
        .type = testing->description->type,
        .id = testing->description->id,
        .path = testing->manifest->path,
        .module = testing->manifest->module,
        .version = testing->manifest->version,
        .description = testing->description->description,
        .state = testing->instance_is_open ? BERTH_STATE_READY : BERTH_STATE_STARTING,
        .level = testing->provider_count > 0,
        .generation = 1,
        .condition = testing->condition.code,
        .condition_reason = testing->condition.reason,
    };

    for (size_t i = 0; i < testing->provider_count; i++)
        if (!tell_provider(&testing->providers[i], on_plugin, context))
            return;
    on_plugin(context, &info);
}

static struct changes *changes_of(const struct berth_inspect *inspect)
{
    return &((struct berth_testing *)(uintptr_t)inspect->context)->changes;
}

static struct berth_watch *watch(const struct berth_inspect *inspect, void (*on_change)(void *context),
                                 void *context)
{
    return changes_watch(changes_of(inspect), on_change, context);
}

static void unwatch(const struct berth_inspect *inspect, struct berth_watch *watch)
{
    changes_unwatch(changes_of(inspect), watch);
}

void berth_testing_set_daemon(struct berth_testing *testing, bool ready, bool draining)
{
    testing->daemon.ready = ready;
    testing->daemon.draining = draining;
    changes_note(&testing->changes);
}

void fake_inspect_finish(struct berth_testing *testing)
{
    if (!LIST_EMPTY(&testing->changes.watches))
        fake_fault(testing, "a watch over changes was never given back");
    changes_finish(&testing->changes);
}

static void on_route_change(void *context)
{
    changes_note(context);
}

void fake_inspect_init(struct berth_testing *testing)
{
    changes_init(&testing->changes, testing->loop);
    router_observe(testing->router,
                   &(struct router_observer){.context = &testing->changes, .on_change = on_route_change});
    testing->daemon = (struct berth_daemon_info){
        .size = sizeof(testing->daemon),
        .version = "0.0.0-testing",
        .revision = "",
        .root = "/nonexistent/root",
        .state = "/nonexistent/state",
        .pid = getpid(),
    };
    testing->inspect = (struct berth_inspect){
        .size = sizeof(testing->inspect),
        .context = testing,
        .each = each,
        .daemon = &testing->daemon,
        .watch = watch,
        .unwatch = unwatch,
    };
}
