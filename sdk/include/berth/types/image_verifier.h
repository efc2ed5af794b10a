/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.image-verifier.v1: decides whether an image may be used. A plugin that pulls images asks
 * every instance of the type and uses an image only if all accept it; an error means no. On the loop's
 * thread. Can be used across processes (berth/remote.h), by plugins that list berth_image_verifier under
 * `remote`; what `verify` would refuse at once, `done` refuses then.
 */
#ifndef BERTH_TYPES_IMAGE_VERIFIER_H
#define BERTH_TYPES_IMAGE_VERIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_IMAGE_VERIFIER_TYPE "io.containerd.image-verifier.v1"

/** Maximum length of a verifier's arguments, in bytes. */
#define BERTH_IMAGE_NAME_MAX 4096
#define BERTH_IMAGE_DIGEST_MAX 256
#define BERTH_IMAGE_MEDIA_TYPE_MAX 256

/** One verification in progress. */
struct berth_verification;

/** The image: its name, and the descriptor that the name resolved to (OCI image specification). Copied. */
struct berth_image {
    uint32_t size;
    /** "docker.io/library/alpine:3". */
    const char *name;
    /** "sha256:…". */
    const char *digest;
    /** "application/vnd.oci.image.manifest.v1+json". */
    const char *media_type;
    /** Size of the manifest in bytes. */
    int64_t manifest_size;
};

/**
 * The result of a verification: exactly once, from the top level of the loop, never before `verify` has
 * returned.
 *
 * @param code    BERTH_OK: there is a verdict. Anything else: there is none, and the image must not be used.
 * @param ok      the verdict; false with any other code.
 * @param reason  a text for people, UTF-8; lives until this returns.
 */
typedef void berth_image_verified(void *context, enum berth_code code, bool ok, const char *reason);

struct berth_image_verifier {
    uint32_t size;

    /**
     * Starts a verification.
     * @param ret_verification  for `cancel`, until `done` is called; may be NULL.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid name, digest or media type,
     *         BERTH_RESOURCE_EXHAUSTED if too many are in progress, BERTH_UNAVAILABLE while closing: `done`
     *         is not called.
     */
    enum berth_code (*verify)(void *instance, const struct berth_image *image, berth_image_verified *done,
                              void *context, struct berth_verification **ret_verification,
                              struct berth_error *err);
    /** Cancels a verification: `done` is called soon, with BERTH_CANCELLED. */
    void (*cancel)(void *instance, struct berth_verification *verification);
};

#ifdef __cplusplus
}
#endif

#endif
