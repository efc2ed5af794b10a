/* SPDX-License-Identifier: Apache-2.0 */
/* Names sockets for the service manager's file descriptor store, and tells it of them. */
#include "kept.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <core/base/log.h>
#include <sdk/base/hash.h>

/* Names have no colons, which separate them in LISTEN_FDNAMES. */
#define FORM "berthd-%016" PRIx64 "-%" PRIx64 "-%" PRIx64

uint64_t kept_hash(const char *uri, const char *address)
{
    uint64_t hash = berth_hash(BERTH_HASH_START, uri, strlen(uri) + 1);

    return berth_hash(hash, address, strlen(address));
}

void kept_format(const struct kept *kept, char ret_name[KEPT_NAME_MAX])
{
    snprintf(ret_name, KEPT_NAME_MAX, FORM, kept->hash, (uint64_t)kept->device, (uint64_t)kept->inode);
}

bool kept_parse(const char *name, struct kept *ret_kept)
{
    char again[KEPT_NAME_MAX];
    uint64_t hash, device, inode;
    struct kept kept;

    if (sscanf(name, "berthd-%16" SCNx64 "-%16" SCNx64 "-%16" SCNx64, &hash, &device, &inode) != 3)
        return false;
    kept = (struct kept){hash, (dev_t)device, (ino_t)inode};
    kept_format(&kept, again);
    if (strcmp(name, again) != 0)
        return false;
    *ret_kept = kept;
    return true;
}

unsigned kept_max(void)
{
    const char *text = getenv("FDSTORE");
    unsigned long number;
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return 0;
    errno = 0;
    number = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return 0;
    return number < 4096 ? (unsigned)number : 4096;
}

bool kept_add(listeners_notify *notify, const char *name, int fd)
{
    char lines[KEPT_NAME_MAX + 64];
    int result;

    /* A listening socket has no events that would say that it is of no use. */
    snprintf(lines, sizeof(lines), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    result = notify(lines, &fd, 1);
    if (result < 0 && result != -ENOTCONN)
        log_line(BERTH_LOG_WARN, "cannot store a socket with the service manager for the next run: %s",
                 strerror(-result));
    return result == 0;
}

void kept_remove(listeners_notify *notify, const char *name)
{
    char lines[KEPT_NAME_MAX + 64];

    snprintf(lines, sizeof(lines), "FDSTOREREMOVE=1\nFDNAME=%s", name);
    notify(lines, NULL, 0);
}
