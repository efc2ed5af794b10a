/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between the host and a module.
 *
 * A module is a shared object with two things in it: an ELF note with its manifest, which the host reads
 * before it loads anything, and one exported constant, `berth_module`, which points at a table for each
 * plugin. `berth-sdk generate` writes both from plugin.yaml; BERTH_NOTE and BERTH_MODULE below make them by
 * hand.
 *
 * Tables only grow at their end and begin with their size; a member is used only where the size reaches it.
 * Unless a line says otherwise everything here is called on the thread of the loop that the plugin was given,
 * and strings that are handed over are copied by whoever receives them.
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
#include <berth/router.h>
#include <berth/settings.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Changes only where an old module cannot be served any more. */
#define BERTH_ABI 1u

enum berth_log_level {
    /** The daemon or a plugin cannot do its job. */
    BERTH_LOG_ERROR = 0,
    /** Degraded: somebody should look. */
    BERTH_LOG_WARN = 1,
    /** Lifecycle: a handful of lines a start. */
    BERTH_LOG_INFO = 2,
    BERTH_LOG_DEBUG = 3,
};

/** The longest line a plugin can log, with its NUL; longer ones are cut. */
#define BERTH_LOG_MAX 2048

/** The steps of a life that may answer BERTH_PENDING and be completed later. */
enum berth_step {
    BERTH_STEP_INIT = 0,
    BERTH_STEP_SERVE = 1,
    BERTH_STEP_DRAIN = 2,
    BERTH_STEP_CLOSE = 3,
};

/** An instance that another plugin made, and the table through which it is used. Filled in by the host. */
struct berth_ref {
    const char *uri;
    /** What berth/types/… declares for the type; NULL where the plugin offers no table. */
    const void *interface;
    void *instance;
    uint64_t generation;
};

/**
 * What `prepare` can see. It runs on a thread of its own, so it has neither the loop nor other plugins.
 * Its functions may be called on that thread only, while prepare runs.
 */
struct berth_prepare {
    uint32_t size;
    const char *uri;
    const struct berth_settings *settings;
    void (*log)(const struct berth_prepare *prepare, enum berth_log_level level, const char *text);
    /** As of berth_host. */
    enum berth_code (*root_dir)(const struct berth_prepare *prepare, const char **ret_path,
                                struct berth_error *err);
    enum berth_code (*state_dir)(const struct berth_prepare *prepare, const char **ret_path,
                                 struct berth_error *err);
    /** Its deadline has passed or the daemon stops: return soon, the result will be discarded. */
    bool (*is_cancelled)(const struct berth_prepare *prepare);
};

/** What a callback for `migrate` works on: the plugin's section in an older version, as text. */
struct berth_migration {
    uint32_t size;
    const char *uri;
    /** The version the section was written for, and the one it is to become. */
    uint32_t from_version;
    uint32_t to_version;
    /**
     * The section as it stands, after the declared renames. Each single value is a string, as it was
     * written. boolean, integer and number read that text, integer also a duration ("1m30s", nanoseconds) and
     * a size ("4KiB", bytes). Where the text is no such value the migration fails with its place when the
     * callback has returned, whatever it returns: look at `string` first where several kinds may be there.
     */
    const struct berth_settings *settings;
    /**
     * Sets a value, given as YAML text, at a dotted path ("limits.burst"), making the maps on the way;
     * replaces what was there. BERTH_INVALID_ARGUMENT where the text is no YAML.
     */
    enum berth_code (*set)(const struct berth_migration *migration, const char *path, const char *yaml,
                           struct berth_error *err);
    /** Removes what is at the path; BERTH_NOT_FOUND where there is nothing. */
    enum berth_code (*remove)(const struct berth_migration *migration, const char *path);
};

/** What `check` can see: the plugin's settings, complete and passed by their schema. */
struct berth_check {
    uint32_t size;
    const char *uri;
    const struct berth_settings *settings;
    /**
     * Names a problem: BERTH_LOG_ERROR where the plugin cannot run with these settings, BERTH_LOG_WARN where
     * it can. As often as there are problems, only while check runs.
     *
     * @param path  the setting, dotted ("limits.burst", "endpoints.2"); NULL for the section as a whole.
     * @param text  what is wrong with the value, and what to do. The host adds the file, line and column.
     */
    void (*problem)(const struct berth_check *check, enum berth_log_level level, const char *path,
                    const char *text);
};

/**
 * All that a plugin can see of the host, made for it alone: every function takes this table first. It is
 * valid from init until close has ended. Use the inline functions below: they look at `size`.
 */
