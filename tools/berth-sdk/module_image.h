/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module's tables as they would be in memory after loading, rebuilt from the file's bytes and relocations,
 * so that the host's own check can be run on a module that is not loaded.
 */
#ifndef BERTH_SDK_MODULE_IMAGE_H
#define BERTH_SDK_MODULE_IMAGE_H

#include <berth/plugin.h>

#include <core/elf/elf.h>

struct module_image;

/**
 * Copies the tables reachable from `berth_module`. Functions are replaced by one that does nothing.
 *
 * @param image    borrowed: names point into it.
 * @param address  of the constant.
 * @param size     of the constant in the file.
 * @return to be destroyed; NULL with the reason in `err` if a table is not terminated or absurdly large.
 */
struct module_image *module_image_create(const struct elf_image *image, uint64_t address, uint64_t size,
                                         struct berth_error *err);
const struct berth_module *module_image_get(const struct module_image *module);
void module_image_destroy(struct module_image *module);

#endif
