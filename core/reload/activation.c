/* SPDX-License-Identifier: Apache-2.0 */
/* Starts idle plugins when they are called, and makes them idle again when nobody calls them any more. */
#include "activation.h"

#include <stdlib.h>
#include <string.h>

#include <config/tree/units.h>
#include <core/base/log.h>
#include <core/survey/survey.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#define RETRY_FIRST_NS UINT64_C(1000000000)
#define RETRY_MAX_NS UINT64_C(60000000000)
/* How exactly idle_after is kept: a quarter of it, within these. */
#define LOOK_MIN_MS UINT64_C(10)
#define LOOK_MAX_MS UINT64_C(15000)
/* How often to look whether a change is over that keeps plugins from being tried again. */
#define CHANGING_MS UINT64_C(50)

/* A plugin of the newest plan that starts on call. */
struct item {
    char *uri;
    /* Its place in the plan. */
    size_t index;
    /* A call waits for it, or waited. */
    bool is_wanted;
    /* The change that is under way starts it: calls that come now are answered by its outcome. */
    bool is_starting;
    /* It has failed so often in a row, and calls are refused until then; 0: it was not tried since. */
    unsigned failures;
    uint64_t retry_ns;
    /* Calls may try it again; they wait. */
    bool is_open;
    bool was_ready;
    /* Calls that had reached it when they were counted last, and when it was last seen in use. */
    uint64_t opened, used_ns;
};

struct activation {
    struct activation_options options;
    struct perform *perform;
    /* Of `plan`, by URI; held, so that no later plan lies where this one did. */
    struct survey *survey;
    const struct plan *plan;
    struct item *items;
    size_t count;
    struct perform_request start, rest;
    bool start_is_asked, rest_is_asked, rest_has_begun;
    struct change *start_change, *rest_change;
    /* Subjects of the changes; borrowed from the items' plan. */
    const char **subjects;
    uv_idle_t turn;
    uv_timer_t timer;
    struct berth_watch *watch;
    bool is_open, is_stopping;
};

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->uri, ((const struct item *)b)->uri);
}

static struct item *find_in(struct item *items, size_t count, const char *uri)
{
    const struct item key = {.uri = (char *)(uintptr_t)uri};

    return count == 0 ? NULL : bsearch(&key, items, count, sizeof(key), compare_items);
}

static void free_items(struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i].uri);
    free(items);
}

static const struct plan_entry *entry_of(const struct activation *activation, const struct item *item)
{
    return &activation->plan->entries[item->index];
}

static const struct registry_plugin *plugin_of(const struct activation *activation, const struct item *item)
{
    return registry_get(activation->options.registry, item->index);
}

/* With another plan, whatever has failed may be tried at once: its file or its settings may be others. */
static void follow_plan(struct activation *activation)
{
    const struct plan *plan = registry_plan(activation->options.registry);
    struct item *before = activation->items;
    size_t count_before = activation->count;

    if (plan == activation->plan)
        return;
    survey_drop(activation->survey);
    activation->survey = survey_hold(reload_newest(activation->options.reload));
    activation->plan = plan;
    activation->items = memory_allocate(plan->run_count + 1, sizeof(*activation->items));
    activation->count = 0;
    for (size_t i = 0; i < plan->run_count; i++) {
        const char *uri = plan->entries[i].plugin->uri;
        const struct item *known = find_in(before, count_before, uri);
        struct item *item;

        if (!plan->entries[i].starts_on_call)
            continue;
        item = &activation->items[activation->count++];
        *item = known != NULL ? *known : (struct item){.used_ns = uv_hrtime()};
        item->uri = memory_copy(uri);
        item->index = i;
        item->failures = 0;
        if (item->retry_ns > 0)
            item->retry_ns = 1;
    }
    qsort(activation->items, activation->count, sizeof(*activation->items), compare_items);
    free_items(before, count_before);
}

/* Stopped is one that is being closed, to become idle. */
static bool is_on_its_way(enum berth_state state)
{
    return state == BERTH_STATE_WAITING || state == BERTH_STATE_PREPARING || state == BERTH_STATE_STARTING ||
           state == BERTH_STATE_STOPPED;
}

