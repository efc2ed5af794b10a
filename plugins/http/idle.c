/* SPDX-License-Identifier: Apache-2.0 */
/* Starts HTTP handlers with their first request. */
#include "idle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One plugin. Kept once made, since requests may be in flight. */
struct stand_in {
    LIST_ENTRY(stand_in) link;
    struct idle *idle;
    struct berth_http handler;
    char *uri, *prefix;
};

/* A request that waits for its plugin, or that a handler has: it sees `shown`, which leads to the server's.
 */
struct passed {
    struct berth_http_request shown;
    LIST_ENTRY(passed) link;
    struct berth_http_request *request;
    const struct stand_in *stand_in;
    /* NULL while it waits, and where it was refused. */
    const struct berth_http *handler;
    bool is_waiting;
};

struct idle {
    const struct berth_host *host;
    struct berth_watch *watch;
    void (*on_change)(void *context);
    void *context;
    LIST_HEAD(, stand_in) stand_ins;
    LIST_HEAD(, passed) passed;
    bool is_mounted;
};

static struct berth_http_request *behind(struct berth_http_request *shown)
{
    return ((struct passed *)(void *)shown)->request;
}

static enum berth_code begin(struct berth_http_request *shown, unsigned status,
                             const struct berth_http_header *headers, size_t count, int64_t length)
{
    return berth_http_begin(behind(shown), status, headers, count, length);
}

static enum berth_code write_part(struct berth_http_request *shown, const void *bytes, size_t length)
{
    return berth_http_write(behind(shown), bytes, length);
}

static bool can_write(struct berth_http_request *shown)
{
    return berth_http_can_write(behind(shown));
}

static void end(struct berth_http_request *shown)
{
    berth_http_end(behind(shown));
}

static void abort_response(struct berth_http_request *shown)
{
    berth_http_abort(behind(shown));
}

static const struct berth_http_ops operations = {.size = sizeof(operations),
                                                 .begin = begin,
                                                 .write = write_part,
                                                 .can_write = can_write,
                                                 .end = end,
                                                 .abort = abort_response};

static void refuse(struct passed *passed, unsigned status, const char *message)
{
    char text[BERTH_ERROR_MAX + 2];

    passed->is_waiting = false;
    snprintf(text, sizeof(text), "%s\n", message);
    berth_http_respond(passed->request, status, "text/plain; charset=utf-8", text, strlen(text));
}

/* As a server compares them: words between blanks, and HEAD comes with GET. */
static bool takes_method(const struct berth_http *handler, const char *method)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    size_t length = strlen(wanted);

    for (const char *at = strstr(handler->methods, wanted); at != NULL; at = strstr(at + 1, wanted))
        if ((at == handler->methods || at[-1] == ' ') && (at[length] == '\0' || at[length] == ' '))
            return true;
    return false;
}

static void refuse_method(struct passed *passed, const struct berth_http *handler)
{
    const struct berth_http_header allow = {"Allow", handler->methods};

    passed->is_waiting = false;
    berth_http_begin(passed->request, 405, &allow, 1, 0);
    berth_http_end(passed->request);
}

static void pass(struct passed *passed)
{
    const struct berth_host *host = passed->stand_in->idle->host;
    struct berth_http_request *request = passed->request;
    struct berth_error err;
    struct berth_ref ref;

    if (berth_get(host, passed->stand_in->uri, &ref, &err) != BERTH_OK) {
        refuse(passed, 503, err.message);
        return;
    }
    if (ref.interface == NULL) {
        refuse(passed, 503, "the plugin has no HTTP handler");
        return;
    }
    if (!takes_method(ref.interface, request->method)) {
        refuse_method(passed, ref.interface);
        return;
    }
    passed->is_waiting = false;
    passed->handler = ref.interface;
    passed->shown = *request;
    passed->shown.size = sizeof(passed->shown);
    passed->shown.ops = &operations;
    passed->shown.instance = ref.instance;
    passed->shown.state = NULL;
    passed->handler->on_request(&passed->shown);
}

static void advance(struct passed *passed)
{
    const struct berth_inspect *inspect = passed->stand_in->idle->host->inspect;
    struct berth_error err;
    enum berth_code code = inspect->activate(inspect, passed->stand_in->uri, &err);

    if (code == BERTH_OK)
        pass(passed);
    else if ((int)code != BERTH_PENDING)
        refuse(passed, 503, err.message);
}

static void on_request(struct berth_http_request *request)
{
    const struct stand_in *stand_in = request->instance;
    struct passed *passed = calloc(1, sizeof(*passed));

    if (passed == NULL) {
        berth_http_respond(request, 503, NULL, NULL, 0);
        return;
    }
    *passed = (struct passed){.request = request, .stand_in = stand_in, .is_waiting = true};
    request->state = passed;
    LIST_INSERT_HEAD(&stand_in->idle->passed, passed, link);
    advance(passed);
}

static void on_writable(struct berth_http_request *request)
{
    struct passed *passed = request->state;

    if (passed != NULL && passed->handler != NULL && BERTH_HAS(passed->handler, on_writable))
        passed->handler->on_writable(&passed->shown);
}

