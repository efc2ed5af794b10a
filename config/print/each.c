/* SPDX-License-Identifier: Apache-2.0 */
/* Visits typed values one by one: the path, the value as YAML, where it was set, and what it was before. */
#include "each.h"

#include <string.h>

#include "print.h"

struct walk {
    /** Of the value that is visited. */
    struct config_text path;
    bool (*on_setting)(void *context, const struct berth_setting *setting);
    void *context;
};

/* Shortens a text between two characters of UTF-8. @return was it too long? */
static bool cut(struct config_text *text)
{
    size_t length = BERTH_SETTING_TEXT_MAX;

    if (text->length <= length)
        return false;
    while (length > 0 && ((unsigned char)text->bytes[length] & 0xc0) == 0x80)
        length--;
    text->bytes[length] = '\0';
    text->length = length;
    return true;
}

static void format_value(struct config_text *text, const struct berth_value *value)
{
    if (value->kind == BERTH_VALUE_LIST)
        config_text_add(text, "[]");
    else if (value->kind == BERTH_VALUE_MAP)
        config_text_add(text, "{}");
    else
        config_print_scalar(text, value);
}

static bool tell(struct walk *walk, const struct berth_value *value)
{
    struct berth_setting setting = {.size = sizeof(setting), .is_secret = config_print_is_secret(value)};
    struct config_text path = {0}, text = {0};
    bool goes_on;

    config_text_add_bytes(&path, walk->path.bytes, walk->path.length);
    setting.is_cut = cut(&path);
    setting.path = path.bytes;
    if (value->kind != BERTH_VALUE_NONE) {
        setting.where = value->where;
        setting.was = value->was;
    }
    if (value->kind != BERTH_VALUE_NONE && !setting.is_secret) {
        format_value(&text, value);
        setting.is_cut = cut(&text) || setting.is_cut;
        setting.value = text.bytes;
    }
    goes_on = walk->on_setting(walk->context, &setting);
    config_text_finish(&path);
    config_text_finish(&text);
    return goes_on;
}

void config_print_add_key(struct config_text *path, const char *key)
{
    bool is_plain = *key != '\0';

    for (const char *at = key; *at != '\0'; at++)
        is_plain = is_plain && (unsigned char)*at > ' ' && strchr(".[]\"\\\x7f", *at) == NULL;
    if (path->length > 0)
        config_text_add(path, ".");
    if (is_plain)
        config_text_add(path, "%s", key);
    else
        config_text_add_quoted(path, key, strlen(key));
}

static bool is_open(const struct berth_value *value)
{
    return (value->kind == BERTH_VALUE_LIST || value->kind == BERTH_VALUE_MAP) && value->count > 0 &&
           !config_print_is_secret(value);
}

/* As deep as a file may be. */
static bool visit(struct walk *walk, const struct berth_value *value)
{
    size_t length = walk->path.length;
    bool goes_on = true;

    if (!is_open(value))
        return config_print_is_unused(value) || tell(walk, value);
    for (size_t i = 0; i < value->count && goes_on; i++) {
        if (value->kind == BERTH_VALUE_MAP)
            config_print_add_key(&walk->path, value->items[i]->key);
        else
            config_text_add(&walk->path, "[%zu]", i);
        goes_on = visit(walk, value->items[i]);
        walk->path.length = length;
        walk->path.bytes[length] = '\0';
    }
    return goes_on;
}

void config_print_each(const struct config_values *values,
                       bool (*on_setting)(void *context, const struct berth_setting *setting), void *context)
{
    struct walk walk = {.on_setting = on_setting, .context = context};
    const struct berth_value *root = config_values_root(values);

    if (root->count > 0)
        visit(&walk, root);
    config_text_finish(&walk.path);
}
