/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be known without loading anything: configuration, files, manifests and the plan. The daemon begins
 * with it; the other commands are it, printed.
 */
#ifndef CORE_SURVEY_H
#define CORE_SURVEY_H

#include <core/plan/plan.h>
#include <core/scan/scan.h>
#include <core/settings/settings.h>

struct survey {
    struct settings *settings;
    struct scan scan;
    /** The manifests, and which of their plugins are used. */
    struct catalog catalog;
    /**
     * Directories, and files that are modules or should be, that were refused; an ordinary library is none,
     * nor is a built-in directory that is missing.
     */
    size_t refused_count;
    /** After survey_plan. */
    struct plan *plan;
    struct config_diagnostics diagnostics;
};

/**
 * Reads the configuration and scans the plugin directories, in spite of errors wherever that can be done, so
 * that a check can say all of them.
 *
 * @return false where it could not go on; `ret_survey` is to be finished all the same.
 */
bool survey_take(const struct settings_options *options, struct survey *ret_survey);
/** Has nothing been wrong so far? */
bool survey_is_good(const struct survey *survey);
/** Checks what the configuration says of plugins. @return survey_is_good. */
bool survey_check(struct survey *survey);
void survey_plan(struct survey *survey);
/**
 * After survey_plan: would the daemon come to be ready, as far as that can be known without plugin code? It
 * needs its folders, the required plugins and a server. What is missing goes to `diagnostics`.
 */
bool survey_would_start(struct survey *survey);
/** Prints what is wrong with the configuration, and warnings of the scan and the plan, to standard error. */
void survey_print_diagnostics(struct survey *survey);
void survey_finish(struct survey *survey);

#endif
