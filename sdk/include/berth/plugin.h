/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between the host and a module.
 *
 * A module is a shared object that contains two things: its manifest in an ELF note, which the host reads
 * before it loads anything, and one exported constant, `berth_module`, with a table for each plugin.
 * `berth-sdk generate` writes both from plugin.yaml; BERTH_NOTE and BERTH_MODULE below do so by hand.
 *
 * Every table begins with its size and only grows at its end; a member is used only if the size covers it.
 * Unless stated otherwise, everything here is called on the thread of the plugin's loop, and the receiver
 * copies any string it is passed.
 */
#ifndef BERTH_PLUGIN_H
#define BERTH_PLUGIN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <uv.h>

#include <berth/call.h>
#include <berth/error.h>
#include <berth/inspect.h>
#include <berth/outgoing.h>
#include <berth/remote.h>
#include <berth/router.h>
#include <berth/settings.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Incremented only when modules built for an earlier version can no longer be loaded. */
#define BERTH_ABI 1u

enum berth_log_level {
    /** The daemon or a plugin cannot do its job. */
    BERTH_LOG_ERROR = 0,
    /** Degraded; needs attention. */
    BERTH_LOG_WARN = 1,
    /** Lifecycle: a handful of lines per start. */
    BERTH_LOG_INFO = 2,
    BERTH_LOG_DEBUG = 3,
};

/** "error", "warn", "info" or "debug", as in the configuration; "unknown" for a value outside the enum. */
static inline const char *berth_log_level_name(enum berth_log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "unknown";
}

/** Longest line a plugin can log, including its NUL; longer lines are truncated. */
#define BERTH_LOG_MAX 2048

/** Steps that may return BERTH_PENDING and complete later. */
enum berth_step {
    BERTH_STEP_INIT = 0,
    BERTH_STEP_SERVE = 1,
    BERTH_STEP_DRAIN = 2,
    BERTH_STEP_CLOSE = 3,
};

/** Why an instance is drained and closed. */
enum berth_ending {
    /** The daemon is stopping. */
    BERTH_ENDING_STOPPING = 0,
    /** Another generation takes over, at once or with the next call: clients should call again at once. */
    BERTH_ENDING_REPLACED = 1,
    /** The plugin is stopped while the daemon keeps running. */
    BERTH_ENDING_REMOVED = 2,
};

/** Maximum size of the state that a plugin hands over to its next generation, in bytes. */
#define BERTH_STATE_MAX (64u * 1024 * 1024)

/** Where `save_state` writes to. */
struct berth_state_writer {
    uint32_t size;
    /**
     * Appends bytes, which are copied. Any number of times, until save_state returns.
     * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED past BERTH_STATE_MAX or without memory.
     */
    enum berth_code (*write)(const struct berth_state_writer *writer, const void *bytes, size_t length,
                             struct berth_error *err);
};

/** Another plugin's instance, and the table to use it with. Filled in by the host. */
struct berth_ref {
    const char *uri;
    /** The table that berth/types/… declares for the type; NULL if the plugin provides none. */
    const void *interface;
    void *instance;
    uint64_t generation;
};

/**
 * What `prepare` may use. It runs on its own thread, so it has neither the loop nor other plugins. Call these
 * functions on that thread only, and only until prepare returns.
 */
struct berth_prepare {
    uint32_t size;
    const char *uri;
    const struct berth_settings *settings;
    void (*log)(const struct berth_prepare *prepare, enum berth_log_level level, const char *text);
    /** As in struct berth_host. */
    enum berth_code (*root_dir)(const struct berth_prepare *prepare, const char **ret_path,
                                struct berth_error *err);
    enum berth_code (*state_dir)(const struct berth_prepare *prepare, const char **ret_path,
                                 struct berth_error *err);
    /**
     * True once the deadline has passed or the daemon is shutting down: return soon; the result will be
     * discarded.
     */
    bool (*is_cancelled)(const struct berth_prepare *prepare);
};

