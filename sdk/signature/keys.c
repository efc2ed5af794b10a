/* SPDX-License-Identifier: Apache-2.0 */
/* Public and secret keys: minisign's files, the password of a secret key, and new pairs. */
#include <berth/signature.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "format.h"

#define UNTRUSTED "untrusted comment:"

/* Ed25519; scrypt; BLAKE2b. */
static const uint8_t ed25519[2] = {'E', 'd'};
static const uint8_t kdf_scrypt[2] = {'S', 'c'};
static const uint8_t kdf_none[2] = {0, 0};
static const uint8_t blake2b[2] = {'B', '2'};

/* As minisign's: libsodium's crypto_pwhash_scryptsalsa208sha256_*_SENSITIVE. A file may ask for no more. */
#define OPERATIONS 33554432
#define MEMORY ((uint64_t)1 << 30)

#define CHECKSUM_BYTES 32

struct public_bytes {
    uint8_t algorithm[2];
    uint8_t id[BERTH_KEY_ID_BYTES];
    uint8_t key[BERTH_PUBLIC_KEY_BYTES];
};

struct secret_bytes {
    uint8_t algorithm[2];
    uint8_t kdf[2];
    uint8_t checksum[2];
    uint8_t salt[32];
    uint8_t operations[8];
    uint8_t memory[8];
    uint8_t payload[sizeof(((struct berth_sealed_key *)NULL)->payload)];
};

static_assert(sizeof(struct public_bytes) == 42, "minisign's format");
static_assert(sizeof(struct secret_bytes) == 158, "minisign's format");

