/* SPDX-License-Identifier: Apache-2.0 */
/* Walks from a plugin to what is to blame, and ends with the next step. */
#include "explain.h"

#include <stdlib.h>
#include <string.h>

#include <config/print/json.h>
#include <config/text/text.h>

#include <sdk/base/memory.h>

#include "note.h"

static const char *code_name(const plugin_message *plugin)
{
    return plugin->code == BERTH_OK || plugin->code == BERTH_SKIP
               ? NULL
               : berth_code_name((enum berth_code)plugin->code);
}

static void print_state(FILE *out, const plugin_message *plugin, bool with_colours)
{
    const char *code = code_name(plugin);
    char state[PLUGIN_STATE_MAX];

    plugin_format_state(plugin, state);
    table_print_coloured(out, with_colours, TABLE_BOLD, plugin->uri);
    fputs(" is ", out);
    table_print_coloured(out, with_colours, plugin_state_colour(plugin), state);
    if (code != NULL)
        fprintf(out, " (%s)", code);
    fputc('\n', out);
}

static void print_facts(FILE *out, const struct plugin_list *list, const plugin_message *plugin)
{
    char *process;

    if (*plugin->reason != '\0')
        fprintf(out, "    %s\n", plugin->reason);
    if (plugin_is_degraded(plugin))
        fprintf(out, "    %s: %s\n", berth_code_name((enum berth_code)plugin->condition),
                plugin->condition_reason);
    if (plugin->isolation != NULL && plugin->isolation->process != 0) {
        process = plugin_format_process(list, plugin);
        fprintf(out, "    %s\n", process);
        free(process);
    }
    for (size_t i = 0; plugin->isolation != NULL && i < plugin->isolation->n_refused_calls; i++)
        fprintf(out, "    its sandbox refused %s, %llu time%s\n", plugin->isolation->refused_calls[i]->name,
                (unsigned long long)plugin->isolation->refused_calls[i]->count,
                plugin->isolation->refused_calls[i]->count == 1 ? "" : "s");
    if (*plugin->path == '\0')
        return;
    fprintf(out, "    in %s", plugin->path);
    if (*plugin->module != '\0')
        fprintf(out, " (%s %s)", plugin->module, plugin->version);
    fputc('\n', out);
}

/* Copies in other modules, which lost to this one. */
static void print_replaced(FILE *out, const struct plugin_list *list, const plugin_message *plugin)
{
    for (size_t i = 0; i < list->count; i++) {
        const plugin_message *other = list->plugins[i];

        if (other != plugin && strcmp(other->uri, plugin->uri) == 0)
            fprintf(out, "    not used: %s (%s %s): %s\n", other->path, other->module, other->version,
                    other->reason);
    }
}

static void print_open(FILE *out, const struct plugin_list *list, const plugin_message *plugin,
                       bool with_colours)
{
    for (size_t i = 0; i < plugin->n_edges; i++) {
        const plugin_message *provider = plugin_list_find(list, plugin->edges[i]->provider);

        if (provider == NULL || plugin_has_settled(provider))
            continue;
        fputs("    waits for ", out);
        print_state(out, provider, with_colours);
    }
    for (size_t i = 0; i < plugin->n_holds; i++)
        fprintf(out, "    holds readiness back: %s\n", plugin->holds[i]);
}

/* Deeper than any plan; a peer may tell anything. */
#define DEPTH_MAX 1000

