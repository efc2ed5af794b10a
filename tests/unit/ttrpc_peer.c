/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of a ttrpc connection, made of bare frames, which may break every rule. */
#include "ttrpc_peer.h"

#include <poll.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <sdk/rpc/ttrpc/message.h>

int ttrpc_peer_open(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void ttrpc_peer_send(int fd, const void *bytes, size_t length)
{
    const char *rest = bytes;

    while (length > 0) {
        ssize_t sent = send(fd, rest, length, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        rest += sent;
        length -= (size_t)sent;
    }
}

void ttrpc_peer_frame(int fd, uint32_t id, uint8_t type, uint8_t flags, const void *data, size_t length)
{
    unsigned char header[TTRPC_HEADER];

    ttrpc_header_write(header, (uint32_t)length, id, type, flags);
    ttrpc_peer_send(fd, header, sizeof(header));
    ttrpc_peer_send(fd, data, length);
}

void ttrpc_peer_request(int fd, uint32_t id, uint8_t flags, const char *path, const void *payload,
                        size_t length, int64_t timeout_nano, const char *const *pairs)
{
    struct berth_metadata metadata[16] = {0};
    unsigned char prefix[TTRPC_PAYLOAD_PREFIX_MAX];
    size_t prefix_length = payload == NULL ? 0 : ttrpc_request_payload_prefix(prefix, length);
    unsigned char *bytes;
    size_t count = 0;
    size_t size;

    for (; pairs != NULL && pairs[2 * count] != NULL; count++)
        metadata[count] =
            (struct berth_metadata){pairs[2 * count], pairs[2 * count + 1], strlen(pairs[2 * count + 1])};
    size = ttrpc_request_size(path, timeout_nano, metadata, count);
    bytes = malloc(size + prefix_length + length + 1);
    ttrpc_request_write(bytes, path, timeout_nano, metadata, count);
    memcpy(bytes + size, prefix, prefix_length);
    if (payload != NULL)
        memcpy(bytes + size + prefix_length, payload, length);
    ttrpc_peer_frame(fd, id, TTRPC_REQUEST, flags, bytes, size + prefix_length + length);
    free(bytes);
}

static bool receive(int fd, unsigned char *bytes, size_t length, int timeout_ms)
{
    while (length > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (poll(&ready, 1, timeout_ms) <= 0)
            return false;
        got = recv(fd, bytes, length, 0);
        if (got <= 0)
            return false;
        bytes += got;
        length -= (size_t)got;
    }
    return true;
}

static bool read_response(struct ttrpc_answer *answer)
{
    struct ttrpc_response response;

    if (ttrpc_response_parse((struct span){answer->data, answer->length}, &response) != NULL)
        return false;
    answer->code = response.code;
    snprintf(answer->message, sizeof(answer->message), "%.*s", (int)response.message.length,
             (const char *)response.message.bytes);
    answer->has_payload = response.has_payload;
    answer->payload = response.payload.bytes;
    answer->payload_length = response.payload.length;
    return true;
}

bool ttrpc_peer_read(int fd, struct ttrpc_answer *answer, int timeout_ms)
{
    unsigned char header[TTRPC_HEADER];

    if (!receive(fd, header, sizeof(header), timeout_ms))
        return false;
    answer->length =
        (uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3];
    answer->id = (uint32_t)header[4] << 24 | (uint32_t)header[5] << 16 | (uint32_t)header[6] << 8 | header[7];
    answer->type = header[8];
    answer->flags = header[9];
    answer->code = 0;
    answer->message[0] = '\0';
    if (answer->length > sizeof(answer->data) || !receive(fd, answer->data, answer->length, timeout_ms))
        return false;
    return answer->type != TTRPC_RESPONSE || read_response(answer);
}
