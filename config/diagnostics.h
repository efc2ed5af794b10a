/* SPDX-License-Identifier: Apache-2.0 */
/* Collects what is wrong with somebody's files, each with its place, so that all of it is said at once. */
#ifndef CONFIG_DIAGNOSTICS_H
#define CONFIG_DIAGNOSTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

/** A place in a file; line and column count from 1, 0 where the whole file is meant. `file` is borrowed. */
struct config_mark {
    const char *file;
    uint32_t line;
    uint32_t column;
};

enum config_severity {
    CONFIG_WARNING,
    CONFIG_ERROR,
};

struct config_diagnostic {
    enum config_severity severity;
    /** With a copy of the file's name, so that it outlives the tree. */
    struct config_mark mark;
    char *message;
    /** The setting that is to be given up, where that is what it warns of; else NULL. */
    char *deprecated;
};

/** Keeps at most CONFIG_DIAGNOSTICS_MAX; later ones are only counted. Zero-initialise. */
struct config_diagnostics {
    struct config_diagnostic *items;
    size_t count;
    size_t error_count;
    size_t dropped;
    /** What a newer berth may have written on purpose is a warning: for who reads built modules. */
    bool forgives_unknown;
};

#define CONFIG_DIAGNOSTICS_MAX 1000

/** Adds one; `mark` may be NULL where no place is known. */
BERTH_PRINTF(4, 5)
void config_diagnostics_add(struct config_diagnostics *diagnostics, enum config_severity severity,
                            const struct config_mark *mark, const char *format, ...);

/** How a name that means nothing here is to be added: an error, unless `forgives_unknown`. */
enum config_severity config_diagnostics_of_unknown(const struct config_diagnostics *diagnostics);

/**
 * Adds a warning of something that still works and is to be given up.
 * @param setting  what it is, the same from start to start: a plugin's URI, a slash and the setting's path.
 */
BERTH_PRINTF(4, 5)
void config_diagnostics_add_deprecation(struct config_diagnostics *diagnostics, const char *setting,
                                        const struct config_mark *mark, const char *format, ...);

/** Orders them by file, line and column, for printing. */
void config_diagnostics_sort(struct config_diagnostics *diagnostics);

/** One of them as "file:line:column: message", malloced; the caller frees. */
char *config_diagnostic_format(const struct config_diagnostic *diagnostic);

void config_diagnostics_finish(struct config_diagnostics *diagnostics);

#endif
