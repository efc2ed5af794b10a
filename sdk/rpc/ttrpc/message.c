/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contents of ttrpc's frames: Request and Response in protobuf's wire format, read and written field by
 * field. Nothing is copied, and no length is trusted.
 */
#include "message.h"

#include <string.h>

#include <berth/utf8.h>

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5,
};

/* One field, which lies where the message lies. */
struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t varint;
    struct span bytes;
    /* With its tag; of a group all of it. */
    struct span whole;
};

/* Nesting limit of groups in unknown fields, which are obsolete. */
#define GROUP_DEPTH_MAX 16

static const char cut_short[] = "unexpected EOF";
static const char invalid[] = "cannot parse invalid wire-format data";

static const char *read_varint(struct span *rest, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;

        if (rest->length == 0)
            return cut_short;
        byte = *rest->bytes++;
        rest->length--;
        if (shift == 63 && byte > 1)
            return invalid;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return NULL;
        }
    }
    return invalid;
}

static const char *read_bytes(struct span *rest, uint64_t length, struct span *ret_bytes)
{
    if (length > rest->length)
        return cut_short;
    *ret_bytes = (struct span){rest->bytes, (size_t)length};
    rest->bytes += length;
    rest->length -= (size_t)length;
    return NULL;
}

static const char *read_tag(struct span *rest, struct wire_field *ret_field)
{
    uint64_t tag = 0;
    const char *wrong = read_varint(rest, &tag);

    if (wrong != NULL)
        return wrong;
    if (tag > UINT32_MAX || tag >> 3 == 0)
        return invalid;
    ret_field->number = (uint32_t)(tag >> 3);
    ret_field->type = (enum wire_type)(tag & 7);
    return NULL;
}

/* Reads a field's value, but of a group only its beginning. */
static const char *read_value(struct span *rest, struct wire_field *field)
{
    const char *wrong;

    switch (field->type) {
    case WIRE_VARINT:
        return read_varint(rest, &field->varint);
    case WIRE_FIXED64:
        return read_bytes(rest, 8, &field->bytes);
    case WIRE_BYTES:
        wrong = read_varint(rest, &field->varint);
        return wrong != NULL ? wrong : read_bytes(rest, field->varint, &field->bytes);
    case WIRE_FIXED32:
        return read_bytes(rest, 4, &field->bytes);
    case WIRE_GROUP:
    case WIRE_GROUP_END:
        return NULL;
    }
    return invalid;
}

static const char *skip_group(struct span *rest, uint32_t number)
{
    uint32_t open[GROUP_DEPTH_MAX] = {number};
    size_t depth = 1;

    while (depth > 0) {
        struct wire_field field = {0};
        const char *wrong = read_tag(rest, &field);

        if (wrong == NULL)
            wrong = read_value(rest, &field);
        if (wrong != NULL)
            return wrong;
        if (field.type == WIRE_GROUP && depth == GROUP_DEPTH_MAX)
            return invalid;
        if (field.type == WIRE_GROUP)
            open[depth++] = field.number;
        else if (field.type == WIRE_GROUP_END && open[--depth] != field.number)
            return invalid;
    }
    return NULL;
}

/* Takes a field off the front of non-empty input. @return NULL, or what is wrong with it. */
static const char *read_field(struct span *rest, struct wire_field *ret_field)
{
    const unsigned char *begin = rest->bytes;
    const char *wrong;

    *ret_field = (struct wire_field){0};
    wrong = read_tag(rest, ret_field);
    if (wrong == NULL)
        wrong = ret_field->type == WIRE_GROUP_END ? invalid : read_value(rest, ret_field);
    if (wrong == NULL && ret_field->type == WIRE_GROUP)
        wrong = skip_group(rest, ret_field->number);
    ret_field->whole = (struct span){begin, (size_t)(rest->bytes - begin)};
    return wrong;
}

static bool is_bytes(const struct wire_field *field, uint32_t number)
{
    return field->number == number && field->type == WIRE_BYTES;
}

