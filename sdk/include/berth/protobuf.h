/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and replies as protobuf-c messages, for handlers that use that library. */
#ifndef BERTH_PROTOBUF_H
#define BERTH_PROTOBUF_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include <berth/answer.h>
#include <berth/call.h>
#include <berth/utf8.h>
#include <berth/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Memory allowed for unpacking a request in addition to four times its size: many small fields need more than
 * their bytes.
 */
#define BERTH_UNPACK_SLACK (1024 * 1024)

/** Maximum stack used for nested messages; some hundred levels. */
#define BERTH_UNPACK_STACK (512 * 1024)

struct berth_unpack_budget {
    size_t left;
    /** Stack position where unpacking began: protobuf-c recurses for each nested message. */
    uintptr_t stack;
};

static inline void *berth_unpack_allocate(void *budget, size_t size)
{
    struct berth_unpack_budget *own = (struct berth_unpack_budget *)budget;
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
    size_t cost = size + 2 * sizeof(void *);

    if (size > own->left || cost > own->left)
        return NULL;
    if ((own->stack > stack ? own->stack - stack : stack - own->stack) > BERTH_UNPACK_STACK)
        return NULL;
    own->left -= cost;
    return malloc(size);
}

static inline void berth_unpack_free(void *budget, void *memory)
{
    (void)budget;
    free(memory);
}

/**
 * Unpacks an untrusted message: allocates at most `max_allocated` bytes, and limits nesting to what the stack
 * holds.
 *
 * @return to be freed with protobuf_c_message_free_unpacked(message, NULL), or NULL.
 */
static inline ProtobufCMessage *berth_unpack_within(const ProtobufCMessageDescriptor *descriptor,
                                                    const void *bytes, size_t length, size_t max_allocated)
{
    struct berth_unpack_budget budget = {max_allocated, (uintptr_t)__builtin_frame_address(0)};
    ProtobufCAllocator allocator = {berth_unpack_allocate, berth_unpack_free, &budget};

    return protobuf_c_message_unpack(descriptor, &allocator, length, (const uint8_t *)bytes);
}

/**
 * Unpacks a message, limiting memory in proportion to its length.
 *
 * @return to be freed with protobuf_c_message_free_unpacked(message, NULL); NULL with a message to go with
 *         BERTH_INTERNAL if the bytes are not a valid message of this type.
 */
static inline ProtobufCMessage *berth_unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                                             size_t length, struct berth_error *err)
{
    ProtobufCMessage *message =
        berth_unpack_within(descriptor, bytes, length, 4 * length + BERTH_UNPACK_SLACK);

    if (message == NULL)
        berth_error_set(err, BERTH_INTERNAL, "grpc: error unmarshalling request: not a valid %s",
                        descriptor->name);
    return message;
}

/** Is it valid UTF-8 without a NUL, which would end a C string? */
static inline bool berth_string_is_text(const uint8_t *bytes, size_t length)
{
    return length == 0 ||
           (memchr(bytes, '\0', length) == NULL && berth_utf8_is_valid((const char *)bytes, length));
}

/** A field on the path to a string, and the fields that contain it. */
struct berth_text_place {
    const struct berth_text_place *outer;
    const ProtobufCFieldDescriptor *field;
    /** The message that contains the field, from its first byte to the field. */
    struct berth_wire before;
};

/* How many times this repeated field occurs before the current one. */
static inline size_t berth_text_index(const struct berth_text_place *place)
{
    struct berth_wire wire = place->before;
    struct berth_wire_field field;
    size_t index = 0;

    while (berth_wire_next(&wire, &field))
        index += field.number == place->field->id;
    return index;
}

/* "container.labels[2].value". @return its length; truncated to `size`. */
static inline size_t berth_text_write_path(const struct berth_text_place *place, char *path, size_t size)
{
    size_t length = place->outer == NULL ? 0 : berth_text_write_path(place->outer, path, size);
    int more;

    if (place->field->label == PROTOBUF_C_LABEL_REPEATED)
        more = snprintf(path + length, size - length, "%s%s[%zu]", length > 0 ? "." : "", place->field->name,
                        berth_text_index(place));
    else
        more = snprintf(path + length, size - length, "%s%s", length > 0 ? "." : "", place->field->name);
    return more < 0 || (size_t)more >= size - length ? size - 1 : length + (size_t)more;
}

