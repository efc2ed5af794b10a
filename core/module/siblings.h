/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Libraries that came with a module rather than with the machine, most often in its own folder. A process has
 * one file under each name, so a copy gets the one that is loaded already, which has to be the same; what is
 * not loaded yet is loaded from where the original would have found it.
 */
#ifndef CORE_MODULE_SIBLINGS_H
#define CORE_MODULE_SIBLINGS_H

#include <stddef.h>
#include <sys/stat.h>

#include <berth/error.h>

/** Those to be loaded before the copy. Zero-initialise. */
struct siblings {
    struct sibling {
        char *path;
        dev_t device;
        ino_t inode;
    } * items;
    size_t count;
};

/**
 * Looks at what a module needs, without loading anything.
 *
 * @param bytes     the module's.
 * @param original  where it was found, for $ORIGIN.
 * @return BERTH_OK; FAILED_PRECONDITION "needs a daemon restart: …" if another file of the name is loaded;
 *         the code of the first problem with a library.
 */
enum berth_code siblings_find(const void *bytes, size_t length, const char *original,
                              struct siblings *ret_siblings, struct berth_error *err);
/** Loads them. They stay until what needs them is unloaded, so the caller drops the handles after that. */
enum berth_code siblings_load(const struct siblings *siblings, void **ret_handles, struct berth_error *err);
void siblings_drop(void **handles, size_t count);
void siblings_finish(struct siblings *siblings);

#endif
