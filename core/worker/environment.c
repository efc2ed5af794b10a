/* SPDX-License-Identifier: Apache-2.0 */
/* Which variables of its environment the daemon passes to a worker. */
#include "environment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sdk/base/memory.h>

/* The daemon's environment may hold secrets: a worker gets what a library needs, and what its manifest names.
 */
static bool is_usual(const char *variable)
{
    static const char *const passed[] = {
        "PATH=", "LANG=", "LC_", "TZ=", "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS="};

    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
        if (strncmp(variable, passed[i], strlen(passed[i])) == 0)
            return true;
    return false;
}

static bool is_named(const char *variable, const struct manifest_plugin *plugin)
{
    const char *equals = strchr(variable, '=');

    for (size_t i = 0; equals != NULL && i < plugin->skip_unless_count; i++) {
        const char *at = plugin->skip_unless[i];

        if (strncmp(at, MANIFEST_ENV, strlen(MANIFEST_ENV)) != 0)
            continue;
        at += strlen(MANIFEST_ENV);
        while (*at != '\0') {
            size_t length = strcspn(at, MANIFEST_ENV_OR);

            if (length == (size_t)(equals - variable) && strncmp(at, variable, length) == 0)
                return true;
            at += length + (at[length] != '\0');
        }
    }
    return false;
}

static bool is_passed(const char *variable, const struct confined *confined, size_t count)
{
    bool passes = is_usual(variable);

    for (size_t i = 0; i < count && !passes; i++)
        passes = is_named(variable, confined[i].plugin);
    return passes;
}

char **environment_make(const struct confined *confined, size_t confined_count)
{
    size_t count = 0, passed = 0;
    char **environment;

    while (environ[count] != NULL)
        count++;
    environment = memory_allocate(count + 1, sizeof(*environment));
    for (size_t i = 0; i < count; i++)
        if (is_passed(environ[i], confined, confined_count))
            environment[passed++] = environ[i];
    return environment;
}
