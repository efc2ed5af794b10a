/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the table that a plugin is handed: all that it can see of the host. */
#ifndef CORE_LIFE_HOST_H
#define CORE_LIFE_HOST_H

#include <pthread.h>

#include <berth/plugin.h>

#include <core/listen/listen.h>
#include <core/remote/remote.h>
#include <core/state/state.h>
#include <sdk/calls/outgoing.h>
#include <sdk/calls/router.h>

/** The host as one plugin sees it. Embedded by its runner, which answers the callbacks. */
struct host {
    struct berth_host table;
    /** The loop's. */
    pthread_t thread;
    struct registry *registry;
    struct registry_plugin *plugin;
    struct router *router;
    struct listeners *listeners;
    struct folder root, state;
    /** Its calls of other services. */
    struct outgoing_caller caller;
    /** Its calls of interfaces of other processes. */
    struct remote_caller remote;
    /** What the table's names point at: the manifest may be replaced while a plugin keeps them. */
    char *uri, *type, *id;
    /** What the plugin may do in its current step. */
    bool takes_holds, takes_interceptors;
    /** What it has added in its init, to join the router's with its services. */
    struct router_hook *hooks;
    size_t hook_count;
    void (*on_complete)(struct host *host, enum berth_step step, enum berth_code code, void *instance,
                        const char *message);
    void (*on_fail)(struct host *host, enum berth_code code, const char *message);
    void (*on_report)(struct host *host, enum berth_code code, const char *message);
    void (*on_released)(struct host *host);
};

/** Shared by the tables of all plugins. All of it borrowed; those of calls, `inspect` and `listeners` may be
 * NULL in tests. */
struct host_options {
    uv_loop_t *loop;
    struct registry *registry;
    struct router *router;
    struct outgoings *outgoings;
    const struct berth_inspect *inspect;
    struct listeners *listeners;
    const char *root;
    const char *state;
};

/** The callbacks are the caller's to set. @param settings  borrowed. */
void host_init(struct host *host, struct registry_plugin *plugin, const struct host_options *options,
               const struct berth_settings *settings);
/** Notes whose code runs, and reports misuse: the owners of the router's services are hosts. The functions
 * and their context are those of the router's observer. */
void host_observe(struct router *router, void (*on_change)(void *context),
                  void (*on_held)(void *context, const char *service, const char *plugin), void *context);
/**
 * Ends the plugin's calls of services and interfaces, and refuses new ones. From the top of the loop.
 * @param tells  whether it is told, with CANCELLED.
 */
void host_end_calls(struct host *host, bool tells);
/** What it has added is forgotten, and removed if it has joined. */
void host_forget_interceptors(struct host *host);
/**
 * Its init has failed: revokes what providers have noted as revocable, returns references and sockets, and
 * clears what it has published. @return how much was revoked.
 */
size_t host_undo(struct host *host);
/** Removes what the plugin added to the daemon. The table is invalid afterwards. */
void host_finish(struct host *host);

#endif
