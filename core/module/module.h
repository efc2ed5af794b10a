/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loaded file, and the copies that further generations of it are loaded from. Only this room loads code.
 */
#ifndef CORE_MODULE_MODULE_H
#define CORE_MODULE_MODULE_H

#include <berth/plugin.h>

#include <core/manifest/manifest.h>

struct module;

/** Where a module is mapped, from its first page to the end of its variables. */
struct module_range {
    uintptr_t start, end;
};

/** For a file that is loaded; empty if there is none. */
struct module_range module_range(const char *path);

/**
 * Loads a file and proves that it is the one that was checked, that it was built for this host, and that it
 * holds just the plugins of its manifest.
 *
 * @param manifest  of catalog_read; borrowed for the length of the call.
 * @return BERTH_OK; ALREADY_EXISTS if the loader has an older file under this path, so that only a copy of
 * this one can be loaded; FAILED_PRECONDITION for another ABI, a stale build or a
 * changed file (each with both values); UNAVAILABLE with the loader's reason, such as an undefined symbol's
 * name.
 */
enum berth_code module_load(const struct manifest *manifest, struct module **ret_module,
                            struct berth_error *err);
/**
 * Its code and data stay in memory for as long as the process lives, also where it was rejected: a destructor
 * of thread-specific data, an exit handler or a thread of its own may still run them, and nothing tells.
 */
void module_destroy(struct module *module);

/*
 * Copies: the loader goes by paths and inodes, so a second generation is loaded from
 * `<root>/modules/<sha256>-<generation>/NAME.so`. The name stays that of the module, for debuggers.
 */

struct module_copy;

/** An open file with the content of a manifest, whose path may have another by now. Borrowed. */
struct module_kept {
    int fd;
    /** When it was opened. */
    const struct stat *opened;
};

/**
 * Copies the file of a manifest, and proves that what was copied is what was scanned: it is the same open
 * file before and after, unchanged, and the manifest in the copy is this one. Blocks for as long as that
 * takes; from any thread, one at a time for each `root`.
 *
 * @param kept        where the content is; NULL: in the file at the path.
 * @param root        the daemon's folder; see module_copies_check.
 * @param generation  a number that no other copy of this file has.
 * @return BERTH_OK; FAILED_PRECONDITION if the file changed, or "needs a daemon restart: …" if a library that
 *         came with the module is loaded from another file; else what the file system says. Nothing is left
 *         of a copy that failed.
 */
enum berth_code module_copy_create(const struct manifest *manifest, const struct module_kept *kept,
                                   const char *root, uint64_t generation, struct module_copy **ret_copy,
                                   struct berth_error *err);
/** Where it lies. */
const char *module_copy_path(const struct module_copy *copy);
/** Of the file that lies there. */
const struct stat *module_copy_status(const struct module_copy *copy);
/**
 * Lets other users read the copy whom the module's own file would let, but not list the others: for a process
 * of another user.
 */
enum berth_code module_copy_show(struct module_copy *copy, const struct manifest *manifest,
                                 struct berth_error *err);
/** Removes the files and frees it. NULL is fine. */
void module_copy_destroy(struct module_copy *copy);

/** Removes what an earlier run left in `<root>/modules`. Before the first copy. @return how many. */
size_t module_copies_tidy(const char *root);
/** Can code be loaded from there? FAILED_PRECONDITION if it is mounted noexec; `root` need not exist. */
enum berth_code module_copies_check(const char *root, struct berth_error *err);

/**
 * As module_load, from a copy, which the module keeps until it is unloaded. On an error the copy is still the
 * caller's.
 */
enum berth_code module_load_copy(const struct manifest *manifest, struct module_copy *copy,
                                 struct module **ret_module, struct berth_error *err);

/** The path that it was loaded from. */
const char *module_path(const struct module *module);
/** What its file predicts; see residence_predict. */
const struct residence *module_residence(const struct module *module);
/**
 * Does an address belong to it, or to a library that it needs and the host does not? Such a library may call
 * it. On the loop's thread.
 */
bool module_has_address(struct module *module, const void *address);
/**
 * Is what this library has on the loop certainly another module's? The library says so by
 * `berth_library_each_user`, which names the code that created each of its objects; without that function, or
 * where such code is in no module, or in a library that this one needs too, nothing is certain.
 *
 * @param address  in a library that the module needs.
 */
bool module_library_disowns(struct module *module, const void *address);
/** Does it, or such a library, import a function? True if that cannot be told. */
bool module_imports(struct module *module, const char *function);

/**
 * Runs its destructors and gives its memory back, unless the loader keeps it; the loader's own success says
 * nothing. The caller has made sure that none of its code can run any more (unloading_run does).
 *
 * @param ret_cause  why it is still there: RESIDENCE_UNIQUE, _NODELETE, _THREAD_LOCAL or _LOADER.
 * @return is it proven to be gone? Then `module` is freed and its copy removed. Otherwise it may be called
 *         again: some causes pass.
 */
bool module_unload(struct module *module, enum residence_cause *ret_cause);

/** Did loading it run any code of its own, or of a library that came with it? */
bool module_ran_code(const struct module *module);

/** The plugin's table as the module has it, or NULL. Read members only through BERTH_HAS. */
const struct berth_plugin *module_find(const struct module *module, const char *type, const char *id);

#endif
