/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks for everything by which code of a module could still run: signals, destructors of thread-specific
 * data, handles and requests on the loop, notifications, threads. Nothing is guessed: what might be the
 * module's counts as the module's.
 */
#include "unloading.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <core/base/c_library.h>
#include <core/base/frames.h>
#include <core/watch/watch.h>

#include "handles.h"

/* For the stacks of all threads together. */
#define STACKS_WAIT_MS 200

struct look {
    struct module *module;
    struct unloading_result *result;
    bool is_held;
};

BERTH_PRINTF(4, 5)
static void hold(struct look *look, enum residence_cause cause, bool is_owner_unknown, const char *format,
                 ...)
{
    va_list arguments;

    /* One that is known says more than one that may be another's. */
    if (look->is_held && (is_owner_unknown || !look->result->is_owner_unknown))
        return;
    look->is_held = true;
    look->result->cause = cause;
    look->result->is_owner_unknown = is_owner_unknown;
    va_start(arguments, format);
    vsnprintf(look->result->reason, sizeof(look->result->reason), format, arguments);
    va_end(arguments);
}

static bool may_have_used(struct look *look, const char *const *functions)
{
    for (; *functions != NULL; functions++)
        if (module_imports(look->module, *functions))
            return true;
    return false;
}

static void look_at_signals(struct look *look)
{
    for (int number = 1; number <= SIGRTMAX; number++) {
        struct sigaction action;
        char place[160];
        const void *handler;

        if (sigaction(number, NULL, &action) != 0)
            continue;
        handler = (action.sa_flags & SA_SIGINFO) != 0 ? (const void *)(uintptr_t)action.sa_sigaction
                                                      : (const void *)(uintptr_t)action.sa_handler;
        if (!module_has_address(look->module, handler))
            continue;
        frames_describe(handler, place, sizeof(place));
        hold(look, RESIDENCE_SIGNAL, false, "it handles signal %d: %s", number, place);
    }
}

static bool on_destructor(void *context, const void *function)
{
    struct look *look = context;
    char place[160];

    if (!module_has_address(look->module, function))
        return false;
    frames_describe(function, place, sizeof(place));
    hold(look, RESIDENCE_KEY, false, "a pthread key has a destructor in it: %s", place);
    return true;
}

static void look_at_keys(struct look *look)
{
    static const char *const functions[] = {"pthread_key_create", "tss_create", NULL};

    c_library_prepare();
    if (!c_library_each_destructor(on_destructor, look) && may_have_used(look, functions))
        hold(look, RESIDENCE_KEY, true,
             "it may have left a pthread key with a destructor, which this C library does not show");
}

/* What may have made a handle of this type. */
static bool may_own(struct look *look, uv_handle_type type)
{
    char names[3][64];
    const char *const functions[] = {names[0], names[1], names[2], NULL};
    const char *name = uv_handle_type_name(type);

    snprintf(names[0], sizeof(names[0]), "uv_%s_init", name);
    snprintf(names[1], sizeof(names[1]), "uv_%s_init%s", name, type == UV_POLL ? "_socket" : "_ex");
    snprintf(names[2], sizeof(names[2]), "%s", type == UV_PROCESS ? "uv_spawn" : names[0]);
    return may_have_used(look, functions);
}

/*
 * A handle on the loop's own stack, in a frame that is older than this one, is the host's: the host called
 * all that plugins run, and this runs from the top of the loop.
 */
