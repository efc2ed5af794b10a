/* SPDX-License-Identifier: Apache-2.0 */
/* What one plugin is set to and where, for people and for programs. */
#ifndef BERTHCTL_PLUGIN_SETTINGS_H
#define BERTHCTL_PLUGIN_SETTINGS_H

#include <berth/inspect/v1/inspect.pb-c.h>
#include <config/print/json.h>

#include <tools/berthctl/print/table.h>

typedef Berth__Inspect__V1__SettingsResponse settings_message;

/** Takes control characters out of its texts. */
void settings_clean(settings_message *settings);
/** Adds its lines to a table of two columns, as `berthd config dump --origin` has them. */
void settings_print_text(struct table *table, const settings_message *settings);
/** As the members `settings` and `more_settings` of the object that is open. */
void settings_print_json(struct config_json *json, const settings_message *settings);

#endif
