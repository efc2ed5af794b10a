/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a plugin's directory, with markers for its names. */
#ifndef BERTH_SDK_TEMPLATE_H
#define BERTH_SDK_TEMPLATE_H

#include <stddef.h>

#include <berth/error.h>

#define TEMPLATE_FILES 8

struct template
{
    char *texts[TEMPLATE_FILES];
};

/**
 * Reads all files of the template.
 * @param directory  NULL: where the SDK is installed.
 */
enum berth_code template_load(struct template *template, const char *directory, struct berth_error *err);
void template_finish(struct template *template);

/** Writes them into an empty directory. @param service  including its package: "harbour.v1.Ships". */
enum berth_code template_write(const struct template *template, const char *directory, const char *name,
                               const char *type, const char *service, struct berth_error *err);

#endif
