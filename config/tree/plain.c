/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the plain part of YAML, as YAML 1.2 and libyaml agree on it, in one pass without events. Whatever it
 * is not certain about it refuses as a whole, so that libyaml decides and says what is wrong: a reason is
 * never given here.
 *
 * A text is a sequence of lines with something on them, each at a column. What stands below a key or a dash
 * is further right; a list may also stand right below its key, as far left as that. A plain scalar ends with
 * its line, unless the next one is further right than the map or list that it is in: then it would go on
 * there, and is refused.
 */
#include "readers.h"

#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>

#include <sdk/base/memory.h>

/* Of a map; more are compared with one another by libyaml's reader, which sorts them. */
#define KEYS_MAX 256
/* libyaml takes keys of up to 1,024 characters, with what stands around them; each may have been escaped. */
#define KEY_BYTES_MAX 500

struct plain {
    struct config_tree *tree;
    const struct config_limits *limits;
    const char *file;
    const char *at, *end;
    /* Where the line of `at` begins, and its number from 1. */
    const char *line_begin;
    uint32_t line;
    bool is_ascii;
    /* Where the last mark was, and how many bytes before it on its line continue a character. */
    const char *counted;
    size_t continuing;
    size_t node_count;
    unsigned depth;
};

/* A scalar, cut out of the text. */
struct scalar {
    struct config_mark mark;
    const char *text;
    size_t length;
    bool is_plain;
};

/* Columns of marks count characters. A line can be as long as the file and have a mark at every other byte,
 * so each counts from the one before it. */
static struct config_mark mark_here(struct plain *plain)
{
    size_t before = (size_t)(plain->at - plain->line_begin);

    if (plain->counted < plain->line_begin || plain->counted > plain->at) {
        plain->counted = plain->line_begin;
        plain->continuing = 0;
    }
    for (; !plain->is_ascii && plain->counted < plain->at; plain->counted++)
        plain->continuing += ((unsigned char)*plain->counted & 0xc0) == 0x80;
    return (struct config_mark){plain->file, plain->line, (uint32_t)(before - plain->continuing) + 1};
}

/* In bytes, which is the same for what indents: spaces and dashes. */
static uint32_t column(const struct plain *plain)
{
    return (uint32_t)(plain->at - plain->line_begin);
}

/* The byte `ahead` of the present one; a line feed at the end of the text, as that ends a line too. */
static char look(const struct plain *plain, size_t ahead)
{
    return (size_t)(plain->end - plain->at) > ahead ? plain->at[ahead] : '\n';
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\n';
}

static bool is_alphanumeric(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
}

/* Is it neither a line break nor a space of any kind, nor anything that libyaml refuses? */
static bool is_plain_character(const char *text, size_t length)
{
    unsigned code = berth_utf8_code_point(text, length);

    return (code > 0xa0 && code < 0x2000) || (code >= 0x2010 && code < 0x2028) ||
           (code > 0x2030 && code < 0x3000) || (code > 0x3000 && code < 0xd800);
}

