/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that generate code from a manifest. */
#ifndef BERTH_SDK_GENERATE_H
#define BERTH_SDK_GENERATE_H

#include <stdio.h>
#include <string.h>

#include <config/text/diagnostics.h>
#include <core/manifest/manifest.h>

/** One plugin of the module with its C names. */
struct generate_plugin {
    const struct manifest_plugin *plugin;
    /** "greeter": the prefix of its generated names. */
    char *name;
    /** "greeter_config"; NULL without settings. */
    char *config;
    /** If its services come from protos, one for each: "greeter_greeter_handlers"; otherwise NULL. */
    char **tables;
    /** Otherwise one for each method, service by service: "greeter_say_hello". */
    char **handlers;
    size_t handler_count;
};

struct generate_model {
    const struct manifest *manifest;
    struct generate_plugin *plugins;
    size_t count;
};

/**
 * Chooses the names.
 *
 * @param model  to be finished whatever this returns.
 * @return false with errors in `diagnostics` if two things would have the same name.
 */
bool generate_model_init(struct generate_model *model, const struct manifest *manifest,
                         struct config_diagnostics *diagnostics);
void generate_model_finish(struct generate_model *model);

/** Visits the settings that need a C type, inner ones first. */
void generate_walk(const struct schema *schema, const char *tag,
                   void (*on_type)(void *context, const struct schema *schema, const char *tag),
                   void *context);
/** The tag of the type inside a list, map or field. The caller frees, here and below. */
char *generate_inner_tag(const struct schema *schema, const char *tag, const struct schema *inner);
/** "const char *", "int64_t ", "struct greeter_config_limits ": a declarator can follow directly. */
char *generate_type(const struct schema *schema, const char *tag);
/** Is it accompanied by a member `has_…`? */
bool generate_has_presence(const struct schema *schema);

/** Is this interface one of the SDK's that has a header for its use across processes:
 * "berth/types/x_remote.h" for "berth_x"? */
static inline bool generate_is_ours(const char *interface)
{
    return strcmp(interface, "berth_image_verifier") == 0;
}

/** The text of a C string without its quotes, in printable ASCII. */
void generate_write_escaped(FILE *out, const char *text, size_t length);
/** One line of a comment, which cannot end the comment. */
void generate_write_comment(FILE *out, const char *text);

void generate_header(FILE *out, const struct generate_model *model, const char *header_name);
/** The functions that fill the config structs. */
void generate_config(FILE *out, const struct generate_plugin *plugin);
/** @param note  the text of the manifest, as in the note. */
void generate_source(FILE *out, const struct generate_model *model, const char *header_name,
                     const char *note);

#endif
