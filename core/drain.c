/* SPDX-License-Identifier: Apache-2.0 */
/* Closes the loop once nobody should use it any more, and names who leaked a handle on it. */
#include "drain.h"

#include <string.h>

#include <core/base/log.h>

/* How many kinds of leftovers are listed; further ones are only counted. */
#define KINDS_MAX 16
#define ADDRESSES_MAX 8

struct leftovers {
    const struct drain_owners *owners;
    size_t count, kind_count;
    struct kind {
        size_t count;
        char text[192];
    } kinds[KINDS_MAX];
};

static void on_limit(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void on_limit_closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

/*
 * The addresses that may reveal a handle's owner, best first: its callbacks, which libuv keeps in a member
 * that depends on the type; then the handle itself, which may be a variable of a module, and its data.
 */
static size_t list_addresses(const uv_handle_t *handle, uintptr_t *addresses)
{
    size_t count = 0;

    switch (handle->type) {
    case UV_ASYNC:
        addresses[count++] = (uintptr_t)((const uv_async_t *)handle)->async_cb;
        break;
    case UV_CHECK:
        addresses[count++] = (uintptr_t)((const uv_check_t *)handle)->check_cb;
        break;
    case UV_FS_EVENT:
        addresses[count++] = (uintptr_t)((const uv_fs_event_t *)handle)->cb;
        break;
    case UV_IDLE:
        addresses[count++] = (uintptr_t)((const uv_idle_t *)handle)->idle_cb;
        break;
    case UV_NAMED_PIPE:
    case UV_TCP:
    case UV_TTY:
        addresses[count++] = (uintptr_t)((const uv_stream_t *)handle)->connection_cb;
        addresses[count++] = (uintptr_t)((const uv_stream_t *)handle)->read_cb;
        addresses[count++] = (uintptr_t)((const uv_stream_t *)handle)->alloc_cb;
        break;
    case UV_POLL:
        addresses[count++] = (uintptr_t)((const uv_poll_t *)handle)->poll_cb;
        break;
    case UV_PREPARE:
        addresses[count++] = (uintptr_t)((const uv_prepare_t *)handle)->prepare_cb;
        break;
    case UV_PROCESS:
        addresses[count++] = (uintptr_t)((const uv_process_t *)handle)->exit_cb;
        break;
    case UV_SIGNAL:
        addresses[count++] = (uintptr_t)((const uv_signal_t *)handle)->signal_cb;
        break;
    case UV_TIMER:
        addresses[count++] = (uintptr_t)((const uv_timer_t *)handle)->timer_cb;
        break;
    case UV_UDP:
        addresses[count++] = (uintptr_t)((const uv_udp_t *)handle)->recv_cb;
        break;
    default:
        break;
    }
    if (uv_is_closing(handle))
        addresses[count++] = (uintptr_t)handle->close_cb;
    addresses[count++] = (uintptr_t)handle;
    addresses[count++] = (uintptr_t)handle->data;
    return count;
}

static void name_owner(const struct drain_owners *owners, const uv_handle_t *handle, char *text, size_t size)
{
    uintptr_t addresses[ADDRESSES_MAX];
    size_t count = list_addresses(handle, addresses);

    for (size_t i = 0; i < count; i++)
        if (owners->name(owners->context, (const void *)addresses[i], text, size))
            return;
    snprintf(text, size, "unknown owner (no callback set)");
}

static void name_handle(uv_handle_t *handle, void *context)
{
    struct leftovers *leftovers = context;
    char owner[160], text[sizeof(leftovers->kinds[0].text)];
    size_t i = 0;

    leftovers->count++;
    name_owner(leftovers->owners, handle, owner, sizeof(owner));
    snprintf(text, sizeof(text), "%s of %s%s", uv_handle_type_name(handle->type), owner,
             uv_is_closing(handle) ? ", still closing" : "");
    while (i < leftovers->kind_count && strcmp(leftovers->kinds[i].text, text) != 0)
        i++;
    if (i == KINDS_MAX)
        return;
    if (i == leftovers->kind_count)
        snprintf(leftovers->kinds[leftovers->kind_count++].text, sizeof(text), "%s", text);
    leftovers->kinds[i].count++;
}

static void report(const struct leftovers *leftovers)
{
    char text[1024];
    size_t used = 0;

    if (leftovers->count == 0) {
        log_line(BERTH_LOG_WARN,
                 "plugins leaked a request that is still in flight; exiting without waiting for it");
        return;
    }
    for (size_t i = 0; i < leftovers->kind_count && used < sizeof(text); i++) {
        const struct kind *kind = &leftovers->kinds[i];

        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? ", " : "", kind->text);
        if (kind->count > 1 && used < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, " (%zu times)", kind->count);
    }
    log_line(BERTH_LOG_WARN, "plugins leaked %zu handle%s: %s", leftovers->count,
             leftovers->count == 1 ? "" : "s", text);
}

static void run_to_end(uv_loop_t *loop, unsigned limit_ms)
{
    uv_timer_t limit;
    bool is_closed = false;

    uv_timer_init(loop, &limit);
    limit.data = &is_closed;
    uv_timer_start(&limit, on_limit, limit_ms, 0);
    uv_unref((uv_handle_t *)&limit);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&limit, on_limit_closed);
    while (!is_closed)
        uv_run(loop, UV_RUN_NOWAIT);
}

bool drain_loop(uv_loop_t *loop, unsigned limit_ms, const struct drain_owners *owners)
{
    struct leftovers leftovers = {.owners = owners};

    run_to_end(loop, limit_ms);
    if (uv_loop_close(loop) == 0)
        return true;
    uv_walk(loop, name_handle, &leftovers);
    report(&leftovers);
    return false;
}
