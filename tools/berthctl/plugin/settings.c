/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the settings of a plugin, each with its origin. */
#include "settings.h"

#include <config/text/text.h>
#include <config/text/utf8.h>

typedef Berth__Inspect__V1__Setting setting_message;

void settings_clean(settings_message *settings)
{
    for (size_t i = 0; i < settings->n_settings; i++) {
        utf8_make_line(settings->settings[i]->path);
        utf8_make_line(settings->settings[i]->value);
        utf8_make_line(settings->settings[i]->where);
        utf8_make_line(settings->settings[i]->was);
    }
}

static void add_value(struct config_text *text, const setting_message *setting)
{
    config_text_add(text, "%s: ", setting->path);
    if (*setting->where == '\0') {
        config_text_add(text, "not set");
        return;
    }
    config_text_add(text, "%s%s  # %s", setting->secret ? "(secret, not shown)" : setting->value,
                    setting->cut ? "..." : "", setting->where);
    if (*setting->was != '\0')
        config_text_add(text, ", was %s", setting->was);
}

static void add_line(struct table *table, bool is_first, const char *text)
{
    table_add(table, is_first ? "Settings:" : "");
    table_add(table, text);
    table_end_line(table);
}

void settings_print_text(struct table *table, const settings_message *settings)
{
    for (size_t i = 0; i < settings->n_settings; i++) {
        struct config_text text = {0};

        add_value(&text, settings->settings[i]);
        add_line(table, i == 0, text.bytes);
        config_text_finish(&text);
    }
    if (settings->more)
        add_line(table, settings->n_settings == 0, "(and more: see berthd config dump --origin)");
}

static void json_text(struct config_json *json, const char *key, const char *text)
{
    config_json_string(json, key, *text == '\0' ? NULL : text);
}

void settings_print_json(struct config_json *json, const settings_message *settings)
{
    config_json_open(json, "settings", '[');
    for (size_t i = 0; i < settings->n_settings; i++) {
        const setting_message *setting = settings->settings[i];

        config_json_open(json, NULL, '{');
        config_json_string(json, "path", setting->path);
        json_text(json, "value", setting->value);
        json_text(json, "where", setting->where);
        json_text(json, "was", setting->was);
        config_json_bool(json, "secret", setting->secret);
        config_json_bool(json, "cut", setting->cut);
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
    config_json_bool(json, "more_settings", settings->more);
}