static inline enum berth_code berth_text_refuse(const struct berth_text_place *place,
                                                const ProtobufCMessageDescriptor *descriptor,
                                                const struct berth_wire_field *string,
                                                struct berth_error *err)
{
    bool has_nul = memchr(string->data, '\0', string->length) != NULL;
    char path[256];

    berth_text_write_path(place, path, sizeof(path));
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "field %s of %s %s", path, descriptor->name,
                           has_nul ? "contains a NUL byte" : "is not valid UTF-8");
}

/* `message` is the outermost message; `outer` is the field of it that contains the bytes. */
static inline enum berth_code berth_text_check_inside(const ProtobufCMessageDescriptor *message,
                                                      const ProtobufCMessageDescriptor *descriptor,
                                                      const void *bytes, size_t length,
                                                      const struct berth_text_place *outer,
                                                      struct berth_error *err)
{
    struct berth_wire wire = berth_wire_of(bytes, length);
    struct berth_text_place place = {outer, NULL, wire};
    struct berth_wire_field field;
    enum berth_code code = BERTH_OK;

    while (code == BERTH_OK && berth_wire_next(&wire, &field)) {
        if (field.type != BERTH_WIRE_BYTES)
            continue;
        place.field = protobuf_c_message_descriptor_get_field(descriptor, field.number);
        place.before.end = field.whole;
        if (place.field == NULL)
            continue;
        if (place.field->type == PROTOBUF_C_TYPE_STRING && !berth_string_is_text(field.data, field.length))
            code = berth_text_refuse(&place, message, &field, err);
        if (place.field->type == PROTOBUF_C_TYPE_MESSAGE)
            code =
                berth_text_check_inside(message, (const ProtobufCMessageDescriptor *)place.field->descriptor,
                                        field.data, field.length, &place, err);
    }
    if (code == BERTH_OK && !berth_wire_is_whole(&wire))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "invalid %s in %s", descriptor->name,
                               message->name);
    return code;
}

/**
 * Is a message complete, and are its strings and those of nested messages valid text? protobuf-c does not
 * check; proto3 requires it, and a C string ends at a NUL. Fields unknown to the descriptor are skipped.
 *
 * @param bytes  have been unpacked, or are of a type without recursion, so that nesting cannot exhaust the
 *               stack.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with a message that names the field.
 */
static inline enum berth_code berth_text_check(const ProtobufCMessageDescriptor *descriptor,
                                               const void *bytes, size_t length, struct berth_error *err)
{
    return berth_text_check_inside(descriptor, descriptor, bytes, length, NULL, err);
}

/** Finishes a call with INTERNAL, in the wording of its transport, for bytes that are not a valid message. */
static inline void berth_call_refuse_bytes(struct berth_call *call,
                                           const ProtobufCMessageDescriptor *descriptor)
{
    bool ttrpc = call->transport != NULL && strcmp(call->transport, "ttrpc") == 0;
    struct berth_error err;

    berth_error_set(&err, BERTH_INTERNAL, "%s: not a valid %s",
                    ttrpc ? "ttrpc: error unmarshalling payload" : "grpc: error unmarshalling request",
                    descriptor->name);
    berth_call_finish(call, BERTH_INTERNAL, err.message);
}

/**
 * Unpacks the request of a call and checks its strings. If it returns NULL, the call has been finished: with
 * INTERNAL, in the wording of its transport, for bytes that are not a valid message; with INVALID_ARGUMENT
 * and the field's name for an invalid string.
 */
