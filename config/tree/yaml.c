/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the subset of YAML that configuration needs into a tree, within limits. The only user of yaml.h;
 * libyaml is loaded for the first text that is not plain.
 */
#include "readers.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include <berth/utf8.h>

#include <sdk/base/lazy_library.h>
#include <sdk/base/memory.h>

#define SONAME "libyaml-0.so.2"

/* An open list or map. */
struct frame {
    struct config_node *node;
    /* In a map: the key that waits for its value, or NULL. */
    const char *key;
    struct config_mark key_mark;
};

struct anchor {
    const char *name;
    const struct config_node *node;
};

/* libyaml's functions by their names there, without "yaml_". */
struct library {
    int (*parser_initialize)(yaml_parser_t *parser);
    void (*parser_delete)(yaml_parser_t *parser);
    void (*parser_set_encoding)(yaml_parser_t *parser, yaml_encoding_t encoding);
    void (*parser_set_input_string)(yaml_parser_t *parser, const unsigned char *input, size_t size);
    int (*parser_parse)(yaml_parser_t *parser, yaml_event_t *event);
    void (*event_delete)(yaml_event_t *event);
};

struct reader {
    struct library library;
    yaml_parser_t parser;
    const char *file;
    const char *text;
    size_t length;
    const struct config_limits *limits;
    struct config_diagnostics *diagnostics;
    struct config_tree *tree;
    struct frame *frames;
    unsigned depth;
    /* Used only if the limits allow aliases; the last one of a name counts. */
    struct anchor *anchors;
    size_t anchor_count;
    size_t node_count;
    unsigned document_count;
    bool failed;
};

BERTH_PRINTF(3, 4)
static void add_error(struct reader *reader, struct config_mark mark, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    config_diagnostics_vadd(reader->diagnostics, CONFIG_ERROR, &mark, format, arguments);
    va_end(arguments);
    reader->failed = true;
}

