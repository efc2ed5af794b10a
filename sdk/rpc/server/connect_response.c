/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The response to one call of the Connect protocol. A unary response tells in its head how the call ended, so
 * the reply is kept until then. A stream's messages leave at once, each in an envelope, and its end is one
 * more.
 */
#include "connect_response.h"

#include <stdlib.h>
#include <string.h>

#include "cors.h"

/* Header fields of a response beside metadata: type, coding, Vary, and those of CORS. */
#define FIELDS_MAX (3 + CORS_FIELDS_MAX)

#define JSON_TYPE "application/json"

void connect_response_forget(struct server_connect_call *self)
{
    free(self->kept);
    budget_give(&self->base.connection->base.queued, self->kept_charge);
    self->kept = NULL;
    self->kept_length = 0;
    self->kept_charge = 0;
}

void connect_response_send_last(struct server_connect_call *self)
{
    uint64_t charge = self->kept_charge;

    self->is_ending = true;
    /* It is charged again while it is queued. */
    budget_give(&self->base.connection->base.queued, charge);
    self->kept_charge = 0;
    if (self->kept_length > 0 &&
        berth_http_write(self->http, self->kept, self->kept_length) == BERTH_RESOURCE_EXHAUSTED)
        return;
    connect_response_forget(self);
    berth_http_end(self->http);
}

/* The names of the metadata of a response, which a page must be allowed to read. */
static const char *list_names(struct server_connect_call *self, const struct berth_http_header *fields,
                              size_t count)
{
    size_t size = 1;
    char *text;
    size_t used = 0;

    for (size_t i = 0; i < count; i++)
        size += strlen(fields[i].name) + 2;
    text = berth_arena_take(&self->base.arena, size);
    if (text == NULL)
        return "";
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", fields[i].name);
    return text;
}

static size_t put_metadata(struct berth_http_header *fields, const struct metadata_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        fields[i] = (struct berth_http_header){list->items[i].key, list->items[i].value};
    return list->count;
}

/* Those of a unary response are among its headers, by other names. */
static size_t put_trailers(struct server_connect_call *self, struct berth_http_header *fields)
{
    size_t count = 0;

    for (size_t i = 0; !self->is_stream && i < self->trailers.count; i++) {
        const char *key = self->trailers.items[i].key;
        size_t length = strlen(CONNECT_TRAILER_PREFIX) + strlen(key);
        char *name = berth_arena_take(&self->base.arena, length + 1);

        if (name == NULL)
            continue;
        snprintf(name, length + 1, CONNECT_TRAILER_PREFIX "%s", key);
        fields[count++] = (struct berth_http_header){name, self->trailers.items[i].value};
    }
    return count;
}

static bool varies(const struct server_connect_call *self)
{
    return connect_is_get(self->http->method) &&
           connect_call_server(self)->limits.compression != BERTH_RPC_COMPRESS_NEVER;
}

/* @param coding  NULL: nothing is compressed. @return false without memory, or if the client has gone. */
static bool begin(struct server_connect_call *self, unsigned status, const char *type, const char *coding,
                  int64_t length)
{
    const char *origin = cors_origin(connect_call_settings(self), self->http);
    struct berth_http_header *fields = berth_arena_take(
        &self->base.arena, (FIELDS_MAX + self->headers.count + self->trailers.count) * sizeof(*fields));
    size_t own = 0, count;

    self->has_begun = true;
    if (fields == NULL)
        return false;
    fields[own++] = (struct berth_http_header){"Content-Type", type};
    if (coding != NULL)
        fields[own++] = (struct berth_http_header){
            self->is_stream ? "Connect-Content-Encoding" : "Content-Encoding", coding};
    if (varies(self))
        fields[own++] = (struct berth_http_header){"Vary", "Accept-Encoding"};
    count = own + put_metadata(fields + own, &self->headers);
    count += put_trailers(self, fields + count);
    if (origin != NULL)
        count += cors_put(origin, list_names(self, fields + own, count - own), fields + count);
    else if (connect_call_settings(self)->origin_count > 0)
        fields[count++] = (struct berth_http_header){"Vary", "Origin"};
    return berth_http_begin(self->http, status, fields, count, length) == BERTH_OK;
}

static const char *accepted_coding(const struct server_connect_call *self)
{
    bool is_compressing = self->base.outflow.compresses && self->request.accepted != CODING_IDENTITY;

    return is_compressing ? coding_name(self->request.accepted) : NULL;
}

/* @return the compressed length; 0 if it must not be compressed, or would not be smaller. */
static size_t compress(struct server_connect_call *self, const void *bytes, size_t length, void *to)
{
    if (accepted_coding(self) == NULL || length <= CODEC_NEVER_SMALLER)
        return 0;
    return codec_compress(&connect_call_server(self)->engine.codec, self->request.accepted, bytes, length, to,
                          length - 1);
}

