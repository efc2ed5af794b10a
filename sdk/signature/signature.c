/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: minisign's files, verifying, signing; and the library behind it all. */
#include <berth/signature.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/base64.h>
#include <sdk/base/lazy_library.h>

#include "engine.h"
#include "format.h"

#define UNTRUSTED "untrusted comment:"
#define TRUSTED "trusted comment:"
#define HASH_BYTES 64

static const uint8_t of_file[2] = {'E', 'd'};
static const uint8_t of_hash[2] = {'E', 'D'};

struct signature_bytes {
    uint8_t algorithm[2];
    uint8_t key_id[BERTH_KEY_ID_BYTES];
    uint8_t signature[BERTH_SIGNATURE_BYTES];
};

static_assert(sizeof(struct signature_bytes) == 74, "minisign's format");

enum berth_code signature_engine_get(const struct signature_engine **ret_engine, struct berth_error *err)
{
    struct berth_error reason;
    const struct signature_engine *engine;
    const void *table;
    enum berth_code code =
        berth_lazy_library(SIGNATURE_ENGINE_LIBRARY, SIGNATURE_ENGINE_SYMBOL, &table, &reason);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot use signatures: %s (reinstall berth)", reason.message);
    engine = table;
    if (!engine->start())
        return berth_error_set(err, BERTH_UNAVAILABLE, "cannot use signatures: libsodium does not start");
    *ret_engine = engine;
    return BERTH_OK;
}

static enum berth_code take_bytes(const struct signature_bytes *bytes, struct berth_signature *signature,
                                  struct berth_error *err)
{
    signature->is_prehashed = memcmp(bytes->algorithm, of_hash, sizeof(of_hash)) == 0;
    if (!signature->is_prehashed && memcmp(bytes->algorithm, of_file, sizeof(of_file)) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "line 2: the signature's algorithm is neither Ed nor ED (Ed25519)");
    memcpy(signature->key_id, bytes->key_id, sizeof(signature->key_id));
    memcpy(signature->bytes, bytes->signature, sizeof(signature->bytes));
    return BERTH_OK;
}

enum berth_code berth_signature_parse(const char *text, size_t length, struct berth_signature *ret_signature,
                                      struct berth_error *err)
{
    struct format_reader reader = {.rest = text, .left = length};
    struct format_line comment;
    struct signature_bytes bytes;
    enum berth_code code = format_take_comment(&reader, UNTRUSTED, FORMAT_COMMENT_MAX, &comment, err);

    if (code == BERTH_OK)
        code = format_take_bytes(&reader, "a signature", sizeof(bytes), &bytes, err);
    if (code == BERTH_OK)
        code = take_bytes(&bytes, ret_signature, err);
    if (code == BERTH_OK)
        code = format_take_comment(&reader, TRUSTED, BERTH_SIGNATURE_COMMENT_MAX, &comment, err);
    if (code == BERTH_OK)
        code = format_take_bytes(&reader, "the trusted comment's signature", sizeof(ret_signature->global),
                                 ret_signature->global, err);
    if (code == BERTH_OK)
        code = format_take_end(&reader, err);
    if (code != BERTH_OK)
        return code;
    memcpy(ret_signature->comment, comment.text, comment.length);
    ret_signature->comment[comment.length] = '\0';
    ret_signature->comment_length = comment.length;
    return BERTH_OK;
}

char *berth_signature_format(const struct berth_signature *signature, const char *untrusted_comment)
{
    struct signature_bytes bytes;
    char *above, *below, *text = NULL;

    memcpy(bytes.algorithm, signature->is_prehashed ? of_hash : of_file, sizeof(bytes.algorithm));
    memcpy(bytes.key_id, signature->key_id, sizeof(bytes.key_id));
    memcpy(bytes.signature, signature->bytes, sizeof(bytes.signature));
    above = format_lines(UNTRUSTED, untrusted_comment, &bytes, sizeof(bytes));
    below = format_lines(TRUSTED, signature->comment, signature->global, sizeof(signature->global));
    if (above == NULL || below == NULL || asprintf(&text, "%s%s", above, below) < 0)
        text = NULL;
    free(above);
    free(below);
    return text;
}

/* What the second signature is over. @return its length. */
static size_t join(const struct berth_signature *signature,
                   uint8_t ret_bytes[BERTH_SIGNATURE_BYTES + BERTH_SIGNATURE_COMMENT_MAX])
{
    memcpy(ret_bytes, signature->bytes, sizeof(signature->bytes));
    memcpy(ret_bytes + sizeof(signature->bytes), signature->comment, signature->comment_length);
    return sizeof(signature->bytes) + signature->comment_length;
}

enum berth_code berth_signature_verify(const struct berth_signature *signature,
                                       const struct berth_public_key *key, const void *bytes, size_t length,
                                       struct berth_error *err)
{
    uint8_t joined[BERTH_SIGNATURE_BYTES + BERTH_SIGNATURE_COMMENT_MAX], hash[HASH_BYTES];
    const struct signature_engine *engine;
    enum berth_code code = signature_engine_get(&engine, err);

    if (code != BERTH_OK)
        return code;
    if (signature->is_prehashed) {
        engine->blake2b(bytes, length, hash, sizeof(hash));
        bytes = hash;
        length = sizeof(hash);
    }
    if (!engine->verify(signature->bytes, bytes, length, key->bytes))
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "the signature is not of this file: the file was changed, or the signature "
                               "is another file's or forged");
    if (!engine->verify(signature->global, joined, join(signature, joined), key->bytes))
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "the trusted comment is not the one that was signed");
    return BERTH_OK;
}

enum berth_code berth_signature_make(const struct berth_secret_key *key, const void *bytes, size_t length,
                                     const char *comment, struct berth_signature *ret_signature,
                                     struct berth_error *err)
{
    uint8_t joined[BERTH_SIGNATURE_BYTES + BERTH_SIGNATURE_COMMENT_MAX], hash[HASH_BYTES];
    const struct signature_engine *engine;
    enum berth_code code = signature_engine_get(&engine, err);

    if (code != BERTH_OK)
        return code;
    if (strlen(comment) >= BERTH_SIGNATURE_COMMENT_MAX || strpbrk(comment, "\r\n") != NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "the trusted comment must be one line shorter than %d bytes",
                               BERTH_SIGNATURE_COMMENT_MAX);
    ret_signature->is_prehashed = true;
    memcpy(ret_signature->key_id, key->id, sizeof(ret_signature->key_id));
    ret_signature->comment_length = strlen(comment);
    memcpy(ret_signature->comment, comment, ret_signature->comment_length + 1);
    engine->blake2b(bytes, length, hash, sizeof(hash));
    engine->sign(ret_signature->bytes, hash, sizeof(hash), key->bytes);
    engine->sign(ret_signature->global, joined, join(ret_signature, joined), key->bytes);
    return BERTH_OK;
}

enum berth_code berth_sha256(const void *bytes, size_t length, char ret_text[BERTH_SHA256_TEXT],
                             struct berth_error *err)
{
    uint8_t hash[BERTH_SHA256_BYTES];
    const struct signature_engine *engine;
    enum berth_code code = signature_engine_get(&engine, err);

    if (code != BERTH_OK)
        return code;
    engine->sha256(bytes, length, hash);
    for (size_t i = 0; i < sizeof(hash); i++)
        snprintf(ret_text + 2 * i, 3, "%02x", hash[i]);
    return BERTH_OK;
}