static struct config_mark mark_of(const struct reader *reader, const yaml_mark_t *mark)
{
    return (struct config_mark){reader->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

static struct config_mark mark_at(const struct reader *reader, size_t offset)
{
    struct config_mark mark = {reader->file, 1, 1};

    for (size_t i = 0; i < offset && i < reader->length; i++) {
        unsigned char byte = (unsigned char)reader->text[i];

        if (byte == '\n') {
            mark.line++;
            mark.column = 1;
        } else if ((byte & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static bool text_is_clean(struct reader *reader)
{
    const unsigned char *bytes = (const unsigned char *)reader->text;

    for (size_t i = 0; i < reader->length;) {
        size_t count = berth_utf8_character(reader->text + i, reader->length - i);

        if (bytes[i] == 0) {
            add_error(reader, mark_at(reader, i), "NUL byte; configuration files are UTF-8 text");
            return false;
        }
        if (count == 0) {
            add_error(reader, mark_at(reader, i), "byte 0x%02x is not valid UTF-8", bytes[i]);
            return false;
        }
        i += count;
    }
    return true;
}

/* The text at a mark of libyaml, which counts characters. */
static const char *text_at(const struct reader *reader, const yaml_mark_t *mark)
{
    const char *at = reader->text;
    const char *end = reader->text + reader->length;

    for (size_t line = 0; line < mark->line && at < end; line += *at++ == '\n') {
    }
    for (size_t i = 0; i < mark->column && at < end; i++)
        at += berth_utf8_character(at, (size_t)(end - at));
    return at;
}

/* Reports two common mistakes in better words than libyaml. @return false if it is neither. */
static bool add_slip(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *end = reader->text + reader->length;
    const char *at = text_at(reader, &parser->problem_mark);
    const char *line, *colon;

    if (at < end && *at == '\t') {
        add_error(reader, mark_of(reader, &parser->problem_mark), "tab character; indent with spaces");
        return true;
    }
    if (parser->problem == NULL || strstr(parser->problem, "could not find expected ':'") == NULL)
        return false;
    at = text_at(reader, &parser->context_mark);
    for (line = at; line < end && *line != '\n' && *line != '\r'; line++) {
    }
    colon = memchr(at, ':', (size_t)(line - at));
    if (colon == NULL || colon + 1 == line)
        return false;
    add_error(reader, mark_of(reader, &parser->context_mark), "missing space after the colon in \"%.*s\"",
              line - at > 60 ? 60 : (int)(line - at), at);
    return true;
}

static void add_parser_error(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem == NULL ? "not YAML" : parser->problem;

    if (parser->error != YAML_READER_ERROR && parser->error != YAML_MEMORY_ERROR && add_slip(reader))
        return;
    switch (parser->error) {
    case YAML_READER_ERROR:
        add_error(reader, mark_at(reader, parser->problem_offset), "%s", problem);
        break;
    case YAML_MEMORY_ERROR:
        add_error(reader, (struct config_mark){.file = reader->file}, "out of memory while reading");
        break;
    default:
        if (parser->context == NULL)
            add_error(reader, mark_of(reader, &parser->problem_mark), "%s", problem);
        else
            add_error(reader, mark_of(reader, &parser->problem_mark), "%s: %s (started on line %zu)",
                      parser->context, problem, parser->context_mark.line + 1);
    }
}

static struct frame *top(struct reader *reader)
{
    return reader->depth == 0 ? NULL : &reader->frames[reader->depth - 1];
}

/* Places a value: as the root, the next item of a list, or the value of the waiting key. */
static void place_node(struct reader *reader, struct config_node *node)
{
    struct frame *frame = top(reader);

    if (frame == NULL) {
        config_tree_set_root(reader->tree, node);
        return;
    }
    if (frame->node->kind == CONFIG_MAP) {
        node->key = frame->key;
        node->key_mark = frame->key_mark;
        frame->key = NULL;
    }
    config_node_append(reader->tree, frame->node, node);
}

static bool count_node(struct reader *reader, struct config_mark mark)
{
    if (++reader->node_count <= reader->limits->max_nodes)
        return true;
    add_error(reader, mark, "more than %zu values in one file; split it", reader->limits->max_nodes);
    return false;
}

static void check_properties(struct reader *reader, struct config_mark mark, const yaml_char_t *anchor,
                             bool has_tag)
{
    if (anchor != NULL && !reader->limits->aliases)
        add_error(reader, mark, "anchor &%.64s is not supported; repeat the value", anchor);
    if (has_tag)
        add_error(reader, mark, "a tag (!…) is not supported; the schema determines the type");
}

static void add_anchor(struct reader *reader, const yaml_char_t *name, const struct config_node *node)
{
    const char *text = (const char *)name;

    if (name == NULL || !reader->limits->aliases)
        return;
    reader->anchors = memory_grow(reader->anchors, reader->anchor_count, sizeof(struct anchor));
    reader->anchors[reader->anchor_count++] =
        (struct anchor){config_tree_add_text(reader->tree, text, strlen(text)), node};
    config_tree_set_expanded(reader->tree);
}

static bool next_is_key(struct reader *reader)
{
    struct frame *frame = top(reader);

    return frame != NULL && frame->node->kind == CONFIG_MAP && frame->key == NULL;
}

/* Characters that look like a space, or like nothing, and mean neither. */
static void check_spaces(struct reader *reader, struct config_mark mark, const char *text)
{
    static const struct {
        const char *bytes;
        const char *name;
    } spaces[] = {
        {"\xc2\xa0", "a non-breaking space (U+00A0)"},
        {"\xe2\x80\x87", "a figure space (U+2007)"},
        {"\xe2\x80\x8b", "a zero-width space (U+200B)"},
        {"\xe2\x80\xaf", "a narrow non-breaking space (U+202F)"},
        {"\xe3\x80\x80", "an ideographic space (U+3000)"},
    };

    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        const char *found = strstr(text, spaces[i].bytes);

        if (found == NULL)
            continue;
        for (const char *at = text; at < found; at++)
            mark.column += ((unsigned char)*at & 0xc0) != 0x80;
        add_error(reader, mark, "%s; use a plain space, or quote the text", spaces[i].name);
        return;
    }
}

static bool read_scalar(struct reader *reader, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct config_mark mark = mark_of(reader, &event->start_mark);
    const char *text;
    struct config_node *node;

    check_properties(reader, mark, event->data.scalar.anchor,
                     event->data.scalar.tag != NULL || (plain && !event->data.scalar.plain_implicit));
    if (memchr(value, '\0', length) != NULL) {
        add_error(reader, mark, "the text contains NUL (\\0); no setting can hold one");
        return true;
    }
    if (plain)
        check_spaces(reader, mark, value);
    text = config_tree_add_text(reader->tree, value, length);
    if (next_is_key(reader)) {
        if (length == 0)
            add_error(reader, mark, "empty key; give it a name");
        top(reader)->key = text;
        top(reader)->key_mark = mark;
        return true;
    }
    if (!count_node(reader, mark))
        return false;
    node = config_tree_add_node(reader->tree, CONFIG_SCALAR, mark);
    node->text = text;
    node->length = length;
    node->plain = plain;
    add_anchor(reader, event->data.scalar.anchor, node);
    place_node(reader, node);
    return true;
}

static bool open_node(struct reader *reader, enum config_node_kind kind, struct config_mark mark,
                      const yaml_char_t *anchor)
{
    struct config_node *node;

    if (next_is_key(reader)) {
        add_error(reader, mark, "a %s cannot be a key; use a plain word",
                  kind == CONFIG_LIST ? "list" : "map");
        return false;
    }
    if (reader->depth >= reader->limits->max_depth) {
        add_error(reader, mark, "nested deeper than %u levels", reader->limits->max_depth);
        return false;
    }
    if (!count_node(reader, mark))
        return false;
    node = config_tree_add_node(reader->tree, kind, mark);
    add_anchor(reader, anchor, node);
    place_node(reader, node);
    reader->frames[reader->depth++] = (struct frame){.node = node};
    return true;
}

/* Counts each node of a copy, so that a bomb of aliases ends at the limits of a text without any. */
static bool copy_fits(struct reader *reader, struct config_mark mark, const struct config_node *node,
                      unsigned depth)
{
    if (node->kind != CONFIG_SCALAR && depth >= reader->limits->max_depth) {
        add_error(reader, mark, "nested deeper than %u levels", reader->limits->max_depth);
        return false;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (!copy_fits(reader, mark, node->items[i], depth + 1))
            return false;
    }
    return count_node(reader, mark);
}

/* A copy keeps the places of what it copies: a fault is corrected there. */
static bool read_alias(struct reader *reader, struct config_mark mark, const char *name)
{
    const struct config_node *anchored = NULL;
    struct config_node *node;

    for (size_t i = 0; i < reader->anchor_count; i++) {
        if (strcmp(reader->anchors[i].name, name) == 0)
            anchored = reader->anchors[i].node;
    }
    for (unsigned i = 0; i < reader->depth; i++) {
        if (reader->frames[i].node == anchored)
            anchored = NULL;
    }
    if (!reader->limits->aliases)
        add_error(reader, mark, "alias *%.64s is not supported; repeat the value", name);
    else if (anchored == NULL)
        add_error(reader, mark, "alias *%.64s has no complete anchor &%.64s before it", name, name);
    else if (next_is_key(reader))
        add_error(reader, mark, "an alias cannot be a key; use a plain word");
    else if (copy_fits(reader, mark, anchored, reader->depth)) {
        node = config_tree_copy_node(reader->tree, anchored);
        node->key = NULL;
        place_node(reader, node);
        return true;
    }
    return false;
}

static int compare_keys(const void *a, const void *b)
{
    const struct config_node *left = *(struct config_node *const *)a;
    const struct config_node *right = *(struct config_node *const *)b;
    int order = strcmp(left->key, right->key);

    if (order != 0)
        return order;
    if (left->key_mark.line != right->key_mark.line)
        return left->key_mark.line < right->key_mark.line ? -1 : 1;
    return left->key_mark.column < right->key_mark.column ? -1 : 1;
}

static void refuse_twice(struct reader *reader, const struct config_node *first,
                         const struct config_node *second)
{
    add_error(reader, second->key_mark, "duplicate key \"%.200s\"; first set on line %u", second->key,
              first->key_mark.line);
}

/* Sorts instead of comparing all pairs: a map can be as large as the file. */
static void check_duplicates(struct reader *reader, const struct config_node *map)
{
    struct config_node *few[16];
    struct config_node **sorted = few;

    if (map->count > sizeof(few) / sizeof(few[0]))
        sorted = malloc(map->count * sizeof(struct config_node *));
    if (sorted == NULL)
        abort();
    if (map->count > 0)
        memcpy(sorted, map->items, map->count * sizeof(struct config_node *));
    qsort(sorted, map->count, sizeof(struct config_node *), compare_keys);
    for (size_t i = 1; i < map->count; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            refuse_twice(reader, sorted[i - 1], sorted[i]);
    }
    if (sorted != few)
        free(sorted);
}

/* Moves in what the map itself does not set; of two merged maps the first one wins. */
static void merge_map(struct reader *reader, struct config_node *map, const struct config_node *from)
{
    if (from->kind != CONFIG_MAP) {
        add_error(reader, from->mark, "<< merges a map or a list of maps");
        return;
    }
    for (size_t i = 0; i < from->count; i++) {
        if (config_node_find(map, from->items[i]->key) == NULL)
            config_node_append(reader->tree, map, from->items[i]);
    }
}

/* The merge key of YAML 1.1, <https://yaml.org/type/merge.html>. The nodes are counted where they stand. */
static void merge_keys(struct reader *reader, struct config_node *map)
{
    const struct config_node *from = config_node_take(map, "<<");

    if (from == NULL)
        return;
    if (from->kind != CONFIG_LIST)
        merge_map(reader, map, from);
    for (size_t i = 0; from->kind == CONFIG_LIST && i < from->count; i++)
        merge_map(reader, map, from->items[i]);
    config_tree_set_expanded(reader->tree);
}

static void close_node(struct reader *reader)
{
    struct config_node *node = reader->frames[--reader->depth].node;

    if (node->kind != CONFIG_MAP)
        return;
    check_duplicates(reader, node);
    if (reader->limits->aliases)
        merge_keys(reader, node);
}

static bool start_document(struct reader *reader, const yaml_event_t *event)
{
    if (++reader->document_count > 1) {
        add_error(reader, mark_of(reader, &event->start_mark),
                  "second document (---); a file holds only one");
        return false;
    }
    if (event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end)
        add_error(reader, mark_of(reader, &event->start_mark), "a %%TAG directive is not supported");
    return true;
}

/* False to stop reading. */
static bool read_event(struct reader *reader, const yaml_event_t *event)
{
    struct config_mark mark = mark_of(reader, &event->start_mark);

    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    case YAML_DOCUMENT_START_EVENT:
        return start_document(reader, event);
    case YAML_ALIAS_EVENT:
        return read_alias(reader, mark, (const char *)event->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        check_properties(reader, mark, event->data.sequence_start.anchor,
                         event->data.sequence_start.tag != NULL);
        return open_node(reader, CONFIG_LIST, mark, event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        check_properties(reader, mark, event->data.mapping_start.anchor,
                         event->data.mapping_start.tag != NULL);
        return open_node(reader, CONFIG_MAP, mark, event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_node(reader);
        return true;
    }
    return true;
}

static void read_events(struct reader *reader)
{
    bool more = true;

    while (more) {
        yaml_event_t event;

        if (!reader->library.parser_parse(&reader->parser, &event)) {
            add_parser_error(reader);
            return;
        }
        more = read_event(reader, &event) && event.type != YAML_STREAM_END_EVENT;
        reader->library.event_delete(&event);
    }
}

static bool load_library(struct reader *reader)
{
    struct library *library = &reader->library;
    const struct berth_lazy_function functions[] = {
        {"yaml_parser_initialize", &library->parser_initialize},
        {"yaml_parser_delete", &library->parser_delete},
        {"yaml_parser_set_encoding", &library->parser_set_encoding},
        {"yaml_parser_set_input_string", &library->parser_set_input_string},
        {"yaml_parser_parse", &library->parser_parse},
        {"yaml_event_delete", &library->event_delete},
    };
    struct berth_error err;

    if (berth_lazy_functions(SONAME, functions, sizeof(functions) / sizeof(functions[0]), &err) == BERTH_OK)
        return true;
    add_error(reader, (struct config_mark){.file = reader->file},
              "reading this YAML needs libyaml: %s; install " SONAME, err.message);
    return false;
}

static void read_text(struct reader *reader)
{
    if (!load_library(reader))
        return;
    if (!reader->library.parser_initialize(&reader->parser)) {
        add_error(reader, (struct config_mark){.file = reader->file}, "out of memory while reading");
        return;
    }
    reader->library.parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    reader->library.parser_set_input_string(&reader->parser, (const unsigned char *)reader->text,
                                            reader->length);
    read_events(reader);
    reader->library.parser_delete(&reader->parser);
}

/* libyaml counts a byte order mark as a column, and then misses a "---" on that line. */
static void skip_byte_order_mark(struct reader *reader)
{
    if (reader->length >= 3 && memcmp(reader->text, "\xef\xbb\xbf", 3) == 0) {
        reader->text += 3;
        reader->length -= 3;
    }
}

struct config_tree *config_yaml_read_whole(const char *name, const char *text, size_t length,
                                           const struct config_limits *limits,
                                           struct config_diagnostics *diagnostics)
{
    struct reader reader = {
        .text = text,
        .length = length,
        .limits = limits,
        .diagnostics = diagnostics,
        .tree = config_tree_create(),
        .frames = calloc(limits->max_depth, sizeof(struct frame)),
    };

    if (reader.frames == NULL)
        abort();
    reader.file = config_tree_add_text(reader.tree, name, strlen(name));
    skip_byte_order_mark(&reader);
    if (length > limits->max_bytes)
        add_error(&reader, (struct config_mark){.file = reader.file}, "too large: %zu bytes, at most %zu",
                  length, limits->max_bytes);
    else if (text_is_clean(&reader))
        read_text(&reader);
    free(reader.frames);
    free(reader.anchors);
    if (reader.failed) {
        config_tree_destroy(reader.tree);
        return NULL;
    }
    return reader.tree;
}

struct config_tree *config_yaml_read(const char *name, const char *text, size_t length,
                                     const struct config_limits *limits,
                                     struct config_diagnostics *diagnostics)
{
    struct config_tree *tree = config_yaml_read_plain(name, text, length, limits);

    return tree != NULL ? tree : config_yaml_read_whole(name, text, length, limits, diagnostics);
}