/* Looks at each plugin once. */
static const plugin_message *search_degraded(const struct plugin_list *list, const plugin_message *plugin,
                                             bool *is_seen, unsigned depth)
{
    for (size_t i = 0; i < plugin->n_edges; i++) {
        const plugin_message *provider = plugin_list_find(list, plugin->edges[i]->provider);
        const plugin_message *found;
        size_t place = 0;

        while (place < list->count && list->plugins[place] != provider)
            place++;
        if (!plugin->edges[i]->binding || place == list->count || is_seen[place] || depth == DEPTH_MAX)
            continue;
        is_seen[place] = true;
        found = plugin_is_degraded(provider) ? provider : search_degraded(list, provider, is_seen, depth + 1);
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* What it stands on, however far below, and cannot use for now; NULL: nothing. */
static const plugin_message *find_degraded(const struct plugin_list *list, const plugin_message *plugin)
{
    bool *is_seen = memory_allocate(list->count, sizeof(*is_seen));
    const plugin_message *found;

    found = search_degraded(list, plugin, is_seen, 0);
    free(is_seen);
    return found;
}

/* The step of a plugin that ran out of time: the one that has a start and nothing after it. */
static const char *last_step(const plugin_message *plugin)
{
    if (plugin->times == NULL)
        return "init";
    if (plugin->times->serve != NULL)
        return "serve";
    return plugin->times->init == NULL && plugin->times->prepare != NULL ? "prepare" : "init";
}

static const char *blocked_advice(const plugin_message *root)
{
    return root->code == BERTH_NOT_FOUND
               ? "install a module that provides it into a plugin directory; `berthd plan` shows the outcome "
                 "in advance"
               : "change one of the manifests on that path; `berthd plan --dot` draws it";
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void add_advice(struct config_text *text, const plugin_message *root)
{
    const char *uri = root->uri;
    switch ((int)root->state) {
    case BERTH__INSPECT__V1__STATE__STATE_REJECTED:
        config_text_add(
            text, "fix the problem above, check the file with `berth-sdk check`, then run `berthctl reload`");
        return;
    case BERTH__INSPECT__V1__STATE__STATE_DISABLED:
        if (starts_with(root->reason, "stopped on request"))
            config_text_add(text, "run `berthctl plugins start %s`", uri);
        else
            config_text_add(text, "remove %s from disabled_plugins, then run `berthctl reload`", uri);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_BLOCKED:
        config_text_add(text, "%s", blocked_advice(root));
        return;
    case BERTH__INSPECT__V1__STATE__STATE_SKIPPED:
        config_text_add(text, "nothing; if it should run here, fix the reason above");
        return;
    case BERTH__INSPECT__V1__STATE__STATE_QUARANTINED:
        config_text_add(text,
                        "look in the log for its crashes and fix the module; then run "
                        "`berthd quarantine clear %s` and `berthctl reload`",
                        uri);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_FAILED:
        config_text_add(text,
                        "fix the problem above, then run `berthctl plugins start %s`; for its log, run "
                        "`berthctl log %s`",
                        uri, uri);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_TIMED_OUT:
        config_text_add(text,
                        "look in the log for what it waits for, or give it more time: timeouts: {plugins: "
                        "{%s: {%s: 60s}}}",
                        uri, last_step(root));
        return;
    case BERTH__INSPECT__V1__STATE__STATE_READY:
    case BERTH__INSPECT__V1__STATE__STATE_SERVING:
        config_text_add(text, "%s",
                        plugin_is_degraded(root)
                            ? "fix the problem above; unless it names a command to run, the plugin "
                              "then recovers by itself, and health reports NOT_SERVING until it has"
                            : "nothing: it is healthy");
        return;
    case BERTH__INSPECT__V1__STATE__STATE_IDLE:
        config_text_add(
            text, "nothing: it starts when it is called; `berthctl plugins start %s` starts it now", uri);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_DRAINING:
    case BERTH__INSPECT__V1__STATE__STATE_STOPPED:
        config_text_add(text, "%s",
                        starts_with(root->reason, "removed")
                            ? "nothing; if it should run, install its module, then run `berthctl reload`"
                            : "nothing: the daemon is shutting down");
        return;
    default:
        config_text_add(text, "wait: the daemon is still starting; ask again");
    }
}

/* From a plugin to the root cause. What degrades a healthy plugin comes second. */
struct chain {
    const plugin_message **links;
    size_t count;
    bool second_is_below;
};

static struct chain find_chain(const struct plugin_list *list, const plugin_message *plugin)
{
    struct chain chain = {.links = memory_allocate(list->count + 2, sizeof(*chain.links))};
    const plugin_message *root = plugin, *below = NULL;

    chain.links[chain.count++] = plugin;
    if (plugin_is_well(plugin))
        below = find_degraded(list, plugin);
    if (below != NULL) {
        chain.links[chain.count++] = root = below;
        chain.second_is_below = true;
    }
    for (size_t i = 0; i < list->count; i++) {
        const plugin_message *cause = plugin_list_find(list, root->cause);

        if (cause == NULL || cause == plugin || cause == root || plugin_is_well(cause) ||
            chain.count == list->count + 2)
            break;
        chain.links[chain.count++] = root = cause;
    }
    return chain;
}

void explain_print(FILE *out, const struct plugin_list *list, const plugin_message *plugin, bool with_colours)
{
    struct chain chain = find_chain(list, plugin);
    struct config_text next = {0};

    for (size_t i = 0; i < chain.count; i++) {
        if (i > 0)
            fputs(i == 1 && chain.second_is_below ? "below it, " : "because ", out);
        print_state(out, chain.links[i], with_colours);
        print_facts(out, list, chain.links[i]);
        if (i == 0) {
            print_replaced(out, list, plugin);
            print_open(out, list, plugin, with_colours);
        }
    }
    add_advice(&next, chain.links[chain.count - 1]);
    fprintf(out, "\nnext: %s\n", next.bytes);
    config_text_finish(&next);
    free(chain.links);
}

static const char *null_if_empty(const char *text)
{
    return *text == '\0' ? NULL : text;
}

static void json_link(struct config_json *json, const plugin_message *plugin)
{
    char state[PLUGIN_STATE_MAX];

    plugin_format_state(plugin, state);
    config_json_open(json, NULL, '{');
    config_json_string(json, "uri", plugin->uri);
    config_json_string(json, "state", state);
    config_json_string(json, "code", code_name(plugin));
    config_json_string(json, "reason",
                       *plugin->reason != '\0' ? plugin->reason : null_if_empty(plugin->condition_reason));
    config_json_string(json, "path", null_if_empty(plugin->path));
    config_json_close(json, '}');
}

static void json_replaced(struct config_json *json, const struct plugin_list *list,
                          const plugin_message *plugin)
{
    config_json_open(json, "not_used", '[');
    for (size_t i = 0; i < list->count; i++)
        if (list->plugins[i] != plugin && strcmp(list->plugins[i]->uri, plugin->uri) == 0)
            config_json_string(json, NULL, list->plugins[i]->path);
    config_json_close(json, ']');
}

static void json_open_work(struct config_json *json, const struct plugin_list *list,
                           const plugin_message *plugin)
{
    config_json_open(json, "waits_for", '[');
    for (size_t i = 0; i < plugin->n_edges; i++) {
        const plugin_message *provider = plugin_list_find(list, plugin->edges[i]->provider);

        if (provider != NULL && !plugin_has_settled(provider))
            config_json_string(json, NULL, provider->uri);
    }
    config_json_close(json, ']');
    config_json_open(json, "holds", '[');
    for (size_t i = 0; i < plugin->n_holds; i++)
        config_json_string(json, NULL, plugin->holds[i]);
    config_json_close(json, ']');
}

void explain_print_json(FILE *out, const struct plugin_list *list, const plugin_message *plugin)
{
    struct chain chain = find_chain(list, plugin);
    struct config_json json = {.out = out};
    struct config_text next = {0};

    add_advice(&next, chain.links[chain.count - 1]);
    config_json_open(&json, NULL, '{');
    config_json_string(&json, "uri", plugin->uri);
    config_json_bool(&json, "well", plugin_is_well(plugin));
    config_json_open(&json, "causes", '[');
    for (size_t i = 0; i < chain.count; i++)
        json_link(&json, chain.links[i]);
    config_json_close(&json, ']');
    json_replaced(&json, list, plugin);
    json_open_work(&json, list, plugin);
    config_json_string(&json, "next", next.bytes);
    config_json_close(&json, '}');
    config_text_finish(&next);
    free(chain.links);
}
