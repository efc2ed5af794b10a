/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers on request what the ledger, the router, the loop and each generation know of who holds what. */
#include "holds.h"

#include <stdlib.h>
#include <string.h>

#include <core/base/frames.h>
#include <core/base/running.h>
#include <sdk/base/memory.h>

#include "handles.h"

typedef bool (*visitor)(void *context, const struct berth_hold_info *hold);

struct visit {
    const struct holds *holds;
    const char *uri;
    visitor on_hold;
    void *context;
    bool goes_on;
};

static void show(struct visit *visit, struct berth_hold_info hold)
{
    hold.size = sizeof(hold);
    if (visit->goes_on && hold.count > 0)
        visit->goes_on = visit->on_hold(visit->context, &hold);
}

/* What is noted of a plugin and for it. */
static void show_ledger(struct visit *visit)
{
    const struct berth_holding *holding;

    LIST_FOREACH(holding, &registry_ledger(visit->holds->registry)->all, link)
    {
        const char *holder = holding->holder.name;

        if (strcmp(holding->provider.name, visit->uri) != 0 &&
            (holder == NULL || strcmp(holder, visit->uri) != 0))
            continue;
        show(visit, (struct berth_hold_info){.holder = holder,
                                             .holder_generation = holding->holder.generation,
                                             .provider = holding->provider.name,
                                             .provider_generation = holding->provider.generation,
                                             .what = holding->what,
                                             .count = holding->count,
                                             .unknown = holder == NULL || holding->holder.generation == 0,
                                             .orphan = holding->is_orphan});
    }
}

/* One kind of handle of one module's. */
struct handle_kind {
    uv_handle_type type;
    size_t count;
};

struct handle_count {
    const char *path;
    struct handle_kind kinds[UV_HANDLE_TYPE_MAX];
};

static void count_handle(uv_handle_t *handle, void *context)
{
    struct handle_count *counted = context;
    uintptr_t addresses[HANDLE_ADDRESSES_MAX], offset;
    size_t count = handles_list_addresses(handle, addresses);
    const char *file;

    for (size_t i = 0; i < count; i++)
        if (frames_find_file((const void *)addresses[i], &file, &offset)) {
            if (strcmp(file, counted->path) == 0 && handle->type < UV_HANDLE_TYPE_MAX)
                counted->kinds[handle->type].count++;
            return;
        }
}

/* By the addresses of their callbacks: with several plugins in a module, they may be another's of the same.
 */
static void show_handles(struct visit *visit, const struct registry_plugin *plugin)
{
    struct handle_count counted = {.path = plugin->running->path};

    uv_walk(visit->holds->loop, count_handle, &counted);
    for (size_t i = 0; i < UV_HANDLE_TYPE_MAX; i++) {
        char what[64];

        snprintf(what, sizeof(what), "%s handle", uv_handle_type_name((uv_handle_type)i));
        show(visit, (struct berth_hold_info){.holder = visit->uri,
                                             .holder_generation = plugin->generation,
                                             .what = i == UV_TIMER ? "timer" : what,
                                             .count = counted.kinds[i].count,
                                             .unknown = !running_is_alone_in_its_module(plugin->running)});
    }
}

static bool show_generation(void *context, const struct generation *generation)
{
    struct visit *visit = context;
    struct berth_hold_info hold = {.holder = visit->uri, .holder_generation = generation->plugin->generation};
    struct router *router = visit->holds->router;

    if (strcmp(generation_uri(generation), visit->uri) != 0)
        return true;
    hold.what = "call";
    hold.count = router != NULL ? router_owner_calls(router, &generation->host) : 0;
    show(visit, hold);
    hold.what = "interceptor";
    hold.count = generation->host.hook_count;
    show(visit, hold);
    hold.what = "readiness hold";
    hold.count = generation->plugin->hold_count;
    show(visit, hold);
    hold.what = "unfinished prepare";
    hold.count = generation->job != NULL;
    show(visit, hold);
    hold.what = "unfinished step";
    hold.count = steps_are_late(&generation->steps);
    show(visit, hold);
    hold.what = "mailbox or posted function";
    hold.count = generation->host.table.mailbox != NULL ? mailbox_count(generation->host.table.mailbox) : 0;
    show(visit, hold);
    return visit->goes_on;
}

