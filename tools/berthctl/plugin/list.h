/* SPDX-License-Identifier: Apache-2.0 */
/* The plugins as a daemon told of them, in its order; and what can be asked of such a list. Pure. */
#ifndef BERTHCTL_PLUGIN_LIST_H
#define BERTHCTL_PLUGIN_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/inspect/v1/inspect.pb-c.h>

#include <tools/berthctl/print/table.h>

typedef Berth__Inspect__V1__Plugin plugin_message;

/** Zero-initialise. */
struct plugin_list {
    plugin_message **plugins;
    size_t count;
};

/** Takes the message over, and takes control characters out of its texts. */
void plugin_list_add(struct plugin_list *list, plugin_message *plugin);
void plugin_list_finish(struct plugin_list *list);

/** By URI; NULL if there is none. Of a URI that is there twice the first that is not rejected. */
const plugin_message *plugin_list_find(const struct plugin_list *list, const char *uri);
/** The URI that was probably meant by what is none: by edit distance, or the only one with that id. Or NULL.
 */
const char *plugin_list_nearest(const struct plugin_list *list, const char *uri);
/** How many files were refused before they could name their plugins. */
size_t plugin_list_refused(const struct plugin_list *list);

/** "ready", "timed out"; "unknown" for a state from a newer daemon. */
const char *plugin_state_name(const plugin_message *plugin);
enum table_colour plugin_state_colour(const plugin_message *plugin);
/** "ready, degraded" where it is that, else its state's name. */
#define PLUGIN_STATE_MAX 32
void plugin_format_state(const plugin_message *plugin, char ret_text[PLUGIN_STATE_MAX]);
/** Does it say of itself that it cannot do its job for now? */
bool plugin_is_degraded(const plugin_message *plugin);
/** Ready or serving, and not degraded. */
bool plugin_is_well(const plugin_message *plugin);
/** Has it come to the end of its start, well or not? */
bool plugin_has_settled(const plugin_message *plugin);
/** As containerd's listings say it: "ok", "skip", "error". */
const char *plugin_status(const plugin_message *plugin);
/** When a provider let its dependents go on: the end of its init, or of the last step it came to. */
uint64_t plugin_settled_ns(const plugin_message *plugin);
/** All its steps together. */
uint64_t plugin_cost_ns(const plugin_message *plugin);
uint64_t plugin_step_ns(const Berth__Inspect__V1__Step *step);

/** "1.24ms", "12.3s", "-" for nothing. */
#define PLUGIN_DURATION_MAX 32
void plugin_format_duration(uint64_t ns, char ret_text[PLUGIN_DURATION_MAX]);

/**
 * From the plugin that was ready last back through, of what each waited for, the one that settled last.
 *
 * @param ret_path  `list->count` slots, filled from the first to start to the last to be ready.
 * @return how many are filled; 0 if nothing was ready.
 */
size_t critical_path_find(const struct plugin_list *list, const plugin_message **ret_path);

#endif