struct berth_host {
    uint32_t size;
    /** "io.containerd.grpc.v1.greeter" and its parts. */
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
};

/**
 * One plugin. Every member after `id` may be NULL. Static and constant.
 *
 * The callbacks that return a code answer with BERTH_OK when they are done, and where the text says so with
 * BERTH_PENDING when exactly one `complete` follows for that step. Any other code means that the step
 * failed, has undone its own work, and that no completion ever follows.
 */
struct berth_plugin {
    uint32_t size;
    /** As in the manifest. */
    const char *type;
    const char *id;

    /**
     * Does what blocks, on a thread of its own, before init.
     * @param ret_prepared  handed to init, or to `discard` where init will not come.
     * @return BERTH_OK, BERTH_SKIP with a reason, or a failure.
     */
    enum berth_code (*prepare)(const struct berth_prepare *prepare, void **ret_prepared,
                               struct berth_error *err);
    /** Frees what prepare made. On any thread. */
    void (*discard)(void *prepared);

    /**
     * Makes the instance. All that it requires is ready.
     * @param prepared      from prepare, owned by init from here on whatever it returns; NULL without one.
     * @param ret_instance  handed back in every later callback and given to the plugins that fetch it.
     * @return BERTH_OK; BERTH_PENDING; BERTH_SKIP with a reason; or a failure.
     */
    enum berth_code (*init)(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err);

    /** All plugins have settled: listen, dial, begin. May answer BERTH_PENDING. */
    enum berth_code (*serve)(const struct berth_host *host, void *instance, struct berth_error *err);

    /** Refuse new work and end the old. May answer BERTH_PENDING; past the deadline close comes all the same.
     */
    enum berth_code (*drain)(const struct berth_host *host, void *instance, struct berth_error *err);

    /**
     * Gives everything back: memory, handles (wait for their close callbacks), descriptors. May answer
     * BERTH_PENDING. Comes once for each instance, whether or not it served.
     */
    enum berth_code (*close)(const struct berth_host *host, void *instance, struct berth_error *err);

    /** The table of this plugin's type, from berth/types/…, through which others use an instance. */
    const void *interface;

    /** NULL-ended: what it exports. Every service is named in the manifest and the other way round. */
    const struct berth_service *const *services;

    /** Brings a section of an older version up to date, after the declared renames. No instance, no loop. */
    enum berth_code (*migrate)(const struct berth_migration *migration, struct berth_error *err);

    /**
     * Judges settings beyond what a schema can say: two that exclude each other, a certificate that does not
     * fit its key. Runs in `berthd config check --load`, and before prepare and init, which do not come where
     * it names an error. No instance, no loop; may read files, must not connect anywhere, change anything or
     * take long.
     */
    void (*check)(const struct berth_check *check);
};

/**
 * What a module exports, under the name `berth_module`. The host compares the first members with its own
 * before it touches anything else.
 */
struct berth_module {
    uint32_t abi;
    uint32_t size;
    /** FNV-1a, 64 bits, of the note's text; 0 where the author's way of building cannot know it. */
    uint64_t note_hash;
    /** UV_VERSION_HEX and the sizes of the handles, as the author compiled them. */
    uint32_t uv_version;
    uint32_t uv_loop_size;
    uint32_t uv_async_size;
    uint32_t uv_pipe_size;
    uint32_t uv_poll_size;
    uint32_t uv_process_size;
    uint32_t uv_tcp_size;
    uint32_t uv_timer_size;
    /** NULL-ended. */
    const struct berth_plugin *const *plugins;
};

/** The symbol that a host looks up. */
#define BERTH_MODULE_SYMBOL "berth_module"

/** The note's owner, its type, and the most text it may hold in bytes. */
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
 * Puts the manifest into the module, at compile time: `yaml` is a string literal with the text of a
 * plugin.yaml. Exactly once in a module, at file scope. (As an extension, so that -Wpedantic takes a text of
 * more than 4095 bytes.)
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
 * Exports the module by hand, after BERTH_NOTE: its arguments are pointers to plugin tables.
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

/** Does the host's table reach this member, and is it there? */
#define BERTH_HAS(table, member)                                                                             \
    ((table)->size >= offsetof(__typeof__(*(table)), member) + sizeof((table)->member) && (table)->member)

/** Logs one line: no newline at its end; data as key=value. The host adds the plugin's URI. */
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

/** The same from prepare. */
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

