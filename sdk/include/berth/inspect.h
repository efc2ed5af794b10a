/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host reports about itself and every plugin it found, for services that show it to clients. Every
 * function is called on the loop's thread; results live until the visitor or callback returns.
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

/** State of a plugin. The first three do not require its module to be loaded. */
enum berth_state {
    BERTH_STATE_REJECTED = 0,
    BERTH_STATE_DISABLED = 1,
    BERTH_STATE_BLOCKED = 2,
    /** Planned, but not yet started. */
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
    /** Not loaded, because it killed the daemon too often. */
    BERTH_STATE_QUARANTINED = 13,
};

/** The state's name for people, such as "timed out". */
static inline const char *berth_state_name(enum berth_state state)
{
    static const char *const names[] = {
        "rejected", "disabled", "blocked", "waiting", "preparing", "starting",  "ready",
        "serving",  "draining", "stopped", "skipped", "failed",    "timed out", "quarantined",
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

/** One requirement of a plugin on another, as the plan resolved it. */
struct berth_edge {
    /** The URI of the provider. */
    const char *provider;
    /** As in the manifest: a type, a URI or "*". */
    const char *requirement;
    /** True for `requires`, false for `wants`, which only orders. */
    bool binding;
};

/**
 * When each step began, relative to the daemon's start, and how long it took, in nanoseconds; 0 if the step
 * was not reached.
 */
struct berth_times {
    uint64_t load_start_ns, load_ns;
    uint64_t config_start_ns, config_ns;
    uint64_t prepare_start_ns, prepare_ns;
    uint64_t init_start_ns, init_ns;
    uint64_t serve_start_ns, serve_ns;
    /** When its last readiness hold was released; the end of init without holds. */
    uint64_t ready_at_ns;
};

/** One plugin, or one file that was rejected before its plugins were known (then `uri` is NULL). */
struct berth_plugin_info {
    uint32_t size;
    const char *uri;
    const char *type;
    const char *id;

    /** The file, and what its manifest says about the module; NULL if unknown. */
    const char *path;
    const char *module;
    const char *version;
    const char *description;

    enum berth_state state;
    /** BERTH_OK unless something is wrong; BERTH_SKIP for skipped and disabled. */
    enum berth_code code;
    /** Why it is in this state, in one line; NULL if nothing is wrong. */
    const char *reason;
    /** The URI of the plugin that caused this, if it is another one; NULL otherwise. */
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

    /** Distance from plugins without requirements; -1 if it is not in the order. */
    int32_t level;
    /** Incremented at each start of the instance; 0 before the first. */
    uint64_t generation;
    struct berth_times times;
    /** Readiness holds not yet released, as the plugin described them. */
    struct berth_strings holds;
    /** The transports of each of `services`, in the same order. */
    const struct berth_strings *transports;
    /** The last condition that a ready or serving instance reported; BERTH_OK if all is well. */
    enum berth_code condition;
    /** One line; NULL if all is well. */
    const char *condition_reason;
};

/** Something deprecated that still works. */
struct berth_notice {
    /** Identifies it across restarts: "io.example.dial.v1.dial/size". */
    const char *subject;
    /** One line: where it is used and what to use instead. */
    const char *message;
};

/** State of the whole daemon. */
struct berth_daemon_info {
    uint32_t size;
    /** "0.1.0", and the revision it was built from or "". */
    const char *version;
    const char *revision;
    const char *root;
    const char *state;
    int64_t pid;
    /** Startup is complete, and the daemon has reported that it is ready. */
    bool ready;
    bool draining;
    /** From start to ready, in nanoseconds; 0 before. */
    uint64_t ready_ns;
    /** Deprecated settings, former names, and sections of older versions in the configuration. */
    const struct berth_notice *deprecations;
    size_t deprecation_count;
    /** How the previous run died, one line; NULL where it ended on purpose or nothing is known. */
    const char *last_death;
    /** The URI of the plugin to blame for it; NULL where none is known. */
    const char *last_death_plugin;
};

/** A registration for changes. */
struct berth_watch;

struct berth_inspect {
    uint32_t size;
    const void *context;
    /**
     * Visits the plugins in the plan's order, then those not in the plan, until the visitor returns false.
     */
    void (*each)(const struct berth_inspect *inspect,
                 bool (*on_plugin)(void *context, const struct berth_plugin_info *info), void *context);
    /** Kept up to date by the host: read it whenever needed. Never NULL. */
    const struct berth_daemon_info *daemon;

    /**
     * Calls `on_change` from the top level of the loop soon after anything in this table or in the routes has
     * changed; several changes may be combined in one call.
     * @return to be passed to `unwatch` by the caller before its close has completed; NULL without memory.
     */
    struct berth_watch *(*watch)(const struct berth_inspect *inspect, void (*on_change)(void *context),
                                 void *context);
    /** No further on_change. May be called from inside it. */
    void (*unwatch)(const struct berth_inspect *inspect, struct berth_watch *watch);
};

#ifdef __cplusplus
}
#endif

#endif