static void refuse_for_failure(struct activation *activation, const struct item *item, uint64_t delay_ns)
{
    const struct registry_plugin *plugin = plugin_of(activation, item);
    char text[BERTH_ERROR_MAX], delay[CONFIG_UNITS_MAX];

    config_format_duration((int64_t)delay_ns, delay);
    snprintf(text, sizeof(text), "%s is %s%s%.1500s; calls try to start it again after %s", item->uri,
             berth_state_name(plugin->state), plugin->reason != NULL ? ": " : "",
             plugin->reason != NULL ? plugin->reason : "", delay);
    perform_refuse_calls(activation->perform, entry_of(activation, item), text);
}

/* One that has fallen: refuses calls for a while, and then lets them wait again, which tries it. A change
 * that comes to an end refuses the calls of all that it could not start, also if they were let wait before.
 */
static void back_off(struct activation *activation, struct item *item, uint64_t now_ns)
{
    uint64_t delay_ns = RETRY_FIRST_NS;

    if (item->retry_ns == 0) {
        for (unsigned i = 0; i < item->failures && delay_ns < RETRY_MAX_NS; i++)
            delay_ns *= 2;
        delay_ns = delay_ns < RETRY_MAX_NS ? delay_ns : RETRY_MAX_NS;
        item->failures++;
        item->retry_ns = now_ns + delay_ns;
        item->is_open = false;
        refuse_for_failure(activation, item, delay_ns);
    } else if (now_ns >= item->retry_ns && !perform_is_changing(activation->perform)) {
        item->is_open = true;
        perform_hold_calls(activation->perform, entry_of(activation, item));
    }
}

static void tend_one(struct activation *activation, struct item *item, uint64_t now_ns)
{
    const struct registry_plugin *plugin = plugin_of(activation, item);

    if (registry_plugin_is_ready(plugin)) {
        if (!item->was_ready)
            item->used_ns = now_ns;
        item->failures = 0;
        item->retry_ns = 0;
        item->was_ready = true;
        return;
    }
    item->was_ready = false;
    if (plugin->state != BERTH_STATE_IDLE && !is_on_its_way(plugin->state) && !item->is_wanted)
        back_off(activation, item, now_ns);
}

static uint64_t idle_after_of(const struct activation *activation, const struct item *item)
{
    const struct settings_plan *settings = &reload_newest(activation->options.reload)->settings->plan;
    const struct settings_activation *own = settings_find_activation(settings, item->uri);

    if (entry_of(activation, item)->plugin->state.writes > 0)
        return 0;
    return own != NULL && own->has_idle_after ? own->idle_after_ns : settings->idle_after_ns;
}

/* Counts what has reached it since. @return is it in use at the moment, as far as calls tell? */
static void look_at_use(const struct activation *activation, struct item *item, uint64_t now_ns)
{
    const void *owner = plugin_of(activation, item)->owner;
    uint64_t opened = router_owner_opened(activation->options.router, owner);

    if (opened != item->opened || router_owner_calls(activation->options.router, owner) > 0)
        item->used_ns = now_ns;
    item->opened = opened;
}

static bool has_rested(const struct activation *activation, const struct item *item, uint64_t now_ns)
{
    uint64_t idle_after_ns = idle_after_of(activation, item);

    return idle_after_ns > 0 && registry_plugin_is_ready(plugin_of(activation, item)) &&
           now_ns - item->used_ns >= idle_after_ns;
}

/* Who uses whom */

struct crowd {
    const struct generation **generations;
    bool *rests;
    size_t count;
};

static bool rests_in(const struct crowd *crowd, const void *owner)
{
    for (size_t i = 0; i < crowd->count; i++)
        if (owner == &crowd->generations[i]->host)
            return crowd->rests[i];
    return false;
}

static bool needs(const struct generation *user, const struct generation *provider)
{
    const struct plan_entry *entry = user->source.entry;
    const struct manifest_plugin *plugin = provider->source.entry->plugin;

    for (size_t i = 0; i < entry->requirement_count; i++)
        if (plan_entry_needs(entry, &entry->requirements[i]) &&
            (strcmp(entry->requirements[i].name, plugin->uri) == 0 ||
             strcmp(entry->requirements[i].name, plugin->type) == 0))
            return true;
    return false;
}

