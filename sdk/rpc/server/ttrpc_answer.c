/* SPDX-License-Identifier: Apache-2.0 */
/* How a call over ttrpc is answered: Data and its end, or one Response with the message or the failure in it.
 */
#include "ttrpc.h"

#include <assert.h>
#include <string.h>

#include <berth/utf8.h>

#include <sdk/base/container_of.h>

/* What of a sentence is over it once it is text is cut, and details over theirs are left out. */
#define TEXT_MAX 4096
#define DETAILS_MAX 8192

static_assert(TTRPC_HEADER + TEXT_MAX + DETAILS_MAX + 64 <= BATCH_FRAME_MAX,
              "a batch that has room has room for any failure");

static const char replacement[] = "\xef\xbf\xbd";

/* A Status holds text: U+FFFD for each byte that is none. What has no room is cut. */
static size_t copy_text(unsigned char *place, size_t room, const char *text, size_t length)
{
    size_t copied = 0;
    size_t at = 0;

    while (at < length) {
        size_t step = berth_utf8_character(text + at, length - at);
        const char *source = step > 0 ? text + at : replacement;
        size_t size = step > 0 ? step : sizeof(replacement) - 1;

        if (size > room - copied)
            break;
        memcpy(place + copied, source, size);
        copied += size;
        at += step > 0 ? step : 1;
    }
    return copied;
}

static struct span make_text(struct berth_arena *arena, const char *message)
{
    size_t length = message == NULL ? 0 : server_message_length(message);
    size_t room = 3 * length < TEXT_MAX ? 3 * length : TEXT_MAX;
    unsigned char *text = length == 0 ? NULL : berth_arena_take(arena, room);

    if (text == NULL)
        return (struct span){NULL, 0};
    return (struct span){text, copy_text(text, room, message, length)};
}

void server_ttrpc_answer(struct server_ttrpc_call *self, enum berth_code code, const char *message,
                         const void *details, size_t details_length)
{
    const struct span none = {NULL, 0};
    struct span status = {details, details_length <= DETAILS_MAX ? details_length : 0};
    struct span text;
    unsigned char *bytes;
    size_t size;

    if (code == BERTH_OK)
        return;
    text = make_text(&self->arena, message);
    size = ttrpc_status_size(code, text, status);
    bytes = berth_arena_take(&self->arena, size);
    if (bytes == NULL) {
        bytes = self->bare_failure;
        size = ttrpc_status_size(code, none, none);
        text = status = none;
    }
    ttrpc_status_write(bytes, code, text, status);
    self->failure = (struct span){bytes, size};
}

const char *server_ttrpc_refusal(struct server_ttrpc_call *self, enum berth_code code, const char *message)
{
    static const char unknown[] = "unknown ";
    const char *method;
    int service_length;
    size_t size;
    char *text;

    if (code != BERTH_UNIMPLEMENTED || message == NULL || self->path == NULL)
        return message;
    method = strrchr(self->path, '/') + 1;
    service_length = (int)(method - self->path) - 2;
    size = strlen(self->path) + 64;
    text = berth_arena_take(&self->arena, size);
    if (text == NULL)
        return message;
    snprintf(text, size, "%sservice %.*s", unknown, service_length, self->path + 1);
    if (strcmp(text, message) == 0)
        return text + strlen(unknown);
    snprintf(text, size, "%smethod %s for service %.*s", unknown, method, service_length, self->path + 1);
    if (strcmp(text, message) != 0)
        return message;
    snprintf(text, size, "method %s", method);
    return text;
}

/* The message that is the whole answer. */
static void put_reply(struct server_ttrpc_call *self, struct batch *batch)
{
    bool is_in_outflow = self->outflow.outbox.first != NULL;
    uint32_t length = is_in_outflow ? ttrpc_message_length(&self->outflow) : (uint32_t)self->reply.length;
    unsigned char prefix[TTRPC_PAYLOAD_PREFIX_MAX];
    size_t prefix_length = length == 0 ? 0 : ttrpc_response_payload_prefix(prefix, length);

    ttrpc_put_header(batch, (uint32_t)prefix_length + length, &self->stream, TTRPC_RESPONSE, 0);
    batch_add_bytes(batch, prefix, prefix_length);
    if (is_in_outflow)
        ttrpc_put_message(batch, &self->outflow);
    else
        batch_add_bytes(batch, self->reply.bytes, self->reply.length);
}

static void put_end(struct server_ttrpc_call *self, struct batch *batch)
{
    if (self->failure.length > 0) {
        ttrpc_put_header(batch, (uint32_t)self->failure.length, &self->stream, TTRPC_RESPONSE, 0);
        batch_add_bytes(batch, self->failure.bytes, self->failure.length);
    } else if (self->is_streaming) {
        ttrpc_put_header(batch, 0, &self->stream, TTRPC_DATA, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    } else {
        put_reply(self, batch);
    }
}

bool server_ttrpc_call_put(struct ttrpc_stream *stream, struct batch *batch)
{
    struct server_ttrpc_call *self = CONTAINER_OF(stream, struct server_ttrpc_call, stream);

    if (self->is_streaming && self->outflow.outbox.first != NULL) {
        ttrpc_put_data(batch, stream, &self->outflow);
        return self->outflow.outbox.first != NULL || self->is_ended;
    }
    if (self->is_ended) {
        put_end(self, batch);
        server_ttrpc_call_destroy(self);
    }
    return false;
}
