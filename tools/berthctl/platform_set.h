/* SPDX-License-Identifier: Apache-2.0 */
/* Platforms as listings show them: "linux/amd64,linux/arm64/v8". */
#ifndef BERTHCTL_PLATFORM_SET_H
#define BERTHCTL_PLATFORM_SET_H

#include <stddef.h>

/** Zero-initialise. */
struct platform_set {
    char **texts;
    size_t count;
};

/** Parts that are empty are left out; aborts when memory is out. */
void platform_set_add(struct platform_set *set, const char *os, const char *architecture,
                      const char *variant);

/** Sorted, without doubles; "-" for none. Malloced; the set is empty afterwards. */
char *platform_set_join(struct platform_set *set);

#endif
