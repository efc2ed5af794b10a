/* SPDX-License-Identifier: Apache-2.0 */
/* What a section of configuration may hold: read from the `config:` of a manifest, or a table in the source.
 */
#ifndef CONFIG_SCHEMA_SCHEMA_H
#define CONFIG_SCHEMA_SCHEMA_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <config/tree/format.h>
#include <config/tree/tree.h>
#include <config/tree/units.h>

enum schema_kind {
    SCHEMA_STRING,
    SCHEMA_BOOL,
    SCHEMA_INT,
    SCHEMA_FLOAT,
    /** Go's spelling: "1m30s", "10s", "250ms"; nanoseconds. */
    SCHEMA_DURATION,
    /** "4KiB", "64MiB", "10MB", "512". */
    SCHEMA_BYTES,
    /** Relative paths start from the folder of the file that sets them. */
    SCHEMA_PATH,
    SCHEMA_ENUM,
    SCHEMA_LIST,
    SCHEMA_MAP,
    SCHEMA_OBJECT,
    /** Any value: a scalar, typed by its form, or a list or map of such. */
    SCHEMA_ANY,
};

#define SCHEMA_KIND_COUNT (SCHEMA_ANY + 1)

/**
 * One setting, or one object with its fields. In YAML: a map with `type` and the rest of the members by the
 * same names (`default`, `required`, `min`, `max`, `pattern`, `format`, `doc`, `deprecated`, `secret`,
 * `values` for an enum, `items` for list and map, `merge` for a map, `fields` for an object).
 */
struct schema {
    enum schema_kind kind;
    /** For a string or path. */
    enum config_format format;
    const char *name;
    /** Its index in the object's fields. */
    uint32_t index;
    bool required;
    /** Never printed, nor anything inside it. */
    bool secret;
    /** Map: the default's entries remain beside those that are set, and are merged with them key by key. */
    bool merge;
    bool has_min, has_max;
    const char *doc;
    /** What to use instead, if the setting is deprecated; else NULL. */
    const char *deprecated;
    /** As written; schema_create checks it. NULL: none. */
    const struct config_node *default_;
    /** Bounds on the value, the bytes of a string or the number of items, in the kind's own unit; of a float
     * the others. */
    union {
        int64_t min;
        double min_float;
    };
    union {
        int64_t max;
        double max_float;
    };
    /** POSIX extended; must match the whole string. */
    const char *pattern;
    /** NULL in a table written in C, and once forgotten: compiled where it is used. */
    const regex_t *compiled_pattern;
    const char *const *choices;
    uint32_t choice_count;
    /** Of an object. */
    uint32_t field_count;
    const struct schema *const *fields;
    /** The same sorted by name, for schema_find_field; NULL in a table written in C. */
    const struct schema *const *sorted_fields;
    /** List and map. */
    const struct schema *items;
    struct config_mark mark;
};

/** The field of an object, or NULL. */
const struct schema *schema_find_field(const struct schema *object, const char *name);
/** Has the object a required field, at any depth? */
bool schema_requires_fields(const struct schema *object);
/** Do `min` and `max` bound a length or count rather than the value? */
bool schema_counts(enum schema_kind kind);

/** "duration". */
const char *schema_kind_name(enum schema_kind kind);

/** An integer in the kind's own unit, both ways: a duration in nanoseconds, a size in bytes, else a plain
 * number. */
bool schema_read_integer(enum schema_kind kind, const struct config_node *node, int64_t *ret_integer,
                         struct berth_error *err);
void schema_format_integer(enum schema_kind kind, int64_t integer, char ret_text[CONFIG_UNITS_MAX]);

/**
 * Reads the fields of an object: `node` is the map under `config:`, NULL for none. Borrows text from the
 * node's tree.
 *
 * @return an object, to be destroyed; NULL with errors in `diagnostics`.
 */
struct schema *schema_create(const struct config_node *node, struct config_diagnostics *diagnostics);
void schema_destroy(struct schema *schema);
/** Copies the nodes of defaults: of the tree it was read from, only the texts are needed from here on. */
void schema_own_defaults(struct schema *schema);
/** Frees the compiled patterns, which take up to 100 KiB each once used. They are compiled again where
 * needed. */
void schema_forget_patterns(struct schema *schema);

#endif