static uint64_t load_u64(const uint8_t bytes[8])
{
    uint64_t value = 0;

    for (size_t i = 8; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static void store_u64(uint8_t ret_bytes[8], uint64_t value)
{
    for (size_t i = 0; i < 8; i++, value >>= 8)
        ret_bytes[i] = (uint8_t)value;
}

enum berth_code berth_public_key_parse(const char *text, size_t length, struct berth_public_key *ret_key,
                                       struct berth_error *err)
{
    struct format_reader reader = {.rest = text, .left = length};
    struct format_line comment;
    struct public_bytes bytes;
    enum berth_code code = format_take_comment(&reader, UNTRUSTED, FORMAT_COMMENT_MAX, &comment, err);

    if (code == BERTH_OK)
        code = format_take_bytes(&reader, "a public key", sizeof(bytes), &bytes, err);
    if (code == BERTH_OK)
        code = format_take_end(&reader, err);
    if (code != BERTH_OK)
        return code;
    if (memcmp(bytes.algorithm, ed25519, sizeof(ed25519)) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "line 2: the key's algorithm is not Ed25519 (Ed)");
    memcpy(ret_key->id, bytes.id, sizeof(ret_key->id));
    memcpy(ret_key->bytes, bytes.key, sizeof(ret_key->bytes));
    return BERTH_OK;
}

char *berth_public_key_format(const struct berth_public_key *key)
{
    char comment[64] = "minisign public key ";
    struct public_bytes bytes;

    memcpy(bytes.algorithm, ed25519, sizeof(ed25519));
    memcpy(bytes.id, key->id, sizeof(bytes.id));
    memcpy(bytes.key, key->bytes, sizeof(bytes.key));
    berth_key_id_format(key->id, comment + strlen(comment));
    return format_lines(UNTRUSTED, comment, &bytes, sizeof(bytes));
}

static enum berth_code read_secret(const struct secret_bytes *bytes, struct berth_sealed_key *sealed,
                                   struct berth_error *err)
{
    bool is_encrypted = memcmp(bytes->kdf, kdf_scrypt, sizeof(kdf_scrypt)) == 0;

    if (memcmp(bytes->algorithm, ed25519, sizeof(ed25519)) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "line 2: the key's algorithm is not Ed25519 (Ed)");
    if (!is_encrypted && memcmp(bytes->kdf, kdf_none, sizeof(kdf_none)) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "line 2: the key is encrypted with something other than scrypt (Sc)");
    if (memcmp(bytes->checksum, blake2b, sizeof(blake2b)) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "line 2: the key's checksum is not BLAKE2b (B2)");
    sealed->is_encrypted = is_encrypted;
    sealed->operations = load_u64(bytes->operations);
    sealed->memory = load_u64(bytes->memory);
    if (is_encrypted && (sealed->operations > OPERATIONS || sealed->memory > MEMORY))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "line 2: the password would cost %llu operations and %llu bytes, the maximum "
                               "is %llu and %llu",
                               (unsigned long long)sealed->operations, (unsigned long long)sealed->memory,
                               (unsigned long long)OPERATIONS, (unsigned long long)MEMORY);
    memcpy(sealed->salt, bytes->salt, sizeof(sealed->salt));
    memcpy(sealed->payload, bytes->payload, sizeof(sealed->payload));
    return BERTH_OK;
}

enum berth_code berth_sealed_key_parse(const char *text, size_t length, struct berth_sealed_key *ret_sealed,
                                       struct berth_error *err)
{
    struct format_reader reader = {.rest = text, .left = length};
    struct format_line comment;
    struct secret_bytes bytes;
    struct berth_sealed_key sealed = {0};
    enum berth_code code = format_take_comment(&reader, UNTRUSTED, FORMAT_COMMENT_MAX, &comment, err);

    if (code == BERTH_OK)
        code = format_take_bytes(&reader, "a secret key", sizeof(bytes), &bytes, err);
    if (code == BERTH_OK)
        code = format_take_end(&reader, err);
    if (code == BERTH_OK)
        code = read_secret(&bytes, &sealed, err);
    if (code == BERTH_OK)
        *ret_sealed = sealed;
    berth_secret_wipe(&bytes, sizeof(bytes));
    berth_secret_wipe(&sealed, sizeof(sealed));
    return code;
}

char *berth_sealed_key_format(const struct berth_sealed_key *sealed)
{
    struct secret_bytes bytes;
    char *text;

    memcpy(bytes.algorithm, ed25519, sizeof(ed25519));
    memcpy(bytes.kdf, sealed->is_encrypted ? kdf_scrypt : kdf_none, sizeof(bytes.kdf));
    memcpy(bytes.checksum, blake2b, sizeof(blake2b));
    memcpy(bytes.salt, sealed->salt, sizeof(bytes.salt));
    store_u64(bytes.operations, sealed->operations);
    store_u64(bytes.memory, sealed->memory);
    memcpy(bytes.payload, sealed->payload, sizeof(bytes.payload));
    text = format_lines(UNTRUSTED,
                        sealed->is_encrypted ? "minisign encrypted secret key" : "minisign secret key",
                        &bytes, sizeof(bytes));
    berth_secret_wipe(&bytes, sizeof(bytes));
    return text;
}

/* Encrypts and decrypts. */
static enum berth_code apply_password(struct berth_sealed_key *sealed, const char *password,
                                      struct berth_error *err)
{
    uint8_t stream[sizeof(sealed->payload)];
    const struct signature_engine *engine;
    enum berth_code code = signature_engine_get(&engine, err);

    if (code != BERTH_OK)
        return code;
    if (!engine->scrypt(stream, sizeof(stream), password, sealed->salt, sealed->operations,
                        (size_t)sealed->memory))
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the password: it takes %llu MiB",
                               (unsigned long long)(sealed->memory >> 20));
    for (size_t i = 0; i < sizeof(stream); i++)
        sealed->payload[i] ^= stream[i];
    berth_secret_wipe(stream, sizeof(stream));
    return BERTH_OK;
}

/* minisign's: over the algorithm, the id and the key. */
static enum berth_code calculate_checksum(const uint8_t *payload, uint8_t ret_checksum[CHECKSUM_BYTES],
                                          struct berth_error *err)
{
    uint8_t bytes[sizeof(ed25519) + BERTH_KEY_ID_BYTES + BERTH_SECRET_KEY_BYTES];
    const struct signature_engine *engine;
    enum berth_code code = signature_engine_get(&engine, err);

    if (code != BERTH_OK)
        return code;
    memcpy(bytes, ed25519, sizeof(ed25519));
    memcpy(bytes + sizeof(ed25519), payload, sizeof(bytes) - sizeof(ed25519));
    engine->blake2b(bytes, sizeof(bytes), ret_checksum, CHECKSUM_BYTES);
    berth_secret_wipe(bytes, sizeof(bytes));
    return BERTH_OK;
}

