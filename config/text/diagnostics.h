/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects the problems found in files, each with its place, so they can all be reported at once; "did you
 * mean …?"
 */
#ifndef CONFIG_TEXT_DIAGNOSTICS_H
#define CONFIG_TEXT_DIAGNOSTICS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

/** A place in a file. Line and column count from 1; 0 means the whole file. `file` is borrowed. */
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
    /** Holds a copy of the file name, so it outlives the tree. */
    struct config_mark mark;
    char *message;
    /** The deprecated setting, if this warns of one; else NULL. */
    char *deprecated;
};

/** Keeps at most CONFIG_DIAGNOSTICS_MAX; the rest are only counted. Zero-initialise. */
struct config_diagnostics {
    struct config_diagnostic *items;
    size_t count;
    size_t error_count;
    size_t dropped;
    /** Unknown names are warnings: for readers of built modules, which a newer SDK may have written. */
    bool forgives_unknown;
};

#define CONFIG_DIAGNOSTICS_MAX 1000

/** Adds one; `mark` is NULL if the place is unknown. */
BERTH_PRINTF(4, 5)
void config_diagnostics_add(struct config_diagnostics *diagnostics, enum config_severity severity,
                            const struct config_mark *mark, const char *format, ...);

void config_diagnostics_vadd(struct config_diagnostics *diagnostics, enum config_severity severity,
                             const struct config_mark *mark, const char *format, va_list arguments);

/** The severity of an unknown name: an error, unless `forgives_unknown`. */
enum config_severity config_diagnostics_of_unknown(const struct config_diagnostics *diagnostics);

/**
 * Adds a warning about something deprecated.
 * @param setting  identifies it across restarts: the plugin's URI, a slash and the setting's path.
 */
BERTH_PRINTF(4, 5)
void config_diagnostics_add_deprecation(struct config_diagnostics *diagnostics, const char *setting,
                                        const struct config_mark *mark, const char *format, ...);

/** Orders them by file, line and column, for printing. */
void config_diagnostics_sort(struct config_diagnostics *diagnostics);

/** One of them as "file:line:column: message", malloced; the caller frees. */
char *config_diagnostic_format(const struct config_diagnostic *diagnostic);

void config_diagnostics_finish(struct config_diagnostics *diagnostics);

/**
 * The known name nearest to `name` by edit distance; NULL if none is within a third of the name's length,
 * or within three edits.
 */
const char *config_nearest(const char *name, const char *const *known, size_t count);

struct config_hint {
    char text[256];
};

/** ` (did you mean "root"?)`, or "" if no known name is near enough. */
struct config_hint config_hint(const char *name, const char *const *known, size_t count);

#endif
