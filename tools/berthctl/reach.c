/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a daemon that does not run from one that this user may not ask. */
#include "reach.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <berth/address.h>

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