static bool is_used(const struct activation *activation, const struct crowd *crowd, size_t i)
{
    const struct generation *provider = crowd->generations[i];
    const struct berth_holding *holding;

    LIST_FOREACH(holding, &registry_ledger(activation->options.registry)->all, link)
    if (holding->provider.owner == &provider->host && holding->holder.owner != &provider->host &&
        !rests_in(crowd, holding->holder.owner))
        return true;
    for (size_t k = 0; k < crowd->count; k++)
        if (k != i && !crowd->rests[k] && generation_is_well(crowd->generations[k]) &&
            needs(crowd->generations[k], provider))
            return true;
    return false;
}

/* Users come after what they use, so that both may rest at once. @return how many. */
static size_t find_resting(struct activation *activation)
{
    struct crowd crowd = {0};
    uint64_t now_ns = uv_hrtime();
    size_t found = 0;

    crowd.generations = perform_list(activation->perform, &crowd.count);
    crowd.rests = memory_allocate(crowd.count + 1, sizeof(*crowd.rests));
    activation->subjects = realloc(activation->subjects, (activation->count + 1) * sizeof(char *));
    if (activation->subjects == NULL)
        abort();
    for (size_t i = crowd.count; i-- > 0;) {
        const struct generation *generation = crowd.generations[i];
        const struct item *item = find_in(activation->items, activation->count, generation_uri(generation));

        if (item == NULL || generation->plugin != plugin_of(activation, item) ||
            !generation_is_well(generation) || outgoing_caller_count(&generation->host.caller) > 0 ||
            !has_rested(activation, item, now_ns) || is_used(activation, &crowd, i))
            continue;
        crowd.rests[i] = true;
        activation->subjects[found++] = entry_of(activation, item)->plugin->uri;
    }
    free(crowd.rests);
    free(crowd.generations);
    return found;
}

/* The timer */

static void on_timer(uv_timer_t *timer);

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How long one that has fallen has to wait until calls may try it; UINT64_MAX: they may. */
static uint64_t retry_in_ms(const struct activation *activation, const struct item *item, uint64_t now_ns)
{
    bool is_changing = perform_is_changing(activation->perform);

    if (item->retry_ns == 0 || item->is_wanted || (item->is_open && !is_changing))
        return UINT64_MAX;
    if (item->retry_ns > now_ns)
        return (item->retry_ns - now_ns) / 1000000 + 1;
    return is_changing ? CHANGING_MS : 0;
}

static void schedule(struct activation *activation)
{
    uint64_t now_ns = uv_hrtime(), wait_ms = UINT64_MAX;

    for (size_t i = 0; i < activation->count && !activation->is_stopping; i++) {
        const struct item *item = &activation->items[i];
        uint64_t look_ms = idle_after_of(activation, item) / 4000000;

        wait_ms = sooner(wait_ms, retry_in_ms(activation, item, now_ns));
        if (look_ms > 0 && item->was_ready)
            wait_ms = sooner(wait_ms, sooner(look_ms > LOOK_MIN_MS ? look_ms : LOOK_MIN_MS, LOOK_MAX_MS));
    }
    if (wait_ms == UINT64_MAX)
        uv_timer_stop(&activation->timer);
    else if (!uv_is_active((uv_handle_t *)&activation->timer) ||
             uv_timer_get_due_in(&activation->timer) > wait_ms)
        uv_timer_start(&activation->timer, on_timer, wait_ms, 0);
}

static void tend(struct activation *activation)
{
    uint64_t now_ns = uv_hrtime();

    if (!activation->is_open || activation->is_stopping)
        return;
    follow_plan(activation);
    for (size_t i = 0; i < activation->count; i++)
        tend_one(activation, &activation->items[i], now_ns);
    schedule(activation);
}

