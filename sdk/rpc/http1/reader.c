/* SPDX-License-Identifier: Apache-2.0 */
/* Reads HTTP/1.1 requests from a stream of bytes, strictly. Independent of sockets. */
#include "reader.h"

#include <string.h>
#include <strings.h>

/* Clients that end a request with one CRLF too many (RFC 9112 2.2). */
#define EMPTY_LINES_MAX 2

#define METHOD_MAX 32

static const char too_large[] = "the body is larger than max_recv_message_bytes";

/* Digits of a length; a number beyond 64 bits exceeds every limit here. */
#define DECIMAL_DIGITS_MAX 18
#define HEX_DIGITS_MAX 15

static bool is_digit(unsigned char character)
{
    return character >= '0' && character <= '9';
}

static int hex_of(unsigned char character)
{
    if (is_digit(character))
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

static bool is_token_character(unsigned char character)
{
    return is_digit(character) || (character >= 'a' && character <= 'z') ||
           (character >= 'A' && character <= 'Z') ||
           (character != '\0' && strchr("!#$%&'*+-.^_`|~", character) != NULL);
}

bool http1_is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_token_character((unsigned char)text[i]))
            return false;
    return length > 0;
}

bool http1_is_value(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char character = (unsigned char)text[i];

        if ((character < 0x20 && character != '\t') || character == 0x7f)
            return false;
    }
    return true;
}

bool http1_list_has(const char *list, const char *token)
{
    size_t length = strlen(token);

    while (*list != '\0') {
        size_t element = strcspn(list, ",");
        const char *begin = list + strspn(list, " \t");
        const char *end = list + element;

        while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        if (begin < end && (size_t)(end - begin) == length && strncasecmp(begin, token, length) == 0)
            return true;
        list += element + (list[element] == ',');
    }
    return false;
}

const char *http1_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return status < 300 ? "OK" : status < 400 ? "Redirect" : status < 500 ? "Client Error" : "Server Error";
}

bool http1_host_name(const char *host, char *ret_name, size_t size)
{
    bool is_in_brackets = host[0] == '[';
    const char *begin = is_in_brackets ? host + 1 : host;
    size_t length = strcspn(begin, is_in_brackets ? "]" : ":");
    const char *rest = begin + length;

    if (length == 0 || length >= size)
        return false;
    if (is_in_brackets && *rest++ != ']')
        return false;
    if (*rest == ':')
        for (rest++; is_digit((unsigned char)*rest);)
            rest++;
    if (*rest != '\0')
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char character = (unsigned char)begin[i];

        if (is_in_brackets ? hex_of(character) < 0 && character != ':' && character != '.'
                           : !is_token_character(character))
            return false;
        ret_name[i] = character >= 'A' && character <= 'Z' ? (char)(character + ('a' - 'A')) : begin[i];
    }
    ret_name[length] = '\0';
    return true;
}

static enum http1_read fail(struct http1_reader *reader, unsigned status, const char *reason)
{
    reader->phase = HTTP1_FAILED;
    reader->status = status;
    reader->reason = reason;
    return HTTP1_READ_FAILED;
}

/* Percent-decodes and resolves "." and "..", in place. @return why it is refused; NULL: it is not. */
static const char *settle_path(char *path)
{
    char *to = path;
    char *segment;

    for (const char *from = path; *from != '\0';) {
        int high = *from == '%' ? hex_of((unsigned char)from[1]) : 0;
        int low = *from == '%' && high >= 0 ? hex_of((unsigned char)from[2]) : 0;

        if (*from != '%') {
            *to++ = *from++;
            continue;
        }
        if (high < 0 || low < 0)
            return "the path has a % without two hexadecimal digits";
        if ((high * 16 + low) < 0x20 || (high * 16 + low) == 0x7f)
            return "the path has a control character";
        *to++ = (char)(high * 16 + low);
        from += 3;
    }
    *to = '\0';
    to = path;
    segment = path;
    /* `segment` is at the slash ahead of the next segment, `to` behind all that stays. */
    while (*segment != '\0') {
        size_t length = 1 + strcspn(segment + 1, "/");
        bool is_here = length == 2 && segment[1] == '.';
        bool is_up = length == 3 && segment[1] == '.' && segment[2] == '.';
        bool is_last = segment[length] == '\0';

        if (is_up) {
            if (to == path)
                return "the path leads above the root";
            while (*--to != '/')
                ;
        } else if (!is_here) {
            memmove(to, segment, length);
            to += length;
        }
        if ((is_here || is_up) && is_last)
            *to++ = '/';
        segment += length;
    }
    *to = '\0';
    return NULL;
}

