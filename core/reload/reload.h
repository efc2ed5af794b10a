/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that are asked for while the daemon runs: reads configuration and directories again, compares with
 * what runs, and answers whoever waits.
 */
#ifndef CORE_RELOAD_RELOAD_H
#define CORE_RELOAD_RELOAD_H

#include <uv.h>

#include <core/module/originals.h>
#include <core/perform/perform.h>
#include <core/state/state.h>
#include <core/survey/survey.h>

struct reload;

struct reload_options {
    uv_loop_t *loop;
    /** How the daemon was started; borrowed. */
    const struct settings_options *settings;
    struct inspect *inspect;
    struct registry *registry;
    /** What the daemon runs by at first; held. */
    struct survey *survey;
    /** What a generation was loaded from; borrowed from its source. NULL: nothing is known of it. */
    struct original *(*original_of)(const struct generation_source *source);
    /**
     * The daemon runs by another survey from here on: modules are loaded from it, its settings are in effect.
     * It is held until another is adopted.
     */
    void (*on_adopt)(void *context, struct survey *survey);
    /** Something is under way, or all is done. */
    void (*on_work)(void *context, bool is_busy);
    void *context;
};

/** Adds its functions to the inspect table. Aborts when out of memory. */
struct reload *reload_create(const struct reload_options *options);
/**
 * Before anything is loaded: keeps to rollbacks of an earlier run, which the first survey has found.
 *
 * @param originals  where modules are kept open; outlives the reload.
 */
void reload_restore(struct reload *reload, struct originals *originals);
/** All has served: from here on changes are done. */
void reload_begin(struct reload *reload, struct perform *perform);
/** Asks for a reload on behalf of nobody who waits. @param why  "received SIGHUP", for the log. */
void reload_ask(struct reload *reload, const char *why);
/** What the daemon runs by. */
struct survey *reload_newest(const struct reload *reload);
/** Compares what runs with that, for a change that reads no files. To be destroyed; the survey outlives it.
 */
struct change *reload_compare(const struct reload *reload, const struct change_request *request);
/** The daemon stops: answers all that wait, and those that ask later. NULL: does nothing. */
void reload_stop(struct reload *reload);
/** Closes its handle, which takes one more turn of the loop; then reload_destroy. */
void reload_close(struct reload *reload);
/** Nothing runs any more. */
void reload_destroy(struct reload *reload);

#endif
