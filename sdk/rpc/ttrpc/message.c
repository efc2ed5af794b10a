/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of ttrpc, Request, Response and the google.rpc.Status in it, between bytes and structs that
 * refer to them: no memory is taken, and no number of a peer's is believed.
 */
#include "message.h"

#include <string.h>

#include <berth/utf8.h>

#include "wire.h"

/* What a pair costs besides its bytes, as with HTTP/2's fields (RFC 9113 6.5.2). */
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

        wrong = wire_read_field(&rest, &field);
        if (wrong == NULL && wire_is_bytes(&field, PAIR_KEY))
            wrong = take_text(&field, &ret_pair->key);
        else if (wrong == NULL && wire_is_bytes(&field, PAIR_VALUE))
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
    if (wire_is_bytes(field, REQUEST_SERVICE))
        return take_text(field, &request->service);
    if (wire_is_bytes(field, REQUEST_METHOD))
        return take_text(field, &request->method);
    if (wire_is_bytes(field, REQUEST_METADATA))
        return take_metadata(request, field->bytes);
    if (wire_is_bytes(field, REQUEST_PAYLOAD)) {
        request->payload = field->bytes;
        request->has_payload = true;
    } else if (wire_is_varint(field, REQUEST_TIMEOUT_NANO)) {
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

        wrong = wire_read_field(&bytes, &field);
        if (wrong == NULL)
            wrong = take_request_field(ret_request, &field);
    }
    return wrong;
}

bool ttrpc_metadata_next(struct span *rest, struct ttrpc_pair *ret_pair)
{
    while (rest->length > 0) {
        struct wire_field field;

        if (wire_read_field(rest, &field) != NULL)
            return false;
        if (wire_is_bytes(&field, REQUEST_METADATA))
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

        wrong = wire_read_field(&rest, &field);
        if (wrong != NULL)
            break;
        if (wire_is_varint(&field, STATUS_CODE))
            response->code = (int32_t)(uint32_t)field.varint;
        else if (wire_is_bytes(&field, STATUS_MESSAGE))
            wrong = take_text(&field, &response->message);
        else if (wire_is_bytes(&field, STATUS_DETAILS))
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

        wrong = wire_read_field(&bytes, &field);
        if (wrong != NULL)
            break;
        if (wire_is_bytes(&field, RESPONSE_STATUS)) {
            wrong = take_status(ret_response, field.bytes);
        } else if (wire_is_bytes(&field, RESPONSE_PAYLOAD)) {
            ret_response->payload = field.bytes;
            ret_response->has_payload = true;
        }
    }
    return wrong;
}

static size_t pair_size(const struct berth_metadata *item)
{
    return wire_bytes_size(strlen(item->key)) + wire_bytes_size(item->value_length);
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
    size_t size = wire_bytes_size(service_of(path).length) + wire_bytes_size(strlen(method_of(path)));

    if (timeout_nano != 0)
        size += 1 + wire_varint_size((uint64_t)timeout_nano);
    for (size_t i = 0; i < count; i++)
        size += wire_bytes_size(pair_size(&metadata[i]));
    return size;
}

void ttrpc_request_write(unsigned char *bytes, const char *path, int64_t timeout_nano,
                         const struct berth_metadata *metadata, size_t count)
{
    struct span service = service_of(path);
    const char *method = method_of(path);

    bytes = wire_write_bytes(bytes, REQUEST_SERVICE, service.bytes, service.length);
    bytes = wire_write_bytes(bytes, REQUEST_METHOD, method, strlen(method));
    if (timeout_nano != 0)
        bytes = wire_write_varint(wire_write_tag(bytes, REQUEST_TIMEOUT_NANO, WIRE_VARINT),
                                  (uint64_t)timeout_nano);
    for (size_t i = 0; i < count; i++) {
        bytes = wire_write_length(bytes, REQUEST_METADATA, pair_size(&metadata[i]));
        bytes = wire_write_bytes(bytes, PAIR_KEY, metadata[i].key, strlen(metadata[i].key));
        bytes = wire_write_bytes(bytes, PAIR_VALUE, metadata[i].value, metadata[i].value_length);
    }
}

size_t ttrpc_request_payload_prefix(unsigned char bytes[TTRPC_PAYLOAD_PREFIX_MAX], size_t length)
{
    return (size_t)(wire_write_length(bytes, REQUEST_PAYLOAD, length) - bytes);
}

size_t ttrpc_response_payload_prefix(unsigned char bytes[TTRPC_PAYLOAD_PREFIX_MAX], size_t length)
{
    return (size_t)(wire_write_length(bytes, RESPONSE_PAYLOAD, length) - bytes);
}

/* Of a serialised google.rpc.Status the next of its details, with its tag. */
static bool next_detail(struct span *rest, struct span *ret_whole)
{
    while (rest->length > 0) {
        struct wire_field field;

        if (wire_read_field(rest, &field) != NULL)
            return false;
        if (wire_is_bytes(&field, STATUS_DETAILS)) {
            *ret_whole = field.whole;
            return true;
        }
    }
    return false;
}

static size_t inner_status_size(enum berth_code code, struct span message, struct span details)
{
    size_t size = 1 + wire_varint_size((uint64_t)code);
    struct span detail;

    if (message.length > 0)
        size += wire_bytes_size(message.length);
    while (next_detail(&details, &detail))
        size += detail.length;
    return size;
}

size_t ttrpc_status_size(enum berth_code code, struct span message, struct span details)
{
    return wire_bytes_size(inner_status_size(code, message, details));
}

void ttrpc_status_write(unsigned char *bytes, enum berth_code code, struct span message, struct span details)
{
    struct span detail;

    bytes = wire_write_length(bytes, RESPONSE_STATUS, inner_status_size(code, message, details));
    bytes = wire_write_varint(wire_write_tag(bytes, STATUS_CODE, WIRE_VARINT), (uint64_t)code);
    if (message.length > 0)
        bytes = wire_write_bytes(bytes, STATUS_MESSAGE, message.bytes, message.length);
    while (next_detail(&details, &detail))
        bytes = wire_write_raw(bytes, detail.bytes, detail.length);
}
