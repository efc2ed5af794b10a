/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write code out of a manifest share. */
#ifndef BERTH_SDK_GENERATE_H
#define BERTH_SDK_GENERATE_H

#include <stdio.h>

#include <config/diagnostics.h>
#include <core/manifest/manifest.h>

/** One plugin of the module with its names in C. */
struct generate_plugin {
    const struct manifest_plugin *plugin;
    /** "greeter": the prefix of all that is generated for it. */
    char *name;
    /** "greeter_config"; NULL where it has no settings. */
    char *config;
    /** Where its services come from protos, one for each: "greeter_greeter_handlers"; else NULL. */
    char **tables;
    /** Else one for each method, service by service: "greeter_say_hello". */
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
 * @param model  finish it whatever this returns.
 * @return false with errors in `diagnostics` where two things would have the same name.
 */
bool generate_model_init(struct generate_model *model, const struct manifest *manifest,
                         struct config_diagnostics *diagnostics);
void generate_model_finish(struct generate_model *model);

/** Visits the settings that have a type of their own in C, what is inside before what holds it. */
void generate_walk(const struct schema *schema, const char *tag,
                   void (*on_type)(void *context, const struct schema *schema, const char *tag),
                   void *context);
/** The tag of what stands inside a list, map or field. The caller frees, here and below. */
char *generate_inner_tag(const struct schema *schema, const char *tag, const struct schema *inner);
/** "const char *", "int64_t ", "struct greeter_config_limits ": a declarator can follow at once. */
char *generate_type(const struct schema *schema, const char *tag);
/** Does the member `has_…` stand in front of it? */
bool generate_has_presence(const struct schema *schema);

/** The text of a C string without its quotes: printable ASCII, so that no compiler reads it otherwise. */
void generate_write_escaped(FILE *out, const char *text, size_t length);
/** One line of a comment, which cannot end the comment. */
void generate_write_comment(FILE *out, const char *text);

void generate_header(FILE *out, const struct generate_model *model, const char *header_name);
/** The functions that fill the config structs. */
void generate_config(FILE *out, const struct generate_plugin *plugin);
/** @param note  the text of the manifest, as it goes into the note. */
void generate_source(FILE *out, const struct generate_model *model, const char *header_name,
                     const char *note);

#endif
