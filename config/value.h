/* SPDX-License-Identifier: Apache-2.0 */
/* A section once it has been checked: typed, complete with its defaults, each value with its origin. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <berth/settings.h>

#include "schema.h"

/**
 * One typed value. The same object that a plugin sees as `struct berth_value`. An object has a value for each
 * of its fields, in the schema's order: BERTH_VALUE_NONE where there is neither a value nor a default, which
 * is also what an object is that was not set and has a required field somewhere.
 */
struct berth_value {
    /** NULL where untyped. */
    const struct schema *schema;
    /** Untyped: where a question that the text does not answer is noted; else NULL. */
    struct config_misread *misread;
    /** Untyped: what was written. */
    const struct config_node *node;
    enum berth_value_kind kind;
    /** Where it was set; `file` is NULL where it is the schema's default. */
    struct config_mark mark;
    /** The mark as text, or "default". */
    const char *where;
    /** In a map or object. */
    const char *key;
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *string;
        struct {
            struct berth_value **items;
            size_t count;
        };
    };
};

/** The values of one section and their memory; borrows text from the tree and the schema. */
struct config_values;

struct config_check_options {
    /** Unknown names are warnings. */
    bool lenient;
    /** Required settings may be missing: the section of a plugin that will not run. */
    bool partial;
    /** Values are handed out in spite of errors: what is wrong has its default or is left out. */
    bool forgiving;
    /** Files and directories that a format asks for have to be there. */
    bool look_at_files;
    /** Names the section in messages: "plugins.io.berth.store.v1.lmdb", or NULL for the top. */
    const char *section;
};

/**
 * Checks a section against its schema and completes it. Says all that is wrong, with what was expected and
 * for an unknown name the nearest known one.
 *
 * @param node  NULL where the section is not there: all defaults.
 * @return the values, to be destroyed; NULL where there were errors, unless `forgiving`.
 */
struct config_values *config_values_create(const struct schema *schema, const struct config_node *node,
                                           const struct config_check_options *options,
                                           struct config_diagnostics *diagnostics);
void config_values_destroy(struct config_values *values);

/** The first question about untyped values to which the file has no answer. */
struct config_misread {
    struct config_mark mark;
    /** "enabled: "maybe" is not true or false (…)"; "" while all were answered. */
    char message[BERTH_ERROR_MAX];
};

/**
 * A section as it stands, unchecked, for migrations. Each scalar is a string, and boolean(), integer() and
 * number() read its text: integer() also a duration, in nanoseconds, and a size, in bytes. A text that is
 * no such value is noted, so that what was made of it is not used.
 *
 * @param node  outlives the values.
 */
struct config_values *config_values_create_untyped(const struct config_node *node);
/** What was asked of untyped values in vain. */
const struct config_misread *config_values_misread(const struct config_values *values);

const struct berth_value *config_values_root(const struct config_values *values);
/** As plugins see it; lives as long as the values. */
const struct berth_settings *config_values_settings(const struct config_values *values);

#endif
