/* SPDX-License-Identifier: Apache-2.0 */
/* What follows for others: whoever uses an interface of what moves, moves with it. */
#include "build.h"

struct spread {
    struct change_build *build;
    /** Nodes that move, and whose users are still to be looked at. */
    size_t *queue;
    size_t count;
};

static bool has_interface(const struct change_node *node)
{
    return (node->running != NULL &&
            (node->running->has_interface || node->running->entry->plugin->interface != NULL)) ||
           (node->entry != NULL && node->entry->plugin->interface != NULL);
}

/* Does whoever requires it, or only wants it, count as a user? Of those that want what runs, the ledger may
 * know better. */
static bool is_used_by_name(const struct change_node *node, bool binding)
{
    return has_interface(node) && (binding || !(node->runs && node->running->users_are_known));
}

static void move(struct spread *spread, size_t node, enum change_action action, size_t cause,
                 const char *reason)
{
    struct change_node *moved = change_node_at(spread->build, node);

    moved->action = action;
    moved->cause = cause;
    moved->reason = reason;
    spread->queue[spread->count++] = node;
}

/* A server wants those to whom it carries calls, and takes them as they come when they start on call. */
static bool carries_calls_to(const struct change_node *server, const struct change_node *node)
{
    return node->action == CHANGE_START && node->entry->starts_on_call &&
           server->running->entry->plugin->carry_count > 0;
}

/* @return does it move with its provider? */
static bool move_user(struct spread *spread, size_t user, size_t provider)
{
    struct change_build *build = spread->build;
    const struct change_node *node = change_node_at(build, user), *of = change_node_at(build, provider);

    if (user == provider || !node->runs || carries_calls_to(node, of))
        return false;
    if (node->will && !change_moves(node))
        move(spread, user, CHANGE_RESTART, provider,
             of->action == CHANGE_START
                 ? change_text(build, "it uses the interface of %s, which starts", of->uri)
                 : change_text(build, "it uses the interface of %s", of->uri));
    return change_moves(node);
}

/* One that failed is tried again once something that it requires begins anew. */
static void try_again(struct spread *spread, const struct change_link *link, size_t provider)
{
    struct change_build *build = spread->build;
    const struct change_node *node = change_node_at(build, link->user), *of = change_node_at(build, provider);

    if (link->binding && link->user != provider && node->running != NULL && !node->runs && node->will &&
        !change_moves(node) && change_begins(of) && !node->entry->starts_on_call)
        move(spread, link->user, CHANGE_START, provider,
             change_text(build, "it is tried again with %s, which it requires", of->uri));
}

/* @return are those to be visited that want it, or require it? Once for each name is enough. */
static bool begin_to_move(struct change_build *build, struct change_users *users, size_t provider,
                          bool binding)
{
    bool is_used = is_used_by_name(change_node_at(build, provider), binding);
    bool moves = is_used && !users->by_binding[binding].are_moved;

    if (is_used && users->by_binding[binding].moved != CHANGE_NONE)
        change_group_join(build, provider, users->by_binding[binding].moved);
    users->by_binding[binding].are_moved = users->by_binding[binding].are_moved || moves;
    return moves;
}

/* Each name's users are visited once for each purpose, so that many providers of one type cost little. */
static void visit_users(struct spread *spread, const char *name, size_t provider)
{
    struct change_build *build = spread->build;
    struct change_users *users = change_users_of(build, name);
    bool moves[2], retries;

    if (users == NULL)
        return;
    moves[false] = begin_to_move(build, users, provider, false);
    moves[true] = begin_to_move(build, users, provider, true);
    retries = change_begins(change_node_at(build, provider)) && !users->are_retried;
    users->are_retried = users->are_retried || retries;
    for (size_t at = moves[false] || moves[true] || retries ? users->first : CHANGE_NONE; at != CHANGE_NONE;
         at = build->links[at].next) {
        const struct change_link *link = &build->links[at];

        if (retries)
            try_again(spread, link, provider);
        if (!moves[link->binding] || !(link->user == provider || move_user(spread, link->user, provider)))
            continue;
        users->by_binding[link->binding].moved = link->user;
        change_group_join(build, provider, link->user);
    }
}

/* Those that hold a reference without having declared it. */
static void visit_holders(struct spread *spread, size_t provider)
{
    struct change_build *build = spread->build;
    const struct change_running *running = change_node_at(build, provider)->running;

    for (size_t i = 0; running != NULL && i < running->user_count; i++) {
        size_t user = name_table_find(&build->uris, running->users[i]);

        if (user != NAME_TABLE_NONE && move_user(spread, user, provider))
            change_group_join(build, provider, user);
    }
}

void change_spread(struct change_build *build)
{
    size_t count = build->memory->count;
    struct spread spread = {.build = build, .queue = memory_allocate(count, sizeof(*spread.queue))};

    for (size_t i = 0; i < count; i++)
        if (change_moves(change_node_at(build, i)))
            spread.queue[spread.count++] = i;
    for (size_t head = 0; head < spread.count; head++) {
        const struct change_node *node = change_node_at(build, spread.queue[head]);
        const struct plan_entry *entry = node->entry != NULL ? node->entry : node->running->entry;

        visit_users(&spread, entry->plugin->type, spread.queue[head]);
        visit_users(&spread, node->uri, spread.queue[head]);
        visit_holders(&spread, spread.queue[head]);
    }
    free(spread.queue);
}
