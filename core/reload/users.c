/* SPDX-License-Identifier: Apache-2.0 */
/* Counts the references to each plugin, then lists their holders. */
#include "users.h"

#include <stdlib.h>
#include <string.h>

#include <core/base/names.h>
#include <sdk/base/memory.h>

/* The place of the one whose interface is held; SIZE_MAX: of none, or its holder is no other plugin. */
static size_t place_of(const struct berth_holding *holding, const struct name_table *uris,
                       const void *const *owners)
{
    size_t place;

    if (!holding->is_reference || holding->provider.name == NULL || holding->holder.name == NULL ||
        strcmp(holding->provider.name, holding->holder.name) == 0)
        return SIZE_MAX;
    place = name_table_find(uris, holding->provider.name);
    return place != NAME_TABLE_NONE && owners[place] == holding->provider.owner ? place : SIZE_MAX;
}

void users_find(struct users *ret_users, const struct ledger *ledger, struct change_running *items,
                const void *const *owners, size_t count)
{
    const struct berth_holding *holding;
    struct name_table uris;
    size_t *counts = memory_allocate(count + 1, sizeof(*counts)), total = 0, place;

    name_table_init(&uris, count);
    for (size_t i = 0; i < count; i++)
        name_table_add(&uris, items[i].entry->plugin->uri, i);
    LIST_FOREACH(holding, &ledger->all, link)
    {
        place = place_of(holding, &uris, owners);
        if (place != SIZE_MAX && items[place].has_interface) {
            counts[place]++;
            total++;
        }
    }
    ret_users->names = memory_allocate(total + 1, sizeof(*ret_users->names));
    total = 0;
    for (size_t i = 0; i < count; i++) {
        items[i].users_are_known = items[i].has_interface;
        items[i].users = &ret_users->names[total];
        items[i].user_count = 0;
        total += counts[i];
    }
    LIST_FOREACH(holding, &ledger->all, link)
    {
        place = place_of(holding, &uris, owners);
        if (place != SIZE_MAX && items[place].has_interface)
            ret_users->names[(size_t)(items[place].users - (const char *const *)ret_users->names) +
                             items[place].user_count++] = holding->holder.name;
    }
    name_table_finish(&uris);
    free(counts);
}

void users_finish(struct users *users)
{
    free(users->names);
}
