/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what the host says of each isolated plugin with what it said before. */
#include "processes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <berth/events/v1/plugins.pb-c.h>
#include <berth/protobuf.h>

#define NAMESPACE "berth"

struct known {
    SLIST_ENTRY(known) link;
    char *uri;
    uint64_t generation, ended, restarts;
    bool is_seen;
};

struct processes {
    const struct berth_host *host;
    const struct berth_exchange *exchange;
    void *instance;
    struct berth_watch *watch;
    SLIST_HEAD(, known) known;
    /** What happened before is no news. */
    bool is_silent;
};

static void publish(const struct processes *processes, const char *topic, const ProtobufCMessage *message)
{
    struct berth_wire_buffer bytes = {0};
    struct berth_error err;

    berth_wire_put_message(&bytes, message);
    if (!bytes.failed) {
        const struct berth_event event = {.size = sizeof(event),
                                          .namespace_name = NAMESPACE,
                                          .topic = topic,
                                          .type_url = message->descriptor->name,
                                          .value = bytes.bytes,
                                          .value_length = bytes.length};

        if (processes->exchange->publish(processes->instance, &event, &err) != BERTH_OK)
            berth_log(processes->host, BERTH_LOG_WARN, "cannot publish event topic=%s: %s", topic,
                      err.message);
    }
    berth_wire_finish(&bytes);
}

static uint64_t count_ends(const struct berth_isolation *isolation)
{
    uint64_t count = 0;

    for (size_t i = 0; i < BERTH_PROCESS_ENDS; i++)
        count += isolation->ends[i];
    return count;
}

static char *text(const char *value)
{
    return (char *)(uintptr_t)(value != NULL ? value : "");
}

static void publish_end(const struct processes *processes, const struct berth_plugin_info *plugin,
                        uint64_t count)
{
    Berth__Events__V1__PluginExited message = BERTH__EVENTS__V1__PLUGIN_EXITED__INIT;

    message.uri = text(plugin->uri);
    message.count = count;
    message.kind = text(berth_process_end_name(plugin->isolation->last_end_kind));
    message.reason = text(plugin->isolation->last_end);
    publish(processes, "/plugins/exited", &message.base);
}

static void publish_restart(const struct processes *processes, const struct berth_plugin_info *plugin)
{
    Berth__Events__V1__PluginRestarted message = BERTH__EVENTS__V1__PLUGIN_RESTARTED__INIT;

    message.uri = text(plugin->uri);
    message.process = plugin->isolation->process;
    message.restarts = plugin->isolation->restarts;
    publish(processes, "/plugins/restarted", &message.base);
}

/* Each generation counts from 0. @return NULL without memory. */
static struct known *find(struct processes *processes, const struct berth_plugin_info *plugin)
{
    struct known *known;

    SLIST_FOREACH(known, &processes->known, link)
    if (known->generation == plugin->generation && strcmp(known->uri, plugin->uri) == 0)
        return known;
    known = calloc(1, sizeof(*known));
    if (known == NULL)
        return NULL;
    known->uri = strdup(plugin->uri);
    known->generation = plugin->generation;
    if (known->uri == NULL) {
        free(known);
        return NULL;
    }
    SLIST_INSERT_HEAD(&processes->known, known, link);
    return known;
}

static bool compare(void *context, const struct berth_plugin_info *plugin)
{
    struct processes *processes = context;
    const struct berth_isolation *isolation =
        BERTH_HAS(plugin, isolation) && plugin->uri != NULL ? plugin->isolation : NULL;
    struct known *known = isolation != NULL ? find(processes, plugin) : NULL;
    uint64_t ended;

    if (known == NULL)
        return true;
    known->is_seen = true;
    ended = count_ends(isolation);
    if (ended > known->ended && !processes->is_silent)
        publish_end(processes, plugin, ended);
    known->ended = ended;
    /* Counted when it is decided; told when it runs. */
    if (isolation->restarts > known->restarts && isolation->process != 0) {
        if (!processes->is_silent)
            publish_restart(processes, plugin);
        known->restarts = isolation->restarts;
    }
    return true;
}

static void forget_unseen(struct processes *processes, bool all)
{
    struct known *known = SLIST_FIRST(&processes->known);

    while (known != NULL) {
        struct known *next = SLIST_NEXT(known, link);

        if (all || !known->is_seen) {
            SLIST_REMOVE(&processes->known, known, known, link);
            free(known->uri);
            free(known);
        } else {
            known->is_seen = false;
        }
        known = next;
    }
}

static void on_change(void *context)
{
    struct processes *processes = context;

    processes->host->inspect->each(processes->host->inspect, compare, processes);
    forget_unseen(processes, false);
}

struct processes *processes_create(const struct berth_host *host, const struct berth_exchange *exchange,
                                   void *instance)
{
    struct processes *processes =
        host->inspect != NULL && BERTH_HAS(host->inspect, unwatch) ? calloc(1, sizeof(*processes)) : NULL;

    if (processes == NULL)
        return NULL;
    *processes = (struct processes){.host = host, .exchange = exchange, .instance = instance};
    SLIST_INIT(&processes->known);
    processes->watch = host->inspect->watch(host->inspect, on_change, processes);
    if (processes->watch != NULL) {
        processes->is_silent = true;
        on_change(processes);
        processes->is_silent = false;
        return processes;
    }
    free(processes);
    return NULL;
}

void processes_destroy(struct processes *processes)
{
    if (processes == NULL)
        return;
    processes->host->inspect->unwatch(processes->host->inspect, processes->watch);
    forget_unseen(processes, true);
    free(processes);
}