/** What `migrate` works on: the text of a configuration section written for an older version. */
struct berth_migration {
    uint32_t size;
    const char *uri;
    /** The version that the section was written for, and the version to migrate it to. */
    uint32_t from_version;
    uint32_t to_version;
    /**
     * The section so far, after the declared renames. Every scalar is a string, as written. `boolean`,
     * `integer` and `number` parse that text; `integer` also accepts a duration ("1m30s", in nanoseconds) and
     * a size ("4KiB", in bytes). If parsing fails, the migration fails with the value's file, line and column
     * after the callback returns, whatever it returns. Check `string` first if a value can be of several
     * kinds.
     */
    const struct berth_settings *settings;
    /**
     * Sets the value at a dotted path ("limits.burst") to a YAML text, replacing any earlier value and
     * creating the maps above it. A step with dots goes in double quotes: mirrors."docker.io".endpoint.
     * BERTH_INVALID_ARGUMENT if the text is not valid YAML; BERTH_RESOURCE_EXHAUSTED beyond 20,000 changes,
     * 100,000 values or 4 MiB, which fails the migration whatever it returns.
     */
    enum berth_code (*set)(const struct berth_migration *migration, const char *path, const char *yaml,
                           struct berth_error *err);
    /** Removes the value at a path; BERTH_NOT_FOUND if there is none. */
    enum berth_code (*remove)(const struct berth_migration *migration, const char *path);
    /**
     * Moves a value to another path, and with it the file, line and column that `berthd config dump --origin`
     * shows. If something is set at `to`, it stays, the value at `from` is removed, and the host reports
     * both.
     *
     * @return BERTH_OK; BERTH_NOT_FOUND if `from` is not set; BERTH_ALREADY_EXISTS if `to` is set;
     *         BERTH_FAILED_PRECONDITION if a step of `to` is not a map.
     */
    enum berth_code (*move)(const struct berth_migration *migration, const char *from, const char *to,
                            struct berth_error *err);
};

/** What `check` may use: the plugin's settings, complete and valid by their schema. */
struct berth_check {
    uint32_t size;
    const char *uri;
    const struct berth_settings *settings;
    /**
     * Reports a problem: BERTH_LOG_ERROR if the plugin cannot run with these settings, BERTH_LOG_WARN if it
     * can. Any number of times, until check returns.
     *
     * @param path  the setting, dotted ("limits.burst", "endpoints.2"); keys of maps may contain dots.
     *              NULL: the section as a whole.
     * @param text  what is wrong with the value, and what to do. The host adds file, line and column.
     */
    void (*problem)(const struct berth_check *check, enum berth_log_level level, const char *path,
                    const char *text);
};

/**
 * The way from other threads to the loop's. Counted: whoever holds it may post as long as it likes, also when
 * the host table is gone. Use berth_mailbox_get and the inline functions beside it.
 */
struct berth_mailbox {
    uint32_t size;
    enum berth_code (*post)(struct berth_mailbox *mailbox, void (*function)(void *data), void *data);
    void (*hold)(struct berth_mailbox *mailbox);
    void (*release)(struct berth_mailbox *mailbox);
};

/** Where a server listens; see berth_listen. All but `address` may be 0. */
struct berth_listen {
    uint32_t size;
    /** The path of a unix socket; or an IP address and port, as 127.0.0.1:50051, where port 0 is any free
     * one. */
    const char *address;
    /** Connections that may wait to be accepted; 0: 1024. */
    uint32_t backlog;
    /** Of a unix socket: its permission bits; 0: 0660. */
    uint32_t mode;
    /** Of a unix socket: its owner and group; (uint32_t)-1 leaves one of them. Only used with `set_owner`. */
    bool set_owner;
    uint32_t uid;
    uint32_t gid;
};

/** How many posted functions of one plugin may be waiting. */
#define BERTH_POSTS_MAX 65536u

/**
 * The plugin's access to the host. Each plugin has its own, passed as the first argument of every function
 * and valid from init until close has completed. Use the inline functions below; they check `size` where
 * needed.
 *
 * Only berth_log, berth_post and berth_mailbox_get are for every thread. The others are for the loop's: on
 * another one the host logs who called, returns BERTH_FAILED_PRECONDITION or NULL, and changes nothing.
 */
struct berth_host {
    uint32_t size;
    /** "io.containerd.grpc.v1.greeter", and its two parts. */
    const char *uri;
    const char *type;
    const char *id;
    uint64_t generation;

    /** The loop of this instance. Do not compare, share, run, stop or close it. */
    uv_loop_t *loop;
    const struct berth_settings *settings;
    /** For servers. */
    const struct berth_router *router;
    const struct berth_inspect *inspect;

