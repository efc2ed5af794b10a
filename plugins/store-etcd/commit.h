/* SPDX-License-Identifier: Apache-2.0 */
/* One batch on its way into etcd. */
#ifndef STORE_ETCD_COMMIT_H
#define STORE_ETCD_COMMIT_H

#include "session.h"

/** Kinds of trouble, most severe first. */
enum store_trouble {
    STORE_LINK,
    STORE_SPACE,
    STORE_PERMISSION,
    STORE_MIRROR,
    STORE_WELL,
};

/** Requests that etcd refuses without any effect, recognised by its message. */
struct commit_refusal {
    const char *text;
    enum berth_code code;
    const char *sentence;
    /** STORE_WELL: it would take other changes. */
    enum store_trouble trouble;
};

/** NULL where it is another failure. */
const struct commit_refusal *commit_find_refusal(const char *message);

/** What a commit tells its store, from the top level of the loop. Each but on_lost asks for commit_finish. */
struct commit_events {
    /** The batch has ended and the state did not move. */
    void (*on_unmoved)(void *self, enum berth_code code, const char *message);
    void (*on_refused)(void *self, const struct commit_refusal *refusal);
    /** Its time is up. @param code  BERTH_UNKNOWN where it may have happened, else BERTH_UNAVAILABLE. */
    void (*on_late)(void *self, enum berth_code code);
};

/**
 * What decides is the order in which etcd moves the head: the next move after the state that the batch was
 * made on is the batch's own, and then it happened; or another's, and then it did not and never will, however
 * many copies of it are under way. So lost answers need no guessing: the same transaction is sent again until
 * the head moves.
 */
struct commit {
    const struct store_state *state;
    const struct commit_events *events;
    void *self;
    /* NULL: none is open. */
    const struct berth_store_batch *batch;
    struct txn *txn;
    /* "NODE-COUNTER". */
    char id[LAYOUT_ID_MAX];
    uint64_t counter;
    /* The head as the batch saw it: its mod_revision and what is in it. */
    int64_t head_revision;
    char head[LAYOUT_ID_MAX];
    /* Where an answer is awaited, and over which session. */
    struct berth_rpc_call *call;
    struct session *session;
    /* etcd's answer, at most one of the two; the watch has the last word. */
    bool has_succeeded;
    bool was_refused;
    /* An attempt ended without an answer: the batch may have been committed, or may still be. */
    bool may_have_happened;
    /* Deadline for its outcome; or fires at once, with the outcome in `verdict`. */
    uv_timer_t deadline;
    enum berth_code verdict;
    struct berth_error sentence;
};

/** The owner closes `commit->deadline` in the end. */
void commit_init(struct commit *commit, const struct store_state *state, const struct commit_events *events,
                 void *self);

/** Begins, within `time_ms`. @param session  NULL: sent by commit_resume. */
void commit_start(struct commit *commit, const struct berth_store_batch *batch, struct session *session,
                  uint64_t time_ms);
/** The session is live: sends, or sends again, unless only the watch is waited for. */
void commit_resume(struct commit *commit, struct session *session);
/** The session is lost. */
void commit_on_lost(struct commit *commit);
/** The daemon closes: no longer than this. */
void commit_hurry(struct commit *commit);

/** Is this move of the head the batch's own? */
bool commit_is_own(const struct commit *commit, const struct revision *revision);
/** What a state that was loaded anew says of the batch: BERTH_PENDING where nothing happened. */
enum berth_code commit_judge(const struct commit *commit, const struct mirror *loaded);
/** Writes the batch into a mirror, as far as memory goes. */
void commit_write(const struct commit *commit, struct mirror *mirror);

/** The batch has ended. An answer that still comes is ignored. */
void commit_finish(struct commit *commit);

#endif
