/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration of containerd, translated step by step into berth's. */
#ifndef BERTH_IMPORT_IMPORT_H
#define BERTH_IMPORT_IMPORT_H

#include <core/settings/settings.h>

/** The newest supported version of containerd's configuration. */
#define IMPORT_VERSION_MAX 4

/** A setting without a counterpart in berth. */
struct import_loss {
    /** The section that it would be in, if berth has that plugin; else NULL. */
    const char *section;
    /** Its name in containerd: "oom_score". */
    const char *name;
    const struct config_node *node;
    const char *reason;
};

struct import {
    const struct catalog *catalog;
    struct config_diagnostics *diagnostics;
    /** An imported file replaces a plugin's whole section, as in containerd 1; else it adds to it, as in 2.
     */
    bool replaces_sections;
    /** Take `replaces_sections` from the version of the main file. */
    bool decides;
    /** All files, merged; borrows its memory from `tree`. */
    struct config_tree *tree;
    struct config_node *root;
    /** Version of the main file. */
    unsigned version;
    struct import_loss *losses;
    size_t loss_count;
};

/**
 * Reads containerd's main file and what it imports, each migrated to the newest version where containerd 2
 * does it, and merges them by containerd's rules.
 *
 * @param path  "-": standard input.
 * @return false with errors in `diagnostics`.
 */
bool import_read(struct import *import, const char *path);

/**
 * Turns `root` into berth's settings, by name and type; settings without a counterpart become losses.
 *
 * @return false with errors in `diagnostics`.
 */
bool import_translate(struct import *import);

/** berthd.yaml, with comments on all losses. Malloced. */
char *import_print(const struct import *import);

void import_finish(struct import *import);

/* How the files share their work. */

/** The version that a file says it is written for; 0 with an error in `diagnostics`. */
unsigned import_version(const struct config_node *root, struct config_diagnostics *diagnostics);

/** Renames plugins and their sections as in version 2. */
void import_name_plugins(struct config_tree *tree, struct config_node *root, unsigned version);

/**
 * Moves the settings of servers to the sections of their plugins, as of version 4, and migrates all sections
 * by what the plugins' manifests declare.
 */
void import_migrate(struct import *import, struct config_tree *tree, unsigned version);

/** Is it what containerd takes for "not set": "", 0, false, or a list or table of nothing else? */
bool import_is_zero(const struct config_node *node);

/** Adds a loss. @param reason static. */
void import_lose(struct import *import, const char *section, const char *name, const struct config_node *node,
                 const char *reason);

#endif