static inline ProtobufCMessage *berth_call_unpack(struct berth_call *call,
                                                  const ProtobufCMessageDescriptor *descriptor,
                                                  const void *bytes, size_t length)
{
    ProtobufCMessage *message =
        berth_unpack_within(descriptor, bytes, length, 4 * length + BERTH_UNPACK_SLACK);
    struct berth_error err;
    enum berth_code code;

    if (message == NULL) {
        berth_call_refuse_bytes(call, descriptor);
        return NULL;
    }
    code = berth_text_check(descriptor, bytes, length, &err);
    if (code == BERTH_OK)
        return message;
    protobuf_c_message_free_unpacked(message, NULL);
    berth_call_finish(call, code, err.message);
    return NULL;
}

/** Messages up to this size are packed on the stack. */
#define BERTH_PACK_STACK (4096 + 64)

/** Packs and sends a message as berth_call_send does; BERTH_RESOURCE_EXHAUSTED also without memory. */
static inline enum berth_code berth_call_send_message(struct berth_call *call,
                                                      const ProtobufCMessage *message)
{
    uint8_t small[BERTH_PACK_STACK];
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = length <= sizeof(small) ? small : (uint8_t *)malloc(length);
    enum berth_code code;

    if (bytes == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    code = berth_call_send(call, bytes, protobuf_c_message_pack(message, bytes));
    if (bytes != small)
        free(bytes);
    return code;
}

/**
 * Sends the single response of a unary method and ends the call with OK, or with the error if it cannot be
 * sent.
 */
static inline void berth_call_reply_message(struct berth_call *call, const ProtobufCMessage *message)
{
    berth_call_finish_sent(call, berth_call_send_message(call, message));
}

/** Appends a packed message; NULL is a message without fields. */
static inline void berth_wire_put_message(struct berth_wire_buffer *buffer, const ProtobufCMessage *message)
{
    size_t length = message == NULL ? 0 : protobuf_c_message_get_packed_size(message);

    if (length > 0 && berth_wire_reserve(buffer, length))
        buffer->length += protobuf_c_message_pack(message, buffer->bytes + buffer->length);
}

/**
 * Ends a unary call: BERTH_OK with the bytes written, any other code with its message;
 * BERTH_RESOURCE_EXHAUSTED if memory for the reply ran out. Frees the bytes.
 */
static inline void berth_call_answer_wire(struct berth_call *call, struct berth_wire_buffer *reply,
                                          enum berth_code code, const char *message)
{
    if (code != BERTH_OK)
        berth_call_finish(call, code, message);
    else if (reply->failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the reply");
    else
        berth_call_reply(call, reply->bytes, reply->length);
    berth_wire_finish(reply);
}

/**
 * As berth_answer_finish, but BERTH_OK replies with a message that has the bytes in field 1: most replies to
 * a change contain the object it created.
 */
static inline void berth_answer_finish_field(struct berth_answer *answer, enum berth_code code,
                                             const char *message, const void *bytes, size_t length)
{
    struct berth_call *call = berth_answer_take(answer);
    struct berth_wire_buffer reply = {NULL, 0, 0, false};

    if (call == NULL)
        return;
    if (code == BERTH_OK)
        berth_wire_put_bytes(&reply, 1, bytes, length);
    berth_call_answer_wire(call, &reply, code, message);
}

/** A reply with repeated messages in field 1, built in memory. Zero-initialise, then set `max_bytes`. */
struct berth_list_reply {
    struct berth_wire_buffer wire;
    size_t max_bytes;
    /** Messages so far. */
    size_t count;
    /** The next message would have exceeded `max_bytes`. */
    bool is_too_long;
};

/** @return false if nothing more can be added: it is too long, or memory ran out. */
static inline bool berth_list_reply_add(struct berth_list_reply *list, const void *bytes, size_t length)
{
    list->is_too_long = list->wire.length + berth_wire_size_of_bytes(1, length) > list->max_bytes;
    if (list->is_too_long)
        return false;
    berth_wire_put_bytes(&list->wire, 1, bytes, length);
    list->count++;
    return !list->wire.failed;
}

#ifdef __cplusplus
}
#endif

#endif