static void on_timer(uv_timer_t *timer)
{
    struct activation *activation = CONTAINER_OF(timer, struct activation, timer);
    uint64_t now_ns = uv_hrtime();

    tend(activation);
    for (size_t i = 0; i < activation->count; i++)
        if (activation->items[i].was_ready && idle_after_of(activation, &activation->items[i]) > 0)
            look_at_use(activation, &activation->items[i], now_ns);
    if (!activation->rest_is_asked && find_resting(activation) > 0) {
        activation->rest_is_asked = true;
        perform_ask(activation->perform, &activation->rest);
    }
}

static void on_change(void *context)
{
    tend(context);
}

/* The changes */

static enum berth_code compare(struct activation *activation, enum change_kind kind, size_t count,
                               struct change **ret_change, struct perform_work *ret_work)
{
    const struct survey *survey = reload_newest(activation->options.reload);
    const struct change_request request = {
        .kind = kind, .subjects = activation->subjects, .subject_count = count};

    change_destroy(*ret_change);
    *ret_change = reload_compare(activation->options.reload, &request);
    *ret_work = (struct perform_work){
        .plan = survey->plan, .change = *ret_change, .drain_ns = survey->settings->upgrade.drain_ns};
    return BERTH_OK;
}

static enum berth_code begin_start(struct perform_request *request, const char *const *unwilling,
                                   size_t unwilling_count, struct perform_work *ret_work,
                                   struct berth_error *err)
{
    struct activation *activation = CONTAINER_OF(request, struct activation, start);
    size_t count = 0;

    follow_plan(activation);
    activation->subjects = realloc(activation->subjects, (activation->count + 1) * sizeof(char *));
    if (activation->subjects == NULL)
        abort();
    for (size_t i = 0; i < activation->count; i++) {
        struct item *item = &activation->items[i];

        if (!item->is_wanted)
            continue;
        item->is_wanted = item->is_open = false;
        item->is_starting = true;
        item->retry_ns = 0;
        activation->subjects[count++] = entry_of(activation, item)->plugin->uri;
    }
    return compare(activation, CHANGE_ACTIVATE_PLUGINS, count, &activation->start_change, ret_work);
}

static bool is_any_wanted(const struct activation *activation)
{
    for (size_t i = 0; i < activation->count; i++)
        if (activation->items[i].is_wanted)
            return true;
    return false;
}

static void on_turn(uv_idle_t *turn)
{
    struct activation *activation = CONTAINER_OF(turn, struct activation, turn);

    uv_idle_stop(turn);
    if (activation->start_is_asked || activation->is_stopping || !is_any_wanted(activation))
        return;
    activation->start_is_asked = true;
    perform_ask(activation->perform, &activation->start);
}

static void on_started(struct perform_request *request, const struct perform_report *report)
{
    struct activation *activation = CONTAINER_OF(request, struct activation, start);

    activation->start_is_asked = false;
    change_destroy(activation->start_change);
    activation->start_change = NULL;
    for (size_t i = 0; i < activation->count; i++)
        activation->items[i].is_starting = false;
    tend(activation);
    if (!activation->is_stopping && is_any_wanted(activation))
        uv_idle_start(&activation->turn, on_turn);
}

/* A call may have come since it was asked for. */
static enum berth_code begin_rest(struct perform_request *request, const char *const *unwilling,
                                  size_t unwilling_count, struct perform_work *ret_work,
                                  struct berth_error *err)
{
    struct activation *activation = CONTAINER_OF(request, struct activation, rest);
    uint64_t now_ns = uv_hrtime();

    follow_plan(activation);
    for (size_t i = 0; i < activation->count; i++)
        if (registry_plugin_is_ready(plugin_of(activation, &activation->items[i])))
            look_at_use(activation, &activation->items[i], now_ns);
    activation->rest_has_begun = true;
    return compare(activation, CHANGE_REST_PLUGINS, find_resting(activation), &activation->rest_change,
                   ret_work);
}

static void on_rested(struct perform_request *request, const struct perform_report *report)
{
    struct activation *activation = CONTAINER_OF(request, struct activation, rest);

    activation->rest_is_asked = activation->rest_has_begun = false;
    change_destroy(activation->rest_change);
    activation->rest_change = NULL;
    tend(activation);
}

/* Who asks */

