/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the head of a request of the Connect protocol: its content type, header fields and query. */
#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sdk/base/base64.h>

#define REASON_MAX 256
/* The most of a client's value that is worth quoting to it. */
#define QUOTED_MAX 64

#define TIMEOUT_DIGITS_MAX 10
#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* The longest name of a parameter that matters here. */
#define PARAMETER_NAME_MAX 16

/* The first error counts. */
BERTH_PRINTF(3, 4)
static void complain(struct connect_request *request, enum berth_code code, const char *format, ...)
{
    char text[REASON_MAX];
    va_list arguments;

    if (request->code != BERTH_OK)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    request->code = code;
    request->reason = berth_arena_copy(request->arena, text, strlen(text));
}

const char *connect_types(bool is_stream)
{
    return is_stream ? "application/connect+json, application/connect+proto"
                     : "application/json, application/proto";
}

/* No parameter, or charset=utf-8, which JSON implies. */
static bool is_utf8_parameter(const char *text)
{
    text += strspn(text, " \t");
    if (*text == '\0')
        return true;
    if (*text != ';')
        return false;
    text += 1 + strspn(text + 1, " \t");
    if (strncasecmp(text, "charset=", 8) != 0)
        return false;
    text += 8;
    if (strncasecmp(text, "\"utf-8\"", 7) == 0)
        text += 7;
    else if (strncasecmp(text, "utf-8", 5) == 0)
        text += 5;
    else
        return false;
    return text[strspn(text, " \t")] == '\0';
}

bool connect_type_parse(const char *type, bool is_stream, bool *ret_is_json)
{
    const char *prefix = is_stream ? "application/connect+" : "application/";
    size_t length = strlen(prefix);

    if (type == NULL || strncasecmp(type, prefix, length) != 0)
        return false;
    type += length;
    *ret_is_json = strncasecmp(type, "json", 4) == 0;
    if (*ret_is_json)
        return is_utf8_parameter(type + 4);
    return strncasecmp(type, "proto", 5) == 0 && type[5 + strspn(type + 5, " \t")] == '\0';
}

/* Decodes a part of a query; `ret_text` needs `length` bytes. */
static size_t decode(const char *text, size_t length, char *ret_text)
{
    memcpy(ret_text, text, length);
    for (size_t i = 0; i < length; i++)
        if (ret_text[i] == '+')
            ret_text[i] = ' ';
    return percent_decode(ret_text, length, ret_text);
}

/* @return false without such a parameter. The value is not decoded. */
static bool find_parameter(const char *query, const char *name, struct span *ret_value)
{
    while (*query != '\0') {
        size_t length = strcspn(query, "&");
        const char *equals = memchr(query, '=', length);
        size_t name_length = equals == NULL ? length : (size_t)(equals - query);
        char decoded[PARAMETER_NAME_MAX];

        if (name_length <= sizeof(decoded) &&
            metadata_is(decoded, decode(query, name_length, decoded), name)) {
            const char *value = equals == NULL ? query + length : equals + 1;

            *ret_value = (struct span){(const unsigned char *)value, (size_t)(query + length - value)};
            return true;
        }
        query += length;
        query += *query == '&';
    }
    return false;
}

/* A short token. @return its length; 0 if it is missing, or longer than `size`. */
static size_t short_parameter(const char *query, const char *name, char *ret_text, size_t size)
{
    struct span value;

    if (!find_parameter(query, name, &value) || value.length > size)
        return 0;
    return decode((const char *)value.bytes, value.length, ret_text);
}

