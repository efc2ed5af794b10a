/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the socket of the daemon where nobody names one. */
#include "address.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *joined(const char *folder, const char *rest)
{
    char *path;

    if (asprintf(&path, "%s/%s", folder, rest) < 0)
        abort();
    return path;
}

/* An absolute folder in a variable of the environment; NULL where it says none. */
static const char *folder_in(const char *variable)
{
    const char *folder = getenv(variable);

    return folder != NULL && folder[0] == '/' ? folder : NULL;
}

/* Where a user's own berthd listens by default: the rule is berthd's. */
static char *address_of_user(void)
{
    const char *runtime = folder_in("XDG_RUNTIME_DIR"), *data = folder_in("XDG_DATA_HOME");
    const char *home = folder_in("HOME");
    const struct passwd *user;

    if (runtime != NULL)
        return joined(runtime, "berth/berth.sock");
    if (data != NULL)
        return joined(data, "berth/run/berth.sock");
    if (home == NULL) {
        user = getpwuid(geteuid());
        home = user != NULL && user->pw_dir[0] == '/' ? user->pw_dir : "/nonexistent";
    }
    return joined(home, ".local/share/berth/run/berth.sock");
}

char *address_find(void)
{
    const char *address = getenv("BERTH_ADDRESS");
    char *given;

    if (address == NULL || *address == '\0')
        return geteuid() == 0 ? joined("/run/berth", "berth.sock") : address_of_user();
    given = strdup(address);
    if (given == NULL)
        abort();
    return given;
}
