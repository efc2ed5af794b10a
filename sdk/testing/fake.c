/* SPDX-License-Identifier: Apache-2.0 */
/* What the fake host keeps for the test to look at: log lines and faults. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

char *fake_format(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    return text;
}

void *fake_grow(void *items, size_t count, size_t item_size)
{
    void *grown = reallocarray(items, count + 1, item_size);

    if (grown == NULL)
        abort();
    return grown;
}

void fake_fault(struct berth_testing *testing, const char *format, ...)
{
    char text[BERTH_ERROR_MAX];
    char *before = testing->faults;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    testing->faults = fake_format("%s%s%s", before == NULL ? "" : before, before == NULL ? "" : "\n", text);
    free(before);
}

void fake_log(struct berth_testing *testing, enum berth_log_level level, const char *text)
{
    pthread_mutex_lock(&testing->lines_lock);
    testing->lines = fake_grow(testing->lines, testing->line_count, sizeof(*testing->lines));
    testing->lines[testing->line_count++] =
        (struct fake_line){.level = level, .text = fake_format("%s", text)};
    pthread_mutex_unlock(&testing->lines_lock);
}

bool berth_testing_has_logged(const struct berth_testing *testing, const char *text)
{
    for (size_t i = 0; i < testing->line_count; i++)
        if (strstr(testing->lines[i].text, text) != NULL)
            return true;
    return false;
}

const char *berth_testing_log(const struct berth_testing *testing, size_t i, enum berth_log_level *ret_level)
{
    if (i >= testing->line_count)
        return NULL;
    if (ret_level != NULL)
        *ret_level = testing->lines[i].level;
    return testing->lines[i].text;
}

const char *berth_testing_export(const struct berth_testing *testing, const char *key)
{
    for (size_t i = 0; i < testing->export_count; i++)
        if (strcmp(testing->exports[i].key, key) == 0)
            return testing->exports[i].value;
    return NULL;
}

bool berth_testing_has_platform(const struct berth_testing *testing, const char *os, const char *architecture)
{
    for (size_t i = 0; i < testing->platform_count; i++)
        if (strcmp(testing->platforms[i].os, os) == 0 &&
            strcmp(testing->platforms[i].architecture, architecture) == 0)
            return true;
    return false;
}

bool berth_testing_has_capability(const struct berth_testing *testing, const char *capability)
{
    for (size_t i = 0; i < testing->capability_count; i++)
        if (strcmp(testing->capabilities[i], capability) == 0)
            return true;
    return false;
}

size_t berth_testing_holds(const struct berth_testing *testing)
{
    const struct berth_hold *hold;
    size_t count = 0;

    LIST_FOREACH(hold, &testing->holds, link)
    count++;
    return count;
}

enum berth_code berth_testing_failure(const struct berth_testing *testing, struct berth_error *err)
{
    if (testing->failure == BERTH_OK)
        return BERTH_OK;
    return berth_error_set(err, testing->failure, "%s", testing->failure_message);
}

void fake_condition_set(struct berth_testing *testing, struct fake_condition *condition, enum berth_code code,
                        const char *message)
{
    free(condition->reason);
    condition->code = code;
    condition->reason = code == BERTH_OK ? NULL : fake_format("%s", message);
    changes_note(&testing->changes);
}

enum berth_code berth_testing_condition(const struct berth_testing *testing, struct berth_error *err)
{
    if (testing->condition.code == BERTH_OK)
        return BERTH_OK;
    return berth_error_set(err, testing->condition.code, "%s", testing->condition.reason);
}

const struct berth_host *berth_testing_host(struct berth_testing *testing)
{
    return &testing->host;
}

uv_loop_t *berth_testing_loop(struct berth_testing *testing)
{
    return testing->loop;
}

void *berth_testing_instance(const struct berth_testing *testing)
{
    return testing->instance;
}

const void *berth_testing_interface(const struct berth_testing *testing)
{
    return BERTH_HAS(testing->plugin, interface) ? testing->plugin->interface : NULL;
}
