/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a folder to one process, by flock on a file with that process's number in it. */
#include "folder_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "failure.h"

static enum berth_code refuse(int fd, const char *folder, struct berth_error *err)
{
    char text[16] = "";
    ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
    long holder = length > 0 ? strtol(text, NULL, 10) : 0;

    if (holder > 0)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: process %ld has this store open; two daemons need two roots", folder,
                               holder);
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s: another process has this store open; two daemons need two roots", folder);
}

/* For the sentence of whoever comes second; a full disk is no reason not to open what is there. */
static void write_holder(int fd)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    if (pwrite(fd, text, (size_t)length, 0) == length && ftruncate(fd, length) == 0)
        return;
    (void)!ftruncate(fd, 0);
}

enum berth_code folder_lock_take(const char *folder, int *ret_fd, struct berth_error *err)
{
    char path[PATH_MAX];
    enum berth_code code;
    int fd;

    snprintf(path, sizeof(path), "%s/lock", folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return failure_set(err, errno, path, "cannot be opened");
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        write_holder(fd);
        *ret_fd = fd;
        return BERTH_OK;
    }
    code = errno == EWOULDBLOCK ? refuse(fd, folder, err) : failure_set(err, errno, path, "cannot be locked");
    close(fd);
    return code;
}