    bool (*logs)(const struct berth_host *host, enum berth_log_level level);
    void (*log)(const struct berth_host *host, enum berth_log_level level, const char *text);
    enum berth_code (*root_dir)(const struct berth_host *host, const char **ret_path,
                                struct berth_error *err);
    enum berth_code (*state_dir)(const struct berth_host *host, const char **ret_path,
                                 struct berth_error *err);
    enum berth_code (*get)(const struct berth_host *host, const char *uri, struct berth_ref *ret_ref,
                           struct berth_error *err);
    enum berth_code (*get_single)(const struct berth_host *host, const char *type, struct berth_ref *ret_ref,
                                  struct berth_error *err);
    enum berth_code (*each)(const struct berth_host *host, const char *type,
                            bool (*on_ref)(void *context, const struct berth_ref *ref), void *context,
                            struct berth_error *err);
    enum berth_code (*add_export)(const struct berth_host *host, const char *key, const char *value);
    enum berth_code (*add_platform)(const struct berth_host *host, const char *os, const char *architecture,
                                    const char *variant);
    enum berth_code (*add_capability)(const struct berth_host *host, const char *capability);
    struct berth_hold *(*hold)(const struct berth_host *host, const char *what);
    void (*release)(const struct berth_host *host, struct berth_hold *hold);
    enum berth_code (*intercept)(const struct berth_host *host, const struct berth_interceptor *interceptor,
                                 void *self, struct berth_error *err);
    void (*admit)(const struct berth_host *host, struct berth_call *call, enum berth_code code,
                  const char *message);
    void (*complete)(const struct berth_host *host, enum berth_step step, enum berth_code code,
                     void *instance, const char *message);
    void (*fail)(const struct berth_host *host, enum berth_code code, const char *message);
    void (*report)(const struct berth_host *host, enum berth_code code, const char *message);
    /** Of this instance. */
    struct berth_mailbox *mailbox;
    void (*report_misuse)(const struct berth_host *host, const char *what, const void *caller);
    void (*enter)(const struct berth_host *host, const char *what);
    void (*leave)(const struct berth_host *host);
    /** Set before drain and close are called; see berth_ending_of. */
    enum berth_ending ending;
    struct berth_holding *(*note_holding)(const struct berth_host *host, const char *what,
                                          const void *caller);
    void (*end_holding)(const struct berth_host *host, struct berth_holding *holding);
    enum berth_code (*start_outgoing)(const struct berth_host *host,
                                      const struct berth_outgoing_options *options,
                                      const struct berth_outgoing_handlers *handlers, void *context,
                                      struct berth_outgoing **ret_call, struct berth_error *err);
    enum berth_code (*listen)(const struct berth_host *host, const struct berth_listen *request, int *ret_fd,
                              struct berth_error *err);
    void (*unlisten)(const struct berth_host *host, const char *address);
    struct berth_holding *(*note_revocable)(const struct berth_host *host, const char *what,
                                            const void *caller, void (*revoke)(void *context), void *context);
};

/**
 * One plugin. Every member after `id` may be NULL. Static and constant.
 *
 * A callback that returns a code returns BERTH_OK when it has finished. Where documented, it may return
 * BERTH_PENDING instead; then exactly one `complete` must follow for that step. Any other code means that the
 * step has failed and undone its own work, and that no completion will follow.
 */
struct berth_plugin {
    uint32_t size;
    /** As in the manifest. */
    const char *type;
    const char *id;

    /**
     * Does blocking work before init, on its own thread.
     * @param ret_prepared  passed to init, or to `discard` if init is not called.
     * @return BERTH_OK, BERTH_SKIP with a reason, or an error.
     */
    enum berth_code (*prepare)(const struct berth_prepare *prepare, void **ret_prepared,
                               struct berth_error *err);
    /** Frees what prepare made. Called on any thread. */
    void (*discard)(void *prepared);

    /**
     * Creates the instance. Everything it requires is ready.
     * @param prepared      from prepare; NULL without one. Owned by init from here on, whatever it returns.
     * @param ret_instance  passed to every later callback, and to plugins that fetch this one.
     * @return BERTH_OK; BERTH_PENDING; BERTH_SKIP with a reason; or an error.
     */
    enum berth_code (*init)(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err);

