/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes pipes. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* protoc's requests for a tree of a thousand files have some megabytes. */
#define STREAM_MAX ((size_t)64 << 20)

enum berth_code stream_read(int fd, const char *name, uint8_t **ret_bytes, size_t *ret_length,
                            struct berth_error *err)
{
    size_t capacity = 64 << 10, length = 0;
    uint8_t *bytes = malloc(capacity);
    ssize_t n = 1;

    while (bytes != NULL && n != 0 && length <= STREAM_MAX) {
        if (length == capacity) {
            uint8_t *larger = realloc(bytes, capacity * 2);

            if (larger == NULL)
                break;
            bytes = larger;
            capacity *= 2;
        }
        n = read(fd, bytes + length, capacity - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        length += (size_t)n;
    }
    if (bytes != NULL && n == 0) {
        *ret_bytes = bytes;
        *ret_length = length;
        return BERTH_OK;
    }
    free(bytes);
    if (n < 0)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s: cannot be read: %s", name, strerror(errno));
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: has more than the maximum of %zu bytes", name,
                           STREAM_MAX);
}

bool stream_write(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}
