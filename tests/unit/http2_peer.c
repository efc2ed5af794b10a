/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP/2 client or server made of bare frames, for what no honest one sends. */
#include "http2_peer.h"

#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#define FRAME_HEADER 9
#define AWAIT_MS 5000

void http2_peer_send(struct http2_peer *peer, const void *bytes, size_t length)
{
    const char *from = bytes;

    if (peer->is_corked) {
        assert(peer->corked_length + length <= sizeof(peer->corked));
        memcpy(peer->corked + peer->corked_length, bytes, length);
        peer->corked_length += length;
        return;
    }
    while (length > 0) {
        ssize_t sent = send(peer->fd, from, length, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        from += sent;
        length -= (size_t)sent;
    }
}

void http2_peer_cork(struct http2_peer *peer)
{
    peer->is_corked = true;
}

void http2_peer_uncork(struct http2_peer *peer)
{
    size_t length = peer->corked_length;

    peer->is_corked = false;
    peer->corked_length = 0;
    http2_peer_send(peer, peer->corked, length);
}

void http2_peer_send_frame(struct http2_peer *peer, uint8_t type, uint8_t flags, uint32_t id,
                           const void *payload, size_t length)
{
    uint8_t *frame = malloc(FRAME_HEADER + length);

    assert(frame != NULL);
    memcpy(frame,
           (uint8_t[]){(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, type, flags,
                       (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id},
           FRAME_HEADER);
    if (length > 0)
        memcpy(frame + FRAME_HEADER, payload, length);
    http2_peer_send(peer, frame, FRAME_HEADER + length);
    free(frame);
}

static struct http2_peer *create(int fd)
{
    struct http2_peer *peer = calloc(1, sizeof(*peer));
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;

    assert(peer != NULL);
    nghttp2_hd_deflate_new(&deflater, 4096);
    nghttp2_hd_inflate_new(&inflater);
    peer->encoder = deflater;
    peer->decoder = inflater;
    peer->fd = fd;
    return peer;
}

static void greet(struct http2_peer *peer)
{
    http2_peer_send(peer, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    http2_peer_send_frame(peer, PEER_SETTINGS, 0, 0, NULL, 0);
}

struct http2_peer *http2_peer_open_tcp(uint16_t port)
{
    struct http2_peer *peer = create(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(peer->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        abort();
    greet(peer);
    return peer;
}

struct http2_peer *http2_peer_open(const char *path, bool is_mute)
{
    struct http2_peer *peer = create(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    if (connect(peer->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        abort();
    if (!is_mute)
        greet(peer);
    return peer;
}

void http2_peer_close(struct http2_peer *peer)
{
    close(peer->fd);
    nghttp2_hd_deflate_del(peer->encoder);
    nghttp2_hd_inflate_del(peer->decoder);
    free(peer);
}

void http2_peer_send_headers(struct http2_peer *peer, uint8_t flags, uint32_t id,
                             const struct http2_field *fields, size_t count)
{
    nghttp2_nv *items = calloc(count, sizeof(*items));
    uint8_t *block;
    size_t bound;
    ssize_t length;

    for (size_t i = 0; i < count; i++)
        items[i] = (nghttp2_nv){.name = (uint8_t *)fields[i].name,
                                .value = (uint8_t *)fields[i].value,
                                .namelen = strlen(fields[i].name),
                                .valuelen = strlen(fields[i].value)};
    bound = nghttp2_hd_deflate_bound(peer->encoder, items, count);
    block = malloc(bound);
    length = nghttp2_hd_deflate_hd(peer->encoder, block, bound, items, count);
    assert(length >= 0);
    if (length <= 16384) {
        http2_peer_send_frame(peer, PEER_HEADERS, flags | PEER_END_HEADERS, id, block, (size_t)length);
    } else {
        http2_peer_send_frame(peer, PEER_HEADERS, flags, id, block, 16384);
        for (ssize_t at = 16384; at < length; at += 16384)
            http2_peer_send_frame(peer, PEER_CONTINUATION, length - at <= 16384 ? PEER_END_HEADERS : 0, id,
                                  block + at, (size_t)(length - at < 16384 ? length - at : 16384));
    }
    free(block);
    free(items);
}

void http2_peer_call(struct http2_peer *peer, uint8_t flags, uint32_t id, const char *path,
                     const struct http2_field *more, size_t count)
{
    struct http2_field fields[64] = {
        {":method", "POST"},         {":scheme", "http"}, {":path", path},
        {":authority", "localhost"}, {"te", "trailers"},  {"content-type", "application/grpc"},
    };

    if (count > 0)
        memcpy(fields + 6, more, count * sizeof(*more));
    http2_peer_send_headers(peer, flags, id, fields, 6 + count);
}

static bool read_fully(struct http2_peer *peer, void *bytes, size_t length, int timeout_ms)
{
    struct pollfd readable = {.fd = peer->fd, .events = POLLIN};
    char *to = bytes;

    while (length > 0) {
        ssize_t got;

        if (poll(&readable, 1, timeout_ms) <= 0)
            return false;
        got = recv(peer->fd, to, length, 0);
        if (got <= 0)
            return false;
        to += got;
        length -= (size_t)got;
    }
    return true;
}

static void take_settings(struct http2_peer *peer)
{
    for (size_t at = 0; at + 6 <= peer->length; at += 6) {
        const uint8_t *entry = peer->payload + at;

        if (entry[0] == 0 && entry[1] < 16)
            peer->settings[entry[1]] =
                (uint32_t)entry[2] << 24 | (uint32_t)entry[3] << 16 | (uint32_t)entry[4] << 8 | entry[5];
    }
    peer->has_settings = true;
    http2_peer_send_frame(peer, PEER_SETTINGS, PEER_ACK, 0, NULL, 0);
}

static struct http2_answer unasked;

static void take_headers(struct http2_peer *peer, struct http2_answer *answer)
{
    const uint8_t *at = peer->payload;
    size_t left = peer->length;
    int flags = 0;

    if (answer == &unasked)
        answer->header_count = 0;
    while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv item;
        ssize_t eaten = nghttp2_hd_inflate_hd2(peer->decoder, &item, &flags, at, left, 1);

        assert(eaten >= 0);
        at += eaten;
        left -= (size_t)eaten;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0)
            continue;
        assert(answer->header_count < 64 && item.namelen < 1024);
        memcpy(answer->headers[answer->header_count][0], item.name, item.namelen);
        memcpy(answer->headers[answer->header_count++][1], item.value,
               item.valuelen < 1023 ? item.valuelen : 1023);
    }
    nghttp2_hd_inflate_end_headers(peer->decoder);
    answer->header_frames++;
}

struct http2_peer *http2_peer_accept(int listener, bool is_mute, int timeout_ms)
{
    struct pollfd readable = {.fd = listener, .events = POLLIN};
    struct http2_peer *peer;
    char preface[24];

    if (poll(&readable, 1, timeout_ms) <= 0)
        return NULL;
    peer = create(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    read_fully(peer, preface, sizeof(preface), timeout_ms);
    if (!is_mute)
        http2_peer_send_frame(peer, PEER_SETTINGS, 0, 0, NULL, 0);
    return peer;
}

bool http2_peer_read(struct http2_peer *peer, int timeout_ms)
{
    uint8_t header[FRAME_HEADER];

    if (!read_fully(peer, header, sizeof(header), timeout_ms))
        return false;
    peer->length = (uint32_t)header[0] << 16 | (uint32_t)header[1] << 8 | header[2];
    peer->type = header[3];
    peer->flags = header[4];
    peer->id = (uint32_t)header[5] << 24 | (uint32_t)header[6] << 16 | (uint32_t)header[7] << 8 | header[8];
    assert(peer->length <= sizeof(peer->payload));
    if (!read_fully(peer, peer->payload, peer->length, timeout_ms))
        return false;
    if (peer->type == PEER_SETTINGS && (peer->flags & PEER_ACK) == 0)
        take_settings(peer);
    /* Every block is decoded, because each changes the table for the next (RFC 7541 2.3.2). */
    if (peer->type == PEER_HEADERS)
        take_headers(peer, peer->answer != NULL && peer->id == peer->answer_id ? peer->answer : &unasked);
    return true;
}

void http2_peer_await(struct http2_peer *peer, uint32_t id, struct http2_answer *answer)
{
    memset(answer, 0, sizeof(*answer));
    peer->answer = answer;
    peer->answer_id = id;
    while (!answer->is_ended && !answer->is_reset) {
        if (!http2_peer_read(peer, AWAIT_MS)) {
            answer->is_closed = true;
            break;
        }
        if (peer->id != id)
            continue;
        if (peer->type == PEER_DATA && answer->length + peer->length <= sizeof(answer->data)) {
            memcpy(answer->data + answer->length, peer->payload, peer->length);
            answer->length += peer->length;
        }
        if (peer->type == PEER_RST_STREAM) {
            answer->is_reset = true;
            answer->reset_error = peer->payload[3];
        }
        if ((peer->type == PEER_HEADERS || peer->type == PEER_DATA) && (peer->flags & PEER_END_STREAM) != 0)
            answer->is_ended = true;
    }
    peer->answer = NULL;
}

bool http2_peer_await_frame(struct http2_peer *peer, uint8_t type, int timeout_ms)
{
    while (http2_peer_read(peer, timeout_ms))
        if (peer->type == type && (type == PEER_GOAWAY || type == PEER_RST_STREAM || type == PEER_DATA ||
                                   type == PEER_HEADERS || (peer->flags & PEER_ACK) != 0))
            return true;
    return false;
}

const char *http2_answer_get(const struct http2_answer *answer, const char *name)
{
    for (size_t i = answer->header_count; i > 0; i--)
        if (strcmp(answer->headers[i - 1][0], name) == 0)
            return answer->headers[i - 1][1];
    return NULL;
}