/* @return an envelope, to be freed; NULL without memory. */
static unsigned char *make_envelope(struct server_connect_call *self, unsigned char flag, const void *bytes,
                                    size_t length, size_t *ret_length)
{
    unsigned char *envelope = malloc(FRAMING_PREFIX + length);
    size_t packed;

    if (envelope == NULL)
        return NULL;
    packed = compress(self, bytes, length, envelope + FRAMING_PREFIX);
    if (packed == 0)
        memcpy(envelope + FRAMING_PREFIX, bytes, length);
    *ret_length = packed > 0 ? packed : length;
    framing_write_prefix(envelope, packed > 0, (uint32_t)*ret_length);
    envelope[0] |= flag;
    *ret_length += FRAMING_PREFIX;
    return envelope;
}

bool connect_response_begin_stream(struct server_connect_call *self)
{
    self->tells_coding = accepted_coding(self) != NULL;
    return begin(self, 200, self->is_json ? "application/connect+json" : "application/connect+proto",
                 accepted_coding(self), -1);
}

/* Without memory the response ends here, and the client notices. */
static void end_stream(struct server_connect_call *self, const struct connect_end *end)
{
    struct berth_json_writer json = {0};

    connect_write_end(&json, end, &self->trailers, &self->base.arena);
    if ((self->has_begun || connect_response_begin_stream(self)) && !json.failed) {
        connect_response_forget(self);
        self->kept = make_envelope(self, CONNECT_END_STREAM, json.bytes, json.length, &self->kept_length);
    }
    berth_json_finish(&json);
    if (self->kept == NULL)
        self->base.connection->base.doom = "out of memory for a response";
    connect_response_send_last(self);
}

static void end_with_error(struct server_connect_call *self, const struct connect_end *end)
{
    struct berth_json_writer json = {0};

    connect_response_forget(self);
    connect_write_error(&json, NULL, end, &self->base.arena);
    if (!json.failed && begin(self, connect_http_status(end->code), JSON_TYPE, NULL, (int64_t)json.length)) {
        self->kept = (unsigned char *)json.bytes;
        self->kept_length = json.length;
    } else {
        berth_json_finish(&json);
    }
    connect_response_send_last(self);
}

/* Replaces the kept message by its compressed form if that is smaller. @return the coding; NULL: none. */
static const char *compress_kept(struct server_connect_call *self)
{
    unsigned char *packed;
    size_t length;

    if (accepted_coding(self) == NULL || self->kept_length <= CODEC_NEVER_SMALLER)
        return NULL;
    packed = malloc(self->kept_length);
    length = packed == NULL ? 0 : compress(self, self->kept, self->kept_length, packed);
    if (length == 0) {
        free(packed);
        return NULL;
    }
    free(self->kept);
    self->kept = packed;
    self->kept_length = length;
    return accepted_coding(self);
}

static void end_with_reply(struct server_connect_call *self)
{
    const char *coding = compress_kept(self);

    if (!begin(self, 200, self->is_json ? JSON_TYPE : "application/proto", coding,
               (int64_t)self->kept_length))
        connect_response_forget(self);
    connect_response_send_last(self);
}

void connect_response_end(struct server_connect_call *self, const struct connect_end *end)
{
    static const struct connect_end no_reply = {.code = BERTH_INTERNAL,
                                                .message = "the method ended without a reply"};

    if (self->is_stream)
        end_stream(self, end);
    else if (end->code != BERTH_OK)
        end_with_error(self, end);
    else if (self->has_reply)
        end_with_reply(self);
    else
        end_with_error(self, &no_reply);
}

enum berth_code connect_response_send(struct server_connect_call *self, const void *bytes, size_t length,
                                      uint64_t most)
{
    size_t size;
    unsigned char *envelope;
    enum berth_code code;

    if (!self->has_begun && !connect_response_begin_stream(self))
        return BERTH_RESOURCE_EXHAUSTED;
    envelope = make_envelope(self, 0, bytes, length, &size);
    if (envelope == NULL) {
        server_stream_refuse(&self->base, OUTFLOW_NO_MEMORY, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    code = berth_http_write(self->http, envelope, size);
    free(envelope);
    if (code == BERTH_RESOURCE_EXHAUSTED)
        server_stream_refuse(&self->base,
                             berth_http_can_write(self->http) ? OUTFLOW_NO_BUDGET : OUTFLOW_QUEUE_FULL,
                             length, most);
    /* The end of the request reports that the client has gone. */
    return code == BERTH_RESOURCE_EXHAUSTED ? code : BERTH_OK;
}

enum berth_code connect_response_keep(struct server_connect_call *self, const void *bytes, size_t length,
                                      void *owned, uint64_t most)
{
    if (!budget_take(&self->base.connection->base.queued, length)) {
        free(owned);
        server_stream_refuse(&self->base, OUTFLOW_NO_BUDGET, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    self->kept_charge = length;
    self->kept = owned != NULL ? owned : malloc(length + 1);
    if (self->kept == NULL) {
        connect_response_forget(self);
        server_stream_refuse(&self->base, OUTFLOW_NO_MEMORY, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (owned == NULL && length > 0)
        memcpy(self->kept, bytes, length);
    self->kept_length = length;
    self->has_reply = true;
    return BERTH_OK;
}
