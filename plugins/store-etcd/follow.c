/* SPDX-License-Identifier: Apache-2.0 */
/* Moves the mirror as etcd moved: by revisions, or all at once after a time away. Only as the library allows:
 * with a batch's end, or between batches. */
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "store.h"

/* Changes by hand that come while a batch is on its way wait for its end; a flood of them does not. */
#define MAX_HELD_BYTES (64 * 1024 * 1024)

static enum berth_store_cause cause_of(const struct store *store, const struct revision *revision)
{
    size_t length = strlen(store->id);
    bool is_ours = revision->moves_head && strncmp(revision->head, store->id, length) == 0 &&
                   revision->head[length] == '-';

    return is_ours ? BERTH_STORE_OWN : BERTH_STORE_OTHER;
}

/* What the mirror's new state means for who looks from outside. */
static void publish(struct store *store)
{
    char count[24];

    room_look(store);
    if (store->mirror.nodes == store->nodes_told)
        return;
    store->nodes_told = store->mirror.nodes;
    snprintf(count, sizeof(count), "%lld", (long long)store->nodes_told);
    berth_add_export(store->host, "nodes", count);
}

static struct revision *take_held(struct store *store)
{
    struct revision *held = store->held;

    store->held = NULL;
    store->held_end = &store->held;
    store->held_bytes = store->held_memory = 0;
    return held;
}

void store_forget_held(struct store *store)
{
    struct revision *held = take_held(store);

    while (held != NULL) {
        struct revision *next = held->next;

        revision_destroy(held);
        held = next;
    }
}

static void hold(struct store *store, struct revision *revision)
{
    *store->held_end = revision;
    store->held_end = &revision->next;
    store->held_bytes += revision->bytes;
    store->held_memory += revision->memory;
}

static void apply_all(struct store *store, struct revision *revisions)
{
    for (struct revision *revision = revisions; revision != NULL; revision = revision->next)
        revision_apply(revision, &store->mirror);
    publish(store);
}

/* `own` is told already: to who asked for it. */
static void tell_all(struct store *store, struct revision *revisions, const struct revision *own)
{
    while (revisions != NULL) {
        struct revision *next = revisions->next;

        if (revisions != own)
            revision_tell(revisions, store->core, cause_of(store, revisions));
        revision_destroy(revisions);
        revisions = next;
    }
}

void store_apply_held(struct store *store)
{
    struct revision *held = take_held(store);

    apply_all(store, held);
    tell_all(store, held, NULL);
}

/* The head moved: now it is known what became of the batch. */
static void decide(struct store *store, struct revision *revision)
{
    bool is_own = commit_is_own(&store->commit, revision);
    struct revision *all;

    hold(store, revision);
    all = take_held(store);
    apply_all(store, all);
    commit_end(store, is_own ? BERTH_OK : BERTH_ABORTED, is_own ? NULL : "another daemon was faster");
    tell_all(store, all, is_own ? revision : NULL);
}

static bool has_room(const struct store *store, const struct revision *revision)
{
    /* What ends the waiting, and what need not wait, is as large as it is. */
    bool is_to_wait = commit_is_open(&store->commit) && !revision->moves_head;

    return (!is_to_wait || store->held_memory + revision->memory <= MAX_HELD_BYTES) &&
           store->mirror.bytes + store->held_bytes + revision->bytes <= store_mirror_max(store);
}

bool store_on_revision(struct store *store, struct revision *revision)
{
    if (store->is_ending) {
        revision_destroy(revision);
        return true;
    }
    if (!has_room(store, revision)) {
        revision_destroy(revision);
        session_lose(store->session, "what is there needs more memory than max_mirror allows (%llu bytes)",
                     (unsigned long long)store->options.max_mirror);
        return false;
    }
    if (commit_is_open(&store->commit) && revision->moves_head) {
        decide(store, revision);
    } else {
        hold(store, revision);
        if (!commit_is_open(&store->commit))
            store_apply_held(store);
    }
    return store->session != NULL;
}

void store_on_loaded(struct store *store, struct mirror *loaded)
{
    struct mirror before = store->mirror;
    enum berth_code verdict = BERTH_PENDING;

    if (store->is_ending) {
        mirror_finish(loaded);
        return;
    }
    store_forget_held(store);
    if (commit_is_open(&store->commit))
        verdict = commit_judge(&store->commit, loaded);
    if (verdict == BERTH_OK)
        commit_write(&store->commit, &before);
    store->mirror = *loaded;
    publish(store);
    if (verdict != BERTH_PENDING)
        commit_end(store, verdict,
                   verdict == BERTH_OK ? NULL : "etcd has forgotten what became of the change");
    if (store->is_loaded)
        revision_tell_difference(&before, &store->mirror, store->core);
    store->is_loaded = true;
    mirror_finish(&before);
}
