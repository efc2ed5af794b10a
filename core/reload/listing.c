/* SPDX-License-Identifier: Apache-2.0 */
/* Lists what runs. */
#include "listing.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

static struct change_running describe(const struct surveys *surveys, const struct generation *generation)
{
    const struct registry_plugin *plugin = generation->plugin;
    const struct survey *survey = surveys_of(surveys, generation->source.entry);

    return (struct change_running){
        .entry = generation->source.entry,
        .settings = survey != NULL ? survey->settings : NULL,
        .generation = plugin->generation,
        .is_ready = registry_plugin_is_ready(plugin),
        .is_left_open = generation->is_open && !registry_plugin_is_ready(plugin),
        .has_interface = plugin->table != NULL && BERTH_HAS(plugin->table, interface),
        .start_ns = plugin->times.prepare_ns + plugin->times.init_ns + plugin->times.serve_ns,
    };
}

void listing_take(struct listing *ret_listing, const struct reload *reload)
{
    const struct generation **generations = perform_list(reload->perform, &ret_listing->count);

    ret_listing->items = memory_allocate(ret_listing->count + 1, sizeof(*ret_listing->items));
    ret_listing->owners = memory_allocate(ret_listing->count + 1, sizeof(*ret_listing->owners));
    for (size_t i = 0; i < ret_listing->count; i++) {
        ret_listing->items[i] = describe(&reload->surveys, generations[i]);
        ret_listing->owners[i] = &generations[i]->host;
    }
    users_find(&ret_listing->users, registry_ledger(reload->options.registry), ret_listing->items,
               ret_listing->owners, ret_listing->count);
    free(generations);
}

void listing_finish(struct listing *listing)
{
    users_finish(&listing->users);
    free(listing->owners);
    free(listing->items);
}

struct search {
    const char *uri;
    const struct generation *found;
};

static bool match_uri(void *context, const struct generation *generation)
{
    struct search *search = context;

    if (strcmp(generation_uri(generation), search->uri) == 0)
        search->found = generation;
    return search->found == NULL;
}

const struct generation *listing_find(const struct reload *reload, const char *uri)
{
    struct search search = {.uri = uri};

    if (reload->perform != NULL)
        perform_each(reload->perform, match_uri, &search);
    return search.found;
}
