/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the table that a plugin is handed. Trusts no pointer and no text that comes back through it. */
#include "host.h"

#include <stdlib.h>
#include <string.h>

#include <core/base/log.h>
#include <core/base/misuse.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "references.h"

/* Of exports that plugins cannot publish. */
#define RESERVED_EXPORT "berth."

static struct host *of_table(const struct berth_host *table)
{
    return CONTAINER_OF(table, struct host, table);
}

/*
 * All but the log is for the loop's thread. On another one the use is reported and changes nothing. @return
 * NULL then, with the reason in `err`, which may be NULL itself.
 */
static struct host *on_loop(const struct berth_host *table, const char *function, const void *caller,
                            struct berth_error *err)
{
    struct host *host = of_table(table);
    char what[160];

    if (pthread_equal(pthread_self(), host->thread))
        return host;
    snprintf(what, sizeof(what), "called %s from a thread other than the loop's; ignored: use berth_post",
             function);
    misuse_report(
        &(struct misuse){.plugin = host->plugin->running, .uri = table->uri, .what = what, .caller = caller});
    berth_error_set(err, BERTH_FAILED_PRECONDITION,
                    "%s called %s from a thread other than the loop's: use berth_post", table->uri, function);
    return NULL;
}

/* For a function that a plugin calls: names the place it was called from. */
#define ON_LOOP(table, function, err) on_loop(table, function, __builtin_return_address(0), err)

static bool host_logs(const struct berth_host *table, enum berth_log_level level)
{
    return log_is_on_for(of_table(table)->plugin->running, level);
}

static void host_log(const struct berth_host *table, enum berth_log_level level, const char *text)
{
    log_write(level, table->uri, text != NULL ? text : "(null)");
}

static enum berth_code host_root_dir(const struct berth_host *table, const char **ret_path,
                                     struct berth_error *err)
{
    struct host *host = ON_LOOP(table, "berth_root_dir", err);

    return host != NULL ? folder_get(&host->root, ret_path, err) : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_state_dir(const struct berth_host *table, const char **ret_path,
                                      struct berth_error *err)
{
    struct host *host = ON_LOOP(table, "berth_state_dir", err);

    return host != NULL ? folder_get(&host->state, ret_path, err) : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_get(const struct berth_host *table, const char *uri, struct berth_ref *ret_ref,
                                struct berth_error *err)
{
    struct host *host = ON_LOOP(table, "berth_get", err);

    return host != NULL ? references_get(host, uri, ret_ref, err) : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_get_single(const struct berth_host *table, const char *type,
                                       struct berth_ref *ret_ref, struct berth_error *err)
{
    struct host *host = ON_LOOP(table, "berth_get_single", err);

    return host != NULL ? references_get_single(host, type, ret_ref, err) : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_each(const struct berth_host *table, const char *type,
                                 bool (*on_ref)(void *context, const struct berth_ref *ref), void *context,
                                 struct berth_error *err)
{
    struct host *host = ON_LOOP(table, "berth_each", err);

