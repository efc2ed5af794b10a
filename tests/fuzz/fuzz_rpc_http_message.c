/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of header fields, content and trailers, to our check and to nghttp2's own: apart from what a host
 * is and what a path of another scheme is, which ours leaves open or closes, they agree.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include <sdk/rpc/http2/http_message.h>

#define INPUT_MAX 2048
#define FIELDS_MAX 64
#define FRAMES_MAX (16 * 1024)

/* How an input is played: its first byte, below the length of its content. */
enum {
    FLAG_ENDS = 1,
    FLAG_HAS_TRAILERS = 2,
    FLAG_TRAILERS_END = 4,
};

struct frames {
    uint8_t bytes[FRAMES_MAX];
    size_t length;
};

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *option;

static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                      void *user_data)
{
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    bool *is_refused = user_data;

    *is_refused = *is_refused || frame->hd.type == NGHTTP2_RST_STREAM ||
                  (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR);
    return 0;
}

static void prepare(void)
{
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
        abort();
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1);
}

static void add(struct frames *frames, const void *bytes, size_t length)
{
    assert(length <= FRAMES_MAX - frames->length);
    if (length > 0)
        memcpy(frames->bytes + frames->length, bytes, length);
    frames->length += length;
}

static void add_frame(struct frames *frames, uint8_t type, uint8_t flags, const void *payload, size_t length)
{
    const uint8_t head[] = {0, (uint8_t)(length >> 8), (uint8_t)length, type, flags, 0, 0, 0, 1};

    add(frames, head, sizeof(head));
    add(frames, payload, length);
}

static void add_block(struct frames *frames, uint8_t flags, const nghttp2_nv *fields, size_t count)
{
    static uint8_t block[FRAMES_MAX / 2];
    nghttp2_hd_deflater *deflater;
    ssize_t length;

    if (nghttp2_hd_deflate_new(&deflater, 0) != 0)
        abort();
    length = nghttp2_hd_deflate_hd(deflater, block, sizeof(block), fields, count);
    assert(length >= 0);
    nghttp2_hd_deflate_del(deflater);
    add_frame(frames, NGHTTP2_HEADERS, flags | NGHTTP2_FLAG_END_HEADERS, block, (size_t)length);
}

static bool is_refused_by_nghttp2(const struct frames *frames)
{
    nghttp2_session *session;
    bool is_refused = false;
    const uint8_t *bytes;

    if (nghttp2_session_server_new2(&session, callbacks, &is_refused, option) != 0)
        abort();
    if (nghttp2_session_mem_recv(session, frames->bytes, frames->length) < 0)
        abort();
    while (nghttp2_session_mem_send(session, &bytes) > 0)
        continue;
    nghttp2_session_del(session);
    return is_refused;
}

static bool add_fields(struct http_message *message, const nghttp2_nv *fields, size_t count, bool is_last)
{
    for (size_t i = 0; i < count; i++) {
        if (http_message_add_field(message, (const char *)fields[i].name, fields[i].namelen,
                                   (const char *)fields[i].value, fields[i].valuelen) != NULL)
            return false;
    }
    return http_message_end_fields(message, is_last) == NULL;
}

static void strip(nghttp2_nv *field)
{
    const char *value = (const char *)field->value;

    http_message_strip((const char *)field->name, field->namelen, &value, &field->valuelen);
    field->value = (uint8_t *)value;
}

static bool is_name(const nghttp2_nv *field, const char *name)
{
    return field->namelen == strlen(name) && memcmp(field->name, name, field->namelen) == 0;
}

/* Lines are name and value in turn. Hosts are the caller's, a scheme is http, and nghttp2 strips nothing. */
static size_t read_fields(const uint8_t **at, const uint8_t *end, nghttp2_nv *fields, size_t max)
{
    size_t count = 0;

    while (*at < end && count < max) {
        const uint8_t *name_end = memchr(*at, '\n', (size_t)(end - *at));
        const uint8_t *value = name_end == NULL ? end : name_end + 1;
        const uint8_t *value_end = memchr(value, '\n', (size_t)(end - value));

        fields[count] = (nghttp2_nv){.name = (uint8_t *)*at,
                                     .value = (uint8_t *)value,
                                     .namelen = (size_t)((name_end == NULL ? end : name_end) - *at),
                                     .valuelen = (size_t)((value_end == NULL ? end : value_end) - value)};
        *at = value_end == NULL ? end : value_end + 1;
        if (fields[count].namelen == 0 && fields[count].valuelen == 0)
            return count;
        strip(&fields[count]);
        if (is_name(&fields[count], ":scheme")) {
            fields[count].value = (uint8_t *)"http";
            fields[count].valuelen = 4;
        }
        if (!is_name(&fields[count], ":authority") && !is_name(&fields[count], "host"))
            count++;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char content[32];
    static struct frames frames;
    nghttp2_nv fields[FIELDS_MAX + 1] = {{.name = (uint8_t *)":authority",
                                          .value = (uint8_t *)"x",
                                          .namelen = strlen(":authority"),
                                          .valuelen = 1}};
    struct http_message message = {0};
    const uint8_t *at = data + 1;
    const uint8_t *end = data + size;
    size_t length, count;
    bool ends, has_trailers, is_good;

    if (size < 1 || size > INPUT_MAX)
        return -1;
    if (callbacks == NULL)
        prepare();
    ends = (data[0] & FLAG_ENDS) != 0;
    has_trailers = (data[0] & FLAG_HAS_TRAILERS) != 0;
    length = data[0] >> 3;
    frames.length = 0;
    add(&frames, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
    count = 1 + read_fields(&at, end, fields + 1, FIELDS_MAX);
    add_block(&frames, ends ? NGHTTP2_FLAG_END_STREAM : 0, fields, count);
    is_good = add_fields(&message, fields, count, ends);
    if (!ends) {
        add_frame(&frames, NGHTTP2_DATA, has_trailers ? 0 : NGHTTP2_FLAG_END_STREAM, content, length);
        is_good = is_good && http_message_add_data(&message, length, !has_trailers) == NULL;
    }
    if (!ends && has_trailers) {
        bool is_last = (data[0] & FLAG_TRAILERS_END) != 0;

        count = read_fields(&at, end, fields, FIELDS_MAX);
        add_block(&frames, is_last ? NGHTTP2_FLAG_END_STREAM : 0, fields, count);
        is_good = is_good && add_fields(&message, fields, count, is_last);
    }
    assert(is_good == !is_refused_by_nghttp2(&frames));
    return 0;
}
