/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_KEEPALIVE_H
#define RPC_HTTP2_KEEPALIVE_H

#include <sdk/rpc/socket/connection.h>

/**
 * Asks a silent peer whether it is still there, and loses the connection where it does not answer. Embedded
 * beside the connection, by whichever side wants to know.
 */
struct keepalive {
    struct connection *connection;
    /** After how long a silence; 0: never. */
    uint32_t time_ms;
    /** How long any byte of an answer may take. */
    uint32_t timeout_ms;
    /** Is there a reason to ask? Where not it rests until keepalive_start. NULL: always. */
    bool (*is_wanted)(struct keepalive *keepalive);
    /** Sends something that is answered; from the top level. */
    void (*ping)(struct keepalive *keepalive);

    /** On the clock of uv_now(). */
    uint64_t started_ms;
    uint64_t pinged_ms;
    bool is_asking;
    struct deadline deadline;
};

/** Waits for silence from now on; does nothing where it does already. The first five members are set. */
void keepalive_start(struct keepalive *keepalive);
/** There is a reason to ask again: the silence so far counts. */
void keepalive_wake(struct keepalive *keepalive);
/** Before the connection goes. */
void keepalive_stop(struct keepalive *keepalive);

#endif