void activation_note(struct activation *activation, const char *uri)
{
    struct item *item;

    if (activation->is_stopping)
        return;
    follow_plan(activation);
    item = find_in(activation->items, activation->count, uri);
    /* One that runs is held while it is upgraded; or while it comes to rest, and then it is to start again.
     */
    if (item == NULL || item->is_starting ||
        (registry_plugin_is_ready(plugin_of(activation, item)) && !activation->rest_has_begun))
        return;
    if (!item->is_wanted)
        log_plugin(BERTH_LOG_DEBUG, uri, "called while it is %s",
                   berth_state_name(plugin_of(activation, item)->state));
    item->is_wanted = true;
    uv_idle_start(&activation->turn, on_turn);
}

static enum berth_code activate(const struct berth_inspect *table, const char *uri, struct berth_error *err)
{
    struct activation *activation = ((const struct inspect *)table->context)->activation;
    const struct registry_plugin *plugin;
    const struct item *item;

    if (!inspect_is_on_loop(table, "inspect->activate", __builtin_return_address(0)))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "activate must be called from the loop's thread");
    plugin = registry_find(activation->options.registry, uri);
    if (plugin == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" not found", uri);
    if (registry_plugin_is_ready(plugin) && !activation->rest_has_begun)
        return BERTH_OK;
    follow_plan(activation);
    item = find_in(activation->items, activation->count, uri);
    if (item == NULL || activation->is_stopping || (item->retry_ns > 0 && !item->is_open))
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s is %s%s%s", uri, berth_state_name(plugin->state),
                               plugin->reason != NULL ? ": " : "",
                               plugin->reason != NULL ? plugin->reason : "");
    activation_note(activation, uri);
    return BERTH_PENDING;
}

struct activation *activation_create(const struct activation_options *options)
{
    struct activation *activation = memory_allocate(1, sizeof(*activation));

    activation->options = *options;
    activation->start = (struct perform_request){.begin = begin_start, .on_done = on_started};
    activation->rest = (struct perform_request){.begin = begin_rest, .on_done = on_rested};
    uv_idle_init(options->loop, &activation->turn);
    uv_timer_init(options->loop, &activation->timer);
    /* Their functions say whose they are, for whoever looks at the loop's handles before a module is
     * unloaded.
     */
    uv_idle_start(&activation->turn, on_turn);
    uv_idle_stop(&activation->turn);
    uv_timer_start(&activation->timer, on_timer, 0, 0);
    uv_timer_stop(&activation->timer);
    options->inspect->activation = activation;
    options->inspect->table.activate = activate;
    return activation;
}

void activation_begin(struct activation *activation, struct perform *perform)
{
    activation->perform = perform;
}

void activation_open(struct activation *activation)
{
    activation->is_open = true;
    follow_plan(activation);
    for (size_t i = 0; i < activation->count; i++)
        if (plugin_of(activation, &activation->items[i])->state == BERTH_STATE_IDLE)
            perform_hold_calls(activation->perform, entry_of(activation, &activation->items[i]));
    activation->watch = changes_watch(&activation->options.inspect->changes, on_change, activation);
    if (activation->watch == NULL)
        abort();
}

void activation_stop(struct activation *activation)
{
    if (activation == NULL || activation->is_stopping)
        return;
    activation->is_stopping = true;
    uv_timer_stop(&activation->timer);
    follow_plan(activation);
    for (size_t i = 0; i < activation->count; i++)
        perform_refuse_calls(activation->perform, entry_of(activation, &activation->items[i]),
                             "the daemon is shutting down");
}

void activation_close(struct activation *activation)
{
    if (activation->watch != NULL)
        changes_unwatch(&activation->options.inspect->changes, activation->watch);
    uv_close((uv_handle_t *)&activation->turn, NULL);
    uv_close((uv_handle_t *)&activation->timer, NULL);
}

void activation_destroy(struct activation *activation)
{
    if (activation == NULL)
        return;
    change_destroy(activation->start_change);
    change_destroy(activation->rest_change);
    free_items(activation->items, activation->count);
    free(activation->subjects);
    survey_drop(activation->survey);
    free(activation);
}
