/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug server: what the host knows about itself, as JSON, and the allocator's own account of the heap.
 * For people with access to the daemon's socket; nothing here changes anything.
 */
#include "http-plugin.h"

#include <inttypes.h>
#include <malloc.h>

#include <berth/json_writer.h>

#include "listen.h"

#define RESPONSE_MAX ((size_t)64 << 20)

struct debug {
    struct berth_rpc_plugin base;
    struct debug_config config;
};

const struct berth_server debug_interface = BERTH_RPC_PLUGIN_INTERFACE;

static void put_list(struct berth_json_writer *json, const char *key, const struct berth_strings *strings)
{
    berth_json_open(json, key, '[');
    for (size_t i = 0; i < strings->count; i++)
        berth_json_string(json, NULL, strings->items[i]);
    berth_json_close(json, ']');
}

static bool put_plugin(void *context, const struct berth_plugin_info *info)
{
    struct berth_json_writer *json = context;

    berth_json_open(json, NULL, '{');
    berth_json_string(json, "uri", info->uri);
    berth_json_string(json, "state", berth_state_name(info->state));
    berth_json_count(json, "code", (uint64_t)info->code);
    berth_json_string(json, "reason", info->reason);
    berth_json_string(json, "cause", info->cause);
    berth_json_count(json, "condition", (uint64_t)info->condition);
    berth_json_string(json, "condition_reason", info->condition_reason);
    berth_json_string(json, "path", info->path);
    berth_json_string(json, "module", info->module);
    berth_json_string(json, "version", info->version);
    berth_json_string(json, "signer", info->signer);
    berth_json_count(json, "generation", info->generation);
    berth_json_integer(json, "level", info->level);
    put_list(json, "requires", &info->requirements);
    put_list(json, "wants", &info->wants);
    put_list(json, "services", &info->services);
    put_list(json, "holds", &info->holds);
    berth_json_count(json, "load_ns", info->times.load_ns);
    berth_json_count(json, "config_ns", info->times.config_ns);
    berth_json_count(json, "prepare_ns", info->times.prepare_ns);
    berth_json_count(json, "init_ns", info->times.init_ns);
    berth_json_count(json, "serve_ns", info->times.serve_ns);
    berth_json_count(json, "ready_at_ns", info->times.ready_at_ns);
    berth_json_close(json, '}');
    return true;
}

static void write_plugins(const struct debug *self, struct berth_json_writer *json)
{
    const struct berth_inspect *inspect = self->base.host->inspect;

    berth_json_open(json, NULL, '{');
    berth_json_open(json, "plugins", '[');
    inspect->each(inspect, put_plugin, json);
    berth_json_close(json, ']');
    berth_json_close(json, '}');
}

static void put_method(struct berth_json_writer *json, const struct berth_method_costs *method)
{
    berth_json_open(json, NULL, '{');
    berth_json_string(json, "path", method->path);
    berth_json_count(json, "opened", method->opened);
    berth_json_count(json, "in_flight", method->in_flight);
    berth_json_open(json, "ended", '[');
    for (size_t i = 0; i < method->ended_count; i++)
        berth_json_count(json, NULL, method->ended[i]);
    berth_json_close(json, ']');
    berth_json_count(json, "messages_received", method->messages_received);
    berth_json_count(json, "bytes_received", method->bytes_received);
    berth_json_count(json, "messages_sent", method->messages_sent);
    berth_json_count(json, "bytes_sent", method->bytes_sent);
    berth_json_close(json, '}');
}

static bool put_costs(void *context, const struct berth_plugin_costs *costs)
{
    struct berth_json_writer *json = context;

    berth_json_open(json, NULL, '{');
    berth_json_string(json, "uri", costs->uri);
    berth_json_string(json, "module", costs->module);
    berth_json_count(json, "loop_ns", costs->loop_ns);
    berth_json_count(json, "longest_ns", costs->longest_ns);
    berth_json_count(json, "entries", costs->entries);
    berth_json_count(json, "slow", costs->slow);
    berth_json_count(json, "stalls", costs->stalls);
    berth_json_count(json, "degradations", costs->degradations);
    berth_json_count(json, "handles", costs->handles);
    berth_json_count(json, "memory_bytes", costs->memory_bytes);
    berth_json_count(json, "misuses", costs->misuses);
    berth_json_open(json, "methods", '[');
    for (size_t i = 0; i < costs->method_count; i++)
        put_method(json, &costs->methods[i]);
    berth_json_close(json, ']');
    berth_json_close(json, '}');
    return true;
}