/* "/path?query", or the absolute form of a request to a proxy (RFC 9112 3.2.2). */
static const char *read_target(struct http1_reader *reader, char *target)
{
    char *query;

    for (const char *at = target; *at != '\0'; at++)
        if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f)
            return "the request target has an invalid character; percent-encode it";
    if (strchr(target, '#') != NULL)
        return "the request target has a fragment";
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        char *host = strstr(target, "//") + 2;
        char *slash = host + strcspn(host, "/?");

        reader->host = host;
        if (*slash != '/')
            return "the request target has no path";
        /* The host ends where the path begins, and both need their own string. */
        memmove(host - 1, host, (size_t)(slash - host));
        slash[-1] = '\0';
        reader->host = host - 1;
        target = slash;
    }
    if (target[0] != '/')
        return "the request target is not a path; it begins with a slash";
    query = strchr(target, '?');
    reader->query = "";
    if (query != NULL) {
        *query = '\0';
        reader->query = query + 1;
    }
    reader->path = target;
    return settle_path(target);
}

static enum http1_read read_request_line(struct http1_reader *reader, char *line)
{
    char *target = strchr(line, ' ');
    char *version = target == NULL ? NULL : strchr(target + 1, ' ');
    const char *reason;

    if (version == NULL || version == target + 1 || strchr(version + 1, ' ') != NULL ||
        !http1_is_token(line, (size_t)(target - line)))
        return fail(reader, 400, "the request line is not METHOD TARGET HTTP/1.1");
    if (target - line > METHOD_MAX)
        return fail(reader, 501, "the method is unknown");
    *target++ = '\0';
    *version++ = '\0';
    if (strncmp(version, "HTTP/", 5) != 0 || !is_digit((unsigned char)version[5]) || version[6] != '.' ||
        !is_digit((unsigned char)version[7]) || version[8] != '\0')
        return fail(reader, 400, "the request line is not METHOD TARGET HTTP/1.1");
    if (version[5] != '1')
        return fail(reader, 505, "this address speaks HTTP/1.1");
    reader->is_old = version[7] == '0';
    reader->method = line;
    reader->target = target;
    reason = read_target(reader, target);
    return reason == NULL ? HTTP1_READ_MORE : fail(reader, 400, reason);
}

/* `line` ends with NUL. @return why it is not a field; NULL if it is one. */
static const char *read_field(char *line, size_t length, struct berth_http_header *ret_field)
{
    char *colon = memchr(line, ':', length);
    char *value;
    char *end = line + length;

    if (line[0] == ' ' || line[0] == '\t')
        return "a header field is folded; send it in one line";
    if (colon == NULL || !http1_is_token(line, (size_t)(colon - line)))
        return "a header field is not \"name: value\"";
    for (char *at = line; at < colon; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at + ('a' - 'A'));
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (!http1_is_value(value, (size_t)(end - value)))
        return "a header field has a control character";
    *end = '\0';
    *ret_field = (struct berth_http_header){line, value};
    return NULL;
}

/* The only field of a name. @return false if there are several. */
static bool find_single(const struct http1_reader *reader, const char *name, const char **ret_value)
{
    *ret_value = NULL;
    for (size_t i = 0; i < reader->field_count; i++) {
        if (strcmp(reader->fields[i].name, name) != 0)
            continue;
        if (*ret_value != NULL)
            return false;
        *ret_value = reader->fields[i].value;
    }
    return true;
}

