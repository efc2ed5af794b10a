/* SPDX-License-Identifier: Apache-2.0 */
/* Writes untyped trees as YAML, each scalar as its author wrote it: plain stays plain, quoted stays quoted.
 */
#include "print.h"

#include <string.h>

/* What is plain between brackets may mean something else on a line of its own. */
static bool reads_otherwise(const char *text, size_t length)
{
    if (strchr("-?:", text[0]) != NULL && (text[1] == ' ' || text[1] == '\0') && length > 0)
        return true;
    return strncmp(text, "---", 3) == 0 || strncmp(text, "...", 3) == 0 || strstr(text, ": ") != NULL ||
           strstr(text, " #") != NULL || strstr(text, "\xef\xbb\xbf") != NULL ||
           (length > 0 && text[length - 1] == ':');
}

static bool stays_plain(const struct config_node *node)
{
    if (!node->plain || reads_otherwise(node->text, node->length))
        return false;
    for (size_t i = 0; i < node->length; i++) {
        if ((unsigned char)node->text[i] < 0x20 || node->text[i] == 0x7f)
            return false;
    }
    return true;
}

static void print_scalar(struct config_text *out, const struct config_node *node)
{
    if (stays_plain(node))
        config_text_add_bytes(out, node->text, node->length);
    else
        config_text_add_quoted(out, node->text, node->length);
    config_text_add(out, "\n");
}

static bool is_block(const struct config_node *node)
{
    return node->kind != CONFIG_SCALAR && node->count > 0;
}

static void print_inline(struct config_text *out, const struct config_node *node)
{
    if (node->kind == CONFIG_SCALAR)
        print_scalar(out, node);
    else
        config_text_add(out, node->kind == CONFIG_LIST ? "[]\n" : "{}\n");
}

static void print_items(struct config_text *out, const struct config_node *node, size_t indent,
                        bool behind_dash)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *item = node->items[i];
        bool is_map = node->kind == CONFIG_MAP;

        if (i > 0 || !behind_dash)
            config_text_add_spaces(out, indent);
        if (is_map)
            config_print_key(out, item->key);
        config_text_add(out, is_map ? ":" : "-");
        if (!is_block(item)) {
            config_text_add(out, " ");
            print_inline(out, item);
        } else if (!is_map && item->kind == CONFIG_MAP) {
            config_text_add(out, " ");
            print_items(out, item, indent + 2, true);
        } else {
            config_text_add(out, "\n");
            print_items(out, item, indent + 2, false);
        }
    }
}

void config_print_tree(struct config_text *out, const struct config_node *node, size_t indent)
{
    if (is_block(node)) {
        print_items(out, node, indent, false);
        return;
    }
    config_text_add_spaces(out, indent);
    print_inline(out, node);
}
