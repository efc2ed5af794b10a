/* SPDX-License-Identifier: Apache-2.0 */
/* The interceptors around every call, in order: a list that never changes, replaced when plugins do. */
#include "chain.h"

#include <stdlib.h>

static struct chain *chain_allocate(size_t hooks)
{
    struct chain *chain = calloc(1, sizeof(*chain) + hooks * sizeof(chain->hooks[0]));

    if (chain != NULL)
        chain->references = 1;
    return chain;
}

static void chain_append(struct chain *chain, struct hook *hook)
{
    hook->references++;
    chain->hooks[chain->count++] = hook;
}

static void hook_drop(struct hook *hook)
{
    if (--hook->references == 0)
        free(hook);
}

struct chain *chain_create(void)
{
    return chain_allocate(0);
}

struct chain *chain_take(struct chain *chain)
{
    chain->references++;
    return chain;
}

void chain_drop(struct chain *chain)
{
    if (chain == NULL || --chain->references > 0)
        return;
    for (size_t i = 0; i < chain->count; i++)
        hook_drop(chain->hooks[i]);
    free(chain);
}

struct chain *chain_with(const struct chain *chain, const struct hook *hook)
{
    struct chain *longer = chain_allocate(chain->count + 1);
    struct hook *added = malloc(sizeof(*added));
    size_t i = 0;

    if (longer == NULL || added == NULL) {
        free(longer);
        free(added);
        return NULL;
    }
    *added = *hook;
    added->references = 0;
    while (i < chain->count && chain->hooks[i]->order <= hook->order)
        chain_append(longer, chain->hooks[i++]);
    chain_append(longer, added);
    while (i < chain->count)
        chain_append(longer, chain->hooks[i++]);
    return longer;
}

struct chain *chain_without(const struct chain *chain, const void *owner)
{
    struct chain *shorter = chain_allocate(chain->count);

    if (shorter == NULL)
        return NULL;
    for (size_t i = 0; i < chain->count; i++)
        if (chain->hooks[i]->owner != owner)
            chain_append(shorter, chain->hooks[i]);
    return shorter;
}
