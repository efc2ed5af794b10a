/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a plugin's folder, with markers where its names go. */
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
 * @param directory  where they are; NULL: where the SDK is installed.
 */
enum berth_code template_load(struct template *template, const char *directory, struct berth_error *err);
void template_finish(struct template *template);

/** Writes them into an empty folder. @param service  with its package: "harbour.v1.Ships". */
enum berth_code template_write(const struct template *template, const char *directory, const char *name,
                               const char *type, const char *service, struct berth_error *err);

#endif