/* minisign leaves the checksum of a key without a password empty. */
static bool has_checksum(const struct berth_sealed_key *sealed, const uint8_t *checksum)
{
    static const uint8_t none[CHECKSUM_BYTES];

    return sealed->is_encrypted || memcmp(checksum, none, sizeof(none)) != 0;
}

/* The public key behind the seed has to be the one that belongs to it. */
static enum berth_code check_pair(const uint8_t *key, struct berth_error *err)
{
    uint8_t signature[BERTH_SIGNATURE_BYTES];
    const struct signature_engine *engine;
    enum berth_code code = signature_engine_get(&engine, err);

    if (code != BERTH_OK)
        return code;
    engine->sign(signature, ed25519, sizeof(ed25519), key);
    if (engine->verify(signature, ed25519, sizeof(ed25519),
                       key + BERTH_SECRET_KEY_BYTES - BERTH_PUBLIC_KEY_BYTES))
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "damaged: its two halves do not belong together");
}

enum berth_code berth_sealed_key_open(const struct berth_sealed_key *sealed, const char *password,
                                      struct berth_secret_key *ret_key, struct berth_error *err)
{
    const size_t key_at = BERTH_KEY_ID_BYTES, checksum_at = key_at + BERTH_SECRET_KEY_BYTES;
    struct berth_sealed_key open = *sealed;
    uint8_t checksum[CHECKSUM_BYTES];
    enum berth_code code = BERTH_OK;

    if (sealed->is_encrypted)
        code = apply_password(&open, password, err);
    if (code == BERTH_OK)
        code = calculate_checksum(open.payload, checksum, err);
    if (code == BERTH_OK && has_checksum(sealed, open.payload + checksum_at) &&
        memcmp(checksum, open.payload + checksum_at, sizeof(checksum)) != 0)
        code = sealed->is_encrypted
                   ? berth_error_set(err, BERTH_PERMISSION_DENIED, "wrong password for this key")
                   : berth_error_set(err, BERTH_INVALID_ARGUMENT, "damaged: the key's checksum differs");
    if (code == BERTH_OK)
        code = check_pair(open.payload + key_at, err);
    if (code == BERTH_OK) {
        memcpy(ret_key->id, open.payload, sizeof(ret_key->id));
        memcpy(ret_key->bytes, open.payload + key_at, sizeof(ret_key->bytes));
    }
    berth_secret_wipe(&open, sizeof(open));
    return code;
}

enum berth_code berth_sealed_key_seal(const struct berth_secret_key *key, const char *password,
                                      struct berth_sealed_key *ret_sealed, struct berth_error *err)
{
    struct berth_sealed_key sealed = {.is_encrypted = password != NULL};
    const struct signature_engine *engine;
    enum berth_code code = signature_engine_get(&engine, err);

    if (code != BERTH_OK)
        return code;
    memcpy(sealed.payload, key->id, sizeof(key->id));
    memcpy(sealed.payload + sizeof(key->id), key->bytes, sizeof(key->bytes));
    code = calculate_checksum(sealed.payload, sealed.payload + sizeof(key->id) + sizeof(key->bytes), err);
    if (code == BERTH_OK && password != NULL) {
        engine->random(sealed.salt, sizeof(sealed.salt));
        sealed.operations = OPERATIONS;
        sealed.memory = MEMORY;
        code = apply_password(&sealed, password, err);
    }
    if (code == BERTH_OK)
        *ret_sealed = sealed;
    berth_secret_wipe(&sealed, sizeof(sealed));
    return code;
}

enum berth_code berth_secret_key_generate(struct berth_secret_key *ret_key,
                                          struct berth_public_key *ret_public, struct berth_error *err)
{
    const struct signature_engine *engine;
    enum berth_code code = signature_engine_get(&engine, err);

    if (code != BERTH_OK)
        return code;
    engine->generate(ret_public->bytes, ret_key->bytes);
    engine->random(ret_key->id, sizeof(ret_key->id));
    memcpy(ret_public->id, ret_key->id, sizeof(ret_public->id));
    return BERTH_OK;
}

void berth_secret_wipe(void *memory, size_t length)
{
    explicit_bzero(memory, length);
}
