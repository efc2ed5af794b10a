/* SPDX-License-Identifier: Apache-2.0 */
/* One plugin as containerd's clients know it: whatever keeps it from running is its init_err. */
#include "describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <containerd/services/introspection/v1/introspection.pb-c.h>

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

static char *text(const char *value)
{
    return (char *)(uintptr_t)(value == NULL ? "" : value);
}

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
        lists->platforms[i].os = text(plugin->platforms[i].os);
        lists->platforms[i].architecture = text(plugin->platforms[i].architecture);
        lists->platforms[i].variant = text(plugin->platforms[i].variant);
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
        lists->exports[i].key = text(plugin->exports[i].key);
        lists->exports[i].value = text(plugin->exports[i].value);
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

static enum verdict verdict(enum berth_state state)
{
    switch (state) {
    case BERTH_STATE_WAITING:
    case BERTH_STATE_PREPARING:
    case BERTH_STATE_STARTING:
    case BERTH_STATE_READY:
    case BERTH_STATE_SERVING:
    case BERTH_STATE_DRAINING:
    case BERTH_STATE_STOPPED:
        return RUNS;
    case BERTH_STATE_DISABLED:
    case BERTH_STATE_SKIPPED:
        return IS_SKIPPED;
    case BERTH_STATE_REJECTED:
    case BERTH_STATE_BLOCKED:
    case BERTH_STATE_FAILED:
    case BERTH_STATE_TIMED_OUT:
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
    enum verdict how = verdict(plugin->state);

    if (how == RUNS)
        return true;
    google__rpc__status__init(status);
    status->code = is_wire_code(plugin->code) ? (int32_t)plugin->code : BERTH_UNKNOWN;
    status->message = how == IS_SKIPPED ? skip_sentence(plugin) : broken_sentence(plugin);
    message->init_err = status;
    return status->message != NULL;
}

bool describe_to_containerd(const struct berth_plugin_info *plugin, struct replies *replies)
{
    plugin_message message = CONTAINERD__SERVICES__INTROSPECTION__V1__PLUGIN__INIT;
    Google__Rpc__Status status = {.message = NULL};
    struct lists lists = {0};
    bool appended;

    message.type = text(plugin->type);
    message.id = text(plugin->id);
    message.n_capabilities = plugin->capabilities.count;
    message.capabilities = (char **)(uintptr_t)plugin->capabilities.items;
    appended = fill_requirements(&message, plugin, &lists) && fill_platforms(&message, plugin, &lists) &&
               fill_exports(&message, plugin, &lists) && fill_error(&message, plugin, &status) &&
               replies_append(replies, &message.base);
    free(status.message);
    free_lists(&lists);
    return appended;
}
