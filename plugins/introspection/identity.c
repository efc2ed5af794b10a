/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's identity: a random UUID that is kept across restarts, and its PID namespace. */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum berth_code identity_make_uuid(char ret_uuid[IDENTITY_UUID_SIZE], struct berth_error *err)
{
    static const char groups[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    unsigned char bytes[16];
    size_t nibble = 0;

    if (getentropy(bytes, sizeof(bytes)) != 0)
        return berth_error_set(err, BERTH_UNAVAILABLE, "no random bytes for the daemon's UUID: %s",
                               strerror(errno));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    for (size_t i = 0; i < sizeof(groups); i++) {
        ret_uuid[i] = groups[i];
        if (groups[i] != 'x')
            continue;
        ret_uuid[i] = "0123456789abcdef"[nibble % 2 == 0 ? bytes[nibble / 2] >> 4 : bytes[nibble / 2] & 15];
        nibble++;
    }
    return BERTH_OK;
}

static bool is_uuid(const char *text)
{
    for (size_t i = 0; i < IDENTITY_UUID_SIZE - 1; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? text[i] != '-' : strchr("0123456789abcdefABCDEF", text[i]) == NULL || text[i] == '\0')
            return false;
    }
    return text[IDENTITY_UUID_SIZE - 1] == '\0';
}

/* Reads a UUID, perhaps followed by a newline. Anything else counts as missing. */
static bool read_uuid(const char *path, char ret_uuid[IDENTITY_UUID_SIZE])
{
    char text[IDENTITY_UUID_SIZE + 1] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t length;

    if (fd < 0)
        return false;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[strcspn(text, "\n")] = '\0';
    if (length < 0 || !is_uuid(text))
        return false;
    memcpy(ret_uuid, text, IDENTITY_UUID_SIZE);
    return true;
}

static bool write_file(int fd, const char *uuid)
{
    size_t length = IDENTITY_UUID_SIZE - 1;

    return write(fd, uuid, length) == (ssize_t)length && fchmod(fd, 0644) == 0 && fsync(fd) == 0;
}

/* Written under a temporary name first, so that nobody reads a partial file. */
static enum berth_code write_uuid(const char *folder, const char *path, const char *uuid,
                                  struct berth_error *err)
{
    char *temporary;
    bool kept;
    int fd;

    if (asprintf(&temporary, "%s/.uuid-XXXXXX", folder) < 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to keep the daemon's UUID");
    fd = mkostemp(temporary, O_CLOEXEC);
    kept = fd >= 0 && write_file(fd, uuid) && rename(temporary, path) == 0;
    if (!kept)
        berth_error_set(err, BERTH_UNAVAILABLE, "cannot keep the daemon's UUID in %s: %s", path,
                        strerror(errno));
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && !kept)
        unlink(temporary);
    free(temporary);
    return kept ? BERTH_OK : BERTH_UNAVAILABLE;
}

enum berth_code identity_keep_uuid(const char *folder, char ret_uuid[IDENTITY_UUID_SIZE],
                                   struct berth_error *err)
{
    char uuid[IDENTITY_UUID_SIZE];
    enum berth_code code;
    char *path;

    if (asprintf(&path, "%s/uuid", folder) < 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to read the daemon's UUID");
    if (read_uuid(path, ret_uuid)) {
        free(path);
        return BERTH_OK;
    }
    code = identity_make_uuid(uuid, err);
    if (code == BERTH_OK)
        code = write_uuid(folder, path, uuid, err);
    if (code == BERTH_OK)
        memcpy(ret_uuid, uuid, sizeof(uuid));
    free(path);
    return code;
}

uint64_t identity_pid_namespace(void)
{
    struct stat status;

    return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}
