/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manifest becomes in C: the names of everything generated, the types of settings, and untrusted text
 * as literals and comments. Rejects a manifest with conflicting names.
 */
#include "generate.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>
#include <tools/protoc-gen-berth/names.h>

void generate_write_escaped(FILE *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\n')
            fputs("\\n", out);
        else if (c == '"' || c == '\\' || c == '?')
            fprintf(out, "\\%c", c);
        else if (c < ' ' || c > '~')
            fprintf(out, "\\%03o", c);
        else
            fputc(c, out);
    }
}

void generate_write_comment(FILE *out, const char *text)
{
    char before = '\0';

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((before == '*' && c == '/') || (before == '/' && c == '*'))
            fputc(' ', out);
        before = c < ' ' || c == 0x7f || c == '\\' ? ' ' : (char)c;
        fputc(before, out);
    }
}

char *generate_inner_tag(const struct schema *schema, const char *tag, const struct schema *inner)
{
    if (schema->kind == SCHEMA_LIST)
        return memory_format("%s_item", tag);
    if (schema->kind == SCHEMA_MAP)
        return memory_format("%s_value", tag);

    char *name = names_from(inner->name);
    char *result = memory_format("%s_%s", tag, name);

    free(name);
    return result;
}

static void walk_inner(const struct schema *schema, const char *tag, const struct schema *inner,
                       void (*on_type)(void *, const struct schema *, const char *), void *context)
{
    char *inner_tag = generate_inner_tag(schema, tag, inner);

    generate_walk(inner, inner_tag, on_type, context);
    free(inner_tag);
}

void generate_walk(const struct schema *schema, const char *tag,
                   void (*on_type)(void *context, const struct schema *schema, const char *tag),
                   void *context)
{
    switch (schema->kind) {
    case SCHEMA_STRING:
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_FLOAT:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
    case SCHEMA_PATH:
    case SCHEMA_ANY:
        return;
    case SCHEMA_ENUM:
        break;
    case SCHEMA_LIST:
    case SCHEMA_MAP:
        walk_inner(schema, tag, schema->items, on_type, context);
        break;
    case SCHEMA_OBJECT:
        for (size_t i = 0; i < schema->field_count; i++)
            walk_inner(schema, tag, schema->fields[i], on_type, context);
        break;
    }
    on_type(context, schema, tag);
}

char *generate_type(const struct schema *schema, const char *tag)
{
    switch (schema->kind) {
    case SCHEMA_STRING:
    case SCHEMA_PATH:
        return memory_format("const char *");
    case SCHEMA_BOOL:
        return memory_format("bool ");
    case SCHEMA_INT:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
        return memory_format("int64_t ");
    case SCHEMA_FLOAT:
        return memory_format("double ");
    case SCHEMA_ANY:
        return memory_format("const struct berth_value *");
    case SCHEMA_ENUM:
        return memory_format("enum %s ", tag);
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
        break;
    }
    return memory_format("struct %s ", tag);
}

bool generate_has_presence(const struct schema *schema)
{
    if (schema->required || schema->default_ != NULL)
        return false;
    switch (schema->kind) {
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
    case SCHEMA_FLOAT:
    case SCHEMA_ENUM:
        return true;
    case SCHEMA_STRING:
    case SCHEMA_PATH:
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
    case SCHEMA_ANY:
        break;
    }
    return false;
}

/* The life-cycle functions of a plugin; a method with such a name is prefixed with its service's name. */
static const char *const reserved[] = {"prepare",   "discard", "init",        "serve",       "drain",
                                       "close",     "migrate", "config",      "config_init", "config_finish",
                                       "interface", "check",   "reconfigure", "save_state",  "load_state"};

struct naming {
    struct names_set taken;
    struct config_diagnostics *diagnostics;
    bool failed;
};

static void take(struct naming *naming, const char *name, const struct config_mark *mark, const char *meaning)
{
    const char *other = names_set_add(&naming->taken, name, meaning);

    if (other == NULL)
        return;
    config_diagnostics_add(naming->diagnostics, CONFIG_ERROR, mark,
                           "%s and %s would both be \"%s\" in C: rename one of them", other, meaning, name);
    naming->failed = true;
}

/* How much of its type precedes a plugin's id. */
enum detail {
    /** "sys" */
    DETAIL_ID,
    /** "clock_sys" of "com.acme.clock.v1" */
    DETAIL_WORD,
    /** "clock_v1_sys" */
    DETAIL_VERSION,
    /** "com_acme_clock_v1_sys" */
    DETAIL_TYPE,
};