static void on_end(struct berth_http_request *request)
{
    struct passed *passed = request->state;

    if (passed == NULL)
        return;
    if (passed->handler != NULL && BERTH_HAS(passed->handler, on_end))
        passed->handler->on_end(&passed->shown);
    LIST_REMOVE(passed, link);
    free(passed);
}

/* The plugins */

static struct stand_in *find_stand_in(const struct idle *idle, const char *uri)
{
    struct stand_in *stand_in;

    LIST_FOREACH(stand_in, &idle->stand_ins, link)
    if (strcmp(stand_in->uri, uri) == 0)
        return stand_in;
    return NULL;
}

static void destroy_stand_in(struct stand_in *stand_in)
{
    free(stand_in->uri);
    free(stand_in->prefix);
    free(stand_in);
}

static struct stand_in *make_stand_in(struct idle *idle, const struct berth_plugin_info *plugin)
{
    struct stand_in *stand_in = calloc(1, sizeof(*stand_in));

    if (stand_in == NULL)
        return NULL;
    stand_in->idle = idle;
    stand_in->uri = strdup(plugin->uri);
    stand_in->prefix = strdup(plugin->http_prefix);
    if (stand_in->uri == NULL || stand_in->prefix == NULL) {
        destroy_stand_in(stand_in);
        return NULL;
    }
    stand_in->handler = (struct berth_http){
        .size = sizeof(stand_in->handler),
        .prefix = stand_in->prefix,
        .methods = "GET POST PUT PATCH DELETE OPTIONS",
        .on_request = on_request,
        .on_writable = on_writable,
        .on_end = on_end,
    };
    LIST_INSERT_HEAD(&idle->stand_ins, stand_in, link);
    return stand_in;
}

static bool has_prefix(const struct berth_plugin_info *plugin)
{
    return plugin->uri != NULL && BERTH_HAS(plugin, http_prefix) && plugin->starts_on_call;
}

struct visit {
    struct idle *idle;
    idle_visitor *on_handler;
    void *context;
    bool is_complete;
};

static bool visit_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct visit *visit = context;
    struct stand_in *stand_in;

    if (!has_prefix(plugin))
        return true;
    stand_in = find_stand_in(visit->idle, plugin->uri);
    if (stand_in != NULL && strcmp(stand_in->prefix, plugin->http_prefix) != 0) {
        /* Requests in flight keep the one before. */
        free(stand_in->uri);
        stand_in->uri = strdup("");
        visit->is_complete = stand_in->uri != NULL;
        stand_in = NULL;
    }
    if (stand_in == NULL)
        stand_in = make_stand_in(visit->idle, plugin);
    visit->is_complete = visit->is_complete && stand_in != NULL &&
                         visit->on_handler(visit->context, stand_in->uri, &stand_in->handler, stand_in);
    return visit->is_complete;
}

bool idle_each(struct idle *idle, idle_visitor *on_handler, void *context)
{
    struct visit visit = {idle, on_handler, context, true};

    idle->is_mounted = true;
    idle->host->inspect->each(idle->host->inspect, visit_plugin, &visit);
    return visit.is_complete;
}

static bool look_for_another(void *context, const struct berth_plugin_info *plugin)
{
    struct visit *visit = context;
    const struct stand_in *stand_in = has_prefix(plugin) ? find_stand_in(visit->idle, plugin->uri) : NULL;

    if (has_prefix(plugin) && (stand_in == NULL || strcmp(stand_in->prefix, plugin->http_prefix) != 0))
        visit->is_complete = false;
    return visit->is_complete;
}

static void on_change(void *context)
{
    struct idle *idle = context;
    struct visit visit = {.idle = idle, .is_complete = true};
    struct passed *passed = LIST_FIRST(&idle->passed);

    while (passed != NULL) {
        struct passed *next = LIST_NEXT(passed, link);

        if (passed->is_waiting)
            advance(passed);
        passed = next;
    }
    if (!idle->is_mounted)
        return;
    idle->host->inspect->each(idle->host->inspect, look_for_another, &visit);
    if (!visit.is_complete)
        idle->on_change(idle->context);
}

struct idle *idle_create(const struct berth_host *host, void (*on_other)(void *context), void *context)
{
    struct idle *idle = calloc(1, sizeof(*idle));

    if (idle == NULL)
        return NULL;
    *idle = (struct idle){.host = host, .on_change = on_other, .context = context};
    LIST_INIT(&idle->stand_ins);
    LIST_INIT(&idle->passed);
    /* An older daemon starts all handlers itself. */
    if (!BERTH_HAS(host->inspect, activate))
        return idle;
    idle->watch = host->inspect->watch(host->inspect, on_change, idle);
    if (idle->watch != NULL)
        return idle;
    free(idle);
    return NULL;
}

void idle_destroy(struct idle *idle)
{
    struct stand_in *stand_in;

    if (idle == NULL)
        return;
    if (idle->watch != NULL)
        idle->host->inspect->unwatch(idle->host->inspect, idle->watch);
    while ((stand_in = LIST_FIRST(&idle->stand_ins)) != NULL) {
        LIST_REMOVE(stand_in, link);
        destroy_stand_in(stand_in);
    }
    free(idle);
}
