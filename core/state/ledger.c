/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds what of whom. Entries are few: a handful for each plugin. */
#include "ledger.h"

#include <stdlib.h>
#include <string.h>

#include <config/text/utf8.h>

#include <sdk/base/memory.h>

static const char *copy_name(const char *name)
{
    return name != NULL ? memory_copy(name) : NULL;
}

static struct berth_holding *add(struct ledger *ledger, const struct ledger_side *holder,
                                 const struct ledger_side *provider, const char *what)
{
    struct berth_holding *holding = memory_allocate(1, sizeof(*holding));

    holding->holder = *holder;
    holding->provider = *provider;
    holding->holder.name = copy_name(holder->name);
    holding->provider.name = copy_name(provider->name);
    holding->what = memory_copy(what);
    utf8_make_line(holding->what);
    holding->count = 1;
    LIST_INSERT_HEAD(&ledger->all, holding, link);
    return holding;
}

static void end(struct berth_holding *holding)
{
    LIST_REMOVE(holding, link);
    free((char *)holding->holder.name);
    free((char *)holding->provider.name);
    free(holding->what);
    free(holding);
}

void ledger_refer(struct ledger *ledger, const struct ledger_side *holder, const struct ledger_side *provider)
{
    struct berth_holding *holding;

    LIST_FOREACH(holding, &ledger->all, link)
    if (holding->is_reference && holding->holder.owner == holder->owner &&
        holding->provider.owner == provider->owner) {
        holding->count++;
        return;
    }
    add(ledger, holder, provider, "its interface")->is_reference = true;
}

struct berth_holding *ledger_hold(struct ledger *ledger, const struct ledger_side *holder,
                                  const struct ledger_side *provider, const char *what)
{
    return add(ledger, holder, provider, what);
}

bool ledger_release(struct ledger *ledger, const void *provider, struct berth_holding *released)
{
    struct berth_holding *holding;

    LIST_FOREACH(holding, &ledger->all, link)
    if (holding == released && holding->provider.owner == provider && !holding->is_reference) {
        end(holding);
        return true;
    }
    return false;
}

bool ledger_release_context(struct ledger *ledger, const void *provider, const void *context)
{
    struct berth_holding *holding;

    LIST_FOREACH(holding, &ledger->all, link)
    if (holding->provider.owner == provider && holding->context == context) {
        end(holding);
        return true;
    }
    return false;
}

void ledger_end_taken(struct ledger *ledger, const struct berth_holding *taken)
{
    struct berth_holding *holding;

    LIST_FOREACH(holding, &ledger->all, link)
    if (holding == taken && holding->is_taken) {
        end(holding);
        return;
    }
}

struct berth_holding *ledger_take_revocable(struct ledger *ledger, const void *owner)
{
    struct berth_holding *holding;

    LIST_FOREACH(holding, &ledger->all, link)
    if (holding->holder.owner == owner && holding->revoke != NULL && !holding->is_taken) {
        holding->is_taken = true;
        return holding;
    }
    return NULL;
}

void ledger_forget(struct ledger *ledger, const void *owner)
{
    struct berth_holding *holding, *next;

    for (holding = LIST_FIRST(&ledger->all); holding != NULL; holding = next) {
        next = LIST_NEXT(holding, link);
        if (holding->provider.owner == owner || (holding->is_reference && holding->holder.owner == owner)) {
            end(holding);
        } else if (holding->holder.owner == owner) {
            holding->holder.owner = NULL;
            holding->is_orphan = true;
        }
    }
}

bool ledger_is_used(const struct ledger *ledger, const void *owner)
{
    const struct berth_holding *holding;

    LIST_FOREACH(holding, &ledger->all, link)
    if (holding->is_reference && holding->provider.owner == owner && holding->holder.owner != owner)
        return true;
    return false;
}

void ledger_finish(struct ledger *ledger)
{
    while (!LIST_EMPTY(&ledger->all))
        end(LIST_FIRST(&ledger->all));
}