/* The caller frees. */
static char *name_in_detail(const struct manifest_plugin *plugin, enum detail detail)
{
    const char *end = strrchr(plugin->type, '.');
    const char *begin = plugin->type;
    char *prefix, *name, *both;

    if (detail == DETAIL_ID || end == NULL)
        return names_for_plugin(plugin->id);
    if (detail != DETAIL_TYPE)
        for (begin = end; begin > plugin->type && begin[-1] != '.';)
            begin--;
    if (detail != DETAIL_WORD)
        end += strlen(end);
    both = memory_format("%.*s", (int)(end - begin), begin);
    prefix = names_from(both);
    free(both);
    name = names_for_plugin(plugin->id);
    both = memory_format("%s_%s", prefix, name);
    free(prefix);
    free(name);
    return both;
}

/* Does another plugin with that id have the same name? */
static bool is_shared(const struct manifest *manifest, const struct manifest_plugin *plugin, const char *name,
                      enum detail detail)
{
    bool is_shared = false;

    for (size_t i = 0; i < manifest->plugin_count && !is_shared; i++) {
        const struct manifest_plugin *other = &manifest->plugins[i];
        char *its_name;

        if (other == plugin || strcmp(other->id, plugin->id) != 0)
            continue;
        its_name = name_in_detail(other, detail);
        is_shared = strcmp(its_name, name) == 0;
        free(its_name);
    }
    return is_shared;
}

/* The shortest unique form, so that a second version of a type needs no other id. */
static char *plugin_name(const struct manifest *manifest, const struct manifest_plugin *plugin)
{
    for (enum detail detail = DETAIL_ID; detail < DETAIL_TYPE; detail++) {
        char *name = name_in_detail(plugin, detail);

        if (!is_shared(manifest, plugin, name, detail))
            return name;
        free(name);
    }
    return name_in_detail(plugin, DETAIL_TYPE);
}

/* How often a method's name occurs among the plugin's services and life-cycle functions. */
static size_t count_method(const struct manifest_plugin *plugin, const char *snake)
{
    size_t count = 0;

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        count += strcmp(reserved[i], snake) == 0;
    for (size_t i = 0; i < plugin->service_count; i++)
        for (size_t j = 0; j < plugin->services[i].method_count; j++) {
            char *other = names_snake(plugin->services[i].methods[j].name);

            count += strcmp(other, snake) == 0;
            free(other);
        }
    return count;
}

static char *handler_name(const struct generate_plugin *plugin, const struct manifest_service *service,
                          const struct manifest_method *method)
{
    const char *dot = strrchr(service->name, '.');
    char *service_snake = names_snake(dot == NULL ? service->name : dot + 1);
    char *snake = names_snake(method->name);
    char *name = count_method(plugin->plugin, snake) > 1
                     ? memory_format("%s_%s_%s", plugin->name, service_snake, snake)
                     : memory_format("%s_%s", plugin->name, snake);

    free(service_snake);
    free(snake);
    return name;
}

/* The last word of a service's name; the whole name if another service ends with the same word. */
static char *table_name(const struct generate_plugin *plugin, const struct manifest_service *service)
{
    const char *dot = strrchr(service->name, '.');
    const char *last = dot == NULL ? service->name : dot + 1;
    size_t count = 0;
    char *words, *name;

    for (size_t i = 0; i < plugin->plugin->service_count; i++) {
        const char *other_dot = strrchr(plugin->plugin->services[i].name, '.');

        count += strcmp(other_dot == NULL ? plugin->plugin->services[i].name : other_dot + 1, last) == 0;
    }
    words = names_for_service(count > 1 ? service->name : last);
    name = memory_format("%s_%s_handlers", plugin->name, words);
    free(words);
    return name;
}

static void name_tables(struct generate_plugin *plugin, struct naming *naming)
{
    const struct manifest_plugin *from = plugin->plugin;

    plugin->tables = memory_allocate(from->service_count + 1, sizeof(*plugin->tables));
    for (size_t i = 0; i < from->service_count; i++) {
        char *meaning = memory_format("service %s", from->services[i].name);

        plugin->tables[i] = table_name(plugin, &from->services[i]);
        take(naming, plugin->tables[i], &from->mark, meaning);
        free(meaning);
    }
}

