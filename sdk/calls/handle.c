/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What everybody outside the engine holds of a call. A handle outlives its call: it rests once the call has
 * ended, so that a late use is refused and reported instead of reaching a later call, and so is a use from
 * another thread.
 */
#include "handle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <sdk/base/container_of.h>

/* How many calls end before a handle is used again, unless router_set_rest says otherwise. */
#define REST_DEFAULT 1024

const struct berth_peer handle_unknown_peer = {
    .size = sizeof(handle_unknown_peer),
    .address = "unknown",
    .pid = -1,
    .uid = -1,
    .gid = -1,
};

/* Identifies a thread by the address of one of its own variables, which is cheaper than pthread_self. */
static const void *this_thread(void)
{
    static _Thread_local char mark;

    return &mark;
}

struct handle *handle_of(struct berth_call *public)
{
    return CONTAINER_OF(public, struct handle, public);
}

/*
 * Handles come by the page and stay: one alone, between the large blocks of the messages of its time, would
 * keep their memory from going back to the system for as long as it rests.
 */
#define SLAB_HANDLES 256

struct slab {
    SLIST_ENTRY(slab) link;
    size_t used;
    struct handle handles[SLAB_HANDLES];
};

static struct handle *wake_oldest(struct handles *handles)
{
    struct handle *handle = STAILQ_FIRST(&handles->resting);

    STAILQ_REMOVE_HEAD(&handles->resting, link);
    handles->resting_count--;
    /* It has left the cache long ago, and so has the next one, which is due soon. */
    __builtin_prefetch(STAILQ_FIRST(&handles->resting), 1);
    __builtin_prefetch((char *)STAILQ_FIRST(&handles->resting) + sizeof(*handle) / 2, 1);
    __builtin_prefetch((char *)STAILQ_FIRST(&handles->resting) + sizeof(*handle) - 1, 1);
    return handle;
}

static struct handle *take_new(struct handles *handles)
{
    struct slab *slab = SLIST_FIRST(&handles->slabs);

    if (slab == NULL || slab->used == SLAB_HANDLES) {
        slab = malloc(sizeof(*slab));
        if (slab == NULL)
            return NULL;
        slab->used = 0;
        SLIST_INSERT_HEAD(&handles->slabs, slab, link);
    }
    return &slab->handles[slab->used++];
}

struct handle *handle_take(struct handles *handles)
{
    return handles->resting_count > handles->rest ? wake_oldest(handles) : take_new(handles);
}

void handle_give(struct handle *handle)
{
    struct handles *handles = handle->handles;

    handle->call = NULL;
    handle->public.peer = &handle_unknown_peer;
    handle->public.metadata = NULL;
    handle->public.metadata_count = 0;
    handle->public.instance = NULL;
    handle->public.state = NULL;
    handle->public.trace = NULL;
    STAILQ_INSERT_TAIL(&handles->resting, handle, link);
    handles->resting_count++;
}

void handles_init(struct handles *handles, const struct router_observer *observer)
{
    *handles = (struct handles){.rest = REST_DEFAULT, .thread = this_thread(), .observer = observer};
    STAILQ_INIT(&handles->resting);
}

void handles_finish(struct handles *handles)
{
    while (!SLIST_EMPTY(&handles->slabs)) {
        struct slab *slab = SLIST_FIRST(&handles->slabs);

        SLIST_REMOVE_HEAD(&handles->slabs, link);
        free(slab);
    }
}

void handles_report(const struct handles *handles, const struct berth_call *call, const void *owner,
                    const void *caller, const char *format, ...)
{
    char what[BERTH_ERROR_MAX];
    va_list arguments;

    if (handles->observer->on_misuse == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    handles->observer->on_misuse(handles->observer->context, owner, call, what, caller);
}

/* Without an observer, a router may be created on one thread and run on another. */
static bool is_on_thread(const struct handles *handles)
{
    return handles->observer->on_misuse == NULL || this_thread() == handles->thread;
}

bool handles_on_thread(const struct handles *handles, const char *what, const void *caller)
{
    if (is_on_thread(handles))
        return true;
    handles_report(handles, NULL, NULL, caller, "%s from a thread other than the loop's; ignored", what);
    return false;
}

struct call *handle_call_quietly(struct berth_call *public)
{
    return is_on_thread(handle_of(public)->handles) ? handle_of(public)->call : NULL;
}

struct call *handle_call_for(struct berth_call *public, const char *done, const void *owner,
                             const void *caller)
{
    const struct handle *handle = handle_of(public);

    if (!is_on_thread(handle->handles)) {
        handles_report(handle->handles, public, owner, caller,
                       "%s a call from a thread other than the loop's; ignored", done);
        return NULL;
    }
    if (handle->call == NULL)
        handles_report(handle->handles, public, owner, caller, "%s a call that has ended; ignored", done);
    return handle->call;
}

struct call *handle_call(struct berth_call *public, const char *done, const void *caller)
{
    return handle_call_for(public, done, handle_of(public)->owner, caller);
}
