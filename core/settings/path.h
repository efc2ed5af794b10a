/* SPDX-License-Identifier: Apache-2.0 */
/* Settings by their dotted paths, in which a star may stand for every key of a map. */
#ifndef CORE_SETTINGS_PATH_H
#define CORE_SETTINGS_PATH_H

#include <config/schema/schema.h>

/* Bounds on a dotted path, from a rename or a plugin. */
enum {
    PATH_MAX_BYTES = 512,
    PATH_MAX_STEPS = 32,
};

/** "limits.burst" split into steps. */
struct path {
    char text[PATH_MAX_BYTES];
    const char *steps[PATH_MAX_STEPS];
    size_t count;
};

/** A step in double quotes may hold dots: mirrors."docker.io".endpoint. @return false if it is invalid. */
bool path_split(const char *text, struct path *ret_path);
bool path_is_star(const char *step);

/** The value at a path without stars; NULL if there is none. */
struct config_node *path_find(struct config_node *map, const struct path *path);
/** Takes it out, and with it maps on the way that become empty. NULL if there is nothing. */
struct config_node *path_take(struct config_node *section, const struct path *path);
/** Puts a node there instead of what is, and makes maps that are missing. @return false if a step is not a
 * map. */
bool path_put(struct config_tree *tree, struct config_node *section, const struct path *path,
              struct config_node *node);
/** Does the schema declare it? */
bool path_is_declared(const struct schema *schema, const struct path *path);

/** Calls `on_match` with each setting that a path with stars names, after taking it out if `take`. */
struct path_walk {
    const struct path *path;
    bool take;
    /* The keys that the stars stand for. */
    const char *keys[PATH_MAX_STEPS];
    size_t key_count;
    size_t matches;
    void (*on_match)(struct path_walk *walk, struct config_node *node);
    void *context;
};

/**
 * Visits each setting that a path with stars names, in the order of the section.
 *
 * @param on_match  may be NULL.
 * @return the number of settings.
 */
size_t path_walk(struct config_node *section, const char *path, bool take,
                 void (*on_match)(struct path_walk *walk, struct config_node *node), void *context);

#endif
