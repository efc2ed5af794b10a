/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which plugins killed the daemon, and which are quarantined for it: a small file in `state`. One line each:
 * the time in seconds since 1970, "death" or "quarantine", the plugin's URI, and what happened.
 */
#ifndef CORE_CRASH_DEATHS_H
#define CORE_CRASH_DEATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

/** Older ones are forgotten first. */
#define DEATHS_MAX 256

struct death {
    int64_t time_s;
    bool is_quarantine;
    char uri[256];
    char what[192];
};

struct deaths {
    /** `DEATHS_MAX` of them; the oldest first. */
    struct death *items;
    size_t count;
};

/** A plugin that died this often within this time is quarantined. */
struct deaths_limit {
    /** 0: never. */
    unsigned count;
    uint64_t within_ns;
};

/**
 * Reads the file; a missing one is empty. Lines that cannot be one are ignored.
 *
 * @return BERTH_OK; else the list is empty, and `err` says why.
 */
enum berth_code deaths_read(const char *state, struct deaths *ret_deaths, struct berth_error *err);
/** Replaces the file. */
enum berth_code deaths_write(const char *state, const struct deaths *deaths, struct berth_error *err);
void deaths_finish(struct deaths *deaths);

/** Adds a death, and a quarantine where the limit is reached and there is none. @return was it reached? */
bool deaths_add(struct deaths *deaths, const char *uri, const char *what, int64_t now_s,
                const struct deaths_limit *limit);
/** Adds one to the file, now. A file that cannot be read is replaced. */
enum berth_code deaths_note(const char *state, const char *uri, const char *what,
                            const struct deaths_limit *limit, struct berth_error *err);
/** Forgets a plugin, or all of them with NULL. @return how many quarantines that lifted. */
size_t deaths_forget(struct deaths *deaths, const char *uri);

#endif