static bool is_on_stack(const uv_handle_t *handle)
{
    uintptr_t at = (uintptr_t)handle, here = (uintptr_t)__builtin_frame_address(0);
    pthread_attr_t attributes;
    size_t size = 0;
    void *low = NULL;

    if (at < here || pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    if (pthread_attr_getstack(&attributes, &low, &size) != 0)
        size = 0;
    pthread_attr_destroy(&attributes);
    return at < (uintptr_t)low + size;
}

static void on_handle(uv_handle_t *handle, void *context)
{
    uintptr_t addresses[HANDLE_ADDRESSES_MAX], offset;
    size_t count = handles_list_addresses(handle, addresses);
    struct look *look = context;
    const char *type = uv_handle_type_name(handle->type), *file;
    bool is_known = false;

    for (size_t i = 0; i < count; i++) {
        if (module_has_address(look->module, (const void *)addresses[i])) {
            bool is_own = frames_find_file((const void *)addresses[i], &file, &offset) &&
                          strcmp(file, module_path(look->module)) == 0;

            /* Other modules may need the same library. */
            if (!is_own && module_library_disowns(look->module, (const void *)addresses[i])) {
                is_known = true;
                continue;
            }
            hold(look, RESIDENCE_LOOP, !is_own,
                 is_own ? "a %s on the loop is its"
                        : "a %s of a library that it needs is on the loop: owner unknown",
                 type);
            return;
        }
        /* A callback tells; a variable of another file may only be what its data points to. */
        is_known = is_known || frames_find_file((const void *)addresses[i], &file, &offset);
    }
    if (!is_known && !is_on_stack(handle) && may_own(look, handle->type))
        hold(look, RESIDENCE_LOOP, true, "a %s on the loop may be its: owner unknown", type);
}

static void look_at_loop(struct look *look, uv_loop_t *loop)
{
    static const char *const functions[] = {"uv_queue_work",
                                            "uv_getaddrinfo",
                                            "uv_getnameinfo",
                                            "uv_random",
                                            "uv_write",
                                            "uv_write2",
                                            "uv_udp_send",
                                            "uv_shutdown",
                                            "uv_tcp_connect",
                                            "uv_pipe_connect",
                                            "uv_fs_open",
                                            "uv_fs_read",
                                            "uv_fs_write",
                                            "uv_fs_close",
                                            "uv_fs_stat",
                                            "uv_fs_lstat",
                                            "uv_fs_fstat",
                                            "uv_fs_fsync",
                                            "uv_fs_fdatasync",
                                            "uv_fs_unlink",
                                            "uv_fs_rename",
                                            "uv_fs_mkdir",
                                            "uv_fs_rmdir",
                                            "uv_fs_scandir",
                                            "uv_fs_opendir",
                                            "uv_fs_readdir",
                                            "uv_fs_closedir",
                                            "uv_fs_readlink",
                                            "uv_fs_realpath",
                                            "uv_fs_access",
                                            "uv_fs_chmod",
                                            "uv_fs_chown",
                                            "uv_fs_copyfile",
                                            "uv_fs_sendfile",
                                            "uv_fs_mkstemp",
                                            "uv_fs_mkdtemp",
                                            "uv_fs_utime",
                                            "uv_fs_futime",
                                            "uv_fs_symlink",
                                            "uv_fs_link",
                                            "uv_fs_ftruncate",
                                            "uv_fs_statfs",
                                            NULL};

    if (loop == NULL)
        return;
    uv_walk(loop, on_handle, look);
    if (loop->active_reqs.count > 0 && may_have_used(look, functions))
        hold(look, RESIDENCE_LOOP, true, "a request on the loop may be its: owner unknown");
}

/* They leave no trace that could be asked for. */
static void look_at_notifications(struct look *look)
{
    static const char *const functions[] = {"timer_create", "mq_notify",  "getaddrinfo_a", "aio_read",
                                            "aio_read64",   "aio_write",  "aio_write64",   "aio_fsync",
                                            "aio_fsync64",  "lio_listio", "lio_listio64",  NULL};
    static const char *const exits[] = {"on_exit", NULL};

    if (may_have_used(look, functions))
        hold(look, RESIDENCE_NOTIFICATION, true,
             "a timer or notification of the C library may call it: owner unknown");
    if (may_have_used(look, exits))
        hold(look, RESIDENCE_EXIT, true, "it may have registered a handler with on_exit: owner unknown");
}

static bool on_thread(void *context, const struct thread_stack *thread)
{
    static const char *const functions[] = {
        "pthread_create", "thrd_create", "uv_thread_create", "uv_thread_create_ex", "clone", "clone3", NULL};
    struct look *look = context;
    char place[160];

    for (size_t i = 0; i < thread->count; i++) {
        if (!module_has_address(look->module, thread->frames[i]))
            continue;
        frames_describe(thread->frames[i], place, sizeof(place));
        hold(look, RESIDENCE_THREAD, false, "thread %s (%d) runs its code: %s", thread->name, (int)thread->id,
             place);
        return false;
    }
    if (thread->start != NULL && module_has_address(look->module, thread->start)) {
        frames_describe(thread->start, place, sizeof(place));
        hold(look, RESIDENCE_THREAD, false, "thread %s (%d) began in it: %s", thread->name, (int)thread->id,
             place);
        return false;
    }
    if ((!thread->is_whole || (thread->start == NULL && thread->id != getpid())) &&
        !lingering_is_hosts(thread->id) && may_have_used(look, functions))
        hold(look, RESIDENCE_THREAD, true,
             "thread %s (%d) may be its, because it blocks signals: owner unknown", thread->name,
             (int)thread->id);
    return true;
}

bool unloading_run(struct module *module, uv_loop_t *loop, struct unloading_result *ret_result)
{
    struct look look = {.module = module, .result = ret_result};

    *ret_result = (struct unloading_result){.bytes = module_residence(module)->bytes};
    look_at_signals(&look);
    look_at_keys(&look);
    look_at_loop(&look, loop);
    look_at_notifications(&look);
    if (!look.is_held)
        threads_each(STACKS_WAIT_MS, on_thread, &look);
    if (look.is_held)
        return false;
    if (module_unload(module, &ret_result->cause))
        return true;
    snprintf(ret_result->reason, sizeof(ret_result->reason), "the loader keeps it: %s",
             residence_name(ret_result->cause));
    return false;
}