static bool is_varint(const struct wire_field *field, uint32_t number)
{
    return field->number == number && field->type == WIRE_VARINT;
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;

    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

/* Size of a bytes field. All field numbers written here are below 16, so a tag is one byte. */
static size_t bytes_size(size_t length)
{
    return 1 + varint_size(length) + length;
}

/* Each of these writes, and returns the position after it. */
static unsigned char *write_varint(unsigned char *place, uint64_t value)
{
    while (value >= 0x80) {
        *place++ = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    *place++ = (unsigned char)value;
    return place;
}

static unsigned char *write_tag(unsigned char *place, uint32_t number, enum wire_type type)
{
    *place++ = (unsigned char)(number << 3 | (uint32_t)type);
    return place;
}

static unsigned char *write_length(unsigned char *place, uint32_t number, size_t length)
{
    return write_varint(write_tag(place, number, WIRE_BYTES), length);
}

static unsigned char *write_raw(unsigned char *place, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(place, bytes, length);
    return place + length;
}

static unsigned char *write_bytes(unsigned char *place, uint32_t number, const void *bytes, size_t length)
{
    return write_raw(write_length(place, number, length), bytes, length);
}

/* The cost of a pair besides its bytes, as with HTTP/2's fields (RFC 9113 6.5.2). */
#define PAIR_OVERHEAD 32

/* ttrpc.Request, ttrpc.KeyValue, ttrpc.Response, google.rpc.Status */
enum request_field {
    REQUEST_SERVICE = 1,
    REQUEST_METHOD = 2,
    REQUEST_PAYLOAD = 3,
    REQUEST_TIMEOUT_NANO = 4,
    REQUEST_METADATA = 5,
};

enum pair_field {
    PAIR_KEY = 1,
    PAIR_VALUE = 2,
};

enum response_field {
    RESPONSE_STATUS = 1,
    RESPONSE_PAYLOAD = 2,
};

enum status_field {
    STATUS_CODE = 1,
    STATUS_MESSAGE = 2,
    STATUS_DETAILS = 3,
};

static const char no_text[] = "string field contains invalid UTF-8";

static const char *take_text(const struct wire_field *field, struct span *ret_text)
{
    if (!berth_utf8_is_valid((const char *)field->bytes.bytes, field->bytes.length))
        return no_text;
    *ret_text = field->bytes;
    return NULL;
}

static const char *parse_pair(struct span rest, struct ttrpc_pair *ret_pair)
{
    const char *wrong = NULL;

    *ret_pair = (struct ttrpc_pair){0};
    while (wrong == NULL && rest.length > 0) {
        struct wire_field field;

        wrong = read_field(&rest, &field);
        if (wrong == NULL && is_bytes(&field, PAIR_KEY))
            wrong = take_text(&field, &ret_pair->key);
        else if (wrong == NULL && is_bytes(&field, PAIR_VALUE))
            wrong = take_text(&field, &ret_pair->value);
    }
    return wrong;
}

static const char *take_metadata(struct ttrpc_request *request, struct span bytes)
{
    struct ttrpc_pair pair;
    const char *wrong = parse_pair(bytes, &pair);

    request->metadata_count++;
    request->metadata_bytes += pair.key.length + pair.value.length + PAIR_OVERHEAD;
    return wrong;
}

static const char *take_request_field(struct ttrpc_request *request, const struct wire_field *field)
{
    if (is_bytes(field, REQUEST_SERVICE))
        return take_text(field, &request->service);
    if (is_bytes(field, REQUEST_METHOD))
        return take_text(field, &request->method);
    if (is_bytes(field, REQUEST_METADATA))
        return take_metadata(request, field->bytes);
    if (is_bytes(field, REQUEST_PAYLOAD)) {
        request->payload = field->bytes;
        request->has_payload = true;
    } else if (is_varint(field, REQUEST_TIMEOUT_NANO)) {
        request->timeout_nano = (int64_t)field->varint;
    }
    return NULL;
}

const char *ttrpc_request_parse(struct span bytes, struct ttrpc_request *ret_request)
{
    const char *wrong = NULL;

    *ret_request = (struct ttrpc_request){0};
    while (wrong == NULL && bytes.length > 0) {
        struct wire_field field;

        wrong = read_field(&bytes, &field);
        if (wrong == NULL)
            wrong = take_request_field(ret_request, &field);
    }
    return wrong;
}

bool ttrpc_metadata_next(struct span *rest, struct ttrpc_pair *ret_pair)
{
    while (rest->length > 0) {
        struct wire_field field;

        if (read_field(rest, &field) != NULL)
            return false;
        if (is_bytes(&field, REQUEST_METADATA))
            return parse_pair(field.bytes, ret_pair) == NULL;
    }
    return false;
}

static const char *take_status(struct ttrpc_response *response, struct span bytes)
{
    struct span rest = bytes;
    const char *wrong = NULL;

    while (wrong == NULL && rest.length > 0) {
        struct wire_field field;

        wrong = read_field(&rest, &field);
        if (wrong != NULL)
            break;
        if (is_varint(&field, STATUS_CODE))
            response->code = (int32_t)(uint32_t)field.varint;
        else if (is_bytes(&field, STATUS_MESSAGE))
            wrong = take_text(&field, &response->message);
        else if (is_bytes(&field, STATUS_DETAILS))
            response->details = bytes;
    }
    return wrong;
}

const char *ttrpc_response_parse(struct span bytes, struct ttrpc_response *ret_response)
{
    const char *wrong = NULL;

    *ret_response = (struct ttrpc_response){0};
    while (wrong == NULL && bytes.length > 0) {
        struct wire_field field;

        wrong = read_field(&bytes, &field);
        if (wrong != NULL)
            break;
        if (is_bytes(&field, RESPONSE_STATUS)) {
            wrong = take_status(ret_response, field.bytes);
        } else if (is_bytes(&field, RESPONSE_PAYLOAD)) {
            ret_response->payload = field.bytes;
            ret_response->has_payload = true;
        }
    }
    return wrong;
}

static size_t pair_size(const struct berth_metadata *item)
{
    return bytes_size(strlen(item->key)) + bytes_size(item->value_length);
}

static struct span service_of(const char *path)
{
    return (struct span){(const unsigned char *)path + 1, (size_t)(strrchr(path, '/') - path - 1)};
}

static const char *method_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

size_t ttrpc_request_size(const char *path, int64_t timeout_nano, const struct berth_metadata *metadata,
                          size_t count)
{
    size_t size = bytes_size(service_of(path).length) + bytes_size(strlen(method_of(path)));

    if (timeout_nano != 0)
        size += 1 + varint_size((uint64_t)timeout_nano);
    for (size_t i = 0; i < count; i++)
        size += bytes_size(pair_size(&metadata[i]));
    return size;
}

void ttrpc_request_write(unsigned char *bytes, const char *path, int64_t timeout_nano,
                         const struct berth_metadata *metadata, size_t count)
{
    struct span service = service_of(path);
    const char *method = method_of(path);

    bytes = write_bytes(bytes, REQUEST_SERVICE, service.bytes, service.length);
    bytes = write_bytes(bytes, REQUEST_METHOD, method, strlen(method));
    if (timeout_nano != 0)
        bytes = write_varint(write_tag(bytes, REQUEST_TIMEOUT_NANO, WIRE_VARINT), (uint64_t)timeout_nano);
    for (size_t i = 0; i < count; i++) {
        bytes = write_length(bytes, REQUEST_METADATA, pair_size(&metadata[i]));
        bytes = write_bytes(bytes, PAIR_KEY, metadata[i].key, strlen(metadata[i].key));
        bytes = write_bytes(bytes, PAIR_VALUE, metadata[i].value, metadata[i].value_length);
    }
}

size_t ttrpc_request_payload_prefix(unsigned char bytes[TTRPC_PAYLOAD_PREFIX_MAX], size_t length)
{
    return (size_t)(write_length(bytes, REQUEST_PAYLOAD, length) - bytes);
}

size_t ttrpc_response_payload_prefix(unsigned char bytes[TTRPC_PAYLOAD_PREFIX_MAX], size_t length)
{
    return (size_t)(write_length(bytes, RESPONSE_PAYLOAD, length) - bytes);
}

/* The next detail of a serialised google.rpc.Status, with its tag. */
static bool next_detail(struct span *rest, struct span *ret_whole)
{
    while (rest->length > 0) {
        struct wire_field field;

        if (read_field(rest, &field) != NULL)
            return false;
        if (is_bytes(&field, STATUS_DETAILS)) {
            *ret_whole = field.whole;
            return true;
        }
    }
    return false;
}

static size_t inner_status_size(enum berth_code code, struct span message, struct span details)
{
    size_t size = 1 + varint_size((uint64_t)code);
    struct span detail;

    if (message.length > 0)
        size += bytes_size(message.length);
    while (next_detail(&details, &detail))
        size += detail.length;
    return size;
}

size_t ttrpc_status_size(enum berth_code code, struct span message, struct span details)
{
    return bytes_size(inner_status_size(code, message, details));
}

void ttrpc_status_write(unsigned char *bytes, enum berth_code code, struct span message, struct span details)
{
    struct span detail;

    bytes = write_length(bytes, RESPONSE_STATUS, inner_status_size(code, message, details));
    bytes = write_varint(write_tag(bytes, STATUS_CODE, WIRE_VARINT), (uint64_t)code);
    if (message.length > 0)
        bytes = write_bytes(bytes, STATUS_MESSAGE, message.bytes, message.length);
    while (next_detail(&details, &detail))
        bytes = write_raw(bytes, detail.bytes, detail.length);
}
