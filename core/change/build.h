/* SPDX-License-Identifier: Apache-2.0 */
/* A change while it is made: what its phases hand to one another. Only the files of this room include it. */
#ifndef CORE_CHANGE_BUILD_H
#define CORE_CHANGE_BUILD_H

#include <core/base/names.h>
#include <sdk/base/memory.h>

#include "change.h"

/** One plugin that runs, or that the plan has, or both. */
struct change_node {
    const char *uri;
    /** NULL: it is not among what runs or was tried. */
    const struct change_running *running;
    size_t running_place;
    /** NULL: the plan does not have it. */
    const struct plan_entry *entry;
    size_t plan_place;
    /** It runs; and it will. */
    bool runs, will;
    bool is_subject;
    struct settings_differences differences;
    enum change_action action;
    const char *reason;
    /** The node that makes it move, or CHANGE_NONE. */
    size_t cause;
    /** Towards the representative of its group. */
    size_t parent;
};

/** Who requires or wants one name, a type or a URI, before or after. */
struct change_users {
    /** In build.links; CHANGE_NONE at the end. */
    size_t first;
    /** Of those that want it, and of those that require it: has a provider taken those that run along? And
     * one that moved so, which stands for all of them; CHANGE_NONE: none. */
    struct {
        size_t moved;
        bool are_moved;
    } by_binding[2];
    /** Those that failed are tried again with a provider. */
    bool are_retried;
};

struct change_link {
    size_t user, next;
    bool binding;
};

struct change_memory {
    struct change change;
    struct change_node *nodes;
    size_t count;
    struct settings_differences daemon;
    char **texts;
    size_t text_count;
    /** The steps of all groups. */
    size_t *ends, *begins;
};

struct change_build {
    const struct plan *plan;
    const struct settings *settings;
    const struct change_request *request;
    struct change_memory *memory;
    /** By URI: the index of a node. */
    struct name_table uris;
    /** By name: the index of `users`. */
    struct name_table names;
    struct change_users *users;
    size_t name_count;
    struct change_link *links;
};

static inline struct change_node *change_node_at(const struct change_build *build, size_t i)
{
    return &build->memory->nodes[i];
}

/** Takes over a malloced text, which then lives as long as the change. */
const char *change_keep_text(struct change_build *build, char *text);
BERTH_PRINTF(2, 3)
const char *change_text(struct change_build *build, const char *format, ...);
BERTH_PRINTF(2, 3)
void change_warn(struct change_build *build, const char *format, ...);

/** Nothing is done, for the first reason that is given. */
BERTH_PRINTF(3, 4)
void change_refuse(struct change_build *build, enum berth_code code, const char *format, ...);

/** Will another generation begin, or will this one end? */
static inline bool change_moves(const struct change_node *node)
{
    return node->action != CHANGE_KEEP && node->action != CHANGE_RECONFIGURE;
}

static inline bool change_begins(const struct change_node *node)
{
    return change_moves(node) && node->action != CHANGE_STOP;
}

static inline bool change_ends(const struct change_node *node)
{
    return change_moves(node) && node->action != CHANGE_START;
}

/** The representative of a node's group. */
size_t change_group_of(struct change_build *build, size_t node);
void change_group_join(struct change_build *build, size_t node, size_t other);

/** The users of a name, or NULL. */
struct change_users *change_users_of(const struct change_build *build, const char *name);

/** Gives each plugin the action that its own file, its settings and the request ask for. */
void change_judge(struct change_build *build);
/** The same for requests about plugins that start when they are called. */
void change_judge_for_activation(struct change_build *build, struct change_node *node);
void change_judge_for_rest(struct change_build *build, struct change_node *node);
/** Moves those who share a process with a plugin that is to be isolated in another way, or upgraded. */
void change_judge_sharers(struct change_build *build);
/** Starts what is idle and needed by what runs or begins. */
void change_activate(struct change_build *build);
/** Is it idle in the plan, so that only a call starts it? */
static inline bool change_is_idle(const struct change_node *node)
{
    return node->will && !node->runs && node->entry->starts_on_call;
}

/** Moves whoever uses an interface of what moves, and joins them in a group. */
void change_spread(struct change_build *build);
/** Fills in the groups of the change, orders them, and says of each whether it can be done. */
void change_groups_make(struct change_build *build);

#endif