/** Names a problem with a setting, from check: see berth_check. */
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
 * The folder for what must survive a restart: `root`/<uri>, made on first ask with mode 0700.
 * @param ret_path  lives as long as the host table.
 */
static inline enum berth_code berth_root_dir(const struct berth_host *host, const char **ret_path,
                                             struct berth_error *err)
{
    return host->root_dir(host, ret_path, err);
}

/** The folder for what need not: `state`/<uri>, as berth_root_dir. */
static inline enum berth_code berth_state_dir(const struct berth_host *host, const char **ret_path,
                                              struct berth_error *err)
{
    return host->state_dir(host, ret_path, err);
}

/**
 * Fetches an instance by its URI. What is fetched must stand under requires or wants in the manifest.
 *
 * @param ret_ref  valid until this plugin's own close has ended.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION where it was not declared or is not ready; BERTH_NOT_FOUND.
 */
static inline enum berth_code berth_get(const struct berth_host *host, const char *uri,
                                        struct berth_ref *ret_ref, struct berth_error *err)
{
    return host->get(host, uri, ret_ref, err);
}

/**
 * Fetches the only ready instance of a type.
 * @return BERTH_OK; BERTH_NOT_FOUND for none; BERTH_FAILED_PRECONDITION for several, which it names, or where
 *         the type was not declared.
 */
static inline enum berth_code berth_get_single(const struct berth_host *host, const char *type,
                                               struct berth_ref *ret_ref, struct berth_error *err)
{
    return host->get_single(host, type, ret_ref, err);
}

/** Visits every ready instance of a declared type in the plan's order, until the visitor returns false. */
static inline enum berth_code berth_each(const struct berth_host *host, const char *type,
                                         bool (*on_ref)(void *context, const struct berth_ref *ref),
                                         void *context, struct berth_error *err)
{
    return host->each(host, type, on_ref, context, err);
}

/** Publishes a fact that listings show, such as export "root" = "/var/lib/…". Replaces an earlier value. */
static inline enum berth_code berth_add_export(const struct berth_host *host, const char *key,
                                               const char *value)
{
    return host->add_export(host, key, value);
}

/** Publishes a platform, "linux", "amd64"; `variant` may be NULL. */
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
 * Keeps the daemon from saying that it is ready until released; nobody else waits. Only until the
 * plugin's init or serve has completed. @return NULL where it is too late.
 */
static inline struct berth_hold *berth_hold(const struct berth_host *host, const char *what)
{
    return host->hold(host, what);
}

/** Lets go of a hold. NULL is fine. */
static inline void berth_release(const struct berth_host *host, struct berth_hold *hold)
{
    host->release(host, hold);
}

/** Adds hooks around every call, for as long as this instance lives. During init only. */
static inline enum berth_code berth_intercept(const struct berth_host *host,
                                              const struct berth_interceptor *interceptor, void *self,
                                              struct berth_error *err)
{
    return host->intercept(host, interceptor, self, err);
}

/** Completes an init that answered BERTH_PENDING: the instance is there. */
static inline void berth_complete_init(const struct berth_host *host, void *instance)
{
    host->complete(host, BERTH_STEP_INIT, BERTH_OK, instance, NULL);
}

/** Completes a pending init with BERTH_SKIP or a failure. The plugin has undone its own work. */
static inline void berth_fail_init(const struct berth_host *host, enum berth_code code, const char *message)
{
    host->complete(host, BERTH_STEP_INIT, code, NULL, message);
}

/** Completes a pending serve, drain or close; `message` may be NULL with BERTH_OK. */
static inline void berth_complete(const struct berth_host *host, enum berth_step step, enum berth_code code,
                                  const char *message)
{
    host->complete(host, step, code, NULL, message);
}

/**
 * A ready instance cannot do its job any more. It is listed as failed; close still comes. (In brackets below,
 * because cmocka has a macro of that name.)
 */
static inline void berth_fail(const struct berth_host *host, enum berth_code code, const char *message)
{
    (host->fail)(host, code, message);
}

/**
 * How an instance is that goes on living: with any code but BERTH_OK it is listed as degraded with the
 * sentence, and health says NOT_SERVING for its services and for those of the plugins that require it.
 * BERTH_OK: well again; `message` may be NULL then. The last one said counts.
 */
static inline void berth_report(const struct berth_host *host, enum berth_code code, const char *message)
{
    if (BERTH_HAS(host, report))
        host->report(host, code, message);
}

#ifdef __cplusplus
}
#endif

#endif
