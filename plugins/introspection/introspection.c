/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's introspection service: plugins, the server, and one plugin by its name. */
#include "introspection-plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <containerd/services/introspection/v1/introspection.pb-c.h>

#include "introspection.h"

enum berth_code introspection_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                   struct berth_error *err)
{
    struct introspection *introspection;
    struct berth_ref ref;
    enum berth_code code = berth_get(host, BERTH_INTROSPECTION_URI, &ref, err);

    if (code != BERTH_OK)
        return code;
    introspection = malloc(sizeof(*introspection));
    if (introspection == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the introspection service");
    *introspection = (struct introspection){.host = host, .service = ref.interface, .instance = ref.instance};
    *ret_instance = introspection;
    return BERTH_OK;
}

/* Whoever follows the log would hold the daemon until the drain times out. */
enum berth_code introspection_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    introspection_log_end(instance);
    introspection_change_end(instance);
    return BERTH_OK;
}

enum berth_code introspection_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    free(instance);
    return BERTH_OK;
}

typedef Containerd__Services__Introspection__V1__Plugin plugin_message;
typedef Containerd__Services__Introspection__V1__Plugin__ExportsEntry export_message;

/* What the lists of one message point to. */
struct lists {
    Containerd__Types__Platform *platforms;
    Containerd__Types__Platform **platform_pointers;
    export_message *exports;
    export_message **export_pointers;
    /** Types, one string a piece. */
    char **requires;
    size_t require_count;
};

/* A type ends in its version: "v1". */
static bool is_version(const char *label)
{
    return label[0] == 'v' && label[1] != '\0' && label[1 + strspn(label + 1, "0123456789")] == '\0';
}

/* The type that a requirement names, itself or by one of its plugins. To be freed; NULL without memory. */
static char *type_of(const char *requirement)
{
    const char *last = strrchr(requirement, '.');

    return last == NULL || is_version(last + 1) ? strdup(requirement)
                                                : strndup(requirement, (size_t)(last - requirement));
}

static bool has_requirement(const struct lists *lists, const char *type)
{
    for (size_t i = 0; i < lists->require_count; i++)
        if (strcmp(lists->requires[i], type) == 0)
            return true;
    return false;
}

/* containerd's clients know types only, each once. */
static bool fill_requirements(plugin_message *message, const struct berth_plugin_info *plugin,
                              struct lists *lists)
{
    lists->requires = calloc(plugin->requirements.count + 1, sizeof(*lists->requires));
    if (lists->requires == NULL)
        return false;
    for (size_t i = 0; i < plugin->requirements.count; i++) {
        char *type = type_of(plugin->requirements.items[i]);

        if (type == NULL)
            return false;
        if (has_requirement(lists, type))
            free(type);
        else
        lists->requires[lists->require_count++] = type;
    }
    message->n_requires = lists->require_count;
    message->requires = lists->requires;
    return true;
}

static void free_lists(struct lists *lists)
{
    for (size_t i = 0; i < lists->require_count; i++)
        free(lists->requires[i]);
    free(lists->requires);
    free(lists->platforms);
    free(lists->platform_pointers);
    free(lists->exports);
    free(lists->export_pointers);
}

static bool fill_platforms(plugin_message *message, const struct berth_plugin_info *plugin,
                           struct lists *lists)
{
    lists->platforms = calloc(plugin->platform_count + 1, sizeof(*lists->platforms));
    lists->platform_pointers = calloc(plugin->platform_count + 1, sizeof(*lists->platform_pointers));
    if (lists->platforms == NULL || lists->platform_pointers == NULL)
        return false;
    for (size_t i = 0; i < plugin->platform_count; i++) {
        containerd__types__platform__init(&lists->platforms[i]);
        lists->platforms[i].os = introspection_text(plugin->platforms[i].os);
        lists->platforms[i].architecture = introspection_text(plugin->platforms[i].architecture);
        lists->platforms[i].variant = introspection_text(plugin->platforms[i].variant);
        lists->platform_pointers[i] = &lists->platforms[i];
    }
    message->n_platforms = plugin->platform_count;
    message->platforms = lists->platform_pointers;
    return true;
}

static bool fill_exports(plugin_message *message, const struct berth_plugin_info *plugin, struct lists *lists)
{
    lists->exports = calloc(plugin->export_count + 1, sizeof(*lists->exports));
    lists->export_pointers = calloc(plugin->export_count + 1, sizeof(*lists->export_pointers));
    if (lists->exports == NULL || lists->export_pointers == NULL)
        return false;
    for (size_t i = 0; i < plugin->export_count; i++) {
        containerd__services__introspection__v1__plugin__exports_entry__init(&lists->exports[i]);
        lists->exports[i].key = introspection_text(plugin->exports[i].key);
        lists->exports[i].value = introspection_text(plugin->exports[i].value);
        lists->export_pointers[i] = &lists->exports[i];
    }
    message->n_exports = plugin->export_count;
    message->exports = lists->export_pointers;
    return true;
}