    /** All plugins have settled: listen, connect, start work. May return BERTH_PENDING. */
    enum berth_code (*serve)(const struct berth_host *host, void *instance, struct berth_error *err);

    /**
     * Finish what is in flight and end what does not end by itself. May return BERTH_PENDING.
     *
     * If the daemon stops (berth_ending_of: BERTH_ENDING_STOPPING), refuse new work; close follows at the
     * deadline regardless. With BERTH_ENDING_REPLACED and BERTH_ENDING_REMOVED the host keeps new calls away,
     * and close may not follow: the change may be given up, and then this instance goes on and may be drained
     * again later. So refuse nothing for good there, and keep what calls need.
     */
    enum berth_code (*drain)(const struct berth_host *host, void *instance, struct berth_error *err);

    /**
     * Releases everything: memory, handles (wait for their close callbacks), descriptors. May return
     * BERTH_PENDING. Called once per instance, whether or not it served.
     */
    enum berth_code (*close)(const struct berth_host *host, void *instance, struct berth_error *err);

    /** The table of this plugin's type, from berth/types/…, with which other plugins use an instance. */
    const void *interface;

    /** NULL-terminated: the exported services, exactly those listed in the manifest. */
    const struct berth_service *const *services;

    /** Migrates a section of an older version, after the declared renames. Has no instance and no loop. */
    enum berth_code (*migrate)(const struct berth_migration *migration, struct berth_error *err);

    /**
     * Checks what a schema cannot express: settings that exclude each other, a certificate that does not
     * match its key. Called in `berthd config check --load`, and before prepare and init, which are not
     * called if it reports an error. Has no instance and no loop. It may read files, but must not connect
     * anywhere, change anything or take long.
     */
    void (*check)(const struct berth_check *check);

    /**
     * Applies changed settings while the instance runs. `host->settings` already has the changed section,
     * checked as at startup. To be listed under `callbacks` in the manifest. A reload calls it too if no
     * setting but a file that one of `format: file` names has changed, such as a certificate.
     *
     * @param before  the previous settings; valid until this returns.
     * @return BERTH_OK: they are in effect; BERTH_RESTART: they require a restart of the plugin, which the
     * host does next; an error: nothing has changed, and `before` is in effect again.
     */
    enum berth_code (*reconfigure)(const struct berth_host *host, void *instance,
                                   const struct berth_settings *before, struct berth_error *err);

    /**
     * Hands over the state to the next generation: called after drain, when no call is in flight. Its version
     * is `state.writes` of the manifest. Afterwards the instance is closed, or keeps running if the change is
     * abandoned.
     */
    enum berth_code (*save_state)(const struct berth_host *host, void *instance,
                                  const struct berth_state_writer *writer, struct berth_error *err);

    /**
     * Takes the state that the previous generation saved: called after init, before any call arrives. An
     * error abandons the change, and the previous generation keeps running.
     *
     * @param version  one of `state.reads` of the manifest.
     * @param bytes    valid until this returns.
     */
    enum berth_code (*load_state)(const struct berth_host *host, void *instance, uint32_t version,
                                  const void *bytes, size_t length, struct berth_error *err);

    /**
     * NULL-terminated: how the interfaces listed under `remote` in the manifest are used across processes.
     * That of the plugin's own `interface` comes first, if it is among them.
     */
    const struct berth_remote *const *remote;
};

/**
 * What a module exports under the name `berth_module`. The host checks the first members before it uses any
 * other.
 */
struct berth_module {
    uint32_t abi;
    uint32_t size;
    /** 64-bit FNV-1a hash of the note's text; 0 if the build cannot know it. */
    uint64_t note_hash;
    /** UV_VERSION_HEX and the sizes of libuv's handles when the module was compiled. */
    uint32_t uv_version;
    uint32_t uv_loop_size;
    uint32_t uv_async_size;
    uint32_t uv_pipe_size;
    uint32_t uv_poll_size;
    uint32_t uv_process_size;
    uint32_t uv_tcp_size;
    uint32_t uv_timer_size;
    /** NULL-terminated. */
    const struct berth_plugin *const *plugins;
};

/** The symbol that the host looks up. */
#define BERTH_MODULE_SYMBOL "berth_module"

