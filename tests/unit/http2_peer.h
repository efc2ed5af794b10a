/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HTTP2_PEER_H
#define TESTS_HTTP2_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer_frame {
    PEER_DATA = 0,
    PEER_HEADERS = 1,
    PEER_RST_STREAM = 3,
    PEER_SETTINGS = 4,
    PEER_PING = 6,
    PEER_GOAWAY = 7,
    PEER_WINDOW_UPDATE = 8,
    PEER_CONTINUATION = 9,
};

#define PEER_END_STREAM 1
#define PEER_ACK 1
#define PEER_END_HEADERS 4

/** What came back on one stream. */
struct http2_answer {
    bool is_ended;
    bool is_reset;
    bool is_closed;
    uint32_t reset_error;
    unsigned header_frames;
    size_t header_count;
    /** Of a longer value its beginning. */
    char headers[64][2][1024];
    uint8_t data[1 << 17];
    size_t length;
};

/** A client or a server made of bare frames, which may break every rule. */
struct http2_peer {
    int fd;
    void *encoder;
    void *decoder;
    /** The frame that was read last. */
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    uint32_t length;
    uint8_t payload[1 << 16];
    /** From the server's first settings; by identifier. */
    uint32_t settings[16];
    bool has_settings;
    /** Where the headers of `answer_id` go. */
    struct http2_answer *answer;
    uint32_t answer_id;
    bool is_corked;
    size_t corked_length;
    uint8_t corked[1 << 16];
};

struct http2_field {
    const char *name;
    const char *value;
};

/** Connects and, unless `is_mute`, sends the preface and empty settings. */
struct http2_peer *http2_peer_open(const char *path, bool is_mute);
struct http2_peer *http2_peer_open_tcp(uint16_t port);
/** The other side: takes one connection and its preface, and unless `is_mute` sends empty settings. @return
 * NULL where none came for `timeout_ms`. */
struct http2_peer *http2_peer_accept(int listener, bool is_mute, int timeout_ms);
void http2_peer_close(struct http2_peer *peer);

void http2_peer_send(struct http2_peer *peer, const void *bytes, size_t length);
/** What is sent between these leaves in one piece. At most 64 KiB. */
void http2_peer_cork(struct http2_peer *peer);
void http2_peer_uncork(struct http2_peer *peer);
void http2_peer_send_frame(struct http2_peer *peer, uint8_t type, uint8_t flags, uint32_t id,
                           const void *payload, size_t length);
void http2_peer_send_headers(struct http2_peer *peer, uint8_t flags, uint32_t id,
                             const struct http2_field *fields, size_t count);
/** The usual headers of a call of `path`, and `count` more. */
void http2_peer_call(struct http2_peer *peer, uint8_t flags, uint32_t id, const char *path,
                     const struct http2_field *more, size_t count);

/** Reads one frame; answers settings. @return false where nothing came for `timeout_ms` or the connection
 * ended. */
bool http2_peer_read(struct http2_peer *peer, int timeout_ms);
/** Reads until the stream has ended, was reset, or the connection is gone. */
void http2_peer_await(struct http2_peer *peer, uint32_t id, struct http2_answer *ret_answer);
/** Reads until a frame of the type comes. */
bool http2_peer_await_frame(struct http2_peer *peer, uint8_t type, int timeout_ms);

/** @return the value of the last header or trailer of the name; NULL. */
const char *http2_answer_get(const struct http2_answer *answer, const char *name);

#endif