static bool count_connection(void *context, const struct berth_connection *connection)
{
    (*(uint64_t *)context)++;
    return true;
}

static void put_loop(struct berth_json_writer *json, const char *key, const struct berth_inspect *inspect)
{
    struct berth_daemon_costs costs = {.size = sizeof(costs)};

    inspect->daemon_costs(inspect, &costs);
    berth_json_open(json, key, '{');
    berth_json_count(json, "uptime_ns", costs.uptime_ns);
    berth_json_count(json, "turns", costs.turns);
    berth_json_count(json, "busy_ns", costs.busy_ns);
    berth_json_count(json, "plugins_ns", costs.plugins_ns);
    berth_json_count(json, "unattributed_ns", costs.unattributed_ns);
    berth_json_count(json, "longest_turn_ns", costs.longest_turn_ns);
    berth_json_count(json, "lag_ns", costs.lag_ns);
    berth_json_count(json, "handles", costs.handles);
    berth_json_count(json, "other_handles", costs.other_handles);
    berth_json_count(json, "other_stalls", costs.other_stalls);
    berth_json_count(json, "cpu_ns", costs.cpu_ns);
    berth_json_count(json, "memory_bytes", costs.memory_bytes);
    berth_json_count(json, "anonymous_bytes", costs.anonymous_bytes);
    berth_json_close(json, '}');
}

static void write_loop(const struct debug *self, struct berth_json_writer *json)
{
    put_loop(json, NULL, self->base.host->inspect);
}

static void write_vars(const struct debug *self, struct berth_json_writer *json)
{
    const struct berth_inspect *inspect = self->base.host->inspect;
    const struct berth_daemon_info *daemon = inspect->daemon;
    uint64_t connections = 0;

    inspect->connections(inspect, count_connection, &connections);
    berth_json_open(json, NULL, '{');
    berth_json_integer(json, "pid", daemon->pid);
    berth_json_string(json, "version", daemon->version);
    berth_json_string(json, "revision", daemon->revision);
    berth_json_bool(json, "ready", daemon->ready);
    berth_json_bool(json, "draining", daemon->draining);
    berth_json_count(json, "ready_ns", daemon->ready_ns);
    berth_json_count(json, "connections", connections);
    put_loop(json, "loop", inspect);
    berth_json_open(json, "plugins", '[');
    inspect->costs(inspect, put_costs, json);
    berth_json_close(json, ']');
    berth_json_close(json, '}');
}

static void print_heap(const struct debug *self, FILE *out)
{
    malloc_info(0, out);
}

static bool put_stack(void *context, const struct berth_thread_stack *stack)
{
    FILE *out = context;

    fprintf(out, "thread %" PRId64 " %s\n", stack->id, stack->name);
    for (size_t i = 0; i < stack->frames.count; i++)
        fprintf(out, "    %s\n", stack->frames.items[i]);
    fputs(stack->frames.count == 0 ? "    (no answer)\n\n" : "\n", out);
    return true;
}

static void print_stacks(const struct debug *self, FILE *out)
{
    const struct berth_inspect *inspect = self->base.host->inspect;

    if (BERTH_HAS(inspect, stacks))
        inspect->stacks(inspect, put_stack, out);
    else
        fputs("the daemon is too old to tell\n", out);
}

static void print_index(const struct debug *self, FILE *out)
{
    fputs("/debug/vars     counters of the daemon, its plugins and their methods, JSON\n"
          "/debug/plugins  every plugin with its state and reason, JSON\n"
          "/debug/loop     the event loop: turns, busy time, lag, handles, JSON\n"
          "/debug/stacks   where every thread is: module, offset and symbol\n"
          "/debug/heap     the allocator's account of the heap, XML of malloc_info(3)\n",
          out);
}

/* JSON, or a text of another kind. */
static const struct page {
    const char *rest;
    void (*write)(const struct debug *self, struct berth_json_writer *json);
    void (*print)(const struct debug *self, FILE *out);
    const char *type;
} pages[] = {
    {"", NULL, print_index, "text/plain; charset=utf-8"},
    {"/", NULL, print_index, "text/plain; charset=utf-8"},
    {"/vars", write_vars, NULL, "application/json"},
    {"/plugins", write_plugins, NULL, "application/json"},
    {"/loop", write_loop, NULL, "application/json"},
    {"/stacks", NULL, print_stacks, "text/plain; charset=utf-8"},
    {"/heap", NULL, print_heap, "application/xml"},
};