/** The note's owner and type, and the maximum size of its text in bytes. */
#define BERTH_NOTE_OWNER "berth"
#define BERTH_NOTE_TYPE 1u
#define BERTH_NOTE_MAX 65536u

#define BERTH_MODULE_INIT(hash, table)                                                                       \
    {                                                                                                        \
        BERTH_ABI, (uint32_t)sizeof(struct berth_module), (hash), UV_VERSION_HEX,                            \
            (uint32_t)sizeof(uv_loop_t), (uint32_t)sizeof(uv_async_t), (uint32_t)sizeof(uv_pipe_t),          \
            (uint32_t)sizeof(uv_poll_t), (uint32_t)sizeof(uv_process_t), (uint32_t)sizeof(uv_tcp_t),         \
            (uint32_t)sizeof(uv_timer_t), (table)                                                            \
    }

#ifdef __cplusplus
#define BERTH_LINKAGE extern "C"
#else
#define BERTH_LINKAGE
#endif

/**
 * Embeds the manifest in the module at compile time: `yaml` is a string literal with the text of a
 * plugin.yaml. Exactly once per module, at file scope. (`__extension__` because -Wpedantic rejects string
 * literals longer than 4095 bytes.)
 */
#define BERTH_NOTE(yaml)                                                                                     \
    __extension__ struct berth_note {                                                                        \
        uint32_t owner_length, text_length, type;                                                            \
        char owner[8];                                                                                       \
        char text[sizeof(yaml)];                                                                             \
    };                                                                                                       \
    __extension__ BERTH_LINKAGE                                                                              \
        __attribute__((section(".note.berth"), used, aligned(4), visibility("hidden")))                      \
        const struct berth_note berth_note_of_this_module = {(uint32_t)sizeof(BERTH_NOTE_OWNER),             \
                                                             (uint32_t)sizeof(yaml), BERTH_NOTE_TYPE,        \
                                                             BERTH_NOTE_OWNER, yaml}

/**
 * Exports the module without the generator, after BERTH_NOTE. The arguments are pointers to plugin tables.
 *
 *     BERTH_NOTE("module: greeter\nversion: 1.0.0\nplugins:\n  - {type: io.example.v1, id: greeter}\n");
 *     static const struct berth_plugin greeter = {
 *         .size = sizeof(greeter), .type = "io.example.v1", .id = "greeter"};
 *     BERTH_MODULE(&greeter);
 */
#define BERTH_MODULE(...)                                                                                    \
    static const struct berth_plugin *const berth_plugins_of_this_module[] = {__VA_ARGS__, NULL};            \
    BERTH_LINKAGE __attribute__((used, visibility("default"))) const struct berth_module berth_module =      \
        BERTH_MODULE_INIT(0, berth_plugins_of_this_module)

/** Does the host's table include this member, and is it set? */
#define BERTH_HAS(table, member)                                                                             \
    ((table)->size >= offsetof(__typeof__(*(table)), member) + sizeof((table)->member) && (table)->member)

/** Logs one line, without a trailing newline; data as key=value. The host adds the plugin's URI. */
BERTH_PRINTF(3, 4)
static inline void berth_log(const struct berth_host *host, enum berth_log_level level, const char *format,
                             ...)
{
    char text[BERTH_LOG_MAX];
    va_list arguments;

    if (!host->logs(host, level))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    host->log(host, level, text);
}

