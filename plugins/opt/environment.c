/* SPDX-License-Identifier: Apache-2.0 */
/* An environment for child processes, with directories in front of PATH and LD_LIBRARY_PATH. */
#include "environment.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a program without PATH is looked for, as execvp has it. */
#define USUAL_PATH "/bin:/usr/bin"

void environment_destroy(char **environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
        free(environment[i]);
    free(environment);
}

static bool is_named(const char *variable, const char *name)
{
    size_t length = strlen(name);

    return strncmp(variable, name, length) == 0 && variable[length] == '=';
}

static const char *find(char *const *from, const char *name)
{
    for (size_t i = 0; from[i] != NULL; i++)
        if (is_named(from[i], name))
            return from[i] + strlen(name) + 1;
    return NULL;
}

/* An empty element of such a list means the current directory, so none is created. */
static char *make_variable(const char *name, const char *first, const char *others)
{
    bool alone = others == NULL || *others == '\0';
    char *variable;

    if (asprintf(&variable, "%s=%s%s%s", name, first, alone ? "" : ":", alone ? "" : others) < 0)
        return NULL;
    return variable;
}

static bool fill(char **environment, char *const *from, const char *bin, const char *lib)
{
    const char *path = find(from, "PATH");
    size_t count = 2;

    environment[0] = make_variable("PATH", bin, path != NULL ? path : USUAL_PATH);
    environment[1] = make_variable("LD_LIBRARY_PATH", lib, find(from, "LD_LIBRARY_PATH"));
    if (environment[0] == NULL || environment[1] == NULL) {
        free(environment[1]);
        environment[1] = NULL;
        return false;
    }
    for (size_t i = 0; from[i] != NULL; i++) {
        if (is_named(from[i], "PATH") || is_named(from[i], "LD_LIBRARY_PATH"))
            continue;
        environment[count] = strdup(from[i]);
        if (environment[count++] == NULL)
            return false;
    }
    return true;
}

char **environment_create(char *const *from, const char *bin, const char *lib)
{
    static char *const nothing[] = {NULL};
    size_t count = 0;
    char **environment;

    if (from == NULL)
        from = nothing;

    while (from[count] != NULL)
        count++;
    environment = calloc(count + 3, sizeof(*environment));
    if (environment != NULL && !fill(environment, from, bin, lib)) {
        environment_destroy(environment);
        return NULL;
    }
    return environment;
}