static bool read_decimal(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t length = strspn(text, "0123456789");

    if (length == 0 || length > DECIMAL_DIGITS_MAX || text[length] != '\0')
        return false;
    for (size_t i = 0; i < length; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    *ret_number = number;
    return true;
}

/* How the body is framed (RFC 9112 6.3): said in one way and once, whatever a list of equals would mean. */
static enum http1_read read_framing(struct http1_reader *reader)
{
    const char *length;
    const char *coding;

    if (!find_single(reader, "content-length", &length) || !find_single(reader, "transfer-encoding", &coding))
        return fail(reader, 400, "Content-Length or Transfer-Encoding is repeated");
    if (length != NULL && coding != NULL)
        return fail(reader, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (coding != NULL && reader->is_old)
        return fail(reader, 400, "Transfer-Encoding is not allowed in HTTP/1.0");
    if (coding != NULL && strcasecmp(coding, "chunked") != 0)
        return fail(reader, 501, "Transfer-Encoding supports only chunked");
    if (length != NULL && !read_decimal(length, &reader->left))
        return fail(reader, 400, "Content-Length is not a decimal number");
    reader->is_chunked = coding != NULL;
    if (reader->left > reader->max_body_bytes)
        return fail(reader, 413, too_large);
    return HTTP1_READ_MORE;
}

static enum http1_read read_host(struct http1_reader *reader)
{
    const char *host;

    if (!find_single(reader, "host", &host))
        return fail(reader, 400, "Host is repeated");
    if (host == NULL || *host == '\0')
        return fail(reader, 400, "Host is missing");
    if (reader->host != NULL && strcasecmp(reader->host, host) != 0)
        return fail(reader, 400, "Host differs from the host of the request target");
    reader->host = host;
    return HTTP1_READ_MORE;
}

static bool any_list_has(const struct http1_reader *reader, const char *name, const char *token)
{
    for (size_t i = 0; i < reader->field_count; i++)
        if (strcmp(reader->fields[i].name, name) == 0 && http1_list_has(reader->fields[i].value, token))
            return true;
    return false;
}

static enum http1_read read_wishes(struct http1_reader *reader)
{
    const char *expected;

    reader->closes = reader->is_old || any_list_has(reader, "connection", "close");
    if (!find_single(reader, "expect", &expected) ||
        (expected != NULL && strcasecmp(expected, "100-continue") != 0))
        return fail(reader, 417, "Expect supports only 100-continue");
    reader->expects_continue = expected != NULL && !reader->is_old;
    return HTTP1_READ_MORE;
}

/* `text` holds the whole head: each line ends with CRLF, which becomes a NUL. */
static enum http1_read read_head(struct http1_reader *reader)
{
    char *line = (char *)reader->text.bytes;
    char *end = line + reader->text.length - 2;
    bool is_first = true;
    enum http1_read result;

    while (line < end) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)(stop - line) - 1;
        const char *reason = NULL;

        line[length] = '\0';
        if (memchr(line, '\0', length) != NULL)
            return fail(reader, 400, "the request head contains a NUL");
        if (!is_first && reader->field_count == HTTP1_FIELDS_MAX)
            return fail(reader, 431, "the request has more than 100 header fields");
        if (is_first)
            result = read_request_line(reader, line);
        else
            reason = read_field(line, length, &reader->fields[reader->field_count++]);
        if (reason != NULL)
            return fail(reader, 400, reason);
        if (is_first && result != HTTP1_READ_MORE)
            return result;
        is_first = false;
        line = stop + 1;
    }
    result = read_host(reader);
    if (result == HTTP1_READ_MORE)
        result = read_wishes(reader);
    if (result == HTTP1_READ_MORE)
        result = read_framing(reader);
    if (result != HTTP1_READ_MORE)
        return result;
    reader->phase = reader->is_chunked ? HTTP1_CHUNK_SIZE : HTTP1_BODY;
    return HTTP1_READ_HEAD;
}

static enum http1_read no_room(struct http1_reader *reader)
{
    return fail(reader, 503, "the server has no memory left for this request; try again later");
}

/*
 * Adds bytes up to the end of the line that begins at `line`. A CR stands before an LF and nowhere else.
 * @return HTTP1_READ_WHOLE at the end of a line, whose CRLF is in `text`; HTTP1_READ_MORE; or failed.
 */
