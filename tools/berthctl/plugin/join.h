/* SPDX-License-Identifier: Apache-2.0 */
/* Lists in one cell of a table. */
#ifndef BERTHCTL_PLUGIN_JOIN_H
#define BERTHCTL_PLUGIN_JOIN_H

#include <stddef.h>

/** "grpc, tcp", with ", " as the separator. Malloced. */
char *join_texts(char *const *texts, size_t count, const char *separator);

/** Platforms as listings show them. Zero-initialise. */
struct platform_set {
    char **texts;
    size_t count;
};

/** Parts that are empty are left out. */
void join_platform(struct platform_set *set, const char *os, const char *architecture, const char *variant);
/**
 * "linux/amd64,linux/arm64/v8", sorted, without doubles; "-" for none. Malloced; the set is empty afterwards.
 */
char *join_platforms(struct platform_set *set);

#endif