static bool text_is_plain(const char *text, size_t length, bool *ret_is_ascii)
{
    bool is_ascii = true;
    size_t step = 1;

    for (size_t i = 0; i < length; i += step) {
        step = 1;
        if ((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n')
            continue;
        is_ascii = false;
        step = berth_utf8_character(text + i, length - i);
        if (step < 2 || !is_plain_character(text + i, step))
            return false;
    }
    *ret_is_ascii = is_ascii;
    return true;
}

static void skip_spaces(struct plain *plain)
{
    while (look(plain, 0) == ' ')
        plain->at++;
}

/* Goes to the next line that has more on it than a comment, and to its first character, or to the end. */
static void skip_lines(struct plain *plain)
{
    for (;;) {
        skip_spaces(plain);
        if (look(plain, 0) == '#') {
            const char *feed = memchr(plain->at, '\n', (size_t)(plain->end - plain->at));

            plain->at = feed != NULL ? feed : plain->end;
        }
        if (plain->at == plain->end || *plain->at != '\n')
            return;
        plain->line_begin = ++plain->at;
        plain->line++;
    }
}

/* Is the rest of the line empty, or a comment behind a space? Then goes on to the next line. */
static bool end_line(struct plain *plain)
{
    const char *begin = plain->at;

    skip_spaces(plain);
    if (look(plain, 0) != '\n' && (look(plain, 0) != '#' || plain->at == begin))
        return false;
    skip_lines(plain);
    return true;
}

static struct config_node *add_node(struct plain *plain, enum config_node_kind kind, struct config_mark mark)
{
    if (++plain->node_count > plain->limits->max_nodes)
        return NULL;
    return config_tree_add_node(plain->tree, kind, mark);
}

static struct config_node *add_scalar(struct plain *plain, const struct scalar *scalar)
{
    struct config_node *node = add_node(plain, CONFIG_SCALAR, scalar->mark);

    if (node == NULL)
        return NULL;
    node->text = scalar->text;
    node->length = scalar->length;
    node->plain = scalar->is_plain;
    return node;
}

/* The text between quotes, without the character that escapes the next one. A text of the tree may be that of
 * other nodes too, so it is not written to. */
static const char *add_unescaped(struct plain *plain, const char *begin, size_t *length, char escape)
{
    char *copy = memory_allocate(*length + 1, 1), *to = copy;
    const char *text;

    for (const char *from = begin; from < begin + *length; *to++ = *from++)
        from += *from == escape;
    *length = (size_t)(to - copy);
    text = config_tree_add_text(plain->tree, copy, *length);
    free(copy);
    return text;
}

/* In quotes, on one line. Of escapes only those of the quote and of the backslash itself. */
static bool read_quoted(struct plain *plain, struct scalar *ret_scalar)
{
    struct scalar scalar = {.mark = mark_here(plain)};
    char quote = *plain->at++;
    const char *begin = plain->at;
    bool is_escaped = false;

    for (; look(plain, 0) != quote || (quote == '\'' && look(plain, 1) == quote); plain->at++) {
        if (look(plain, 0) == '\n')
            return false;
        if (quote == '"' && look(plain, 0) == '\\' && look(plain, 1) != '"' && look(plain, 1) != '\\')
            return false;
        if (look(plain, 0) == quote || (quote == '"' && look(plain, 0) == '\\')) {
            is_escaped = true;
            plain->at++;
        }
    }
    scalar.length = (size_t)(plain->at++ - begin);
    scalar.text = is_escaped ? add_unescaped(plain, begin, &scalar.length, quote == '"' ? '\\' : '\'')
                             : config_tree_add_text(plain->tree, begin, scalar.length);
    *ret_scalar = scalar;
    return true;
}

/* The first characters of plain scalars that mean nothing else anywhere. */
static bool starts_scalar(const struct plain *plain)
{
    char first = look(plain, 0);

    if (column(plain) == 0 && first == '.')
        return false;
    return is_alphanumeric(first) || (unsigned char)first >= 0x80 ||
           (first == '-' && is_alphanumeric(look(plain, 1))) ||
           (first != '\n' && strchr("_./~+($", first) != NULL);
}

/* Ends before a colon with a space, a comment, or the end of the line; in brackets also before a comma or
 * the bracket. */
static bool read_unquoted(struct plain *plain, bool is_in_brackets, struct scalar *ret_scalar)
{
    struct scalar scalar = {.mark = mark_here(plain), .is_plain = true};
    const char *begin = plain->at, *end;

    if (!starts_scalar(plain))
        return false;
    for (;; plain->at++) {
        char byte = look(plain, 0);

        if (byte == '\n' || (byte == ':' && is_blank(look(plain, 1))) ||
            (byte == '#' && plain->at[-1] == ' '))
            break;
        if (!is_in_brackets)
            continue;
        if (byte == ',' || byte == ']' || byte == '}')
            break;
        if (byte == '[' || byte == '{' || byte == '?' ||
            (byte == ':' && !is_alphanumeric(look(plain, 1)) && look(plain, 1) != '/'))
            return false;
    }
    for (end = plain->at; end[-1] == ' '; end--) {
    }
    /* Back to the spaces, which a comment needs before it and a colon may not have. */
    plain->at = end;
    scalar.length = (size_t)(end - begin);
    scalar.text = config_tree_add_text(plain->tree, begin, scalar.length);
    *ret_scalar = scalar;
    return true;
}

static bool read_scalar(struct plain *plain, bool is_in_brackets, struct scalar *ret_scalar)
{
    if (look(plain, 0) == '"' || look(plain, 0) == '\'')
        return read_quoted(plain, ret_scalar);
    return read_unquoted(plain, is_in_brackets, ret_scalar);
}

/* Is it a key? Then goes behind its colon. */
static bool end_key(struct plain *plain, const struct scalar *scalar)
{
    if (look(plain, 0) != ':' || !is_blank(look(plain, 1)) || scalar->length == 0 ||
        scalar->length > KEY_BYTES_MAX)
        return false;
    plain->at++;
    return true;
}

/* Appends a value to a map. @return false if it is none, or if the map has its key already. */
static bool add_value(struct plain *plain, struct config_node *map, const struct scalar *key,
                      struct config_node *value)
{
    if (value == NULL || map->count == KEYS_MAX || config_node_find(map, key->text) != NULL)
        return false;
    value->key = key->text;
    value->key_mark = key->mark;
    config_node_append(plain->tree, map, value);
    return true;
}

static bool enter(struct plain *plain)
{
    return plain->depth++ < plain->limits->max_depth;
}

static struct config_node *leave(struct plain *plain, struct config_node *node)
{
    plain->depth--;
    return node;
}

static struct config_node *read_brackets(struct plain *plain);

/* A value between brackets. */
static struct config_node *read_inner(struct plain *plain)
{
    struct scalar scalar;

    if (look(plain, 0) == '[' || look(plain, 0) == '{')
        return read_brackets(plain);
    return read_scalar(plain, true, &scalar) ? add_scalar(plain, &scalar) : NULL;
}

static bool read_list_item(struct plain *plain, struct config_node *list)
{
    struct config_node *item = read_inner(plain);

    if (item != NULL)
        config_node_append(plain->tree, list, item);
    return item != NULL;
}

static bool read_pair(struct plain *plain, struct config_node *map)
{
    struct scalar key;

    if (!read_scalar(plain, true, &key) || !end_key(plain, &key))
        return false;
    skip_spaces(plain);
    return add_value(plain, map, &key, read_inner(plain));
}

/* A list or a map in brackets, on one line. Recursion is bounded by the depth that the limits allow. */
static struct config_node *read_brackets(struct plain *plain)
{
    bool is_list = look(plain, 0) == '[';
    char close = is_list ? ']' : '}';
    struct config_node *node = add_node(plain, is_list ? CONFIG_LIST : CONFIG_MAP, mark_here(plain));

    if (node == NULL || !enter(plain))
        return NULL;
    plain->at++;
    skip_spaces(plain);
    while (look(plain, 0) != close) {
        if (is_list ? !read_list_item(plain, node) : !read_pair(plain, node))
            return NULL;
        skip_spaces(plain);
        if (look(plain, 0) == close)
            break;
        if (look(plain, 0) != ',')
            return NULL;
        plain->at++;
        skip_spaces(plain);
        if (look(plain, 0) == close)
            return NULL;
    }
    plain->at++;
    return leave(plain, node);
}

static bool is_dash(const struct plain *plain)
{
    return look(plain, 0) == '-' && is_blank(look(plain, 1));
}

static struct config_node *read_node(struct plain *plain, int64_t indent, bool starts_line);

/* The value of a key in a map at `indent`, on its line or below; behind the colon. */
static struct config_node *read_value(struct plain *plain, uint32_t indent)
{
    const struct scalar nothing = {.mark = mark_here(plain), .text = "", .is_plain = true};

    if (!end_line(plain))
        return read_node(plain, indent, false);
    if (plain->at != plain->end && (column(plain) > indent || (column(plain) == indent && is_dash(plain))))
        return read_node(plain, indent, true);
    return add_scalar(plain, &nothing);
}

static struct config_node *read_map(struct plain *plain, const struct scalar *first)
{
    struct config_node *map = add_node(plain, CONFIG_MAP, first->mark);
    uint32_t indent = first->mark.column - 1;
    struct scalar key = *first;

    while (map != NULL) {
        if (!end_key(plain, &key) || !add_value(plain, map, &key, read_value(plain, indent)))
            return NULL;
        if (plain->at == plain->end || column(plain) < indent)
            return map;
        if (column(plain) > indent || !read_scalar(plain, false, &key))
            return NULL;
    }
    return NULL;
}

/* Ends with the first line that is further left, or that is of the map whose value the list is. */
static struct config_node *read_list(struct plain *plain)
{
    struct config_node *list = add_node(plain, CONFIG_LIST, mark_here(plain)), *item;
    uint32_t indent = column(plain);

    while (list != NULL) {
        plain->at++;
        item = end_line(plain) ? NULL : read_node(plain, indent, true);
        if (item == NULL)
            return NULL;
        config_node_append(plain->tree, list, item);
        if (plain->at == plain->end || column(plain) < indent || (column(plain) == indent && !is_dash(plain)))
            return list;
        if (column(plain) > indent)
            return NULL;
    }
    return NULL;
}

/*
 * Any node, and the end of its last line. Recursion is bounded by the depth that the limits allow.
 *
 * @param indent       of the map or list that it is in; -1: of none.
 * @param starts_line  it is the first on its line but for dashes, and may be a map or a list of lines.
 */
static struct config_node *read_node(struct plain *plain, int64_t indent, bool starts_line)
{
    struct config_node *node;
    struct scalar scalar;

    if (starts_line && is_dash(plain))
        return enter(plain) ? leave(plain, read_list(plain)) : NULL;
    if (look(plain, 0) == '[' || look(plain, 0) == '{') {
        node = read_brackets(plain);
        return node != NULL && end_line(plain) ? node : NULL;
    }
    if (!read_scalar(plain, false, &scalar))
        return NULL;
    if (starts_line && look(plain, 0) == ':')
        return enter(plain) ? leave(plain, read_map(plain, &scalar)) : NULL;
    if (!end_line(plain) || (plain->at != plain->end && column(plain) > indent))
        return NULL;
    return add_scalar(plain, &scalar);
}

struct config_tree *config_yaml_read_plain(const char *name, const char *text, size_t length,
                                           const struct config_limits *limits)
{
    struct plain plain = {
        .limits = limits, .at = text, .end = text + length, .line_begin = text, .line = 1, .counted = text};
    struct config_node *root;

    if (length > limits->max_bytes || limits->aliases || !text_is_plain(text, length, &plain.is_ascii))
        return NULL;
    plain.tree = config_tree_create();
    plain.file = config_tree_add_text(plain.tree, name, strlen(name));
    skip_lines(&plain);
    root = plain.at != plain.end ? read_node(&plain, -1, true) : NULL;
    if (root == NULL || plain.at != plain.end) {
        config_tree_destroy(plain.tree);
        return NULL;
    }
    config_tree_set_root(plain.tree, root);
    return plain.tree;
}