static enum http1_read take_line(struct http1_reader *reader, struct buffer *text, size_t line, size_t most,
                                 const uint8_t **bytes, const uint8_t *end)
{
    const uint8_t *stop = memchr(*bytes, '\n', (size_t)(end - *bytes));
    size_t length = (size_t)((stop != NULL ? stop + 1 : end) - *bytes);
    size_t searched = text->length > line ? text->length - 1 : line;
    const unsigned char *carriage;
    bool is_too_long;

    if (length == 0)
        return HTTP1_READ_MORE;
    /* What is wrong with the part that fits comes first, however the bytes arrive. */
    is_too_long = length > most - text->length;
    if (is_too_long) {
        stop = NULL;
        length = most - text->length;
    }
    if (!buffer_append(text, *bytes, length, reader->budget))
        return no_room(reader);
    *bytes += length;
    carriage = memchr(text->bytes + searched, '\r', text->length - searched);
    if (stop == NULL && (carriage == NULL || carriage == text->bytes + text->length - 1))
        return is_too_long ? fail(reader, 431, NULL) : HTTP1_READ_MORE;
    if (carriage == NULL)
        return fail(reader, 400, "a line ends without CR");
    return stop != NULL && carriage == text->bytes + text->length - 2 ? HTTP1_READ_WHOLE
                                                                      : fail(reader, 400, "a CR without LF");
}

static enum http1_read take_head(struct http1_reader *reader, const uint8_t **bytes, const uint8_t *end)
{
    struct buffer *text = &reader->text;

    while (*bytes < end) {
        bool is_first = reader->line == 0;
        enum http1_read result = take_line(reader, text, reader->line, reader->max_head_bytes, bytes, end);

        if (result == HTTP1_READ_FAILED && reader->reason == NULL && is_first)
            return fail(reader, 414, "the request line exceeds max_header_list_bytes");
        if (result == HTTP1_READ_FAILED && reader->reason == NULL)
            return fail(reader, 431, "the header fields exceed max_header_list_bytes");
        if (result != HTTP1_READ_WHOLE)
            return result;
        if (text->length - reader->line > 2) {
            reader->line = text->length;
            continue;
        }
        if (!is_first)
            return read_head(reader);
        if (++reader->empty_lines > EMPTY_LINES_MAX)
            return fail(reader, 400, "too many empty lines before the request");
        text->length = 0;
    }
    return HTTP1_READ_MORE;
}

/* @return HTTP1_READ_WHOLE once all that is `left` was received. */
static enum http1_read take_data(struct http1_reader *reader, const uint8_t **bytes, const uint8_t *end)
{
    size_t length = (uint64_t)(end - *bytes) < reader->left ? (size_t)(end - *bytes) : (size_t)reader->left;
    size_t largest = reader->is_chunked ? reader->max_body_bytes : reader->body.length + (size_t)reader->left;

    if (length > 0 && !buffer_reserve(&reader->body, length, largest, reader->budget))
        return no_room(reader);
    if (length > 0)
        memcpy(reader->body.bytes + reader->body.length, *bytes, length);
    reader->body.length += length;
    reader->left -= length;
    *bytes += length;
    return reader->left == 0 ? HTTP1_READ_WHOLE : HTTP1_READ_MORE;
}

/* "1f" or "1f;name=value" (RFC 9112 7.1), and CRLF. */
static enum http1_read read_chunk_size(struct http1_reader *reader)
{
    const unsigned char *text = reader->tail.bytes;
    size_t length = reader->tail.length - 2;
    uint64_t size = 0;
    size_t digits = 0;

    reader->tail.length = 0;
    while (digits < length && hex_of(text[digits]) >= 0)
        digits++;
    if (digits == 0 || digits > HEX_DIGITS_MAX || (digits < length && text[digits] != ';') ||
        !http1_is_value((const char *)text + digits, length - digits))
        return fail(reader, 400, "a chunk's size is not a hexadecimal number");
    for (size_t i = 0; i < digits; i++)
        size = size * 16 + (uint64_t)hex_of(text[i]);
    reader->extension_bytes += length - digits;
    if (reader->extension_bytes > HTTP1_CHUNK_EXTENSIONS_MAX)
        return fail(reader, 400, "the chunks have too many extensions");
    if (size > reader->max_body_bytes - reader->body.length)
        return fail(reader, 413, too_large);
    reader->left = size;
    reader->phase = size > 0 ? HTTP1_CHUNK_DATA : HTTP1_TRAILERS;
    return HTTP1_READ_MORE;
}

