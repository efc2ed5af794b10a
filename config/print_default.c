/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a schema as the configuration that changes nothing: each setting with its doc and its default. */
#include "print.h"

#include <string.h>

enum {
    LINE_WIDTH = 100,
};

/* Where the lines go. Inside of what is commented out, every line is a comment. */
struct printer {
    struct config_text *out;
    size_t indent;
    bool commented;
};

static void begin_line(const struct printer *printer)
{
    config_text_add_spaces(printer->out, printer->indent);
    if (printer->commented)
        config_text_add(printer->out, "# ");
}

/* Bytes of the next line: as many whole words as fit, up to a newline. */
static size_t measure_line(const char *text, size_t width)
{
    size_t fits = 0;

    for (size_t i = 0;; i++) {
        if (text[i] == '\0' || text[i] == '\n')
            return i <= width || fits == 0 ? i : fits;
        if (text[i] == ' ') {
            if (i > width && fits > 0)
                return fits;
            fits = i;
        }
    }
}

void config_print_comment(struct config_text *out, const char *comment, size_t indent)
{
    size_t width = indent + 22 < LINE_WIDTH ? LINE_WIDTH - indent - 2 : 20;

    while (*comment != '\0') {
        size_t length = measure_line(comment, width);

        config_text_add_spaces(out, indent);
        config_text_add(out, "# ");
        config_text_add_cleaned(out, comment, length);
        config_text_add(out, "\n");
        comment += length;
        comment += *comment != '\0';
    }
}

static void add_bound(struct config_text *text, const struct schema *schema, const char *word, bool has,
                      int64_t bound, double number)
{
    struct schema plain = {.kind = schema_counts(schema->kind) ? SCHEMA_INT : schema->kind};
    bool is_float = schema->kind == SCHEMA_FLOAT;
    struct berth_value value = {.schema = &plain, .kind = is_float ? BERTH_VALUE_FLOAT : BERTH_VALUE_INT};

    if (!has)
        return;
    if (is_float)
        value.number = number;
    else
        value.integer = bound;
    config_text_add(text, ", at %s ", word);
    config_print_scalar(text, &value);
    if (schema_counts(schema->kind))
        config_text_add(text,
                        schema->kind == SCHEMA_LIST || schema->kind == SCHEMA_MAP ? " items" : " bytes");
}

/* "list of string, at most 5 items": what may stand here. */
static void add_kind(struct config_text *text, const struct schema *schema)
{
    config_text_add(text, "%s", schema_kind_name(schema->kind));
    if (schema->items != NULL) {
        config_text_add(text, " of ");
        add_kind(text, schema->items);
    }
    for (size_t i = 0; i < schema->choice_count; i++)
        config_text_add(text, "%s%s", i == 0 ? ": " : ", ", schema->choices[i]);
    add_bound(text, schema, "least", schema->has_min, schema->min, schema->min_float);
    add_bound(text, schema, "most", schema->has_max, schema->max, schema->max_float);
    if (schema->pattern != NULL)
        config_text_add(text, ", matching %s", schema->pattern);
    if (schema->format != CONFIG_FORMAT_ANY)
        config_text_add(text, ", format %s", config_format_name(schema->format));
}

static void print_doc(const struct printer *printer, const struct schema *schema)
{
    struct config_text doc = {0};

    if (schema->doc != NULL && schema->doc[0] != '\0')
        config_text_add(&doc, "%s ", schema->doc);
    config_text_add(&doc, "(");
    add_kind(&doc, schema);
    if (schema->required)
        config_text_add(&doc, "; required");
    if (schema->secret)
        config_text_add(&doc, "; secret");
    if (schema->deprecated != NULL)
        config_text_add(&doc, "; deprecated: use %s", schema->deprecated);
    config_text_add(&doc, ")");
    config_print_comment(printer->out, doc.bytes, printer->indent);
    config_text_finish(&doc);
}

static void print_object(const struct printer *printer, const struct schema *object,
                         const struct berth_value *defaults);

/* A list or map, or nothing to write: as the printer of values has it, behind comment signs if need be. */
static void print_leaf(const struct printer *printer, const struct schema *schema,
                       const struct berth_value *value)
{
    bool has_value = value != NULL && value->kind != BERTH_VALUE_NONE && !schema->secret;
    struct berth_value *items[] = {(struct berth_value *)value};
    struct berth_value map = {.kind = BERTH_VALUE_MAP, .items = items, .count = 1};

    if (has_value && !printer->commented && schema->deprecated == NULL) {
        config_print_values(printer->out, &map, printer->indent, &(struct config_print_options){0});
        return;
    }
    config_text_add_spaces(printer->out, printer->indent);
    config_text_add(printer->out, "# ");
    config_print_key(printer->out, schema->name);
    config_text_add(printer->out, ":");
    if (has_value && schema->kind < SCHEMA_LIST) {
        config_text_add(printer->out, " ");
        config_print_scalar(printer->out, value);
    }
    config_text_add(printer->out, "\n");
}

static void print_field(const struct printer *printer, const struct schema *field,
                        const struct berth_value *value)
{
    struct printer inner = *printer;

    print_doc(printer, field);
    if (field->kind != SCHEMA_OBJECT) {
        print_leaf(printer, field, value);
        return;
    }
    if (value == NULL || value->kind == BERTH_VALUE_NONE || field->deprecated != NULL)
        inner.commented = true;
    begin_line(&inner);
    config_print_key(printer->out, field->name);
    config_text_add(printer->out, ":\n");
    inner.indent += 2;
    print_object(&inner, field, inner.commented ? NULL : value);
}

static void print_object(const struct printer *printer, const struct schema *object,
                         const struct berth_value *defaults)
{
    for (size_t i = 0; i < object->field_count; i++) {
        if (printer->indent == 0 && i > 0)
            config_text_add(printer->out, "\n");
        print_field(printer, object->fields[i], defaults == NULL ? NULL : defaults->items[i]);
    }
}

void config_print_defaults(struct config_text *out, const struct schema *object,
                           const struct berth_value *defaults, size_t indent)
{
    struct printer printer = {.out = out, .indent = indent};

    print_object(&printer, object, defaults->kind == BERTH_VALUE_MAP ? defaults : NULL);
}
