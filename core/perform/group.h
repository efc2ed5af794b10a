/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One group while it is exchanged: what its stages hand to one another. Only the files of the exchange
 * include it.
 */
#ifndef CORE_PERFORM_GROUP_H
#define CORE_PERFORM_GROUP_H

#include "exchange.h"

struct member {
    size_t step;
    const struct change_step *of;
    /* What runs, and what takes its place; either may be NULL. */
    struct generation *before, *after;
    /* What ran, once it is gone: to start it again. */
    struct generation_source source;
    bool has_source, was_ready;
    struct generation_state state;
    uint32_t state_version;
    enum berth_code code;
    char *message;
    /* Why it started again without the state that it had saved; NULL: it has it. */
    char *lost_state;
    uint64_t generation, held_ns, pause_ns;
};

enum stage {
    STAGE_LOAD,
    STAGE_INIT_BESIDE,
    STAGE_HOLD,
    STAGE_DRAIN,
    STAGE_SAVE,
    STAGE_CLOSE,
    STAGE_INIT,
    STAGE_RESTORE,
    STAGE_SERVE,
    STAGE_JOIN,
    STAGE_SWITCH,
    STAGE_LEAVE,
    /* From here on the group goes back: either what is new is closed, and nothing else has happened, */
    STAGE_UNDO,
    /* or what was closed starts again as well. */
    STAGE_RETURN,
    STAGE_RETURN_INIT,
    STAGE_RETURN_RESTORE,
    STAGE_RETURN_SERVE,
    STAGE_RETURN_SWITCH,
    STAGE_OVER,
};

struct exchange {
    struct crew *crew;
    const struct perform_work *work;
    void (*on_wake)(void *context);
    void *context;
    /* In the order in which they begin; those that only end come last. */
    struct member *members;
    size_t count;
    /* Indices of members, in the order in which they end. */
    size_t *ends;
    size_t end_count, ended;
    enum manifest_upgrade mode;
    /* Nothing ends: each becomes live when it is ready, and one that fails is no failure of others. */
    bool only_starts;
    enum stage stage;
    bool stage_has_begun;
    /* How many members a stage has done with, where one may have to wait for each. */
    size_t done;
    /* How many had been retired before. */
    uint64_t retirements;
    struct wave *wave;
    /* Until when calls may delay it. */
    struct deadline deadline;
    bool is_overdue, is_held, is_gated;
};

static inline struct router *exchange_router(const struct exchange *exchange)
{
    return exchange->crew->ground.host.router;
}

static inline bool member_restarts(const struct member *member)
{
    return member->of->action == CHANGE_RESTART || member->of->action == CHANGE_UPGRADE;
}

/* Calls of one that becomes idle wait, as for a successor: its next generation takes them. */
static inline enum berth_ending member_ending(const struct member *member)
{
    return member->of->action == CHANGE_STOP && !change_rests(member->of) ? BERTH_ENDING_REMOVED
                                                                          : BERTH_ENDING_REPLACED;
}

/** What a stage came to. */
enum progress {
    /** It is to be run again once something has ended. */
    PROGRESS_WAITS,
    PROGRESS_DONE,
    /** Members have been told why. */
    PROGRESS_FAILED,
};

static inline bool exchange_goes_back(const struct exchange *exchange)
{
    return exchange->stage >= STAGE_UNDO;
}

/* group.c */

/** What became of a member. The first failure counts. */
BERTH_PRINTF(3, 4)
void member_say(struct member *member, enum berth_code code, const char *format, ...);
/** Never NULL. */
const char *exchange_reason_of(const struct generation *generation);
/** One fails, and all others with it. */
void exchange_fail_others(struct exchange *exchange, const struct member *fault);
/** Do all run that ran before? Tells those that do not why, and the others because of whom. */
bool exchange_check_after(struct exchange *exchange);
/** Whoever does not run tells why to those whose calls have waited. */
void exchange_refuse_calls(struct exchange *exchange);
/** Calls that were held go where their service is. */
void exchange_release_calls(struct exchange *exchange);
/** From here on calls may delay the group for upgrade.drain; then it is overdue. */
void exchange_limit(struct exchange *exchange);

/* arrival.c */

/** A service belongs to whom the newest plan gives it, once the plugin that had it does not run any more. */
void exchange_declare_services(struct exchange *exchange, const struct generation *generation);
enum progress exchange_load(struct exchange *exchange);
enum progress exchange_init(struct exchange *exchange);
enum progress exchange_serve(struct exchange *exchange);
enum progress exchange_restore(struct exchange *exchange);

/* rest.c */

/** Nobody outside the group may keep the interface of what ends. @return may the group go on? */
bool exchange_check_outsiders(struct exchange *exchange);
enum progress exchange_hold(struct exchange *exchange);
enum progress exchange_drain(struct exchange *exchange);
enum progress exchange_save(struct exchange *exchange);

/* takeover.c */

enum progress exchange_close(struct exchange *exchange);
enum progress exchange_join(struct exchange *exchange);
enum progress exchange_switch(struct exchange *exchange);
enum progress exchange_leave(struct exchange *exchange);

/* comeback.c */

enum progress exchange_undo(struct exchange *exchange);
enum progress exchange_return(struct exchange *exchange);
enum progress exchange_return_switch(struct exchange *exchange);

#endif
