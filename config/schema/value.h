/* SPDX-License-Identifier: Apache-2.0 */
/* A checked section: typed, complete with its defaults, each value with its origin. */
#ifndef CONFIG_SCHEMA_VALUE_H
#define CONFIG_SCHEMA_VALUE_H

#include <berth/settings.h>

#include "schema.h"

/**
 * One typed value; plugins see it as the opaque `struct berth_value`. An object has a value for each of its
 * fields, in the schema's order: BERTH_VALUE_NONE if there is neither a value nor a default. An unset object
 * with a required field somewhere is BERTH_VALUE_NONE too.
 */
struct berth_value {
    /** NULL if untyped. */
    const struct schema *schema;
    /** Untyped: where a failed read is noted; else NULL. */
    struct config_misread *misread;
    /** Untyped: the node it was read from. */
    const struct config_node *node;
    enum berth_value_kind kind;
    /** Where it was set; `file` is NULL for a default. */
    struct config_mark mark;
    /** The mark as text, or "default". */
    const char *where;
    /** Where a migration took it from; NULL if it is as written. */
    const char *was;
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
    /** Required settings may be missing: for plugins that will not run. */
    bool partial;
    /** Return values despite errors: wrong ones have their default or are left out. */
    bool forgiving;
    /** Files and directories required by a format must exist. */
    bool look_at_files;
    /** The section's name in messages; NULL for the top. */
    const char *section;
};

/**
 * Checks a section against its schema and adds the defaults. Reports every error, with what was expected; for
 * an unknown name, the nearest known one.
 *
 * @param node  NULL for a missing section: all defaults.
 * @return the values, to be destroyed; NULL if there were errors, unless `forgiving`.
 */
struct config_values *config_values_create(const struct schema *schema, const struct config_node *node,
                                           const struct config_check_options *options,
                                           struct config_diagnostics *diagnostics);
void config_values_destroy(struct config_values *values);

/** The first failed read of an untyped value. */
struct config_misread {
    struct config_mark mark;
    /** "enabled: \"maybe\" is not a boolean (…)"; "" if none failed. */
    struct berth_error err;
};

/**
 * An unchecked section, for migrations; a level is read from the node when it is first asked for. Each scalar
 * is a string; boolean(), integer() and number() parse its text, integer() also a duration (nanoseconds) or a
 * size (bytes). A text that cannot be parsed is noted as a misread, so the migration can be refused.
 *
 * @param node  outlives the values.
 */
struct config_values *config_values_create_untyped(const struct config_node *node);
/** Of untyped values. */
const struct config_misread *config_values_misread(const struct config_values *values);

const struct berth_value *config_values_root(const struct config_values *values);
/** The view for plugins; lives as long as the values. */
const struct berth_settings *config_values_settings(const struct config_values *values);

#endif