/** berth_log for prepare. */
BERTH_PRINTF(3, 4)
static inline void berth_prepare_log(const struct berth_prepare *prepare, enum berth_log_level level,
                                     const char *format, ...)
{
    char text[BERTH_LOG_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    prepare->log(prepare, level, text);
}

/** Reports a problem with a setting from check; see struct berth_check. */
BERTH_PRINTF(4, 5)
static inline void berth_check_problem(const struct berth_check *check, enum berth_log_level level,
                                       const char *path, const char *format, ...)
{
    char text[BERTH_LOG_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    check->problem(check, level, path, text);
}

/**
 * The directory for data that must survive a restart: `root`/<uri>, created at the first call with mode 0700.
 * @param ret_path  valid as long as the host table.
 */
static inline enum berth_code berth_root_dir(const struct berth_host *host, const char **ret_path,
                                             struct berth_error *err)
{
    return host->root_dir(host, ret_path, err);
}

/** The directory for data that need not survive a restart: `state`/<uri>. As berth_root_dir. */
static inline enum berth_code berth_state_dir(const struct berth_host *host, const char **ret_path,
                                              struct berth_error *err)
{
    return host->state_dir(host, ret_path, err);
}

/**
 * Fetches an instance by its URI. The plugin must be listed under requires or wants in the manifest.
 *
 * @param ret_ref  valid until this plugin's own close has completed.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if it is not listed or not ready; BERTH_NOT_FOUND.
 */
static inline enum berth_code berth_get(const struct berth_host *host, const char *uri,
                                        struct berth_ref *ret_ref, struct berth_error *err)
{
    return host->get(host, uri, ret_ref, err);
}

/**
 * Fetches the only ready instance of a type.
 * @return BERTH_OK; BERTH_NOT_FOUND if there is none; BERTH_FAILED_PRECONDITION if there are several, which
 *         `err` names, or if the type is not listed in the manifest.
 */
static inline enum berth_code berth_get_single(const struct berth_host *host, const char *type,
                                               struct berth_ref *ret_ref, struct berth_error *err)
{
    return host->get_single(host, type, ret_ref, err);
}

/** Visits the ready instances of a listed type in the plan's order until the visitor returns false. */
static inline enum berth_code berth_each(const struct berth_host *host, const char *type,
                                         bool (*on_ref)(void *context, const struct berth_ref *ref),
                                         void *context, struct berth_error *err)
{
    return host->each(host, type, on_ref, context, err);
}

/**
 * Publishes a key and value shown in listings, such as "root" = "/var/lib/…". Replaces an earlier value.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for text that does not fit a line, and for keys that begin with
 * "berth.", which are reserved for the daemon; BERTH_RESOURCE_EXHAUSTED for too many.
 */
static inline enum berth_code berth_add_export(const struct berth_host *host, const char *key,
                                               const char *value)
{
    return host->add_export(host, key, value);
}

/** Publishes a platform, such as "linux" and "amd64"; `variant` may be NULL. */
static inline enum berth_code berth_add_platform(const struct berth_host *host, const char *os,
                                                 const char *architecture, const char *variant)
{
    return host->add_platform(host, os, architecture, variant);
}

/** Publishes a capability: a word that clients look for. */
static inline enum berth_code berth_add_capability(const struct berth_host *host, const char *capability)
{
    return host->add_capability(host, capability);
}

/**
 * Delays the daemon's report that it is ready until released; nothing else waits. Only until the plugin's
 * init or serve has completed.
 *
 * @return NULL if that is too late.
 */
static inline struct berth_hold *berth_hold(const struct berth_host *host, const char *what)
{
    return host->hold(host, what);
}

/** Releases a hold. Accepts NULL. */
static inline void berth_release(const struct berth_host *host, struct berth_hold *hold)
{
    host->release(host, hold);
}

/** Adds an interceptor around every call for as long as this instance lives. During init only. */
static inline enum berth_code berth_intercept(const struct berth_host *host,
                                              const struct berth_interceptor *interceptor, void *self,
                                              struct berth_error *err)
{
    return host->intercept(host, interceptor, self, err);
}

/**
 * Starts a call of a service of this daemon, by path: see <berth/outgoing.h>. From init until close begins;
 * calls that are still open then end with CANCELLED before the plugin's close is called. If init fails, no
 * callback follows.
 *
 * @param handlers  borrowed until on_end has returned; usually static.
 * @param ret_call  may be NULL.
 * @return BERTH_OK: exactly one on_end follows, also if there is no such service or its plugin is not
 *         running. Otherwise none does: BERTH_INVALID_ARGUMENT for a path or metadata that cannot be sent;
 *         BERTH_RESOURCE_EXHAUSTED with BERTH_OUTGOING_CALLS_MAX open, too much metadata, or without memory;
 *         BERTH_UNAVAILABLE once close has begun or init has failed; BERTH_UNIMPLEMENTED by an older host.
 */
static inline enum berth_code berth_outgoing_start(const struct berth_host *host,
                                                   const struct berth_outgoing_options *options,
                                                   const struct berth_outgoing_handlers *handlers,
                                                   void *context, struct berth_outgoing **ret_call,
                                                   struct berth_error *err)
{
    return BERTH_HAS(host, start_outgoing)
               ? host->start_outgoing(host, options, handlers, context, ret_call, err)
               : berth_error_set(err, BERTH_UNIMPLEMENTED,
                                 "calls of other services are not possible here: the host is too old");
}

/** Completes an init that returned BERTH_PENDING: the instance is ready. */
static inline void berth_complete_init(const struct berth_host *host, void *instance)
{
    host->complete(host, BERTH_STEP_INIT, BERTH_OK, instance, NULL);
}

/** Completes a pending init with BERTH_SKIP or an error. The plugin has undone its own work. */
static inline void berth_fail_init(const struct berth_host *host, enum berth_code code, const char *message)
{
    host->complete(host, BERTH_STEP_INIT, code, NULL, message);
}

/** Completes a pending serve, drain or close; with BERTH_OK `message` may be NULL. */
static inline void berth_complete(const struct berth_host *host, enum berth_step step, enum berth_code code,
                                  const char *message)
{
    host->complete(host, step, code, NULL, message);
}

/**
 * Reports that a ready instance can no longer do its job. It is listed as failed; close still follows. (In
 * parentheses below because cmocka defines a macro of this name.)
 */
static inline void berth_fail(const struct berth_host *host, enum berth_code code, const char *message)
{
    (host->fail)(host, code, message);
}

/**
 * Reports the condition of an instance that keeps running. With any code but BERTH_OK it is listed as
 * degraded, with the message, and the health service returns NOT_SERVING for its services and for those of
 * plugins that require it. BERTH_OK: recovered; `message` may be NULL. The last report counts.
 */
static inline void berth_report(const struct berth_host *host, enum berth_code code, const char *message)
{
    if (BERTH_HAS(host, report))
        host->report(host, code, message);
}

/**
 * Has the loop's thread call `function(data)`, from the top of the loop: after this has returned BERTH_OK
 * exactly once, in the order of the posts of one plugin, and before the plugin's close is called. What a
 * posted function posts runs in a later turn, so long work can post itself to continue. Where init fails,
 * what has not run by then is dropped. From any thread, which must have ended before close returns:
 * see berth_mailbox_get for others.
 *
 * @return BERTH_OK; BERTH_UNAVAILABLE once close has begun or init has failed; BERTH_RESOURCE_EXHAUSTED if
 *         BERTH_POSTS_MAX are waiting or memory is out; BERTH_UNIMPLEMENTED by an older host. `function` is
 * not called then: `data` stays the caller's.
 */
static inline enum berth_code berth_post(const struct berth_host *host, void (*function)(void *data),
                                         void *data)
{
    return BERTH_HAS(host, mailbox) ? host->mailbox->post(host->mailbox, function, data)
                                    : BERTH_UNIMPLEMENTED;
}

/**
 * For a thread that may outlive the instance: berth_mailbox_post is then refused, and nothing else happens.
 *
 * @return to be given back with berth_mailbox_release, on any thread; NULL by an older host.
 */
static inline struct berth_mailbox *berth_mailbox_get(const struct berth_host *host)
{
    if (!BERTH_HAS(host, mailbox))
        return NULL;
    host->mailbox->hold(host->mailbox);
    return host->mailbox;
}

/** As berth_post. */
static inline enum berth_code berth_mailbox_post(struct berth_mailbox *mailbox, void (*function)(void *data),
                                                 void *data)
{
    return mailbox->post(mailbox, function, data);
}

/** NULL is fine. */
static inline void berth_mailbox_release(struct berth_mailbox *mailbox)
{
    if (mailbox != NULL)
        mailbox->release(mailbox);
}

/**
 * Around what a callback does that libuv calls directly, which the host does not see: its time is then the
 * plugin's in `berthctl top`, and a callback that takes long or crashes is named with `what`. Without these
 * it is unattributed. On the loop's thread; every enter needs its leave before the callback returns. What
 * others do in calls that it makes meanwhile is theirs.
 *
 * @param what  "read"; lives as long as the module.
 */
static inline void berth_enter(const struct berth_host *host, const char *what)
{
    if (BERTH_HAS(host, enter))
        host->enter(host, what);
}

/** @see berth_enter */
static inline void berth_leave(const struct berth_host *host)
{
    if (BERTH_HAS(host, leave))
        host->leave(host);
}

/**
 * For a plugin whose interface others use: one of them has broken the contract of that interface. The host
 * logs it with the name of that plugin, once for each place in its code, and counts it against it.
 *
 * @param what    what was done, and what has come of it: "left a snapshot of the store open; closed".
 * @param caller  an address in the code that did it: __builtin_return_address(0) in a function of the
 * interface.
 */
static inline void berth_report_misuse(const struct berth_host *host, const char *what, const void *caller)
{
    if (BERTH_HAS(host, report_misuse))
        host->report_misuse(host, what, caller);
}

/** For drain and close: why they are called. On an older host always BERTH_ENDING_STOPPING. */
static inline enum berth_ending berth_ending_of(const struct berth_host *host)
{
    return BERTH_HAS(host, ending) ? host->ending : BERTH_ENDING_STOPPING;
}

/**
 * For a plugin whose interface others use: records that one of them holds something of it, such as a
 * subscription or a snapshot. The host lists it under what the holder holds, and does not unload the holder's
 * module until berth_end_holding.
 *
 * @param what    "a subscription to events"; copied.
 * @param caller  an address in the holder's code: the callback it has passed, or __builtin_return_address(0)
 *                in a function of the interface.
 * @return to be passed to berth_end_holding; NULL by an older host or without memory.
 */
static inline struct berth_holding *berth_note_holding(const struct berth_host *host, const char *what,
                                                       const void *caller)
{
    return BERTH_HAS(host, note_holding) ? host->note_holding(host, what, caller) : NULL;
}

/**
 * As berth_note_holding, for what can be taken back: if the holder's init fails, nothing of it may be called
 * any more, and the host calls `revoke(context)`.
 *
 * @param revoke  ends it as the holder would have, whereby berth_end_holding is called. From the loop's
 *                thread, as long as this plugin's instance lives.
 */
static inline struct berth_holding *berth_note_revocable(const struct berth_host *host, const char *what,
                                                         const void *caller, void (*revoke)(void *context),
                                                         void *context)
{
    return BERTH_HAS(host, note_revocable) ? host->note_revocable(host, what, caller, revoke, context)
                                           : berth_note_holding(host, what, caller);
}

/** Ends what berth_note_holding or berth_note_revocable recorded. Accepts NULL. */
static inline void berth_end_holding(const struct berth_host *host, struct berth_holding *holding)
{
    if (holding != NULL && BERTH_HAS(host, end_holding))
        host->end_holding(host, holding);
}

/**
 * For servers: gets a listening socket that the host opens and keeps for the address. Later generations of
 * the plugin get the same socket, so that clients wait in its backlog meanwhile and none is refused. The
 * service manager may have opened it, or kept it from an earlier run of the daemon. While one plugin listens
 * on an address, no other can.
 *
 * A later call for the same address gives a unix socket a changed mode and owner.
 *
 * @param ret_fd  A descriptor of the caller's own, non-blocking and closed on exec; closing it leaves the
 *                socket open. NULL: none is needed.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an address that cannot be parsed or a path that is too long;
 *         BERTH_ALREADY_EXISTS if another plugin or process listens there, which `err` names, or the path is
 *         not a socket; BERTH_NOT_FOUND (no such directory), BERTH_PERMISSION_DENIED,
 *         BERTH_RESOURCE_EXHAUSTED or BERTH_UNAVAILABLE with the reason; BERTH_UNIMPLEMENTED by an older
 * host.
 */
static inline enum berth_code berth_listen(const struct berth_host *host, const struct berth_listen *request,
                                           int *ret_fd, struct berth_error *err)
{
    if (BERTH_HAS(host, listen))
        return (host->listen)(host, request, ret_fd, err);
    return berth_error_set(err, BERTH_UNIMPLEMENTED, "this host keeps no sockets for its plugins");
}

/**
 * This instance no longer listens on an address that it passed to berth_listen; it has closed its
 * descriptors. Where no other generation does, the host closes the socket once the change of which this is a
 * part is complete. Implied by the end of the instance.
 */
static inline void berth_unlisten(const struct berth_host *host, const char *address)
{
    if (BERTH_HAS(host, unlisten))
        host->unlisten(host, address);
}

#ifdef __cplusplus
}
#endif

#endif