enum verdict {
    RUNS,
    /* containerd's clients look for the words at the end of the sentence. */
    IS_SKIPPED,
    IS_BROKEN,
};

static enum verdict verdict(const struct berth_plugin_info *plugin)
{
    switch (plugin->state) {
    case BERTH_STATE_WAITING:
    case BERTH_STATE_PREPARING:
    case BERTH_STATE_STARTING:
    case BERTH_STATE_READY:
    case BERTH_STATE_SERVING:
    case BERTH_STATE_DRAINING:
    case BERTH_STATE_IDLE:
        return RUNS;
    case BERTH_STATE_STOPPED:
        /* On request, by a reload that left it out, or with the daemon. */
        return plugin->code == BERTH_OK ? RUNS : IS_SKIPPED;
    case BERTH_STATE_DISABLED:
    case BERTH_STATE_SKIPPED:
        return IS_SKIPPED;
    case BERTH_STATE_REJECTED:
    case BERTH_STATE_BLOCKED:
    case BERTH_STATE_FAILED:
    case BERTH_STATE_TIMED_OUT:
    case BERTH_STATE_QUARANTINED:
        break;
    }
    return IS_BROKEN;
}

static bool is_wire_code(enum berth_code code)
{
    return (int)code > BERTH_OK && (int)code <= BERTH_UNAUTHENTICATED;
}

static bool ends_in(const char *sentence, const char *words)
{
    size_t length = strlen(sentence);
    size_t words_length = strlen(words);

    return length >= words_length && strcmp(sentence + length - words_length, words) == 0;
}

/* @return the sentence, to be freed; NULL where memory is out. */
static char *skip_sentence(const struct berth_plugin_info *plugin)
{
    const char *reason = plugin->reason != NULL ? plugin->reason : berth_state_name(plugin->state);
    char *sentence;

    return asprintf(&sentence, "%s%s", reason, ends_in(reason, "skip plugin") ? "" : ": skip plugin") < 0
               ? NULL
               : sentence;
}

static char *broken_sentence(const struct berth_plugin_info *plugin)
{
    return strdup(plugin->reason != NULL ? plugin->reason : berth_state_name(plugin->state));
}

static bool fill_error(plugin_message *message, const struct berth_plugin_info *plugin,
                       Google__Rpc__Status *status)
{
    enum verdict how = verdict(plugin);

    if (how == RUNS)
        return true;
    google__rpc__status__init(status);
    status->code = is_wire_code(plugin->code) ? (int32_t)plugin->code : BERTH_UNKNOWN;
    status->message = how == IS_SKIPPED ? skip_sentence(plugin) : broken_sentence(plugin);
    message->init_err = status;
    return status->message != NULL;
}

static bool describe(const struct berth_plugin_info *plugin, struct berth_wire_buffer *replies)
{
    plugin_message message = CONTAINERD__SERVICES__INTROSPECTION__V1__PLUGIN__INIT;
    Google__Rpc__Status status = {.message = NULL};
    struct lists lists = {0};
    bool appended;

    message.type = introspection_text(plugin->type);
    message.id = introspection_text(plugin->id);
    message.n_capabilities = plugin->capabilities.count;
    message.capabilities = (char **)(uintptr_t)plugin->capabilities.items;
    appended = fill_requirements(&message, plugin, &lists) && fill_platforms(&message, plugin, &lists) &&
               fill_exports(&message, plugin, &lists) && fill_error(&message, plugin, &status) &&
               introspection_append(replies, &message.base);
    free(status.message);
    free_lists(&lists);
    return appended;
}

/* Deprecations as messages. They borrow the ids and messages of those. */
struct warnings {
    Containerd__Services__Introspection__V1__DeprecationWarning **items;
    size_t count;
    bool failed;
};

/* A message and the time that it points to. */
struct warning {
    Containerd__Services__Introspection__V1__DeprecationWarning message;
    Google__Protobuf__Timestamp last;
};

static bool add_warning(void *context, const struct berth_deprecation *deprecation)
{
    struct warnings *warnings = context;
    void *items = reallocarray(warnings->items, warnings->count + 1, sizeof(*warnings->items));
    struct warning *warning = malloc(sizeof(*warning));

    warnings->items = items != NULL ? items : warnings->items;
    warnings->failed = items == NULL || warning == NULL;
    if (warnings->failed) {
        free(warning);
        return false;
    }
    containerd__services__introspection__v1__deprecation_warning__init(&warning->message);
    google__protobuf__timestamp__init(&warning->last);
    warning->message.id = (char *)(uintptr_t)deprecation->id;
    warning->message.message = (char *)(uintptr_t)deprecation->message;
    warning->last.seconds = deprecation->last_seconds;
    warning->last.nanos = deprecation->last_nanoseconds;
    warning->message.last_occurrence = &warning->last;
    warnings->items[warnings->count++] = &warning->message;
    return true;
}

