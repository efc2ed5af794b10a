/* SPDX-License-Identifier: Apache-2.0 */
/* What a section of configuration may hold: read from the `config:` of a manifest, or from the daemon's own.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format.h"
#include "tree.h"

enum schema_kind {
    SCHEMA_STRING,
    SCHEMA_BOOL,
    SCHEMA_INT,
    SCHEMA_FLOAT,
    /** Go's spelling: "1m30s", "10s", "250ms"; nanoseconds. */
    SCHEMA_DURATION,
    /** "4KiB", "64MiB", "10MB", "512". */
    SCHEMA_BYTES,
    /** Made absolute against the folder of the file that sets it. */
    SCHEMA_PATH,
    SCHEMA_ENUM,
    SCHEMA_LIST,
    SCHEMA_MAP,
    SCHEMA_OBJECT,
};

/**
 * One setting, or one object with its fields. In YAML: a map with `type` and the rest of the members by the
 * same names (`default`, `required`, `min`, `max`, `pattern`, `format`, `doc`, `deprecated`, `secret`,
 * `values` for an enum, `items` for list and map, `fields` for an object).
 */
struct schema {
    enum schema_kind kind;
    const char *name;
    /** Its place among the fields of its object. */
    size_t index;
    const char *doc;
    bool required;
    /** Never printed, with all that is in it. */
    bool secret;
    /** What to use instead, where the setting is deprecated; else NULL. */
    const char *deprecated;
    /** As written; checked against the schema itself when that is read. NULL: none. */
    const struct config_node *default_;
    /** Bounds on the value, or on the bytes of a string or the number of items. In the kind's own unit. */
    bool has_min, has_max;
    int64_t min, max;
    double min_float, max_float;
    /** POSIX extended, on the whole string. */
    const char *pattern;
    regex_t *compiled_pattern;
    /** Of a string or path; CONFIG_FORMAT_ANY where it is free. */
    enum config_format format;
    const char *const *choices;
    size_t choice_count;
    /** List and map: what each item is. */
    struct schema *items;
    /** Object. */
    struct schema **fields;
    size_t field_count;
    /** The same, sorted by name: for schema_find_field. */
    struct schema **sorted_fields;
    struct config_mark mark;
};

/**
 * Reads the fields of an object: `node` is the map under `config:`, NULL for none. Borrows text from the
 * node's tree.
 *
 * @return an object, to be destroyed; NULL with errors in `diagnostics`.
 */
struct schema *schema_create(const struct config_node *node, struct config_diagnostics *diagnostics);
void schema_destroy(struct schema *schema);

/** The field of an object, or NULL. */
const struct schema *schema_find_field(const struct schema *object, const char *name);
/** Is it an object with a field, however deep, that has to be set? */
bool schema_requires_fields(const struct schema *object);
/** Does a length, not a value, stand under `min` and `max`? */
bool schema_counts(enum schema_kind kind);

/** "duration". */
const char *schema_kind_name(enum schema_kind kind);

#endif
