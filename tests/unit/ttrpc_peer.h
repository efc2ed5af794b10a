/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TTRPC_PEER_H
#define TESTS_TTRPC_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The frame that was read last, and what is in it if it is a Response. */
struct ttrpc_answer {
    uint32_t id;
    uint8_t type;
    uint8_t flags;
    uint32_t length;
    unsigned char data[(4 << 20) + 1024];
    int32_t code;
    char message[512];
    bool has_payload;
    const unsigned char *payload;
    size_t payload_length;
};

/** Connects to a unix socket. */
int ttrpc_peer_open(const char *path);
void ttrpc_peer_send(int fd, const void *bytes, size_t length);
void ttrpc_peer_frame(int fd, uint32_t id, uint8_t type, uint8_t flags, const void *data, size_t length);

/** A Request of "/service/method"; `payload` NULL: it has none. `pairs` are keys and values in turn, NULL at
 * the end, or NULL. */
void ttrpc_peer_request(int fd, uint32_t id, uint8_t flags, const char *path, const void *payload,
                        size_t length, int64_t timeout_nano, const char *const *pairs);

/** @return false where nothing came for `timeout_ms`, or the connection ended. */
bool ttrpc_peer_read(int fd, struct ttrpc_answer *ret_answer, int timeout_ms);

#endif
