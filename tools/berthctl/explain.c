/* SPDX-License-Identifier: Apache-2.0 */
/* Walks from a plugin to what is to blame, and ends with the next step. */
#include "explain.h"

#include <stdlib.h>
#include <string.h>

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

static void print_facts(FILE *out, const plugin_message *plugin)
{
    if (*plugin->reason != '\0')
        fprintf(out, "    %s\n", plugin->reason);
    if (plugin_is_degraded(plugin))
        fprintf(out, "    %s: %s\n", berth_code_name((enum berth_code)plugin->condition),
                plugin->condition_reason);
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
    bool *is_seen = calloc(list->count + 1, sizeof(*is_seen));
    const plugin_message *found;

    if (is_seen == NULL)
        abort();
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

static void print_blocked_advice(FILE *out, const plugin_message *root)
{
    if (root->code == BERTH_NOT_FOUND)
        fputs("install a module that provides it into a plugin directory; `berthd plan` shows the outcome "
              "ahead of time\n",
              out);
    else
        fputs("change one of the manifests on that path; `berthd plan --dot` draws it\n", out);
}

static void print_advice(FILE *out, const plugin_message *root)
{
    const char *uri = root->uri;

    fputs("\nnext: ", out);
    switch ((int)root->state) {
    case BERTH__INSPECT__V1__STATE__STATE_REJECTED:
        fputs(
            "mend what the reason names, check the file with `berth-sdk check`, and start the daemon again\n",
            out);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_DISABLED:
        fprintf(out, "take %s out of disabled_plugins and start the daemon again\n", uri);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_BLOCKED:
        print_blocked_advice(out, root);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_SKIPPED:
        fputs("nothing, unless it should apply here: it said itself that it does not\n", out);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_FAILED:
        fprintf(out, "mend what the reason names and start the daemon again; its log has the lines of %s\n",
                uri);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_TIMED_OUT:
        fprintf(out,
                "look for what it waits for in the log, or give it more time: timeouts: {plugins: {%s: {%s: "
                "60s}}}\n",
                uri, last_step(root));
        return;
    case BERTH__INSPECT__V1__STATE__STATE_READY:
    case BERTH__INSPECT__V1__STATE__STATE_SERVING:
        fputs(plugin_is_degraded(root)
                  ? "mend what the sentence names: it goes on by itself once it can, and "
                    "health says NOT_SERVING until then\n"
                  : "nothing: it is well\n",
              out);
        return;
    case BERTH__INSPECT__V1__STATE__STATE_DRAINING:
    case BERTH__INSPECT__V1__STATE__STATE_STOPPED:
        fputs("nothing: the daemon is being stopped\n", out);
        return;
    default:
        fputs("wait: the daemon is still starting; ask again\n", out);
    }
}

void explain_print(FILE *out, const struct plugin_list *list, const plugin_message *plugin, bool with_colours)
{
    const plugin_message *root = plugin;

    print_state(out, plugin, with_colours);
    print_facts(out, plugin);
    print_replaced(out, list, plugin);
    print_open(out, list, plugin, with_colours);
    if (plugin_is_well(plugin) && (root = find_degraded(list, plugin)) != NULL) {
        fputs("below it, ", out);
        print_state(out, root, with_colours);
        print_facts(out, root);
    } else {
        root = plugin;
    }
    for (size_t i = 0; i < list->count; i++) {
        const plugin_message *cause = plugin_list_find(list, root->cause);

        if (cause == NULL || cause == plugin || cause == root || plugin_is_well(cause))
            break;
        root = cause;
        fputs("because ", out);
        print_state(out, root, with_colours);
        print_facts(out, root);
    }
    print_advice(out, root);
}
