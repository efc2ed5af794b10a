/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host tells of itself and of all that it found: for services that show it to people. Every
 * function is called on the loop's thread; what is handed out lives until the visitor or callback returns.
 */
#ifndef BERTH_INSPECT_H
#define BERTH_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where a plugin stands. The first three need no module to be loaded. */
enum berth_state {
    BERTH_STATE_REJECTED = 0,
    BERTH_STATE_DISABLED = 1,
    BERTH_STATE_BLOCKED = 2,
    /** Planned, its turn has not come. */
    BERTH_STATE_WAITING = 3,
    BERTH_STATE_PREPARING = 4,
    BERTH_STATE_STARTING = 5,
    BERTH_STATE_READY = 6,
    BERTH_STATE_SERVING = 7,
    BERTH_STATE_DRAINING = 8,
    BERTH_STATE_STOPPED = 9,
    BERTH_STATE_SKIPPED = 10,
    BERTH_STATE_FAILED = 11,
    BERTH_STATE_TIMED_OUT = 12,
};

/** The state's name as people read it: "timed out". */
static inline const char *berth_state_name(enum berth_state state)
{
    static const char *const names[] = {
        "rejected", "disabled", "blocked", "waiting", "preparing", "starting",  "ready",
        "serving",  "draining", "stopped", "skipped", "failed",    "timed out",
    };

    return (int)state >= 0 && (size_t)state < sizeof(names) / sizeof(names[0]) ? names[(int)state]
                                                                               : "unknown";
}

/** A list of strings, borrowed. */
struct berth_strings {
    const char *const *items;
    size_t count;
};

struct berth_platform {
    const char *os;
    const char *architecture;
    const char *variant;
};

struct berth_export {
    const char *key;
    const char *value;
};

/** One line that joins a plugin to another it requires or wants, as the plan resolved it. */
struct berth_edge {
    /** The URI of the provider. */
    const char *provider;
    /** As the manifest has it: a type, a URI or "*". */
    const char *requirement;
    /** `requires` binds, `wants` only orders. */
    bool binding;
};

/**
 * How long each step took, and when it began after the daemon's start, in nanoseconds; 0 where the step
 * was not reached.
 */
struct berth_times {
    uint64_t load_start_ns, load_ns;
    uint64_t config_start_ns, config_ns;
    uint64_t prepare_start_ns, prepare_ns;
    uint64_t init_start_ns, init_ns;
    uint64_t serve_start_ns, serve_ns;
    /** When its last readiness hold was let go; equals the end of init where it had none. */
    uint64_t ready_at_ns;
};

/** One plugin, or one file that was refused before it could name its plugins (then `uri` is NULL). */
struct berth_plugin_info {
    uint32_t size;
    const char *uri;
    const char *type;
    const char *id;

    /** The file, and what its manifest says of the module; NULL where nothing is known. */
    const char *path;
    const char *module;
    const char *version;
    const char *description;

    enum berth_state state;
    /** BERTH_OK unless something is wrong; BERTH_SKIP for skipped and disabled. */
    enum berth_code code;
    /** Why it is in this state, one line; NULL where nothing is wrong. */
    const char *reason;
    /** The URI of the plugin that is to blame, where it is another; NULL otherwise. */
    const char *cause;

    struct berth_strings requirements;
    struct berth_strings wants;
    struct berth_strings services;
    struct berth_strings capabilities;
    const struct berth_platform *platforms;
    size_t platform_count;
    const struct berth_export *exports;
    size_t export_count;
    const struct berth_edge *edges;
    size_t edge_count;

    /** Distance from plugins that need nothing; -1 where it is not in the order. */
    int32_t level;
    /** One more at each start of the instance; 0 before the first. */
    uint64_t generation;
    struct berth_times times;
    /** Readiness holds that are still kept, as the plugin worded them. */
    struct berth_strings holds;
    /** Which transports may carry each of `services`, in the same order. */
    const struct berth_strings *transports;
    /** What a ready or serving instance said of itself last; BERTH_OK where all is well. */
    enum berth_code condition;
    /** One line; NULL where all is well. */
    const char *condition_reason;
};

/** Something that still works and is to be given up. */
struct berth_notice {
    /** What it is, the same from start to start: "io.example.dial.v1.dial/size". */
    const char *subject;
    /** One line: where it stands and what to do instead. */
    const char *message;
};

/** What is true of the whole daemon. */
struct berth_daemon_info {
    uint32_t size;
    /** "0.1.0", and the revision it was built from or "". */
    const char *version;
    const char *revision;
    const char *root;
    const char *state;
    int64_t pid;
    /** All that are to be ready are, and the daemon has said so. */
    bool ready;
    bool draining;
    /** From start to ready, in nanoseconds; 0 before. */
    uint64_t ready_ns;
    /** What the configuration says by old names, in old versions of sections, or by deprecated settings. */
    const struct berth_notice *deprecations;
    size_t deprecation_count;
};

/** Somebody who wants to hear of changes. */
struct berth_watch;

struct berth_inspect {
    uint32_t size;
    const void *context;
    /** Tells of each plugin, in the plan's order, what never got into it last; until the visitor returns
     * false. */
    void (*each)(const struct berth_inspect *inspect,
                 bool (*on_plugin)(void *context, const struct berth_plugin_info *info), void *context);
    /** Kept up to date by the host: look again whenever it matters. Never NULL. */
    const struct berth_daemon_info *daemon;

    /**
     * Calls `on_change` from the top level of the loop, soon after anything that this table or the routes
     * tell has changed; several changes may come as one.
     * @return to be given to `unwatch` by whoever asked, before its close has ended; NULL without memory.
     */
    struct berth_watch *(*watch)(const struct berth_inspect *inspect, void (*on_change)(void *context),
                                 void *context);
    /** `on_change` does not come any more. May be called from inside it. */
    void (*unwatch)(const struct berth_inspect *inspect, struct berth_watch *watch);
};

#ifdef __cplusplus
}
#endif

#endif
