/* SPDX-License-Identifier: Apache-2.0 */
/* How the Connect protocol says that a call has ended: error codes, their HTTP status, and errors as JSON. */
#include "answer.h"

#include <string.h>

#include <berth/wire.h>

#include <sdk/base/base64.h>

static const struct {
    const char *name;
    unsigned status;
} codes[] = {
    [BERTH_OK] = {"ok", 200},
    [BERTH_CANCELLED] = {"canceled", 499},
    [BERTH_UNKNOWN] = {"unknown", 500},
    [BERTH_INVALID_ARGUMENT] = {"invalid_argument", 400},
    [BERTH_DEADLINE_EXCEEDED] = {"deadline_exceeded", 504},
    [BERTH_NOT_FOUND] = {"not_found", 404},
    [BERTH_ALREADY_EXISTS] = {"already_exists", 409},
    [BERTH_PERMISSION_DENIED] = {"permission_denied", 403},
    [BERTH_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
    [BERTH_FAILED_PRECONDITION] = {"failed_precondition", 400},
    [BERTH_ABORTED] = {"aborted", 409},
    [BERTH_OUT_OF_RANGE] = {"out_of_range", 400},
    [BERTH_UNIMPLEMENTED] = {"unimplemented", 501},
    [BERTH_INTERNAL] = {"internal", 500},
    [BERTH_UNAVAILABLE] = {"unavailable", 503},
    [BERTH_DATA_LOSS] = {"data_loss", 500},
    [BERTH_UNAUTHENTICATED] = {"unauthenticated", 401},
};

static enum berth_code known(enum berth_code code)
{
    return (int)code >= 0 && (size_t)code < sizeof(codes) / sizeof(codes[0]) ? code : BERTH_UNKNOWN;
}

const char *connect_code_name(enum berth_code code)
{
    return codes[known(code)].name;
}

unsigned connect_http_status(enum berth_code code)
{
    return codes[known(code)].status;
}

/* The parts of a google.protobuf.Any. @return false if it cannot be read. */
static bool read_any(const struct berth_wire_field *any, struct berth_wire_field *ret_url,
                     struct berth_wire_field *ret_value)
{
    struct berth_wire wire = berth_wire_of(any->data, any->length);
    struct berth_wire_field field;

    while (berth_wire_next(&wire, &field)) {
        if (field.type != BERTH_WIRE_BYTES)
            continue;
        if (field.number == 1)
            *ret_url = field;
        else if (field.number == 2)
            *ret_value = field;
    }
    return berth_wire_is_whole(&wire);
}

static void write_detail(struct berth_json_writer *json, const struct berth_wire_field *any,
                         struct berth_arena *arena)
{
    struct berth_wire_field url = {.length = 0}, value = {.length = 0};
    char *type, *text;
    const char *slash;

    if (!read_any(any, &url, &value))
        return;
    type = berth_arena_copy(arena, url.data == NULL ? "" : (const char *)url.data, url.length);
    text = berth_arena_take(arena, BASE64_ENCODED_LENGTH(value.length) + 1);
    if (type == NULL || text == NULL) {
        json->failed = true;
        return;
    }
    base64_encode(value.data, value.length, text);
    text[BASE64_ENCODED_LENGTH(value.length)] = '\0';
    slash = strrchr(type, '/');
    berth_json_open(json, NULL, '{');
    berth_json_string(json, "type", slash == NULL ? type : slash + 1);
    berth_json_string(json, "value", text);
    berth_json_close(json, '}');
}

/* Those of a google.rpc.Status. */
static void write_details(struct berth_json_writer *json, const struct connect_end *end,
                          struct berth_arena *arena)
{
    struct berth_wire wire = berth_wire_of(end->details, end->details_length);
    struct berth_wire_field field;
    bool is_open = false;

    while (berth_wire_next(&wire, &field)) {
        if (field.number != 3 || field.type != BERTH_WIRE_BYTES)
            continue;
        if (!is_open)
            berth_json_open(json, "details", '[');
        is_open = true;
        write_detail(json, &field, arena);
    }
    if (is_open)
        berth_json_close(json, ']');
}

void connect_write_error(struct berth_json_writer *json, const char *key, const struct connect_end *end,
                         struct berth_arena *arena)
{
    berth_json_open(json, key, '{');
    berth_json_string(json, "code", connect_code_name(end->code));
    if (end->message != NULL && end->message[0] != '\0')
        berth_json_string(json, "message", end->message);
    if (end->details_length > 0)
        write_details(json, end, arena);
    berth_json_close(json, '}');
}

static bool is_first(const struct metadata_list *list, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(list->items[k].key, list->items[i].key) == 0)
            return false;
    return true;
}

/* The values of a key go together. */
static void write_trailers(struct berth_json_writer *json, const struct metadata_list *trailers)
{
    berth_json_open(json, "metadata", '{');
    for (size_t i = 0; i < trailers->count; i++) {
        if (!is_first(trailers, i))
            continue;
        berth_json_open(json, trailers->items[i].key, '[');
        for (size_t k = i; k < trailers->count; k++)
            if (strcmp(trailers->items[k].key, trailers->items[i].key) == 0)
                berth_json_string(json, NULL, trailers->items[k].value);
        berth_json_close(json, ']');
    }
    berth_json_close(json, '}');
}

void connect_write_end(struct berth_json_writer *json, const struct connect_end *end,
                       const struct metadata_list *trailers, struct berth_arena *arena)
{
    berth_json_open(json, NULL, '{');
    if (end->code != BERTH_OK)
        connect_write_error(json, "error", end, arena);
    if (trailers->count > 0)
        write_trailers(json, trailers);
    berth_json_close(json, '}');
}
