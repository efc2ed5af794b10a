/* SPDX-License-Identifier: Apache-2.0 */
/* What the private library with libsodium exports. */
#ifndef SIGNATURE_ENGINE_H
#define SIGNATURE_ENGINE_H

#include <berth/signature.h>

#define SIGNATURE_ENGINE_LIBRARY "libberth-signature-sodium.so.0"
#define SIGNATURE_ENGINE_SYMBOL "berth_signature_engine"

struct signature_engine {
    /** Before anything else, as often as one likes. @return false if it cannot work here. */
    bool (*start)(void);
    void (*sha256)(const void *bytes, size_t length, uint8_t ret_hash[BERTH_SHA256_BYTES]);
    /** BLAKE2b without a key; @param hash_length  16 to 64. */
    void (*blake2b)(const void *bytes, size_t length, uint8_t *ret_hash, size_t hash_length);
    bool (*verify)(const uint8_t signature[BERTH_SIGNATURE_BYTES], const void *bytes, size_t length,
                   const uint8_t key[BERTH_PUBLIC_KEY_BYTES]);
    void (*sign)(uint8_t ret_signature[BERTH_SIGNATURE_BYTES], const void *bytes, size_t length,
                 const uint8_t key[BERTH_SECRET_KEY_BYTES]);
    void (*generate)(uint8_t ret_public[BERTH_PUBLIC_KEY_BYTES], uint8_t ret_secret[BERTH_SECRET_KEY_BYTES]);
    void (*random)(void *ret_bytes, size_t length);
    /** @return false without memory. */
    bool (*scrypt)(uint8_t *ret_bytes, size_t length, const char *password, const uint8_t salt[32],
                   uint64_t operations, size_t memory);
};

/** Loads it. @return BERTH_OK; BERTH_UNAVAILABLE. */
enum berth_code signature_engine_get(const struct signature_engine **ret_engine, struct berth_error *err);

#endif
