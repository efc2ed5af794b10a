/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be done: what runs, compared with what is wanted. The changes are to be destroyed, and borrow
 * from the surveys. Only the files of this room include it.
 */
#ifndef CORE_RELOAD_COMPARE_H
#define CORE_RELOAD_COMPARE_H

#include "asked.h"

/** @param before  what the daemon's own settings are compared with; NULL: they are not. */
struct change *compare_with(const struct reload *reload, const struct settings *before,
                            const struct survey *survey, const struct change_request *request);
/**
 * What was asked for. A subject that is the path of a module stands for its plugins.
 *
 * @param unwilling  URIs of plugins that would not take their settings in place.
 */
struct change *compare_asked(struct reload *reload, struct asked *asked, const char *const *unwilling,
                             size_t unwilling_count);
/**
 * Back to the plan that all ran by when its turn had come.
 *
 * @param done  URIs of plugins that it has changed.
 */
struct change *compare_back(struct reload *reload, struct asked *asked, const char *const *done,
                            size_t done_count);

#endif
