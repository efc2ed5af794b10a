/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's own configuration may hold, in the language of every plugin's. */
#ifndef CORE_SETTINGS_SCHEMA_H
#define CORE_SETTINGS_SCHEMA_H

#include <config/schema_reader.h>
#include <config/tree.h>

/** Where things are for root or for a user (XDG base directories); all malloced. */
struct settings_places {
    char *config_file;
    char *root;
    char *state;
    /** A user's own plugins, beside those of the system; NULL where there is no such folder. */
    char *user_plugins;
};

void settings_places_find(struct settings_places *ret_places);
void settings_places_finish(struct settings_places *places);

/**
 * The schema with the defaults of this process's user. Its last field is `plugins`, a map of anything: its
 * sections have schemas of their own.
 *
 * @param ret_tree  what the schema borrows from: to be destroyed after it.
 */
struct schema *settings_schema_create(struct config_tree **ret_tree);

#endif
