/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached Ed25519 signatures in minisign's format, and hashes of files. Readers trust no byte and need no
 * library; whatever calculates loads libsodium on first use and may be called from any thread. What it cannot
 * load is BERTH_UNAVAILABLE.
 */
#ifndef BERTH_SIGNATURE_H
#define BERTH_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A signature's file is called as the file that it signs, with this behind it. */
#define BERTH_SIGNATURE_SUFFIX ".minisig"
/** Larger files are neither keys nor signatures. */
#define BERTH_SIGNATURE_FILE_MAX 16384
/** minisign's own limit of a trusted comment, its NUL included. */
#define BERTH_SIGNATURE_COMMENT_MAX 8192
#define BERTH_SIGNATURE_BYTES 64
#define BERTH_KEY_ID_BYTES 8
/** "07AFED32E2C8F0A1" and its NUL; minisign leaves zeros in front out. */
#define BERTH_KEY_ID_TEXT 17
#define BERTH_PUBLIC_KEY_BYTES 32
#define BERTH_SECRET_KEY_BYTES 64
#define BERTH_SHA256_BYTES 32
/** In hexadecimal digits, and its NUL. */
#define BERTH_SHA256_TEXT 65

struct berth_public_key {
    uint8_t id[BERTH_KEY_ID_BYTES];
    uint8_t bytes[BERTH_PUBLIC_KEY_BYTES];
};

/** Wipe it with berth_secret_key_wipe. */
struct berth_secret_key {
    uint8_t id[BERTH_KEY_ID_BYTES];
    /** The seed, and the public key behind it. */
    uint8_t bytes[BERTH_SECRET_KEY_BYTES];
};

/** A secret key as its file has it. */
struct berth_sealed_key {
    bool is_encrypted;
    uint8_t salt[32];
    uint64_t operations, memory;
    /** Id, key and checksum. */
    uint8_t payload[BERTH_KEY_ID_BYTES + BERTH_SECRET_KEY_BYTES + 32];
};

struct berth_signature {
    /** Over the BLAKE2b-512 hash of the file (algorithm ED) rather than over the file (Ed). */
    bool is_prehashed;
    uint8_t key_id[BERTH_KEY_ID_BYTES];
    uint8_t bytes[BERTH_SIGNATURE_BYTES];
    /** The trusted comment as it is signed: any bytes but line ends. Not to be believed before it is
     * verified. */
    char comment[BERTH_SIGNATURE_COMMENT_MAX];
    size_t comment_length;
    /** Over `bytes` and the comment. */
    uint8_t global[BERTH_SIGNATURE_BYTES];
};

/** The id in 16 digits. */
void berth_key_id_format(const uint8_t id[BERTH_KEY_ID_BYTES], char ret_text[BERTH_KEY_ID_TEXT]);
/** Reads 8 to 16 hexadecimal digits. */
bool berth_key_id_parse(const char *text, uint8_t ret_id[BERTH_KEY_ID_BYTES]);

/**
 * Reads a public key's file. Messages have no path: "line 2: …".
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT.
 */
enum berth_code berth_public_key_parse(const char *text, size_t length, struct berth_public_key *ret_key,
                                       struct berth_error *err);
/** @return the file's text, malloced; NULL without memory. */
char *berth_public_key_format(const struct berth_public_key *key);

/** Reads a signature's file; as berth_public_key_parse. */
enum berth_code berth_signature_parse(const char *text, size_t length, struct berth_signature *ret_signature,
                                      struct berth_error *err);
/** @return the file's text, malloced; NULL without memory. */
char *berth_signature_format(const struct berth_signature *signature, const char *untrusted_comment);

/**
 * Verifies signature and trusted comment. The caller has found the key by its id.
 *
 * @return BERTH_OK; BERTH_PERMISSION_DENIED if either does not belong to these bytes and this key.
 */
enum berth_code berth_signature_verify(const struct berth_signature *signature,
                                       const struct berth_public_key *key, const void *bytes, size_t length,
                                       struct berth_error *err);
/**
 * Signs bytes with the prehashed algorithm.
 * @param comment  one line shorter than BERTH_SIGNATURE_COMMENT_MAX.
 */
enum berth_code berth_signature_make(const struct berth_secret_key *key, const void *bytes, size_t length,
                                     const char *comment, struct berth_signature *ret_signature,
                                     struct berth_error *err);

/** Reads a secret key's file; as berth_public_key_parse. */
enum berth_code berth_sealed_key_parse(const char *text, size_t length, struct berth_sealed_key *ret_sealed,
                                       struct berth_error *err);
/** @return the file's text, malloced; NULL without memory. It is secret unless it is encrypted. */
char *berth_sealed_key_format(const struct berth_sealed_key *sealed);
/**
 * Decrypts it where needed, which takes about a second and up to 1 GiB, and checks that it is whole.
 *
 * @param password  ignored if it is not encrypted.
 * @return BERTH_OK; BERTH_PERMISSION_DENIED for a wrong password; BERTH_INVALID_ARGUMENT for a damaged key;
 * BERTH_RESOURCE_EXHAUSTED without memory.
 */
enum berth_code berth_sealed_key_open(const struct berth_sealed_key *sealed, const char *password,
                                      struct berth_secret_key *ret_key, struct berth_error *err);
/** @param password  NULL: not encrypted. As berth_sealed_key_open. */
enum berth_code berth_sealed_key_seal(const struct berth_secret_key *key, const char *password,
                                      struct berth_sealed_key *ret_sealed, struct berth_error *err);

/** A new pair of keys with a random id. */
enum berth_code berth_secret_key_generate(struct berth_secret_key *ret_key,
                                          struct berth_public_key *ret_public, struct berth_error *err);
/** Overwrites memory that holds a secret, however the compiler sees it. */
void berth_secret_wipe(void *memory, size_t length);

/** Hashes bytes; written as lower-case hexadecimal digits. */
enum berth_code berth_sha256(const void *bytes, size_t length, char ret_text[BERTH_SHA256_TEXT],
                             struct berth_error *err);

#ifdef __cplusplus
}
#endif

#endif
