/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends streams when a plugin drains. A stream that never ends by itself would delay a shutdown or an upgrade
 * until the deadline.
 *
 * A drained plugin may keep running: if its upgrade fails, the instance serves calls again. So end streams,
 * but refuse later ones only if the daemon is stopping.
 */
#ifndef BERTH_ENDING_H
#define BERTH_ENDING_H

#include <string.h>

#include <berth/plugin.h>
#include <berth/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Is the daemon stopping, so that no later call is of use? */
static inline bool berth_is_stopping(const struct berth_host *host)
{
    return berth_ending_of(host) == BERTH_ENDING_STOPPING;
}

/* google.rpc.Status with a google.rpc.RetryInfo whose delay is zero. */
static inline void berth_put_retry_status(struct berth_wire_buffer *buffer, const char *message)
{
    static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
    static const uint8_t no_delay[] = {1 << 3 | BERTH_WIRE_BYTES, 0};
    size_t length =
        berth_wire_size_of_bytes(1, sizeof(type) - 1) + berth_wire_size_of_bytes(2, sizeof(no_delay));

    berth_wire_put_number(buffer, 1, BERTH_UNAVAILABLE);
    berth_wire_put_bytes(buffer, 2, message, strlen(message));
    berth_wire_put_head(buffer, 3, length);
    berth_wire_put_bytes(buffer, 1, type, sizeof(type) - 1);
    berth_wire_put_bytes(buffer, 2, no_delay, sizeof(no_delay));
}

/**
 * For drain: ends a stream with UNAVAILABLE and the reason. If another generation takes over, the status
 * tells the caller to call again at once (google.rpc.RetryInfo).
 *
 * @param stopping  the message if the daemon is stopping.
 */
static inline void berth_call_end(const struct berth_host *host, struct berth_call *call,
                                  const char *stopping)
{
    const char *replaced = "the service is being replaced; call again";
    struct berth_wire_buffer status = {NULL, 0, 0, false};

    switch (berth_ending_of(host)) {
    case BERTH_ENDING_STOPPING:
        berth_call_finish(call, BERTH_UNAVAILABLE, stopping);
        break;
    case BERTH_ENDING_REPLACED:
        berth_put_retry_status(&status, replaced);
        berth_call_finish_with_details(call, BERTH_UNAVAILABLE, replaced, status.failed ? NULL : status.bytes,
                                       status.failed ? 0 : status.length);
        berth_wire_finish(&status);
        break;
    case BERTH_ENDING_REMOVED:
        berth_call_finish(call, BERTH_UNAVAILABLE, "the service has been stopped");
        break;
    }
}

#ifdef __cplusplus
}
#endif

#endif
