/* SPDX-License-Identifier: Apache-2.0 */
/* A walk through the ledger's references, depth first and without recursion. */
#include "order.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

struct owner {
    const void *owner;
    size_t place;
};

struct node {
    /* Of those whose interfaces it has: in `providers`, from here up to the next one's. */
    size_t first, next;
    /* Where the walk came from. */
    size_t parent;
    bool is_seen;
};

struct walk {
    struct owner *owners;
    size_t count;
    struct node *nodes;
    size_t *providers;
};

static int compare_orders(const void *a, const void *b)
{
    const struct generation *left = *(struct generation *const *)a, *right = *(struct generation *const *)b;

    return (left->order > right->order) - (left->order < right->order);
}

static int compare_owners(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)((const struct owner *)a)->owner,
              right = (uintptr_t)((const struct owner *)b)->owner;

    return (left > right) - (left < right);
}

static size_t place_of(const struct walk *walk, const void *owner)
{
    const struct owner key = {.owner = owner};
    const struct owner *found =
        bsearch(&key, walk->owners, walk->count, sizeof(*walk->owners), compare_owners);

    return found != NULL ? found->place : SIZE_MAX;
}

/* Counts first, then fills in. */
static void draw(struct walk *walk, const struct ledger *ledger, bool fills)
{
    const struct berth_holding *holding;

    LIST_FOREACH(holding, &ledger->all, link)
    {
        size_t holder, provider;

        if (!holding->is_reference)
            continue;
        holder = place_of(walk, holding->holder.owner);
        provider = place_of(walk, holding->provider.owner);
        if (holder == SIZE_MAX || provider == SIZE_MAX)
            continue;
        if (fills)
            walk->providers[walk->nodes[holder].next++] = provider;
        else
            walk->nodes[holder + 1].first++;
    }
}

static void make_nodes(struct walk *walk, const struct generation *const *list, const struct ledger *ledger)
{
    for (size_t i = 0; i < walk->count; i++)
        walk->owners[i] = (struct owner){&list[i]->host, i};
    qsort(walk->owners, walk->count, sizeof(*walk->owners), compare_owners);
    draw(walk, ledger, false);
    for (size_t i = 0; i < walk->count; i++) {
        walk->nodes[i].next = walk->nodes[i].first;
        walk->nodes[i + 1].first += walk->nodes[i].first;
    }
    walk->providers = memory_allocate(walk->nodes[walk->count].first + 1, sizeof(*walk->providers));
    draw(walk, ledger, true);
    for (size_t i = 0; i < walk->count; i++)
        walk->nodes[i].next = walk->nodes[i].first;
}

/* From one down to what it uses; each is put out once all that it uses is. */
static void visit(struct walk *walk, size_t at, const struct generation *const *from,
                  const struct generation **to, size_t *count)
{
    walk->nodes[at].parent = SIZE_MAX;
    walk->nodes[at].is_seen = true;
    while (at != SIZE_MAX) {
        struct node *node = &walk->nodes[at];

        if (node->next == walk->nodes[at + 1].first) {
            to[(*count)++] = from[at];
            at = node->parent;
            continue;
        }
        size_t provider = walk->providers[node->next++];

        if (walk->nodes[provider].is_seen)
            continue;
        walk->nodes[provider].is_seen = true;
        walk->nodes[provider].parent = at;
        at = provider;
    }
}

void order_by_use(const struct generation **list, size_t count, const struct ledger *ledger)
{
    struct walk walk = {.count = count};
    const struct generation **from = memory_allocate(count + 1, sizeof(*from));
    size_t placed = 0;

    walk.owners = memory_allocate(count + 1, sizeof(*walk.owners));
    walk.nodes = memory_allocate(count + 2, sizeof(*walk.nodes));
    if (count > 0) {
        qsort(list, count, sizeof(*list), compare_orders);
        memcpy(from, list, count * sizeof(*list));
    }
    make_nodes(&walk, from, ledger);
    for (size_t i = 0; i < count; i++)
        if (!walk.nodes[i].is_seen)
            visit(&walk, i, from, list, &placed);
    free(walk.providers);
    free(walk.nodes);
    free(walk.owners);
    free(from);
}
