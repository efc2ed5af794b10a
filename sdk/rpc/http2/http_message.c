/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validates requests by RFC 9113 section 8. nghttp2's own check is disabled because it allows no exceptions.
 */
#include "http_message.h"

#include <string.h>
#include <strings.h>

#include <sdk/rpc/message/metadata.h>

enum pseudo {
    PSEUDO_METHOD = 1,
    PSEUDO_SCHEME = 2,
    PSEUDO_PATH = 4,
    PSEUDO_AUTHORITY = 8,
};

static bool is_alpha(unsigned char byte)
{
    return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

static bool is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}

/* RFC 9110 5.6.2. */
static bool is_token_byte(unsigned char byte)
{
    return is_alpha(byte) || is_digit(byte) || (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* Lower case alone (RFC 9113 8.2.1). */
static bool is_field_name(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_token_byte((unsigned char)name[i]) || (name[i] >= 'A' && name[i] <= 'Z'))
            return false;
    return length > 0;
}

/* No control but the tab (RFC 9110 5.5). */
static bool is_field_value(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
            return false;
    return true;
}

static bool is_token(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_token_byte((unsigned char)value[i]))
            return false;
    return length > 0;
}

/* RFC 3986 3.1. */
static bool is_scheme(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_alpha((unsigned char)value[i]) && !is_digit((unsigned char)value[i]) &&
            (value[i] == '\0' || strchr("+-.", value[i]) == NULL))
            return false;
    return length > 0 && is_alpha((unsigned char)value[0]);
}

/* More than RFC 3986 has, as servers take it: no blank and no control. */
static bool is_path(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)value[i] <= 0x20 || value[i] == 0x7f)
            return false;
    return length > 0 && (value[0] == '/' || (length == 1 && value[0] == '*'));
}

static const char *add_pseudo(struct http_message *message, const char *name, size_t name_length,
                              const char *value, size_t value_length)
{
    enum pseudo pseudo = metadata_is(name, name_length, ":method")      ? PSEUDO_METHOD
                         : metadata_is(name, name_length, ":scheme")    ? PSEUDO_SCHEME
                         : metadata_is(name, name_length, ":path")      ? PSEUDO_PATH
                         : metadata_is(name, name_length, ":authority") ? PSEUDO_AUTHORITY
                                                                        : 0;

    if (message->has_headers)
        return "pseudo-header field in the trailers";
    if (message->has_regular)
        return "pseudo-header field after a regular one";
    if (pseudo == 0)
        return "unknown pseudo-header field";
    if ((message->pseudo & pseudo) != 0)
        return "duplicate pseudo-header field";
    message->pseudo |= (uint8_t)pseudo;
    switch (pseudo) {
    case PSEUDO_METHOD:
        message->is_options = metadata_is(value, value_length, "OPTIONS");
        message->is_connect = metadata_is(value, value_length, "CONNECT");
        return is_token(value, value_length) ? NULL : "invalid :method";
    case PSEUDO_SCHEME:
        return is_scheme(value, value_length) ? NULL : "invalid :scheme";
    case PSEUDO_PATH:
        message->is_asterisk = value_length > 0 && value[0] == '*';
        return is_path(value, value_length) ? NULL : "invalid :path";
    case PSEUDO_AUTHORITY:
        break;
    }
    return is_field_value(value, value_length) ? NULL : "invalid byte in :authority";
}

/* RFC 9113 8.2.2. */
static bool is_of_connection(const char *name, size_t length)
{
    static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "transfer-encoding",
                                        "upgrade"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (metadata_is(name, length, names[i]))
            return true;
    return false;
}

static const char *add_content_length(struct http_message *message, const char *value, size_t length)
{
    if (message->has_content_length)
        return "duplicate content-length";
    /* Eighteen digits are below any bound of 64 bits. */
    if (length == 0 || length > 18)
        return "invalid content-length";
    for (size_t i = 0; i < length; i++) {
        if (!is_digit((unsigned char)value[i]))
            return "invalid content-length";
        message->content_length = message->content_length * 10 + (uint64_t)(value[i] - '0');
    }
    message->has_content_length = true;
    return NULL;
}

const char *http_message_add_field(struct http_message *message, const char *name, size_t name_length,
                                   const char *value, size_t value_length)
{
    if (name_length > 0 && name[0] == ':')
        return add_pseudo(message, name, name_length, value, value_length);
    message->has_regular = true;
    if (!is_field_name(name, name_length))
        return "invalid byte in a field's name";
    if (!is_field_value(value, value_length))
        return "invalid byte in a field's value";
    if (is_of_connection(name, name_length))
        return "connection-specific field";
    if (metadata_is(name, name_length, "te"))
        return value_length == 8 && strncasecmp(value, "trailers", 8) == 0 ? NULL : "te other than trailers";
    if (metadata_is(name, name_length, "content-length"))
        return add_content_length(message, value, value_length);
    return NULL;
}

static const char *check_length(const struct http_message *message, bool is_last)
{
    if (!message->has_content_length)
        return NULL;
    if (message->received > message->content_length)
        return "more content than content-length";
    return is_last && message->received < message->content_length ? "less content than content-length" : NULL;
}

const char *http_message_end_fields(struct http_message *message, bool is_last)
{
    const uint8_t all = PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_PATH;

    if (message->has_headers)
        return is_last ? check_length(message, true) : "trailers that do not end the request";
    message->has_headers = true;
    /* RFC 9113 8.5. */
    if (message->is_connect && (message->pseudo & all) != PSEUDO_METHOD)
        return "CONNECT with :scheme or :path";
    if (!message->is_connect && (message->pseudo & all) != all)
        return "missing :method, :scheme or :path";
    if (message->is_asterisk && !message->is_options)
        return "invalid :path";
    return check_length(message, is_last);
}

const char *http_message_add_data(struct http_message *message, size_t length, bool is_last)
{
    message->received += length;
    return check_length(message, is_last);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

void http_message_strip(const char *name, size_t name_length, const char **value, size_t *value_length)
{
    if (name_length > 0 && name[0] == ':')
        return;
    while (*value_length > 0 && is_blank((*value)[0])) {
        ++*value;
        --*value_length;
    }
    while (*value_length > 0 && is_blank((*value)[*value_length - 1]))
        --*value_length;
}
