/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How struct berth_image_verifier is used across processes: its stub and its skeleton, by hand in the form of
 * generated ones. Included by the source that berth-sdk generates where a manifest lists berth_image_verifier
 * under `remote`; defines berth_image_verifier_remote. See berth/remote.h.
 *
 *     request: 1 name, 2 digest, 3 media type, 4 manifest size          reply: 1 ok, 2 reason
 */
#ifndef BERTH_TYPES_IMAGE_VERIFIER_REMOTE_H
#define BERTH_TYPES_IMAGE_VERIFIER_REMOTE_H

#include <stdlib.h>
#include <string.h>

#include <berth/plugin.h>
#include <berth/types/image_verifier.h>
#include <berth/utf8.h>
#include <berth/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Verifiers are programs that may take long: each up to an hour. */
#define BERTH_IMAGE_VERIFIER_TIMEOUT_MS (4u * 60 * 60 * 1000)

struct berth_image_remote_context {
    berth_image_verified *done;
    void *context;
};

/* A string of a message with a NUL behind it; NULL if it contains one, is not UTF-8, or without memory. */
static inline char *berth_image_remote_text(const struct berth_wire_field *field)
{
    char *text;

    if (field->type != BERTH_WIRE_BYTES || memchr(field->data, '\0', field->length) != NULL ||
        !berth_utf8_is_valid((const char *)field->data, field->length))
        return NULL;
    text = (char *)malloc(field->length + 1);
    if (text == NULL)
        return NULL;
    memcpy(text, field->data, field->length);
    text[field->length] = '\0';
    return text;
}

/* Fails closed: an image is accepted only by a whole reply that says so. */
static inline void berth_image_remote_on_end(const void *context, enum berth_code code, const void *reply,
                                             size_t length, const char *message)
{
    struct berth_image_remote_context caller;
    struct berth_wire wire = berth_wire_of(reply, length);
    struct berth_wire_field field;
    bool ok = false, is_valid = true;
    char *reason = NULL;

    memcpy(&caller, context, sizeof(caller));
    if (code != BERTH_OK) {
        caller.done(caller.context, code, false, message);
        return;
    }
    while (is_valid && berth_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == BERTH_WIRE_VARINT)
            ok = field.value == 1;
        if (field.number != 2)
            continue;
        free(reason);
        reason = berth_image_remote_text(&field);
        is_valid = reason != NULL;
    }
    if (is_valid && berth_wire_is_whole(&wire))
        caller.done(caller.context, BERTH_OK, ok, reason != NULL ? reason : "");
    else
        caller.done(caller.context, BERTH_INTERNAL, false, "the image verifier sent an invalid reply");
    free(reason);
}

static inline void berth_image_remote_put(struct berth_wire_buffer *buffer, uint32_t number, const char *text)
{
    if (text != NULL)
        berth_wire_put_bytes(buffer, number, text, strlen(text));
}

static inline enum berth_code berth_image_remote_verify(void *instance, const struct berth_image *image,
                                                        berth_image_verified *done, void *context,
                                                        struct berth_verification **ret_verification,
                                                        struct berth_error *err)
{
    struct berth_image_remote_context caller;
    struct berth_remote_request request;
    struct berth_wire_buffer buffer;
    struct berth_remote_call *call;
    enum berth_code code;

    memset(&buffer, 0, sizeof(buffer));
    berth_image_remote_put(&buffer, 1, image->name);
    berth_image_remote_put(&buffer, 2, image->digest);
    berth_image_remote_put(&buffer, 3, image->media_type);
    berth_wire_put_number(&buffer, 4, (uint64_t)image->manifest_size);
    if (buffer.failed) {
        berth_wire_finish(&buffer);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to verify an image");
    }
    caller.done = done;
    caller.context = context;
    memset(&request, 0, sizeof(request));
    request.size = (uint32_t)sizeof(request);
    request.timeout_ms = BERTH_IMAGE_VERIFIER_TIMEOUT_MS;
    request.bytes = buffer.bytes;
    request.length = buffer.length;
    request.on_end = berth_image_remote_on_end;
    request.context = &caller;
    request.context_length = sizeof(caller);
    code = berth_remote_peer_start(instance, &request, &call, err);
    berth_wire_finish(&buffer);
    if (code == BERTH_OK && ret_verification != NULL)
        *ret_verification = (struct berth_verification *)call;
    return code;
}

static inline void berth_image_remote_cancel(void *instance, struct berth_verification *verification)
{
    berth_remote_peer_cancel(instance, (struct berth_remote_call *)verification);
}

static inline void berth_image_remote_done(void *context, enum berth_code code, bool ok, const char *reason)
{
    struct berth_remote_reply *reply = (struct berth_remote_reply *)context;
    struct berth_wire_buffer buffer;

    memset(&buffer, 0, sizeof(buffer));
    berth_wire_put_number(&buffer, 1, ok);
    berth_image_remote_put(&buffer, 2, reason);
    if (code == BERTH_OK && buffer.failed)
        reply->end(reply, BERTH_RESOURCE_EXHAUSTED, NULL, 0, "no memory for the reason");
    else
        reply->end(reply, code, buffer.bytes, buffer.length, reason);
    berth_wire_finish(&buffer);
}

static inline enum berth_code berth_image_remote_serve(const void *table, void *instance, uint32_t method,
                                                       const void *bytes, size_t length,
                                                       struct berth_remote_reply *reply, void **ret_handle,
                                                       struct berth_error *err)
{
    const struct berth_image_verifier *verifier = (const struct berth_image_verifier *)table;
    struct berth_wire wire = berth_wire_of(bytes, length);
    struct berth_verification *verification = NULL;
    char *texts[3] = {NULL, NULL, NULL};
    struct berth_wire_field field;
    struct berth_image image;
    bool is_valid = true;
    enum berth_code code;

    if (method != 0)
        return berth_error_set(err, BERTH_UNIMPLEMENTED, "image verifiers have no method %u", method);
    memset(&image, 0, sizeof(image));
    image.size = (uint32_t)sizeof(image);
    while (is_valid && berth_wire_next(&wire, &field)) {
        if (field.number == 4 && field.type == BERTH_WIRE_VARINT)
            image.manifest_size = (int64_t)field.value;
        if (field.number < 1 || field.number > 3)
            continue;
        free(texts[field.number - 1]);
        texts[field.number - 1] = berth_image_remote_text(&field);
        is_valid = texts[field.number - 1] != NULL;
    }
    image.name = texts[0];
    image.digest = texts[1];
    image.media_type = texts[2];
    if (is_valid && berth_wire_is_whole(&wire))
        code = verifier->verify(instance, &image, berth_image_remote_done, reply, &verification, err);
    else
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "an image's name, digest and media type must be UTF-8 without NUL bytes");
    for (size_t i = 0; i < 3; i++)
        free(texts[i]);
    *ret_handle = verification;
    return code;
}

static inline void berth_image_remote_cancel_served(const void *table, void *instance, void *handle)
{
    if (handle != NULL)
        ((const struct berth_image_verifier *)table)->cancel(instance, (struct berth_verification *)handle);
}

static const struct berth_image_verifier berth_image_verifier_stub = {
    (uint32_t)sizeof(struct berth_image_verifier),
    berth_image_remote_verify,
    berth_image_remote_cancel,
};

static const struct berth_remote berth_image_verifier_remote = {
    (uint32_t)sizeof(struct berth_remote),
    "berth_image_verifier",
    &berth_image_verifier_stub,
    berth_image_remote_serve,
    berth_image_remote_cancel_served,
};

#ifdef __cplusplus
}
#endif

#endif