    return host != NULL ? references_each(host, type, on_ref, context, err) : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_add_export(const struct berth_host *table, const char *key, const char *value)
{
    struct host *host = ON_LOOP(table, "berth_add_export", NULL);

    if (host != NULL && key != NULL && strncmp(key, RESERVED_EXPORT, strlen(RESERVED_EXPORT)) == 0) {
        log_plugin(BERTH_LOG_WARN, table->uri,
                   "ignoring export \"%.200s\": keys that begin with " RESERVED_EXPORT
                   " are reserved for the daemon; choose another key",
                   key);
        return BERTH_INVALID_ARGUMENT;
    }
    return host != NULL ? registry_add_export(host->registry, host->plugin, key, value)
                        : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_add_platform(const struct berth_host *table, const char *os,
                                         const char *architecture, const char *variant)
{
    struct host *host = ON_LOOP(table, "berth_add_platform", NULL);

    return host != NULL ? registry_add_platform(host->registry, host->plugin, os, architecture, variant)
                        : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_add_capability(const struct berth_host *table, const char *capability)
{
    struct host *host = ON_LOOP(table, "berth_add_capability", NULL);

    return host != NULL ? registry_add_capability(host->registry, host->plugin, capability)
                        : BERTH_FAILED_PRECONDITION;
}

static struct berth_hold *host_hold(const struct berth_host *table, const char *what)
{
    struct host *host = ON_LOOP(table, "berth_hold", NULL);

    if (host == NULL)
        return NULL;
    if (!host->takes_holds) {
        log_plugin(BERTH_LOG_WARN, table->uri,
                   "ignoring a readiness hold taken after init and serve completed");
        return NULL;
    }
    return registry_hold(host->registry, host->plugin, what != NULL ? what : "something");
}

static void host_release(const struct berth_host *table, struct berth_hold *hold)
{
    struct host *host = ON_LOOP(table, "berth_release", NULL);

    if (host == NULL || hold == NULL)
        return;
    if (registry_release(host->registry, host->plugin, hold))
        host->on_released(host);
    else
        log_plugin(BERTH_LOG_DEBUG, table->uri, "ignoring the release of an unknown readiness hold");
}

static enum berth_code host_intercept(const struct berth_host *table,
                                      const struct berth_interceptor *interceptor, void *self,
                                      struct berth_error *err)
{
    struct host *host = ON_LOOP(table, "berth_intercept", err);

    if (host == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!host->takes_interceptors)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s added an interceptor outside its init, when calls may be running",
                               table->uri);
    if (interceptor == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s added a NULL interceptor", table->uri);
    host->hooks = memory_grow(host->hooks, host->hook_count, sizeof(*host->hooks));
    host->hooks[host->hook_count++] =
        (struct router_hook){.interceptor = interceptor, .self = self, .owner = host};
    return BERTH_OK;
}

static void host_admit(const struct berth_host *table, struct berth_call *call, enum berth_code code,
                       const char *message)
{
    struct host *host = ON_LOOP(table, "berth_admit", NULL);

    if (host != NULL)
        router_admit(host->router, host, call, code, message, __builtin_return_address(0));
}

static void host_complete(const struct berth_host *table, enum berth_step step, enum berth_code code,
                          void *instance, const char *message)
{
    struct host *host = ON_LOOP(table, "berth_complete", NULL);

    if (host != NULL)
        host->on_complete(host, step, code, instance, message);
}

static void host_fail(const struct berth_host *table, enum berth_code code, const char *message)
{
    struct host *host = ON_LOOP(table, "berth_fail", NULL);

    if (host != NULL)
        host->on_fail(host, code, message);
}

static void host_report(const struct berth_host *table, enum berth_code code, const char *message)
{
    struct host *host = ON_LOOP(table, "berth_report", NULL);

    if (host != NULL)
        host->on_report(host, code, message);
}

/* The module that contains `caller` is to blame, not the plugin that reports. */
static void host_report_misuse(const struct berth_host *table, const char *what, const void *caller)
{
    if (ON_LOOP(table, "berth_report_misuse", NULL) != NULL)
        misuse_report(&(struct misuse){.what = what != NULL ? what : "broke the contract of an interface",
                                       .caller = caller});
}

static void host_enter(const struct berth_host *table, const char *what)
{
    struct host *host = ON_LOOP(table, "berth_enter", NULL);

    if (host != NULL)
        running_enter(host->plugin->running, RUNNING_OWN, what);
}

/* Only its own entry, and only the innermost: another would leave somebody else's. */
static void host_leave(const struct berth_host *table)
{
    struct host *host = ON_LOOP(table, "berth_leave", NULL);
    struct running_word word;

    if (host == NULL)
        return;
    if (running_is_own() && running_look(running_this_thread(), &word) && word.owner == host->plugin->running)
        running_leave_own();
    else
        misuse_report(&(struct misuse){.plugin = host->plugin->running,
                                       .uri = table->uri,
                                       .what = "called berth_leave without berth_enter; ignored",
                                       .caller = __builtin_return_address(0)});
}

static enum berth_code host_start_outgoing(const struct berth_host *table,
                                           const struct berth_outgoing_options *options,
                                           const struct berth_outgoing_handlers *handlers, void *context,
                                           struct berth_outgoing **ret_call, struct berth_error *err)
{
    struct host *host = ON_LOOP(table, "berth_outgoing_start", err);

    return host != NULL ? outgoing_start(&host->caller, options, handlers, context, ret_call, err)
                        : BERTH_FAILED_PRECONDITION;
}

static enum berth_code host_listen(const struct berth_host *table, const struct berth_listen *request,
                                   int *ret_fd, struct berth_error *err)
{
    struct host *host = ON_LOOP(table, "berth_listen", err);

    return host != NULL ? listeners_listen(host->listeners, host, table->uri, request, ret_fd, err)
                        : BERTH_FAILED_PRECONDITION;
}

static void host_unlisten(const struct berth_host *table, const char *address)
{
    struct host *host = ON_LOOP(table, "berth_unlisten", NULL);

    if (host != NULL)
        listeners_unlisten(host->listeners, host, address);
}

static struct berth_holding *note_holding(const struct host *host, const char *what, const void *caller)
{
    struct ledger_side holder = registry_find_holder(host->registry, caller);
    struct ledger_side provider = {host, host->uri, host->table.generation};

    return ledger_hold(registry_ledger(host->registry), &holder, &provider,
                       what != NULL ? what : "something");
}

static struct berth_holding *host_note_holding(const struct berth_host *table, const char *what,
                                               const void *caller)
{
    struct host *host = ON_LOOP(table, "berth_note_holding", NULL);

    return host != NULL ? note_holding(host, what, caller) : NULL;
}

static struct berth_holding *host_note_revocable(const struct berth_host *table, const char *what,
                                                 const void *caller, void (*revoke)(void *context),
                                                 void *context)
{
    struct host *host = ON_LOOP(table, "berth_note_revocable", NULL);
    struct berth_holding *holding = host != NULL ? note_holding(host, what, caller) : NULL;

    if (holding != NULL) {
        holding->revoke = revoke;
        holding->context = context;
    }
    return holding;
}

static void host_end_holding(const struct berth_host *table, struct berth_holding *holding)
{
    struct host *host = ON_LOOP(table, "berth_end_holding", NULL);

    if (host != NULL && holding != NULL && !ledger_release(registry_ledger(host->registry), host, holding))
        log_plugin(BERTH_LOG_DEBUG, table->uri, "ignoring the end of a holding that is unknown");
}

static const struct berth_host functions = {
    .size = sizeof(functions),
    .logs = host_logs,
    .log = host_log,
    .root_dir = host_root_dir,
    .state_dir = host_state_dir,
    .get = host_get,
    .get_single = host_get_single,
    .each = host_each,
    .add_export = host_add_export,
    .add_platform = host_add_platform,
    .add_capability = host_add_capability,
    .hold = host_hold,
    .release = host_release,
    .intercept = host_intercept,
    .admit = host_admit,
    .complete = host_complete,
    .fail = host_fail,
    .report = host_report,
    .report_misuse = host_report_misuse,
    .enter = host_enter,
    .leave = host_leave,
    .note_holding = host_note_holding,
    .end_holding = host_end_holding,
    .start_outgoing = host_start_outgoing,
    .listen = host_listen,
    .unlisten = host_unlisten,
    .note_revocable = host_note_revocable,
};

void host_init(struct host *host, struct registry_plugin *plugin, const struct host_options *options,
               const struct berth_settings *settings)
{
    const struct manifest_plugin *manifest = plugin->entry->plugin;

    host->table = functions;
    host->uri = memory_copy(manifest->uri);
    host->type = memory_copy(manifest->type);
    host->id = memory_copy(manifest->id);
    host->table.uri = host->uri;
    host->table.type = host->type;
    host->table.id = host->id;
    host->table.loop = options->loop;
    host->table.settings = settings;
    host->table.router = options->router != NULL ? router_interface(options->router) : NULL;
    host->table.inspect = options->inspect;
    host->thread = pthread_self();
    host->registry = options->registry;
    host->plugin = plugin;
    plugin->owner = host;
    host->router = options->router;
    host->listeners = options->listeners;
    if (host->listeners == NULL) {
        host->table.listen = NULL;
        host->table.unlisten = NULL;
    }
    host->root = (struct folder){.base = options->root, .name = host->uri};
    host->state = (struct folder){.base = options->state, .name = host->uri};
    outgoing_caller_init(&host->caller, options->outgoings, host->uri, host);
}

void host_end_calls(struct host *host, bool tells)
{
    outgoing_caller_close(&host->caller, tells);
    remote_caller_close(&host->remote, tells);
}

void host_forget_interceptors(struct host *host)
{
    if (host->router != NULL)
        router_remove_interceptors(host->router, host);
    free(host->hooks);
    host->hooks = NULL;
    host->hook_count = 0;
}

static void revoke_one(struct host *host, struct berth_holding *holding)
{
    const struct registry_plugin *provider = registry_find(host->registry, holding->provider.name);
    struct running_plugin *running =
        provider != NULL && provider->owner == holding->provider.owner ? provider->running : NULL;

    running_enter(running, RUNNING_CALLBACK, NULL);
    holding->revoke(holding->context);
    running_leave();
}

size_t host_undo(struct host *host)
{
    struct ledger *ledger = registry_ledger(host->registry);
    struct berth_holding *holding;
    size_t count = 0;

    while ((holding = ledger_take_revocable(ledger, host)) != NULL) {
        revoke_one(host, holding);
        ledger_end_taken(ledger, holding);
        count++;
    }
    ledger_forget(ledger, host);
    if (host->listeners != NULL)
        listeners_release(host->listeners, host);
    registry_unpublish(host->registry, host->plugin);
    return count;
}

void host_finish(struct host *host)
{
    ledger_forget(registry_ledger(host->registry), host);
    host->plugin->owner = NULL;
    host_forget_interceptors(host);
    if (host->listeners != NULL)
        listeners_release(host->listeners, host);
    berth_mailbox_release(host->table.mailbox);
    outgoing_caller_finish(&host->caller);
    remote_caller_finish(&host->remote);
    folder_finish(&host->root);
    folder_finish(&host->state);
    free(host->uri);
    free(host->type);
    free(host->id);
}

/* The calls whose handlers and interceptors are on the loop's stack, the innermost last. */
static struct {
    const struct berth_call *calls[RUNNING_DEPTH_MAX];
    unsigned depth;
} current;

static const struct berth_trace *find_trace(void)
{
    unsigned depth = running_is_loop() ? current.depth : 0;

    return depth > 0 && depth <= RUNNING_DEPTH_MAX ? current.calls[depth - 1]->trace : NULL;
}

static enum running_doing doing_of(enum router_part part)
{
    switch (part) {
    case ROUTER_HANDLER:
        return RUNNING_HANDLER;
    case ROUTER_INTERCEPTOR:
        return RUNNING_INTERCEPTOR;
    case ROUTER_CALLER:
        break;
    }
    return RUNNING_CALLBACK;
}

static void on_enter(void *context, const void *owner, enum router_part part, const struct berth_call *call)
{
    const struct host *host = owner;

    if (current.depth < RUNNING_DEPTH_MAX)
        current.calls[current.depth] = call;
    current.depth++;
    running_enter(host->plugin->running, doing_of(part), call->path);
}

static void on_leave(void *context, const void *owner, const struct berth_call *call)
{
    current.depth--;
    running_leave();
}

static void on_misuse(void *context, const void *owner, const struct berth_call *call, const char *what,
                      const void *caller)
{
    const struct host *host = owner;

    misuse_report(&(struct misuse){.plugin = host != NULL ? host->plugin->running : NULL,
                                   .what = what,
                                   .path = call != NULL ? call->path : NULL,
                                   .caller = caller});
}

void host_observe(struct router *router, void (*on_change)(void *context),
                  void (*on_held)(void *context, const char *service, const char *plugin), void *context)
{
    log_use_trace(find_trace);
    router_observe(router, &(struct router_observer){
                               .context = context,
                               .on_enter = on_enter,
                               .on_leave = on_leave,
                               .on_change = on_change,
                               .on_held = on_held,
                               .on_misuse = on_misuse,
                           });
}
