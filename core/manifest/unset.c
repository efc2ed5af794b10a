/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the conditions of skip_unless are met, by a plugin's settings and the environment. */
#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/plugin.h>

#include "name.h"

static bool is_set(const struct berth_settings *settings, const struct berth_value *value)
{
    switch (settings->kind(value)) {
    case BERTH_VALUE_NONE:
        return false;
    case BERTH_VALUE_BOOL:
        return settings->boolean(value);
    case BERTH_VALUE_INT:
    case BERTH_VALUE_FLOAT:
        return true;
    case BERTH_VALUE_STRING:
        return *settings->string(value) != '\0';
    case BERTH_VALUE_LIST:
    case BERTH_VALUE_MAP:
        return settings->count(value) > 0;
    }
    return true;
}

static bool setting_is_set(const struct berth_settings *settings, const char *path)
{
    const struct berth_value *value = settings->root;
    char name[MANIFEST_SETTING_MAX + 1];

    for (;;) {
        size_t length = strcspn(path, ".");

        snprintf(name, sizeof(name), "%.*s", (int)length, path);
        value = settings->find(value, name);
        if (path[length] == '\0')
            return is_set(settings, value);
        path += length + 1;
    }
}

static bool any_variable_is_set(const char *names)
{
    bool is_last = false;

    while (!is_last) {
        char name[MANIFEST_SETTING_MAX + 1];
        size_t length = strcspn(names, MANIFEST_ENV_OR);
        const char *value;

        snprintf(name, sizeof(name), "%.*s", (int)length, names);
        value = getenv(name);
        if (value != NULL && *value != '\0')
            return true;
        is_last = names[length] == '\0';
        names += length + 1;
    }
    return false;
}

const char *manifest_find_unset(const struct manifest_plugin *plugin, const struct berth_settings *settings)
{
    for (size_t i = 0; i < plugin->skip_unless_count; i++) {
        const char *condition = plugin->skip_unless[i];

        if (strncmp(condition, MANIFEST_ENV, strlen(MANIFEST_ENV)) == 0) {
            if (!any_variable_is_set(condition + strlen(MANIFEST_ENV)))
                return condition;
        } else if (!setting_is_set(settings, condition)) {
            return condition;
        }
    }
    return NULL;
}

void manifest_explain_unset(const char *condition, struct berth_error *ret_sentence)
{
    if (strncmp(condition, MANIFEST_ENV, strlen(MANIFEST_ENV)) == 0)
        berth_error_set(ret_sentence, BERTH_SKIP,
                        strstr(condition, MANIFEST_ENV_OR) == NULL
                            ? "the environment variable %.255s is not set"
                            : "none of the environment variables %.255s is set",
                        condition + strlen(MANIFEST_ENV));
    else
        berth_error_set(ret_sentence, BERTH_SKIP, "%.255s is not set in its configuration", condition);
}