static char *print_text(const struct debug *self, const struct page *page, size_t *ret_length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_length);

    if (out == NULL)
        return NULL;
    page->print(self, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static char *write_json(const struct debug *self, const struct page *page, size_t *ret_length)
{
    struct berth_json_writer json = {.max = RESPONSE_MAX};

    page->write(self, &json);
    berth_json_raw(&json, "\n", 1);
    if (json.failed)
        berth_json_finish(&json);
    *ret_length = json.length;
    return json.bytes;
}

static void answer(struct berth_http_request *request, const struct page *page)
{
    size_t length = 0;
    char *text = (page->write != NULL ? write_json : print_text)(request->instance, page, &length);

    if (text == NULL)
        berth_http_respond(request, 503, "text/plain; charset=utf-8", "out of memory\n", 14);
    else
        berth_http_respond(request, 200, page->type, text, length);
    free(text);
}

static void on_request(struct berth_http_request *request)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        if (strcmp(request->rest, pages[i].rest) == 0) {
            answer(request, &pages[i]);
            return;
        }
    berth_http_respond(request, 404, "text/plain; charset=utf-8", "see /debug\n", 11);
}

static const struct berth_http handler = {
    .size = sizeof(handler), .prefix = "/debug", .methods = "GET", .on_request = on_request};

static void destroy(struct berth_rpc_plugin *base)
{
    struct debug *self = (struct debug *)base;

    debug_config_finish(&self->config);
    berth_rpc_plugin_finish(base);
    free(self);
}

static enum berth_code listen_again(struct berth_rpc_plugin *base, struct berth_error *err)
{
    const struct debug *self = (const struct debug *)base;
    struct berth_rpc_unix_options options = {BERTH_RPC_PLUGIN_UNIX_OPTIONS(&self->config),
                                             .protocol = BERTH_RPC_HTTP};

    return berth_rpc_plugin_listen_unix(base, &options, err);
}

static enum berth_code set_up(struct berth_rpc_plugin *base, struct berth_error *err)
{
    struct debug *self = (struct debug *)base;
    const struct berth_rpc_http_mount mount = {
        .handler = &handler, .instance = self, .owner = base->host->uri};
    const struct berth_rpc_http_options http = {.size = sizeof(http), .mounts = &mount, .mount_count = 1};
    struct berth_rpc_server_options options = {.size = sizeof(options),
                                               .max_connections = 16,
                                               .max_recv_message_bytes = 1024,
                                               .max_idle_ms = 60000,
                                               .max_queued_bytes = RESPONSE_MAX,
                                               .transport = "http"};
    enum berth_code code = debug_config_init(&self->config, base->host->settings, err);

    base->listen_again = listen_again;
    if (code == BERTH_OK)
        code = berth_rpc_plugin_publish(
            base, berth_rpc_plugin_path(base->host, self->config.address, "debug.sock"), err);
    if (code == BERTH_OK)
        code = berth_rpc_plugin_create(base, &options, err);
    /* One valid handler: it can only lack memory, and then nothing answers. */
    if (code == BERTH_OK && berth_rpc_server_set_http(base->server, &http, err) != BERTH_OK)
        berth_log(base->host, BERTH_LOG_WARN, "%s", err->message);
    return code;
}

enum berth_code debug_init(const struct berth_host *host, void *prepared, void **ret_instance,
                           struct berth_error *err)
{
    return berth_rpc_plugin_init(host, sizeof(struct debug), set_up, destroy, ret_instance, err);
}

enum berth_code debug_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return listen_again(instance, err);
}

/* Where it listens is all that can be set. */
enum berth_code debug_reconfigure(const struct berth_host *host, void *instance,
                                  const struct berth_settings *before, struct berth_error *err)
{
    struct debug *self = instance;
    struct debug_config config;
    struct berth_rpc_unix_options options;
    enum berth_code code = debug_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    options =
        (struct berth_rpc_unix_options){BERTH_RPC_PLUGIN_UNIX_OPTIONS(&config), .protocol = BERTH_RPC_HTTP};
    code = berth_rpc_plugin_move_unix(&self->base, berth_rpc_plugin_path(host, config.address, "debug.sock"),
                                      &options, err);
    if (code != BERTH_OK) {
        debug_config_finish(&config);
        return code;
    }
    debug_config_finish(&self->config);
    self->config = config;
    return BERTH_OK;
}

enum berth_code debug_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_drain(instance);
}

enum berth_code debug_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_close(instance);
}
