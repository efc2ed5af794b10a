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

#include <berth/call.h>
#include <berth/error.h>
#include <berth/isolation.h>

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
    /** Planned, but not loaded until it is called, or another plugin that needs it is. */
    BERTH_STATE_IDLE = 14,
};

/** The state's name for people, such as "timed out". */
static inline const char *berth_state_name(enum berth_state state)
{
    static const char *const names[] = {
        "rejected", "disabled", "blocked", "waiting", "preparing", "starting",    "ready", "serving",
        "draining", "stopped",  "skipped", "failed",  "timed out", "quarantined", "idle",
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
    /** The id of the key that signed the module's file, 16 hexadecimal digits; NULL: unsigned or unknown. */
    const char *signer;
    /** Whether a key of the daemon verified it. Without any key, signatures are not verified. */
    bool signature_verified;
    /** The trusted comment of the signature: one line; NULL unless verified. */
    const char *signer_comment;
    /**
     * The version that was found last, where a plugin runs from another file: it was not asked to move, or
     * the newer one could not start. The same as `version` if only the content differs. NULL otherwise.
     */
    const char *newest_version;
    /** NULL: it runs in the daemon. */
    const struct berth_isolation *isolation;
    /**
     * The version of the installed file, which is held back because the plugin was rolled back; "" if there
     * is no file, or its version is not known. NULL: nothing is held back.
     */
    const char *held_back;
    /** It starts when it is called first, unless it runs already. */
    bool starts_on_call;
    /** When it starts and why, where that is not simply with the daemon; one line, or NULL. */
    const char *activation;
    /** Where it answers HTTP requests, as its manifest says; NULL: not said. */
    const char *http_prefix;
};

/** Something deprecated that still works. */
struct berth_notice {
    /** Identifies it across restarts: "io.example.dial.v1.dial/size". */
    const char *subject;
    /** One line: where it is used and what to use instead. */
    const char *message;
};

/** A module that is unused, but could not be unloaded. Not an error. */
struct berth_resident {
    /** "greeter 1.2.0" */
    const char *module;
    /** The file it was loaded from, as installed. */
    const char *path;
    /** One line. */
    const char *reason;
    /** Mapped memory, which only a restart of the daemon frees. */
    uint64_t bytes;
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
    /** How the previous run died, one line; NULL if it ended on purpose or nothing is known. */
    const char *last_death;
    /** The URI of the plugin to blame for it; NULL if none is known. */
    const char *last_death_plugin;
    /** Modules of replaced plugins that stay in memory. */
    const struct berth_resident *residents;
    size_t resident_count;
};

/** One method, since the daemon's start and over all generations of its plugin. */
struct berth_method_costs {
    uint32_t size;
    /** "/helloworld.Greeter/SayHello" */
    const char *path;
    /** Calls that found the method, those that were refused before its handler among them. */
    uint64_t opened;
    uint64_t in_flight;
    /** By code, BERTH_OK to BERTH_UNAUTHENTICATED. */
    const uint64_t *ended;
    size_t ended_count;
    /** What handlers were given and what they sent: messages, and their bytes before compression. */
    uint64_t messages_received, bytes_received;
    uint64_t messages_sent, bytes_sent;
};

/** What one plugin has cost since the daemon's start. */
struct berth_plugin_costs {
    uint32_t size;
    const char *uri;
    /**
     * Time on the loop in what the host called: steps, handlers, interceptors. Exclusive: without what these
     * called in other plugins. Where a turn of the loop has many calls, some are timed and stand for all.
     * Callbacks that libuv calls directly are nobody's: see berth_daemon_costs.
     */
    uint64_t loop_ns, longest_ns;
    uint64_t entries;
    /** Entries that took longer than the daemon warns of, and times that the loop was stuck in it. */
    uint64_t slow, stalls;
    /** How often it began to report that it cannot do its job. */
    uint64_t degradations;
    const struct berth_method_costs *methods;
    size_t method_count;
    /** Its module, and how many plugins that module has: what follows belongs to all of them together. */
    const char *module;
    size_t module_plugins;
    /** Handles on the loop whose callbacks are the module's. */
    uint64_t handles;
    /**
     * Resident bytes of the module's code, constants and variables. What it has allocated is on the one heap
     * of the process and cannot be told apart. 0 if the kernel does not tell.
     */
    uint64_t memory_bytes;
    /** What it did against the contract: host functions from a wrong thread, replies to calls that ended. */
    uint64_t misuses;
};

/** What the daemon has cost, and what of that is no plugin's. */
struct berth_daemon_costs {
    uint32_t size;
    /** Since the start. */
    uint64_t uptime_ns;
    /** Processor time of all threads. */
    uint64_t cpu_ns;
    /** Resident size of the process, and what of it is anonymous memory: the heap and the stacks. */
    uint64_t memory_bytes, anonymous_bytes;
    /** Handles on the loop, and those of them that belong to no plugin's module. */
    uint64_t handles, other_handles;
    /** Time in plugins, as in berth_plugin_costs, together. */
    uint64_t plugins_ns;
    /**
     * Time that the loop was not waiting, and what of it was in no entry of the host's: callbacks that libuv
     * calls directly, and the host itself. 0 if the loop has no clock.
     */
    uint64_t busy_ns, unattributed_ns;
    uint64_t turns;
    uint64_t longest_turn_ns;
    /** How long an event had to wait at worst during the last seconds. */
    uint64_t lag_ns;
    /** Times that the loop was stuck in code for which no plugin was found. */
    uint64_t other_stalls;
};

/** Somebody who is connected to a server. */
struct berth_connection {
    uint32_t size;
    /** The URI of the server's plugin, and the connection's number there. */
    const char *server;
    uint64_t number;
    /** As in struct berth_call. */
    const char *transport;
    const struct berth_peer *peer;
    /** On the clock of uv_hrtime(). */
    uint64_t since_ns;
    /** Calls in flight. */
    uint64_t calls;
};

/** One line of the daemon's log. */
struct berth_log_line {
    uint32_t size;
    /** Nanoseconds since 1970. */
    int64_t time_ns;
    /** As enum berth_log_level. */
    int level;
    /** NULL: the daemon itself. */
    const char *uri;
    /** UTF-8 without control characters. */
    const char *text;
    /** Lines that were lost before this one, because nobody took them in time. */
    uint64_t lost;
};

/** What a follower of the log wants. */
struct berth_log_filter {
    uint32_t size;
    /** As enum berth_log_level, also where the log itself has fewer lines; -1: what the log has. */
    int level;
    /** NULL: of all plugins and of the daemon. */
    const char *uri;
};

/** Somebody who follows the log. */
struct berth_log_follower;

/** Where one thread of the daemon is. */
struct berth_thread_stack {
    uint32_t size;
    /** As in /proc/PID/task, and its name. */
    int64_t id;
    const char *name;
    /**
     * Innermost first: "hello.so+0x1234 (do_work)". Of a thread that blocks signals the innermost one alone;
     * none if it did not answer in time.
     */
    struct berth_strings frames;
};

/** Longest path and value of a berth_setting, in bytes. */
#define BERTH_SETTING_TEXT_MAX 1024

/** One setting of a plugin as it is in effect: a scalar, or a list or map that is empty or secret. */
struct berth_setting {
    uint32_t size;
    /** Below the plugin's section: "tls.key", "names[0]", "hosts.\"a.b\".port". */
    const char *path;
    /** As YAML has it on one line: "4KiB", "\"true\"", "[]". NULL if it is not set, or secret. */
    const char *value;
    /** "/etc/berth/berthd.yaml:12:9", or "default"; NULL: not set, and without a default. */
    const char *where;
    /** Where a migration took it from: "image of io.example.v1.old"; NULL if it is as written. */
    const char *was;
    /** The manifest declares it `secret`: the host hands out no more than where it was set. */
    bool is_secret;
    /** Path or value was longer, and is cut. */
    bool is_cut;
};

/** One thing that is held, or several of a kind. */
struct berth_hold_info {
    uint32_t size;
    /** URI of the holder; the file of its module if the plugin is not known; NULL: unknown. */
    const char *holder;
    /** 0: unknown. */
    uint64_t holder_generation;
    /** URI of the plugin that provides it; NULL: the host. */
    const char *provider;
    uint64_t provider_generation;
    /** "its interface", "a subscription to events", "call", "timer". */
    const char *what;
    uint64_t count;
    /** The generation that holds it, or the plugin of the module, is not known. */
    bool unknown;
    /** The generation that held it has ended without returning it. */
    bool orphan;
};

/** Kinds of changes to the running daemon. */
enum berth_change_kind {
    /** Read the configuration and the plugin directories again, and apply what differs from what runs. */
    BERTH_CHANGE_RELOAD = 0,
    BERTH_CHANGE_START = 1,
    BERTH_CHANGE_STOP = 2,
    BERTH_CHANGE_RESTART = 3,
    /** Upgrade to the files that are installed in the plugin directories. */
    BERTH_CHANGE_UPGRADE = 4,
    /** Back to what ran before the last upgrade of the subjects' modules. Their files are held back then: a
     * reload leaves them alone until others are installed. */
    BERTH_CHANGE_ROLLBACK = 5,
};

/**
 * How the daemon could have been started instead. What is NULL or empty is as it was started. All paths are
 * absolute.
 */
struct berth_change_start {
    uint32_t size;
    /** The main configuration file. */
    const char *config;
    const char *root;
    const char *state;
    /** Instead of plugin_dirs. */
    struct berth_strings plugin_dirs;
    /** Unknown names are warnings. */
    bool is_lenient;
};

struct berth_change_request {
    uint32_t size;
    enum berth_change_kind kind;
    /** URIs of plugins; none for a reload. */
    struct berth_strings subjects;
    /** Only report what would be done. */
    bool is_dry_run;
    /** All or nothing: at the first failure later steps are not tried, and those that were done are undone.
     */
    bool is_atomic;
    /** For a stop: also stop plugins that require the subjects. */
    bool cascades;
    /** End calls that exceed upgrade.drain, drop state that the other version cannot read, and allow
     * required plugins to stop. */
    bool is_forced;
    /** For a rollback: later starts of the daemon hold the files back too. */
    bool keeps;
    /**
     * For a dry run of a reload: compares what runs with this instead. NULL: with what the daemon was started
     * with. Files are read with the daemon's rights, and the report quotes wrong values of the configuration.
     */
    const struct berth_change_start *start;
};

/** What was done, or would be, to one plugin. */
struct berth_change_step {
    uint32_t size;
    const char *uri;
    /** "reconfigure", "restart", "upgrade", "start" or "stop". */
    const char *action;
    /** Why, one line. */
    const char *reason;
    /** The URI of the plugin that makes it necessary; NULL: itself. */
    const char *cause;
    /** The version before and the version afterwards; NULL: none. */
    const char *from_version, *to_version;
    /** Steps with the same number are done together or not at all, in the order of the numbers. */
    uint64_t group;
    /** How a replacement is done: "beside", "handover" or "exclusive". */
    const char *mode;
    /** Time that callers are expected to wait, and the time they did wait. */
    uint64_t expected_pause_ns, pause_ns;
    /** BERTH_OK if it was done (in a dry run: is possible); otherwise why not, in one line. */
    enum berth_code code;
    const char *message;
    /** The generation that runs afterwards; 0: none, or a dry run. */
    uint64_t generation;
};

/** The result of a requested change. */
struct berth_change_report {
    uint32_t size;
    uint64_t number;
    bool is_dry_run;
    /**
     * BERTH_OK: all steps were done, or would be. Nothing was changed: BERTH_INVALID_ARGUMENT, `problems` has
     * errors; BERTH_FAILED_PRECONDITION or BERTH_NOT_FOUND, the change was refused;
     * BERTH_UNAVAILABLE, the daemon is stopping. BERTH_ABORTED: some steps failed.
     */
    enum berth_code code;
    /** One line; NULL if `code` is BERTH_OK. */
    const char *message;
    /** One for each plugin that changes, in order of execution. */
    const struct berth_change_step *steps;
    size_t step_count;
    /** Number of plugins compared. */
    uint64_t plugin_count;
    /** Settings of the daemon itself that took effect: "log.level changed at /etc/berth/berthd.yaml:3:9". */
    struct berth_strings applied;
    struct berth_strings warnings;
    /** Errors and warnings of the configuration, each with its place. */
    struct berth_strings problems;
};

/** A wait for the report of a change. */
struct berth_change_wait;

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

    /** What each plugin that runs or ran has cost, in the plan's order, until the visitor returns false. */
    void (*costs)(const struct berth_inspect *inspect,
                  bool (*on_costs)(void *context, const struct berth_plugin_costs *costs), void *context);
    /** Fills the members that `ret_costs->size` reaches. */
    void (*daemon_costs)(const struct berth_inspect *inspect, struct berth_daemon_costs *ret_costs);

    /** Who is connected to any server (<berth/types/server.h>), until the visitor returns false. */
    void (*connections)(const struct berth_inspect *inspect,
                        bool (*on_connection)(void *context, const struct berth_connection *connection),
                        void *context);
    /** BERTH_OK; BERTH_NOT_FOUND if there is no such server or connection. */
    enum berth_code (*close_connection)(const struct berth_inspect *inspect, const char *server,
                                        uint64_t number, struct berth_error *err);

    /**
     * Follows the log from here on. `on_lines` comes from the top level of the loop, when lines are waiting
     * and all that waited before had been taken. At most 64 KiB wait; beyond that the oldest are lost and
     * counted.
     *
     * @return to be given to `unfollow_log` by whoever asked, before its close has ended; NULL without
     * memory.
     */
    struct berth_log_follower *(*follow_log)(const struct berth_inspect *inspect,
                                             const struct berth_log_filter *filter,
                                             void (*on_lines)(void *context), void *context);
    /** Takes the oldest line that waits. @return false: none does. It lives until the next call. */
    bool (*next_line)(const struct berth_inspect *inspect, struct berth_log_follower *follower,
                      struct berth_log_line *ret_line);
    void (*unfollow_log)(const struct berth_inspect *inspect, struct berth_log_follower *follower);

    /**
     * The log's level, as enum berth_log_level; of a plugin that has one of its own, that.
     * @param uri  NULL: the daemon's.
     * @return -1 if there is no such plugin, or it has none of its own.
     */
    int (*log_level)(const struct berth_inspect *inspect, const char *uri);
    /**
     * Changes it until the daemon ends.
     * @param level  -1, with a URI: the daemon's again.
     * @return BERTH_OK; BERTH_NOT_FOUND if no plugin that may run has the URI; BERTH_INVALID_ARGUMENT.
     */
    enum berth_code (*set_log_level)(const struct berth_inspect *inspect, const char *uri, int level,
                                     struct berth_error *err);

    /**
     * Visits every thread until the visitor returns false. Each is interrupted by a signal, so that what it
     * waits in may end with EINTR; the loop waits for their answers, half a second at most.
     */
    void (*stacks)(const struct berth_inspect *inspect,
                   bool (*on_stack)(void *context, const struct berth_thread_stack *stack), void *context);

    /**
     * Visits the settings of one plugin in its schema's order until the visitor returns false, deprecated
     * ones that are not set left out. A section may have thousands: stop where there is no use for more.
     *
     * @return BERTH_OK; BERTH_NOT_FOUND if no plugin has the URI; BERTH_FAILED_PRECONDITION if its section
     * was not checked, or waits for its migration.
     */
    enum berth_code (*settings)(const struct berth_inspect *inspect, const char *uri,
                                bool (*on_setting)(void *context, const struct berth_setting *setting),
                                void *context, struct berth_error *err);

    /**
     * Visits what a plugin holds of the host and of others, and what others hold of it: everything that keeps
     * a generation of it, or its module, in memory. Ends when the visitor returns false.
     *
     * @return BERTH_OK; BERTH_NOT_FOUND if no plugin has the URI.
     */
    enum berth_code (*holds)(const struct berth_inspect *inspect, const char *uri,
                             bool (*on_hold)(void *context, const struct berth_hold_info *hold),
                             void *context, struct berth_error *err);

    /**
     * Requests a change, which is done after all that were requested earlier.
     *
     * @param request  copied.
     * @return its number, from 1; 0 with BERTH_RESOURCE_EXHAUSTED in `ret_code` if too many are queued, or
     * BERTH_INVALID_ARGUMENT for subjects that do not fit its kind.
     */
    uint64_t (*request_change)(const struct berth_inspect *inspect,
                               const struct berth_change_request *request, enum berth_code *ret_code,
                               struct berth_error *err);
    /**
     * Waits for the report of a change; recent ones can still be had. `on_report` is called once, from the
     * top of the loop, and ends the wait. The report is NULL if the change still runs after a quarter of a
     * second: end the call and let the client ask again, because the change may be waiting for that very
     * call.
     *
     * @return to be passed to `leave_change` unless on_report was called; NULL: no such change, it was done
     * too long ago, or out of memory.
     */
    struct berth_change_wait *(*await_change)(const struct berth_inspect *inspect, uint64_t number,
                                              void (*on_report)(void *context,
                                                                const struct berth_change_report *report),
                                              void *context);
    /** Ends the wait; the change itself continues. */
    void (*leave_change)(const struct berth_inspect *inspect, struct berth_change_wait *wait);

    /**
     * Why a plugin cannot be unloaded now, in one line: "io.example.b.v1.b holds its interface, 3 calls in
     * flight, one timer"; "" if nothing holds it.
     *
     * @param ret_text  cut where it is longer than `size` bytes.
     * @return BERTH_OK; BERTH_NOT_FOUND if no plugin has the URI.
     */
    enum berth_code (*explain_holds)(const struct berth_inspect *inspect, const char *uri, char *ret_text,
                                     size_t size, struct berth_error *err);
    /**
     * Starts a plugin that starts when it is called, as a call of its services does; for servers that reach
     * plugins in other ways. Its state tells when it is ready or has failed: watch for changes.
     *
     * @return BERTH_OK: it runs; BERTH_PENDING: it will be started; BERTH_UNAVAILABLE with the reason: it
     * will not, because it does not start on call, or has failed recently; BERTH_NOT_FOUND.
     */
    enum berth_code (*activate)(const struct berth_inspect *inspect, const char *uri,
                                struct berth_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
