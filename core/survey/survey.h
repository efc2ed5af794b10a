/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything known without loading anything: configuration, files, manifests and the plan. The daemon starts
 * with it; the other commands print it.
 */
#ifndef CORE_SURVEY_SURVEY_H
#define CORE_SURVEY_SURVEY_H

#include <core/module/held.h>
#include <core/plan/plan.h>
#include <core/scan/scan.h>
#include <core/settings/settings.h>

struct survey {
    struct settings *settings;
    /** Borrows from the settings. */
    struct trust *trust;
    struct scan scan;
    /** Rollbacks of an earlier run that are kept to, unless a fallback was given. */
    struct held_files kept;
    /** The manifests, and which of their plugins are used. */
    struct catalog catalog;
    /**
     * Rejected directories and modules; not ordinary libraries, nor missing built-in directories.
     */
    size_t rejected_count;
    /** After survey_plan; includes quarantined plugins. */
    struct plan *plan;
    struct settings_quarantine *quarantined;
    struct config_diagnostics diagnostics;
    /** Of one that survey_create has made. */
    size_t holders;
    /** Whose configuration, files and manifests it shares, because only its plan is another; or NULL. */
    struct survey *base;
    /** Those of whose manifests it uses some, because they run and their files have become bad. */
    struct survey **lenders;
    size_t lender_count;
};

/**
 * Reads the configuration and scans the plugin directories. Continues after errors where possible, so that a
 * check reports all of them.
 *
 * @param fallback  may be NULL.
 * @return false if it could not continue; `ret_survey` must be finished even so.
 */
bool survey_take(const struct settings_options *options, const struct catalog_fallback *fallback,
                 struct survey *ret_survey);
/**
 * Takes a survey that lives as long as somebody holds it: whoever creates it, and each generation that was
 * started from it.
 *
 * @param ret_is_readable  as survey_take returns.
 */
struct survey *survey_create(const struct settings_options *options, const struct catalog_fallback *fallback,
                             bool *ret_is_readable);
/** Keeps a manifest of another survey alive, which the fallback of this one has found there. */
void survey_borrow(struct survey *survey, struct survey *from, const struct manifest *manifest);
/** @return the survey. */
struct survey *survey_hold(struct survey *survey);
/** Finished and freed with its last holder. Accepts NULL. */
void survey_drop(struct survey *survey);

/** No errors yet? */
bool survey_is_good(const struct survey *survey);
/** Checks what the configuration says about plugins. @return survey_is_good. */
bool survey_check(struct survey *survey);
void survey_plan(struct survey *survey);
/**
 * The same configuration and files with another plan, in which these plugins are stopped on request.
 *
 * @param stopped  borrowed until this returns.
 * @return to be dropped.
 */
struct survey *survey_derive(struct survey *survey, const char *const *stopped, size_t stopped_count);
/** survey_plan, with plugins that are stopped on request. */
void survey_plan_without(struct survey *survey, const char *const *stopped, size_t stopped_count);
/**
 * After survey_plan: would the daemon become ready, as far as can be told without plugin code? It
 * needs its folders, the required plugins and a server. What is missing goes to `diagnostics`.
 */
bool survey_would_start(struct survey *survey);
/** Prints errors and warnings of the configuration, the scan and the plan to standard error. */
void survey_print_diagnostics(struct survey *survey);
void survey_finish(struct survey *survey);

#endif
