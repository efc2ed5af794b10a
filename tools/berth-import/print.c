/* SPDX-License-Identifier: Apache-2.0 */
/* berthd.yaml: the settings, and as comments what has no place among them. */
#include <stdlib.h>
#include <string.h>

#include <config/print/print.h>

#include "import.h"

static void add_commented(struct config_text *out, const char *text, size_t indent)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        config_text_add_spaces(out, indent);
        config_text_add(out, "# ");
        config_text_add_cleaned(out, text, length);
        config_text_add(out, "\n");
        text += length + (text[length] == '\n');
    }
}

/* "oom_score: -999", or a whole table below its name. */
static void add_node(struct config_text *out, const struct import_loss *loss, size_t indent)
{
    const struct config_node *node = loss->node;
    bool is_open = node->kind != CONFIG_SCALAR && node->count > 0;
    struct config_text text = {0};

    config_print_key(&text, loss->name);
    config_text_add(&text, is_open ? ":\n" : ": ");
    config_print_tree(&text, node, is_open ? 2 : 0);
    add_commented(out, text.bytes, indent);
    config_text_finish(&text);
}

static void add_loss(struct config_text *out, const struct import_loss *loss, size_t indent)
{
    const struct config_mark *mark = loss->node->key != NULL ? &loss->node->key_mark : &loss->node->mark;
    struct config_text line = {0};

    if (mark->file != NULL)
        config_text_add(&line, "%s:%u:%u: ", mark->file, mark->line, mark->column);
    config_text_add(&line, "%s", loss->reason);
    add_commented(out, line.bytes, indent);
    config_text_finish(&line);
    add_node(out, loss, indent);
}

static void add_section_losses(struct config_text *out, const struct import *import, const char *section)
{
    for (size_t i = 0; i < import->loss_count; i++)
        if (import->losses[i].section != NULL && strcmp(import->losses[i].section, section) == 0)
            add_loss(out, &import->losses[i], 4);
}

static void add_sections(struct config_text *out, const struct import *import,
                         const struct config_node *plugins)
{
    for (size_t i = 0; i < plugins->count; i++) {
        const struct config_node *section = plugins->items[i];

        config_text_add(out, "\n  ");
        config_print_key(out, section->key);
        config_text_add(out, ":\n");
        config_print_tree(out, section, 4);
        add_section_losses(out, import, section->key);
    }
}

/* Losses of sections of which nothing else is left come with those of the daemon. */
static bool is_shown_below(const struct import_loss *loss, const struct config_node *plugins)
{
    return loss->section == NULL || config_node_find(plugins, loss->section) == NULL;
}

static void add_rest(struct config_text *out, const struct import *import, const struct config_node *plugins)
{
    size_t count = 0;

    for (size_t i = 0; i < import->loss_count; i++) {
        const struct import_loss *loss = &import->losses[i];

        if (!is_shown_below(loss, plugins))
            continue;
        if (count++ == 0)
            config_text_add(out, "\n# Without a counterpart in berth:\n");
        config_text_add(out, "#\n");
        if (loss->section != NULL)
            config_text_add(out, "# %s\n", loss->section);
        add_loss(out, loss, 0);
    }
}

static void add_files(struct config_text *out, const struct import *import)
{
    const struct config_node *files = config_tree_files(import->tree);

    config_text_add(out, "# Made by berth-import from containerd's configuration:\n");
    for (size_t i = 0; files != NULL && i < files->count; i++) {
        config_text_add(out, "#   ");
        config_text_add_cleaned(out, files->items[i]->text, files->items[i]->length);
        config_text_add(out, "\n");
    }
}

/* Clients look for containerd where it listens by default, unless the file says otherwise. */
static void add_address(struct config_text *out, const struct config_node *plugins)
{
    const struct config_node *grpc = config_node_find(plugins, "io.containerd.server.v1.grpc");

    if (config_node_find(grpc, "address") != NULL)
        return;
    config_text_add(
        out,
        "# containerd listens on /run/containerd/containerd.sock unless it is told otherwise. For clients "
        "that expect\n# it there, set address of io.containerd.server.v1.grpc.\n");
}

static void add_daemon(struct config_text *out, const struct import *import)
{
    static const char *const order[] = {"root", "state", "log", "required_plugins", "disabled_plugins"};

    config_text_add(out, "version: 1\n");
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const struct config_node *node = config_node_find(import->root, order[i]);
        bool is_open = node != NULL && node->kind != CONFIG_SCALAR;

        if (node == NULL || (is_open && node->count == 0))
            continue;
        config_text_add(out, "%s:%s", order[i], is_open ? "\n" : " ");
        config_print_tree(out, node, is_open ? 2 : 0);
    }
}

char *import_print(const struct import *import)
{
    const struct config_node *plugins = config_node_find(import->root, "plugins");
    struct config_text out = {0};

    add_files(&out, import);
    add_address(&out, plugins);
    add_daemon(&out, import);
    if (plugins != NULL && plugins->count > 0) {
        config_text_add(&out, "plugins:\n");
        add_sections(&out, import, plugins);
    }
    add_rest(&out, import, plugins);
    return config_text_take(&out);
}
