/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that calculates, by libsodium. */
#include "engine.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static_assert(crypto_sign_BYTES == BERTH_SIGNATURE_BYTES, "the format's and the library's sizes");
static_assert(crypto_sign_PUBLICKEYBYTES == BERTH_PUBLIC_KEY_BYTES, "the format's and the library's sizes");
static_assert(crypto_sign_SECRETKEYBYTES == BERTH_SECRET_KEY_BYTES, "the format's and the library's sizes");
static_assert(crypto_hash_sha256_BYTES == BERTH_SHA256_BYTES, "the format's and the library's sizes");
static_assert(crypto_pwhash_scryptsalsa208sha256_SALTBYTES == 32, "the format's and the library's sizes");

static bool start(void)
{
    return sodium_init() >= 0;
}

static void sha256(const void *bytes, size_t length, uint8_t ret_hash[BERTH_SHA256_BYTES])
{
    crypto_hash_sha256(ret_hash, bytes, length);
}

static void blake2b(const void *bytes, size_t length, uint8_t *ret_hash, size_t hash_length)
{
    crypto_generichash(ret_hash, hash_length, bytes, length, NULL, 0);
}

static bool verify(const uint8_t signature[BERTH_SIGNATURE_BYTES], const void *bytes, size_t length,
                   const uint8_t key[BERTH_PUBLIC_KEY_BYTES])
{
    return crypto_sign_verify_detached(signature, bytes, length, key) == 0;
}

static void sign(uint8_t ret_signature[BERTH_SIGNATURE_BYTES], const void *bytes, size_t length,
                 const uint8_t key[BERTH_SECRET_KEY_BYTES])
{
    crypto_sign_detached(ret_signature, NULL, bytes, length, key);
}

static void generate(uint8_t ret_public[BERTH_PUBLIC_KEY_BYTES], uint8_t ret_secret[BERTH_SECRET_KEY_BYTES])
{
    crypto_sign_keypair(ret_public, ret_secret);
}

static void fill_random(void *ret_bytes, size_t length)
{
    randombytes_buf(ret_bytes, length);
}

static bool scrypt(uint8_t *ret_bytes, size_t length, const char *password, const uint8_t salt[32],
                   uint64_t operations, size_t memory)
{
    return crypto_pwhash_scryptsalsa208sha256(ret_bytes, length, password, strlen(password), salt, operations,
                                              memory) == 0;
}

extern const struct signature_engine berth_signature_engine;

__attribute__((visibility("default"))) const struct signature_engine berth_signature_engine = {
    .start = start,
    .sha256 = sha256,
    .blake2b = blake2b,
    .verify = verify,
    .sign = sign,
    .generate = generate,
    .random = fill_random,
    .scrypt = scrypt,
};
