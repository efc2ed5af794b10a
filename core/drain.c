/* SPDX-License-Identifier: Apache-2.0 */
/* Closes the loop once it should not be used any more, and names the plugins that leaked a handle on it. */
#include "drain.h"

#include <string.h>

#include <core/base/frames.h>
#include <core/base/log.h>
#include <core/base/running.h>

#include "handles.h"

/* How many kinds of leftovers are listed; further ones are only counted. */
#define KINDS_MAX 16

struct leftovers {
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

/* The plugin; if several share the module, the module; or the file, if it belongs to no plugin. */
static void name_owner(const uv_handle_t *handle, char *text, size_t size)
{
    uintptr_t addresses[HANDLE_ADDRESSES_MAX], offset;
    size_t count = handles_list_addresses(handle, addresses), i = 0;
    const struct running_plugin *plugin;
    const char *file;

    while (i < count && !frames_find_file((const void *)addresses[i], &file, &offset))
        i++;
    plugin = i < count ? running_find_by_file(file, NULL) : NULL;
    if (i == count)
        snprintf(text, size, "unknown owner (no callback set)");
    else if (plugin != NULL && running_is_alone_in_its_module(plugin))
        snprintf(text, size, "%s", plugin->uri);
    else
        snprintf(text, size, "%s%s", plugin != NULL ? "module " : "", frames_file_name(file));
}

static void name_handle(uv_handle_t *handle, void *context)
{
    struct leftovers *leftovers = context;
    char owner[160], text[sizeof(leftovers->kinds[0].text)];
    size_t i = 0;

    leftovers->count++;
    name_owner(handle, owner, sizeof(owner));
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

void drain_run(uv_loop_t *loop, unsigned limit_ms)
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

/* Two turns: handles close at the end of one, and signals only after another. */
#define LAST_TURNS 2

bool drain_loop(uv_loop_t *loop)
{
    struct leftovers leftovers = {.count = 0};

    for (int i = 0; i < LAST_TURNS; i++)
        uv_run(loop, UV_RUN_NOWAIT);
    if (uv_loop_close(loop) == 0)
        return true;
    uv_walk(loop, name_handle, &leftovers);
    report(&leftovers);
    return false;
}
