/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin holds in the host and of others, and what others hold of it: why it cannot be unloaded. */
#ifndef CORE_HOLDS_H
#define CORE_HOLDS_H

#include <core/perform/perform.h>
#include <core/state/state.h>

/** All borrowed. */
struct holds {
    uv_loop_t *loop;
    struct registry *registry;
    struct router *router;
    /** NULL until there is one: nothing is held then. */
    const struct perform *perform;
};

/** Adds the functions `holds` and `explain_holds` to the inspect table. */
void holds_show(struct holds *holds, struct inspect *inspect);
/**
 * Why a plugin cannot be unloaded: "io.x.b holds its interface, 3 calls in flight, one timer"; "" if
 * nothing holds it.
 */
void holds_explain(const struct holds *holds, const char *uri, char *text, size_t size);

#endif
