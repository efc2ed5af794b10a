/* SPDX-License-Identifier: Apache-2.0 */
/* One image on its way through the verifiers, one after the other, until all have agreed or one has not. */
#ifndef IMAGE_VERIFIER_VERIFICATION_H
#define IMAGE_VERIFIER_VERIFICATION_H

#include <berth/plugin.h>
#include <berth/types/image_verifier.h>

/** The most text of all verifiers together that makes up a reason. */
#define VERIFICATION_REASON_MAX 131072

/** What all verifications of an instance have in common. */
struct verification_rules {
    const struct berth_host *host;
    const char *bin_dir;
    /** Negative: all. */
    int64_t max_verifiers;
    uint64_t timeout_ms;
    /** As environ. */
    char *const *environment;
};

/**
 * Begins.
 *
 * @param rules   live until `on_over`.
 * @param on_over  when nothing of it is left, after `done`.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT, BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code verification_start(const struct verification_rules *rules, const struct berth_image *image,
                                   berth_image_verified *done, void *context, void (*on_over)(void *owner),
                                   void *owner, struct berth_verification **ret_verification,
                                   struct berth_error *err);
void verification_cancel(struct berth_verification *verification);

#endif
