/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The modules in memory: those that generations run, and those that nothing uses any more. Of these most are
 * unloaded within moments. What cannot be stays resident, which is a healthy state, but memory that only a
 * restart gives back, so it is bounded.
 */
#ifndef CORE_MODULES_H
#define CORE_MODULES_H

#include <sys/queue.h>

#include <berth/inspect.h>

#include <core/base/running.h>
#include <core/module/originals.h>

#include "unloading.h"

/** One file, as it was when it was loaded or tried. */
struct loaded_module {
    struct loaded_module *next;
    LIST_ENTRY(loaded_module) by_path, by_inode;
    /** What it was loaded from: where it was found; module_path says from which copy. */
    struct original *original;
    /** NULL: it could not be loaded, as code and reason say. */
    struct module *module;
    enum berth_code code;
    char *reason;
    /** On the clock of uv_hrtime(). */
    uint64_t begun_ns, took_ns;
    /** Generations that run it. */
    size_t users;
    /** How often it was tried to unload it since nobody uses it, and why it is still there. */
    unsigned attempts;
    struct unloading_result result;
};

LIST_HEAD(loaded_modules, loaded_module);
/** As many lists as there may be hundreds of modules. */
#define MODULES_BUCKETS 256

/** Embedded by the owner. */
struct modules {
    uv_loop_t *loop;
    /** The daemon's folder, for copies; borrowed. */
    const char *root;
    /** The most bytes of residents; 0: unlimited. */
    uint64_t max_resident;
    /** The last one first. */
    struct loaded_module *files;
    /** The same, by hash. */
    struct loaded_modules by_path[MODULES_BUCKETS], by_inode[MODULES_BUCKETS];
    /** Outlives `files`: others hold some of them. */
    struct originals originals;
    /** Of the copies made so far. */
    uint64_t copies;
    uv_timer_t timer;
    /** For listings. */
    struct berth_resident *residents;
    size_t resident_count;
    /** The residents have changed; may be NULL. */
    void (*on_residents)(void *context);
    void *context;
};

void modules_init(struct modules *modules, uv_loop_t *loop, const char *root, uint64_t max_resident);
/** Closes its timer. */
void modules_stop(struct modules *modules);
/** What is still loaded stays in memory. */
void modules_finish(struct modules *modules);

/**
 * Loads a file, or finds it if it is loaded already. The first of its path is loaded from where it was found,
 * each further one from a copy; and one that has been replaced since from what is kept open of it.
 *
 * @param running  what to blame for what its constructors do.
 * @return never NULL; to be held, or released at once, if it has a module. Aborts without memory.
 */
struct loaded_module *modules_load(struct modules *modules, const struct manifest *manifest,
                                   struct running_plugin *running);
/**
 * A copy of what a manifest was read from, if its path has something else by now, for a process of its own.
 *
 * @param ret_copy  NULL: its file is still there.
 */
enum berth_code modules_copy_replaced(struct modules *modules, const struct manifest *manifest,
                                      struct module_copy **ret_copy, struct berth_error *err);
/** Lets files that could not be loaded be tried again. At the beginning of each change. */
void modules_forget_failures(struct modules *modules);
void modules_hold(struct loaded_module *file);
/** The last user's release has it unloaded, from the top of the loop. */
void modules_release(struct modules *modules, struct loaded_module *file);

/** Nothing uses it, and it could not be unloaded until now. */
bool modules_is_resident(const struct loaded_module *file);
/** The memory that residents take. */
uint64_t modules_resident_bytes(const struct modules *modules, size_t *ret_count);

#endif
