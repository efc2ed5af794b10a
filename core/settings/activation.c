/* SPDX-License-Identifier: Apache-2.0 */
/* When plugins start: with the daemon or when they are called first, and when they are stopped again. */
#include "store.h"

#include <string.h>

#include <config/schema/literal.h>

#define IDLE_AFTER_MAX INT64_C(31536000000000000)

const struct schema settings_activation_schema = {
    .kind = SCHEMA_OBJECT,
    .name = "activation",
    .index = 22,
    .doc =
        "When plugins start. A plugin that starts on its first call is idle until then: planned and listed, "
        "but not loaded.",
    FIELDS(
        FIELD(.kind = SCHEMA_ENUM, .name = "default", .index = 0,
              .doc = "start: with the daemon. call: on the first call of one of its services or of its HTTP "
                     "prefix. A plugin's manifest can override it.",
              .default_ = WORD("start"), CHOICES("start", "call")),
        FIELD(.kind = SCHEMA_DURATION, .name = "idle_after", .index = 1,
              .doc = "Time without a call after which a plugin that starts on its first call is stopped, if "
                     "nothing uses it; 0s: never.",
              .default_ = WORD("0s"), .has_min = true, .min = 0, .has_max = true, .max = IDLE_AFTER_MAX),
        FIELD(.kind = SCHEMA_MAP, .name = "plugins", .index = 2,
              .doc =
                  "Overrides for single plugins, by URI: start, call, or a map with activate and idle_after. "
                  "They take precedence over manifests.",
              .default_ = EMPTY(CONFIG_MAP),
              .items =
                  FIELD(.kind = SCHEMA_OBJECT,
                        FIELDS(FIELD(.kind = SCHEMA_ENUM, .name = "activate", .index = 0,
                                     CHOICES("start", "call")),
                               FIELD(.kind = SCHEMA_DURATION, .name = "idle_after", .index = 1,
                                     .has_min = true, .min = 0, .has_max = true, .max = IDLE_AFTER_MAX)))),
        FIELD(.kind = SCHEMA_INT, .name = "max_waiting", .index = 3,
              .doc = "Maximum number of calls that wait for one plugin to start; others end with "
                     "RESOURCE_EXHAUSTED.",
              .default_ = WORD("10000"), .has_min = true, .min = 1, .has_max = true, .max = 1000000000)),
};

/* "io.example.v1.a: call" becomes "io.example.v1.a: {activate: call}". */
static struct config_node *expand(struct config_tree *tree, struct config_node *word)
{
    struct config_node *map = config_tree_add_node(tree, CONFIG_MAP, word->mark);

    map->key = word->key;
    map->key_mark = word->key_mark;
    word->key = "activate";
    word->key_mark = word->mark;
    config_node_append(tree, map, word);
    return map;
}

void settings_expand_activation(struct config_tree *tree)
{
    struct config_node *activation = config_node_find(config_tree_root(tree), "activation");
    struct config_node *plugins = NULL;

    if (activation != NULL && activation->kind == CONFIG_MAP)
        plugins = config_node_find(activation, "plugins");
    for (size_t i = 0; plugins != NULL && plugins->kind == CONFIG_MAP && i < plugins->count; i++)
        if (plugins->items[i]->kind == CONFIG_SCALAR && !config_node_is_empty(plugins->items[i]))
            plugins->items[i] = expand(tree, plugins->items[i]);
}

static const struct berth_value *find(const struct settings *settings, const struct berth_value *map,
                                      const char *key)
{
    return config_values_settings(settings->store->values)->find(map, key);
}

static struct settings_activation read_one(const struct settings *settings, const char *uri,
                                           const struct berth_value *map)
{
    const struct berth_value *activate = find(settings, map, "activate");
    const struct berth_value *idle_after = find(settings, map, "idle_after");
    struct settings_activation activation = {.uri = uri, .mark = map->mark};

    if (activate != NULL && activate->kind == BERTH_VALUE_STRING) {
        activation.is_decided = true;
        activation.on_call = strcmp(activate->string, "call") == 0;
        activation.mark = activate->mark;
    }
    if (idle_after != NULL && idle_after->kind == BERTH_VALUE_INT) {
        activation.has_idle_after = true;
        activation.idle_after_ns = (uint64_t)idle_after->integer;
    }
    return activation;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct settings_activation *)a)->uri, ((const struct settings_activation *)b)->uri);
}

void settings_fill_activation(struct settings *settings)
{
    struct settings_plan *plan = &settings->plan;
    const struct berth_value *section =
        find(settings, config_values_root(settings->store->values), "activation");
    const struct berth_value *by_default = find(settings, section, "default");
    const struct berth_value *map = find(settings, section, "plugins");
    struct settings_activation *activations =
        config_arena_allocate(&settings->store->arena, (map->count + 1) * sizeof(*activations));

    plan->required = settings->required;
    plan->required_count = settings->required_count;
    plan->starts_on_call = strcmp(by_default->string, "call") == 0;
    plan->starts_on_call_mark = by_default->mark;
    plan->idle_after_ns = (uint64_t)find(settings, section, "idle_after")->integer;
    plan->max_waiting = (size_t)find(settings, section, "max_waiting")->integer;
    /* One may be wrong where errors are forgiven. */
    for (size_t i = 0; i < map->count; i++)
        if (map->items[i]->kind == BERTH_VALUE_MAP)
            activations[plan->activation_count++] = read_one(settings, map->items[i]->key, map->items[i]);
    qsort(activations, plan->activation_count, sizeof(*activations), compare);
    plan->activations = activations;
}

const struct settings_activation *settings_find_activation(const struct settings_plan *plan, const char *uri)
{
    const struct settings_activation key = {.uri = uri};

    if (plan->activation_count == 0)
        return NULL;
    return bsearch(&key, plan->activations, plan->activation_count, sizeof(key), compare);
}