static void visit_all(struct visit *visit)
{
    const struct registry_plugin *plugin = registry_find(visit->holds->registry, visit->uri);

    show_ledger(visit);
    if (visit->holds->perform != NULL)
        perform_each_living(visit->holds->perform, show_generation, visit);
    /* What has never been loaded has no file, and nor has the daemon's own code. */
    if (plugin != NULL && plugin->running != NULL && *plugin->running->path != '\0')
        show_handles(visit, plugin);
}

static const struct holds *holds_behind(const struct berth_inspect *table)
{
    return ((const struct inspect *)table->context)->holds;
}

static enum berth_code check_question(const struct berth_inspect *table, const char *uri,
                                      const char *function, const void *caller, struct berth_error *err)
{
    if (!inspect_is_on_loop(table, function, caller))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s must be called from the loop's thread",
                               function);
    if (registry_find(holds_behind(table)->registry, uri) == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" not found", uri);
    return BERTH_OK;
}

static enum berth_code inspect_holds(const struct berth_inspect *table, const char *uri, visitor on_hold,
                                     void *context, struct berth_error *err)
{
    struct visit visit = {holds_behind(table), uri, on_hold, context, true};
    enum berth_code code = check_question(table, uri, "inspect->holds", __builtin_return_address(0), err);

    if (code == BERTH_OK)
        visit_all(&visit);
    return code;
}

/* "one timer", "3 calls in flight"; malloced. */
static char *count_of(const struct berth_hold_info *hold)
{
    static const struct {
        const char *what, *one, *many;
    } phrases[] = {
        {"call", "call in flight", "calls in flight"},
        {"mailbox or posted function", "mailbox or posted function", "mailboxes or posted functions"},
    };
    const char *one = hold->what, *many = NULL;

    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (strcmp(hold->what, phrases[i].what) == 0) {
            one = phrases[i].one;
            many = phrases[i].many;
        }
    if (hold->count == 1)
        return memory_format("one %s", one);
    if (many != NULL)
        return memory_format("%llu %s", (unsigned long long)hold->count, many);
    return memory_format("%llu %ss", (unsigned long long)hold->count, one);
}

struct sentence {
    const char *uri;
    char *text;
    size_t size, used;
};

static bool add_to_sentence(void *context, const struct berth_hold_info *hold)
{
    struct sentence *sentence = context;
    static const char and_more[] = " and more";
    bool is_by_other = hold->provider != NULL && strcmp(hold->provider, sentence->uri) == 0;
    bool fits;
    char *text;

    /* What it holds of others does not keep it, nor does what it holds of itself. */
    if (hold->provider != NULL &&
        (!is_by_other || (hold->holder != NULL && strcmp(hold->holder, sentence->uri) == 0)))
        return true;
    if (is_by_other)
        text = memory_format("%s holds %s%s", hold->holder != NULL ? hold->holder : "an unknown owner",
                             hold->what, hold->orphan ? " though it has ended" : "");
    else
        text = count_of(hold);
    fits = sentence->used + strlen(", ") + strlen(text) + sizeof(and_more) <= sentence->size;
    sentence->used +=
        (size_t)snprintf(sentence->text + sentence->used, sentence->size - sentence->used, "%s%s",
                         sentence->used > 0 && fits ? ", " : "", fits ? text : and_more);
    free(text);
    return fits;
}

void holds_explain(const struct holds *holds, const char *uri, char *text, size_t size)
{
    struct sentence sentence = {uri, text, size, 0};
    struct visit visit = {holds, uri, add_to_sentence, &sentence, true};

    text[0] = '\0';
    visit_all(&visit);
}

static enum berth_code inspect_explain_holds(const struct berth_inspect *table, const char *uri,
                                             char *ret_text, size_t size, struct berth_error *err)
{
    enum berth_code code =
        check_question(table, uri, "inspect->explain_holds", __builtin_return_address(0), err);

    if (code == BERTH_OK)
        holds_explain(holds_behind(table), uri, ret_text, size);
    return code;
}

void holds_show(struct holds *holds, struct inspect *inspect)
{
    inspect->holds = holds;
    inspect->table.holds = inspect_holds;
    inspect->table.explain_holds = inspect_explain_holds;
}