static void warnings_finish(struct warnings *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        free(warnings->items[i]);
    free(warnings->items);
    *warnings = (struct warnings){0};
}

/* A refusal in containerd's form: the sentence, then the class of the error. */
static void refuse_filters(struct berth_call *call, enum berth_code code, const struct berth_error *err)
{
    char sentence[BERTH_ERROR_MAX + 32];

    snprintf(sentence, sizeof(sentence), "%s: invalid argument", err->message);
    berth_call_finish(call, code, code == BERTH_INVALID_ARGUMENT ? sentence : err->message);
}

/* Files whose plugins are unknown are not reported to containerd's clients. */
static bool list_plugin(void *context, const struct berth_plugin_info *plugin)
{
    return plugin->uri == NULL || describe(plugin, context);
}

static void plugins(struct berth_call *call,
                    const Containerd__Services__Introspection__V1__PluginsRequest *asked)
{
    const struct introspection *introspection = call->instance;
    struct berth_wire_buffer replies = {0};
    struct berth_error err;
    enum berth_code code;

    code = introspection->service->plugins(introspection->instance, (const char *const *)asked->filters,
                                           asked->n_filters, list_plugin, &replies, &err);
    if (code == BERTH_OK)
        berth_call_answer_wire(call, &replies, code, NULL);
    else
        refuse_filters(call, code, &err);
    berth_wire_finish(&replies);
}

static void server(struct berth_call *call, const Google__Protobuf__Empty *request)
{
    const struct introspection *introspection = call->instance;
    Containerd__Services__Introspection__V1__ServerResponse reply =
        CONTAINERD__SERVICES__INTROSPECTION__V1__SERVER_RESPONSE__INIT;
    const struct berth_introspection_server *told = introspection->service->server(introspection->instance);
    struct warnings warnings = {.failed = false};

    reply.uuid = (char *)(uintptr_t)told->uuid;
    reply.pid = told->pid;
    reply.pidns = told->pid_namespace;
    introspection->service->deprecations(introspection->instance, add_warning, &warnings);
    reply.n_deprecations = warnings.count;
    reply.deprecations = warnings.items;
    if (warnings.failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of deprecations");
    else
        containerd_services_introspection_v1_introspection_server_reply(call, &reply);
    warnings_finish(&warnings);
}

struct search {
    const Containerd__Services__Introspection__V1__PluginInfoRequest *asked;
    struct berth_wire_buffer reply;
    bool found;
    bool runs;
};

static bool compare_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct search *search = context;

    if (plugin->uri == NULL || strcmp(plugin->type, search->asked->type) != 0 ||
        strcmp(plugin->id, search->asked->id) != 0)
        return true;
    search->found = true;
    search->runs = plugin->state == BERTH_STATE_READY || plugin->state == BERTH_STATE_SERVING;
    describe(plugin, &search->reply);
    return false;
}

/* The sentences are containerd's, to the letter. */
static void reply_with_plugin(struct berth_call *call, struct search *search)
{
    const Containerd__Services__Introspection__V1__PluginInfoRequest *asked = search->asked;
    char sentence[512];

    if (!search->found) {
        snprintf(sentence, sizeof(sentence), "plugin %.200s.%.200s not found: not found", asked->type,
                 asked->id);
        berth_call_finish(call, BERTH_NOT_FOUND, sentence);
    } else if (asked->options == NULL) {
        berth_call_answer_wire(call, &search->reply, BERTH_OK, NULL);
    } else if (!search->runs) {
        berth_call_finish(call, BERTH_FAILED_PRECONDITION,
                          "cannot get extra info, plugin not successfully loaded: failed precondition");
    } else {
        berth_call_finish(call, BERTH_UNIMPLEMENTED,
                          "plugin does not provided extra information: not implemented");
    }
}

static void plugin_info(struct berth_call *call,
                        const Containerd__Services__Introspection__V1__PluginInfoRequest *asked)
{
    const struct introspection *introspection = call->instance;
    struct search search = {.asked = asked};
    struct berth_error err;

    introspection->service->plugins(introspection->instance, NULL, 0, compare_plugin, &search, &err);
    reply_with_plugin(call, &search);
    berth_wire_finish(&search.reply);
}

const struct containerd_services_introspection_v1_introspection_handlers
    introspection_introspection_handlers = {
        .plugins = {.on_message = plugins},
        .server = {.on_message = server},
        .plugin_info = {.on_message = plugin_info},
};
