/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's configuration as provided by the host: a tree that has been checked against the manifest's
 * schema, with all defaults filled in. Code from `berth-sdk generate` turns it into a typed struct; other
 * plugins read it here. Immutable: any thread may read it until the plugin's close has completed.
 */
#ifndef BERTH_SETTINGS_H
#define BERTH_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One value of the tree. Opaque. */
struct berth_value;

enum berth_value_kind {
    /** An optional setting with neither a value nor a default. */
    BERTH_VALUE_NONE = 0,
    BERTH_VALUE_BOOL = 1,
    /** int; also duration (in nanoseconds) and bytes. */
    BERTH_VALUE_INT = 2,
    BERTH_VALUE_FLOAT = 3,
    /** string, path (absolute) and enum. UTF-8 without NUL. */
    BERTH_VALUE_STRING = 4,
    BERTH_VALUE_LIST = 5,
    /** map and object. */
    BERTH_VALUE_MAP = 6,
};

/** The tree and how to read it. Every function accepts NULL for a missing value. */
struct berth_settings {
    uint32_t size;
    /** The plugin's whole section, a map; never NULL. */
    const struct berth_value *root;

    enum berth_value_kind (*kind)(const struct berth_value *value);
    /**
     * These four return false, 0, 0.0 and NULL for a value of another kind. In a migration, where every
     * scalar is a string, the first three parse its text; see struct berth_migration.
     */
    bool (*boolean)(const struct berth_value *value);
    int64_t (*integer)(const struct berth_value *value);
    double (*number)(const struct berth_value *value);
    const char *(*string)(const struct berth_value *value);
    /** Number of items of a list or map; 0 for other kinds. */
    size_t (*count)(const struct berth_value *value);
    /** The item at `i`, and a map's key unless `ret_key` is NULL; NULL past the end. */
    const struct berth_value *(*at)(const struct berth_value *value, size_t i, const char **ret_key);
    /** The value of a map's key; NULL if there is none. */
    const struct berth_value *(*find)(const struct berth_value *value, const char *key);
    /**
     * The value's origin, for messages: "conf.d/20-a.yaml:7:3" or "default". Lives as long as the settings.
     */
    const char *(*where)(const struct berth_value *value);
};

#ifdef __cplusplus
}
#endif

#endif
