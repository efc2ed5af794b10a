/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the daemon's socket if none is named, and why it cannot be reached: no daemon, or no permission. */
#include "address.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <berth/address.h>

#include <sdk/base/memory.h>

/* An absolute folder in a variable of the environment; NULL if it names none. */
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
        return memory_format("%s/berth/berth.sock", runtime);
    if (data != NULL)
        return memory_format("%s/berth/run/berth.sock", data);
    if (home == NULL) {
        user = getpwuid(geteuid());
        home = user != NULL && user->pw_dir[0] == '/' ? user->pw_dir : "/nonexistent";
    }
    return memory_format("%s/.local/share/berth/run/berth.sock", home);
}

char *address_find(void)
{
    const char *address = getenv("BERTH_ADDRESS");

    if (address != NULL && *address != '\0')
        return memory_copy(address);
    return geteuid() == 0 ? memory_copy("/run/berth/berth.sock") : address_of_user();
}

/* @return 0 or an errno. */
static int knock(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, error = 0;

    if (strlen(path) >= sizeof(address.sun_path))
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        error = errno;
    close(fd);
    return error;
}

enum reach reach_look(const char *address)
{
    struct berth_address parsed;

    if (berth_address_parse(address, &parsed, NULL) != BERTH_OK || parsed.path == NULL)
        return REACH_UNKNOWN;
    switch (knock(parsed.path)) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        return REACH_NOBODY;
    case EACCES:
    case EPERM:
        return REACH_FORBIDDEN;
    default:
        return REACH_UNKNOWN;
    }
}