/* The CRLF behind a chunk's data. */
static enum http1_read read_chunk_end(struct http1_reader *reader)
{
    size_t length = reader->tail.length;

    reader->tail.length = 0;
    reader->phase = HTTP1_CHUNK_SIZE;
    return length == 2 ? HTTP1_READ_MORE : fail(reader, 400, "a chunk is longer than its size");
}

/* Trailers are checked and then dropped. */
static enum http1_read read_trailer(struct http1_reader *reader)
{
    char *line = (char *)reader->tail.bytes;
    size_t length = reader->tail.length - 2;
    struct berth_http_header field;
    const char *reason;

    reader->tail.length = 0;
    reader->trailer_bytes += length + 2;
    if (reader->trailer_bytes > reader->max_head_bytes)
        return fail(reader, 431, "the trailers exceed max_header_list_bytes");
    if (length == 0) {
        reader->phase = HTTP1_WHOLE;
        return HTTP1_READ_WHOLE;
    }
    line[length] = '\0';
    reason =
        memchr(line, '\0', length) != NULL ? "a trailer contains a NUL" : read_field(line, length, &field);
    return reason == NULL ? HTTP1_READ_MORE : fail(reader, 400, reason);
}

static enum http1_read take_tail(struct http1_reader *reader, size_t most, const uint8_t **bytes,
                                 const uint8_t *end,
                                 enum http1_read (*read_line)(struct http1_reader *reader))
{
    enum http1_read result = take_line(reader, &reader->tail, 0, most, bytes, end);

    if (result == HTTP1_READ_FAILED && reader->reason == NULL)
        return fail(reader, 400, "a line of the chunked body is too long");
    return result == HTTP1_READ_WHOLE ? read_line(reader) : result;
}

static enum http1_read step(struct http1_reader *reader, const uint8_t **bytes, const uint8_t *end)
{
    enum http1_read result;

    switch (reader->phase) {
    case HTTP1_HEAD:
        return take_head(reader, bytes, end);
    case HTTP1_BODY:
        result = take_data(reader, bytes, end);
        if (result == HTTP1_READ_WHOLE)
            reader->phase = HTTP1_WHOLE;
        return result;
    case HTTP1_CHUNK_SIZE:
        return take_tail(reader, HTTP1_CHUNK_LINE_MAX, bytes, end, read_chunk_size);
    case HTTP1_CHUNK_DATA:
        result = take_data(reader, bytes, end);
        if (result != HTTP1_READ_WHOLE)
            return result;
        reader->phase = HTTP1_CHUNK_END;
        return HTTP1_READ_MORE;
    case HTTP1_CHUNK_END:
        return take_tail(reader, 2, bytes, end, read_chunk_end);
    case HTTP1_TRAILERS:
        return take_tail(reader, reader->max_head_bytes, bytes, end, read_trailer);
    case HTTP1_WHOLE:
        return HTTP1_READ_WHOLE;
    case HTTP1_FAILED:
        break;
    }
    return HTTP1_READ_FAILED;
}

enum http1_read http1_read(struct http1_reader *reader, const uint8_t *bytes, size_t length, size_t *ret_used)
{
    const uint8_t *at = bytes;
    enum http1_read result;

    do
        result = step(reader, &at, bytes + length);
    while (result == HTTP1_READ_MORE && at < bytes + length);
    *ret_used = (size_t)(at - bytes);
    return result;
}

void http1_reader_finish(struct http1_reader *reader)
{
    buffer_finish(&reader->text, reader->budget);
    buffer_finish(&reader->tail, reader->budget);
    buffer_finish(&reader->body, reader->budget);
}

const char *http1_field(const struct http1_reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->field_count; i++)
        if (strcmp(reader->fields[i].name, name) == 0)
            return reader->fields[i].value;
    return NULL;
}

void http1_reader_next(struct http1_reader *reader)
{
    const struct http1_reader kept = {.max_head_bytes = reader->max_head_bytes,
                                      .max_body_bytes = reader->max_body_bytes,
                                      .budget = reader->budget};

    http1_reader_finish(reader);
    *reader = kept;
}

bool http1_reader_is_inside(const struct http1_reader *reader)
{
    return reader->phase != HTTP1_HEAD || reader->text.length > 0;
}