bool connect_is_get(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

bool connect_query_codec(const char *query, bool *ret_is_json)
{
    char text[PARAMETER_NAME_MAX];
    size_t length = short_parameter(query, "encoding", text, sizeof(text));

    *ret_is_json = metadata_is(text, length, "json");
    return *ret_is_json || metadata_is(text, length, "proto");
}

static void read_timeout(struct connect_request *request, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    uint64_t milliseconds = 0;

    if (digits == 0 || digits > TIMEOUT_DIGITS_MAX || value[digits] != '\0') {
        complain(request, BERTH_INVALID_ARGUMENT, "malformed connect-timeout-ms \"%.*s\": use 1 to 10 digits",
                 QUOTED_MAX, value);
        return;
    }
    for (size_t i = 0; i < digits; i++)
        milliseconds = milliseconds * 10 + (uint64_t)(value[i] - '0');
    request->timeout_ns = milliseconds * NANOSECONDS_PER_MILLISECOND;
}

static void read_version(struct connect_request *request, const char *name, const char *value,
                         const char *expected)
{
    if (strcmp(value, expected) != 0)
        complain(request, BERTH_INVALID_ARGUMENT, "%s must be \"%s\", not \"%.*s\"", name, expected,
                 QUOTED_MAX, value);
}

static void read_coding(struct connect_request *request, const char *value, size_t length,
                        bool takes_compressed)
{
    request->coding = length == 0 ? CODING_IDENTITY : coding_parse(value, length);
    if (request->coding == CODING_IDENTITY || (takes_compressed && request->coding != CODING_UNKNOWN))
        return;
    complain(request, BERTH_UNIMPLEMENTED, "unknown compression \"%.*s\": supported encodings are %s",
             (int)(length < QUOTED_MAX ? length : QUOTED_MAX), value,
             takes_compressed ? CODING_ACCEPTED : "identity");
    request->coding = CODING_IDENTITY;
}

/* Is it refused by a weight of 0 (RFC 9110 12.4.2)? */
static bool is_refused(const char *parameters, size_t length)
{
    const char *end = parameters + length;

    for (const char *at = parameters; at + 2 < end; at++)
        if ((at[0] == 'q' || at[0] == 'Q') && at[1] == '=') {
            at += 2;
            while (at < end && (*at == '0' || *at == '.' || *at == ' '))
                at++;
            return at == end;
        }
    return false;
}

/* The first supported coding: the list is in the client's order of preference. */
static enum coding choose_coding(const char *list)
{
    while (*list != '\0') {
        size_t length, name;
        enum coding coding;

        list += strspn(list, ", \t");
        length = strcspn(list, ",");
        name = strcspn(list, ",; \t");
        coding = coding_parse(list, name);
        if (name > 0 && coding != CODING_UNKNOWN && !is_refused(list + name, length - name))
            return coding;
        list += length;
    }
    return CODING_IDENTITY;
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Fields of HTTP itself, which are not metadata. */
static bool is_of_http(const char *name)
{
    static const char *const names[] = {"content-encoding", "accept-encoding", "expect", "trailer"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    if (strcmp(name, "user-agent") == 0)
        return false;
    return metadata_is_reserved(name, strlen(name)) && !metadata_is_binary(name, strlen(name));
}

static void read_metadata(struct connect_request *request, const struct berth_http_header *field)
{
    enum berth_code code = metadata_receive(&request->metadata, request->arena, field->name,
                                            strlen(field->name), field->value, strlen(field->value));

    if (code == BERTH_INTERNAL)
        complain(request, BERTH_INVALID_ARGUMENT, "malformed binary metadata in header \"%.*s\"", QUOTED_MAX,
                 field->name);
    else if (code != BERTH_OK)
        complain(request, code, "out of memory");
}

/* The names of the codings, which for streams belong to each message and not to the body. */
struct coding_fields {
    const char *sent;
    const char *accepted;
};

static void read_field(struct connect_request *request, const struct berth_http_header *field,
                       const struct coding_fields *codings, bool takes_compressed)
{
    if (strcmp(field->name, codings->sent) == 0) {
        read_coding(request, field->value, strlen(field->value), takes_compressed);
    } else if (strcmp(field->name, codings->accepted) == 0) {
        request->accepted = choose_coding(field->value);
    } else if (strcmp(field->name, "content-encoding") == 0) {
        if (strcmp(field->value, "identity") != 0)
            complain(request, BERTH_UNIMPLEMENTED,
                     "content-encoding \"%.*s\" is not for streams: compress each message, with "
                     "connect-content-encoding",
                     QUOTED_MAX, field->value);
    } else if (strcmp(field->name, "connect-timeout-ms") == 0) {
        read_timeout(request, field->value);
    } else if (strcmp(field->name, "connect-protocol-version") == 0) {
        read_version(request, field->name, field->value, "1");
    } else if (!is_of_http(field->name) && !begins_with(field->name, "connect-")) {
        read_metadata(request, field);
    }
}

/* The URL-safe alphabet (RFC 4648 5); the standard one is accepted, too. */
static bool decode_base64(char *text, size_t *length)
{
    for (size_t i = 0; i < *length; i++) {
        if (text[i] == '-')
            text[i] = '+';
        else if (text[i] == '_')
            text[i] = '/';
    }
    return base64_decode(text, *length, text, length);
}

static void read_message(struct connect_request *request, const char *query)
{
    char base64[PARAMETER_NAME_MAX];
    struct span value;
    size_t length;
    char *text;

    if (!find_parameter(query, "message", &value)) {
        complain(request, BERTH_INVALID_ARGUMENT, "the query has no parameter message");
        return;
    }
    text = berth_arena_take(request->arena, value.length + 1);
    if (text == NULL) {
        complain(request, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    length = decode((const char *)value.bytes, value.length, text);
    if (metadata_is(base64, short_parameter(query, "base64", base64, sizeof(base64)), "1") &&
        !decode_base64(text, &length))
        complain(request, BERTH_INVALID_ARGUMENT, "the parameter message is not base64");
    request->message = (struct span){(const unsigned char *)text, length};
}

static void read_query(struct connect_request *request, const char *query, bool takes_compressed)
{
    char text[QUOTED_MAX + 1];
    struct span value;

    if (find_parameter(query, "connect", &value)) {
        text[value.length < QUOTED_MAX ? short_parameter(query, "connect", text, QUOTED_MAX) : 0] = '\0';
        read_version(request, "the parameter connect", text, "v1");
    }
    if (find_parameter(query, "compression", &value)) {
        size_t length = short_parameter(query, "compression", text, QUOTED_MAX);

        if (length == 0 && value.length > 0)
            complain(request, BERTH_UNIMPLEMENTED, "unknown compression: supported encodings are %s",
                     takes_compressed ? CODING_ACCEPTED : "identity");
        read_coding(request, text, length, takes_compressed);
    }
    read_message(request, query);
}

void connect_request_read(struct connect_request *request, const struct berth_http_header *fields,
                          size_t count, const char *query, bool is_stream, bool takes_compressed)
{
    const struct coding_fields codings = {
        is_stream ? "connect-content-encoding" : "content-encoding",
        is_stream ? "connect-accept-encoding" : "accept-encoding",
    };
    const enum coding unsaid = CODING_UNKNOWN;

    request->timeout_ns = UINT64_MAX;
    request->accepted = unsaid;
    for (size_t i = 0; i < count; i++)
        read_field(request, &fields[i], &codings, takes_compressed);
    if (query != NULL)
        read_query(request, query, takes_compressed);
    if (request->accepted == unsaid)
        request->accepted = request->coding;
    if (!takes_compressed)
        request->accepted = CODING_IDENTITY;
}