static void name_handlers(struct generate_plugin *plugin, struct naming *naming)
{
    const struct manifest_plugin *from = plugin->plugin;

    for (size_t i = 0; i < from->service_count; i++)
        plugin->handler_count += from->services[i].method_count;
    plugin->handlers = memory_allocate(plugin->handler_count + 1, sizeof(*plugin->handlers));

    size_t n = 0;

    for (size_t i = 0; i < from->service_count; i++)
        for (size_t j = 0; j < from->services[i].method_count; j++) {
            const struct manifest_service *service = &from->services[i];
            char *meaning = memory_format("method %s/%s", service->name, service->methods[j].name);

            plugin->handlers[n] = handler_name(plugin, service, &service->methods[j]);
            take(naming, plugin->handlers[n++], &from->mark, meaning);
            free(meaning);
        }
}

static void take_members(struct naming *naming, const struct schema *object)
{
    struct naming members = {.diagnostics = naming->diagnostics};

    for (size_t i = 0; i < object->field_count; i++) {
        const struct schema *field = object->fields[i];
        char *name = names_from(field->name);
        char *has = memory_format("has_%s", name);
        char *meaning = memory_format("setting %s", field->name);

        take(&members, name, &field->mark, meaning);
        if (generate_has_presence(field))
            take(&members, has, &field->mark, meaning);
        free(name);
        free(has);
        free(meaning);
    }
    naming->failed = naming->failed || members.failed;
    names_set_finish(&members.taken);
}

static void take_words(struct naming *naming, const struct schema *schema, const char *tag)
{
    char *upper = names_upper(tag);

    for (size_t i = 0; i < schema->choice_count; i++) {
        char *word = names_from(schema->choices[i]);
        char *upper_word = names_upper(word);
        char *constant = memory_format("%s_%s", upper, upper_word);
        char *meaning = memory_format("value %s", schema->choices[i]);

        take(naming, constant, &schema->mark, meaning);
        free(word);
        free(upper_word);
        free(constant);
        free(meaning);
    }
    free(upper);
}

static void take_type(void *context, const struct schema *schema, const char *tag)
{
    struct naming *naming = context;
    char *meaning = memory_format("setting %s", schema->name == NULL ? "config" : schema->name);

    if (schema->name != NULL)
        take(naming, tag, &schema->mark, meaning);
    if (schema->kind == SCHEMA_OBJECT)
        take_members(naming, schema);
    if (schema->kind == SCHEMA_ENUM)
        take_words(naming, schema, tag);
    if (schema->kind == SCHEMA_MAP) {
        char *entry = memory_format("%s_entry", tag);

        take(naming, entry, &schema->mark, meaning);
        free(entry);
    }
    free(meaning);
}

static void take_life(struct naming *naming, const struct generate_plugin *plugin)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        char *name = memory_format("%s_%s", plugin->name, reserved[i]);

        take(naming, name, &plugin->plugin->mark, plugin->plugin->uri);
        free(name);
    }
}

bool generate_model_init(struct generate_model *model, const struct manifest *manifest,
                         struct config_diagnostics *diagnostics)
{
    struct naming naming = {.diagnostics = diagnostics};

    *model = (struct generate_model){.manifest = manifest, .count = manifest->plugin_count};
    model->plugins = memory_allocate(manifest->plugin_count + 1, sizeof(*model->plugins));
    for (size_t i = 0; i < model->count; i++) {
        struct generate_plugin *plugin = &model->plugins[i];

        plugin->plugin = &manifest->plugins[i];
        plugin->name = plugin_name(manifest, plugin->plugin);
        take_life(&naming, plugin);
        if (plugin->plugin->proto_count > 0)
            name_tables(plugin, &naming);
        else
            name_handlers(plugin, &naming);
        if (plugin->plugin->config->field_count > 0) {
            plugin->config = memory_format("%s_config", plugin->name);
            generate_walk(plugin->plugin->config, plugin->config, take_type, &naming);
        }
    }
    names_set_finish(&naming.taken);
    return !naming.failed;
}

void generate_model_finish(struct generate_model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        struct generate_plugin *plugin = &model->plugins[i];

        for (size_t j = 0; j < plugin->handler_count; j++)
            free(plugin->handlers[j]);
        free(plugin->handlers);
        for (size_t j = 0; plugin->tables != NULL && plugin->tables[j] != NULL; j++)
            free(plugin->tables[j]);
        free(plugin->tables);
        free(plugin->config);
        free(plugin->name);
    }
    free(model->plugins);
    *model = (struct generate_model){0};
}
