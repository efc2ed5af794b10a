/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug server: what the host knows about itself, as JSON, and the allocator's own account of the heap.
 * For people with access to the daemon's socket; nothing here changes anything.
 */
#include "http-plugin.h"

#include <inttypes.h>
#include <malloc.h>

#include <berth/utf8.h>

#include "listen.h"

struct debug {
    struct berth_rpc_plugin base;
    struct debug_config config;
};

const struct berth_server debug_interface = BERTH_RPC_PLUGIN_INTERFACE;

/* Writes a list or an object: a comma ahead of every element but the first. */
struct json {
    FILE *out;
    bool has_element;
};

static void put_text(FILE *out, const char *text)
{
    size_t left = text == NULL ? 0 : strlen(text);

    if (text == NULL) {
        fputs("null", out);
        return;
    }
    fputc('"', out);
    while (left > 0) {
        size_t length = berth_utf8_character(text, left);
        unsigned char character = (unsigned char)*text;

        if (length == 0)
            fputs("\\ufffd", out);
        else if (length == 1 && (character < 0x20 || character == '"' || character == '\\'))
            fprintf(out, "\\u%04x", character);
        else
            fwrite(text, 1, length, out);
        text += length > 0 ? length : 1;
        left -= length > 0 ? length : 1;
    }
    fputc('"', out);
}

static void put_next(struct json *json)
{
    fputs(json->has_element ? ",\n" : "\n", json->out);
    json->has_element = true;
}

static void put_string(FILE *out, const char *name, const char *value)
{
    fprintf(out, ",\"%s\":", name);
    put_text(out, value);
}

static void put_number(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, ",\"%s\":%" PRIu64, name, value);
}

static void put_list(FILE *out, const char *name, const struct berth_strings *strings)
{
    fprintf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < strings->count; i++) {
        fputs(i > 0 ? "," : "", out);
        put_text(out, strings->items[i]);
    }
    fputc(']', out);
}

static bool put_plugin(void *context, const struct berth_plugin_info *info)
{
    struct json *json = context;
    FILE *out = json->out;

    put_next(json);
    fputs("{\"uri\":", out);
    put_text(out, info->uri);
    put_string(out, "state", berth_state_name(info->state));
    put_number(out, "code", (uint64_t)info->code);
    put_string(out, "reason", info->reason);
    put_string(out, "cause", info->cause);
    put_number(out, "condition", (uint64_t)info->condition);
    put_string(out, "condition_reason", info->condition_reason);
    put_string(out, "path", info->path);
    put_string(out, "module", info->module);
    put_string(out, "version", info->version);
    put_number(out, "generation", info->generation);
    fprintf(out, ",\"level\":%d", (int)info->level);
    put_list(out, "requires", &info->requirements);
    put_list(out, "wants", &info->wants);
    put_list(out, "services", &info->services);
    put_list(out, "holds", &info->holds);
    put_number(out, "load_ns", info->times.load_ns);
    put_number(out, "config_ns", info->times.config_ns);
    put_number(out, "prepare_ns", info->times.prepare_ns);
    put_number(out, "init_ns", info->times.init_ns);
    put_number(out, "serve_ns", info->times.serve_ns);
    put_number(out, "ready_at_ns", info->times.ready_at_ns);
    fputc('}', out);
    return true;
}

static void write_plugins(const struct debug *self, FILE *out)
{
    const struct berth_inspect *inspect = self->base.host->inspect;
    struct json json = {.out = out};

    fputs("{\"plugins\":[", out);
    inspect->each(inspect, put_plugin, &json);
    fputs("\n]}\n", out);
}

static void put_method(FILE *out, const struct berth_method_costs *method)
{
    fputs("{\"path\":", out);
    put_text(out, method->path);
    put_number(out, "opened", method->opened);
    put_number(out, "in_flight", method->in_flight);
    fputs(",\"ended\":[", out);
    for (size_t i = 0; i < method->ended_count; i++)
        fprintf(out, "%s%" PRIu64, i > 0 ? "," : "", method->ended[i]);
    fputc(']', out);
    put_number(out, "messages_received", method->messages_received);
    put_number(out, "bytes_received", method->bytes_received);
    put_number(out, "messages_sent", method->messages_sent);
    put_number(out, "bytes_sent", method->bytes_sent);
    fputc('}', out);
}

static bool put_costs(void *context, const struct berth_plugin_costs *costs)
{
    struct json *json = context;
    FILE *out = json->out;

    put_next(json);
    fputs("{\"uri\":", out);
    put_text(out, costs->uri);
    put_string(out, "module", costs->module);
    put_number(out, "loop_ns", costs->loop_ns);
    put_number(out, "longest_ns", costs->longest_ns);
    put_number(out, "entries", costs->entries);
    put_number(out, "slow", costs->slow);
    put_number(out, "stalls", costs->stalls);
    put_number(out, "degradations", costs->degradations);
    put_number(out, "handles", costs->handles);
    put_number(out, "memory_bytes", costs->memory_bytes);
    put_number(out, "misuses", costs->misuses);
    fputs(",\"methods\":[", out);
    for (size_t i = 0; i < costs->method_count; i++) {
        fputs(i > 0 ? "," : "", out);
        put_method(out, &costs->methods[i]);
    }
    fputs("]}", out);
    return true;
}

