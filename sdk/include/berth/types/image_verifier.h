/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.image-verifier.v1: may this image be used? Who pulls images asks every instance of the type,
 * and takes an image only where each has answered that it is fine: an error is a no. On the loop's thread.
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

/** What a verifier takes, in bytes. */
#define BERTH_IMAGE_NAME_MAX 4096
#define BERTH_IMAGE_DIGEST_MAX 256
#define BERTH_IMAGE_MEDIA_TYPE_MAX 256

/** One verification that runs. */
struct berth_verification;

/**
 * The image: its name, and the descriptor that the name was resolved to (OCI image specification). Copied.
 */
struct berth_image {
    uint32_t size;
    /** "docker.io/library/alpine:3". */
    const char *name;
    /** "sha256:…". */
    const char *digest;
    /** "application/vnd.oci.image.manifest.v1+json". */
    const char *media_type;
    /** Of the manifest, in bytes. */
    int64_t manifest_size;
};

/**
 * How a verification ended: exactly once, from the top level of the loop, never before `verify` returned.
 *
 * @param code    BERTH_OK: there is a verdict. Anything else: there is none, so the image is not to be used.
 * @param ok      the verdict; false with any other code.
 * @param reason  a text for people, UTF-8; lives until this returns.
 */
typedef void berth_image_verified(void *context, enum berth_code code, bool ok, const char *reason);

struct berth_image_verifier {
    uint32_t size;

    /**
     * Begins to verify.
     * @param ret_verification  to be given to `cancel`, until `done` comes; may be NULL.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a name, digest or media type that none can be,
     *         BERTH_RESOURCE_EXHAUSTED where too many run, BERTH_UNAVAILABLE while it closes: then `done`
     * does not come.
     */
    enum berth_code (*verify)(void *instance, const struct berth_image *image, berth_image_verified *done,
                              void *context, struct berth_verification **ret_verification,
                              struct berth_error *err);
    /** Ends it early: `done` comes soon, with BERTH_CANCELLED. */
    void (*cancel)(void *instance, struct berth_verification *verification);
};

#ifdef __cplusplus
}
#endif

#endif