static bool count_connection(void *context, const struct berth_connection *connection)
{
    (*(uint64_t *)context)++;
    return true;
}

static void put_loop(FILE *out, const struct berth_inspect *inspect)
{
    struct berth_daemon_costs costs = {.size = sizeof(costs)};

    inspect->daemon_costs(inspect, &costs);
    fprintf(out, "{\"uptime_ns\":%" PRIu64, costs.uptime_ns);
    put_number(out, "turns", costs.turns);
    put_number(out, "busy_ns", costs.busy_ns);
    put_number(out, "plugins_ns", costs.plugins_ns);
    put_number(out, "unattributed_ns", costs.unattributed_ns);
    put_number(out, "longest_turn_ns", costs.longest_turn_ns);
    put_number(out, "lag_ns", costs.lag_ns);
    put_number(out, "handles", costs.handles);
    put_number(out, "other_handles", costs.other_handles);
    put_number(out, "other_stalls", costs.other_stalls);
    put_number(out, "cpu_ns", costs.cpu_ns);
    put_number(out, "memory_bytes", costs.memory_bytes);
    put_number(out, "anonymous_bytes", costs.anonymous_bytes);
    fputc('}', out);
}

static void write_loop(const struct debug *self, FILE *out)
{
    put_loop(out, self->base.host->inspect);
    fputc('\n', out);
}

static void write_vars(const struct debug *self, FILE *out)
{
    const struct berth_inspect *inspect = self->base.host->inspect;
    const struct berth_daemon_info *daemon = inspect->daemon;
    struct json json = {.out = out};
    uint64_t connections = 0;

    inspect->connections(inspect, count_connection, &connections);
    fprintf(out, "{\"pid\":%" PRId64, daemon->pid);
    put_string(out, "version", daemon->version);
    put_string(out, "revision", daemon->revision);
    fprintf(out, ",\"ready\":%s,\"draining\":%s", daemon->ready ? "true" : "false",
            daemon->draining ? "true" : "false");
    put_number(out, "ready_ns", daemon->ready_ns);
    put_number(out, "connections", connections);
    fputs(",\"loop\":", out);
    put_loop(out, inspect);
    fputs(",\"plugins\":[", out);
    inspect->costs(inspect, put_costs, &json);
    fputs("\n]}\n", out);
}

static void write_heap(const struct debug *self, FILE *out)
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

static void write_stacks(const struct debug *self, FILE *out)
{
    const struct berth_inspect *inspect = self->base.host->inspect;

    if (BERTH_HAS(inspect, stacks))
        inspect->stacks(inspect, put_stack, out);
    else
        fputs("the daemon is too old to tell\n", out);
}

static void write_index(const struct debug *self, FILE *out)
{
    fputs("/debug/vars     counters of the daemon, its plugins and their methods, JSON\n"
          "/debug/plugins  every plugin with its state and reason, JSON\n"
          "/debug/loop     the event loop: turns, busy time, lag, handles, JSON\n"
          "/debug/stacks   where every thread is: module, offset and symbol\n"
          "/debug/heap     the allocator's account of the heap, XML of malloc_info(3)\n",
          out);
}

static const struct page {
    const char *rest;
    const char *type;
    void (*write)(const struct debug *self, FILE *out);
} pages[] = {
    {"", "text/plain; charset=utf-8", write_index},
    {"/", "text/plain; charset=utf-8", write_index},
    {"/vars", "application/json", write_vars},
    {"/plugins", "application/json", write_plugins},
    {"/stacks", "text/plain; charset=utf-8", write_stacks},
    {"/loop", "application/json", write_loop},
    {"/heap", "application/xml", write_heap},
};

static void answer(struct berth_http_request *request, const struct page *page)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    if (out != NULL)
        page->write(request->instance, out);
    if (out == NULL || fclose(out) != 0 || text == NULL)
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
                                               .max_queued_bytes = 64 << 20,
                                               .transport = "http"};
    enum berth_code code = debug_config_init(&self->config, base->host->settings, err);

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
    struct debug *self = instance;
    const struct debug_config *config = &self->config;
    struct berth_rpc_unix_options options = {BERTH_RPC_PLUGIN_UNIX_OPTIONS(config),
                                             .protocol = BERTH_RPC_HTTP};

    return berth_rpc_plugin_listen_unix(&self->base, &options, err);
}

enum berth_code debug_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_drain(instance);
}

enum berth_code debug_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_close(instance);
}
