/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random changes of random plugins of which some fail, hang, die or never end, while calls run, with a second
 * change behind the first, and a stop in the middle of one. After each change, what runs is what a fresh
 * start with that configuration would run, or somebody was told of what differs: in a report, or in the log
 * when a plugin died.
 *
 * BERTH_MODEL_STEPS: how many changes; a million take half an hour of CPU time. BERTH_MODEL_SEED: where to
 * begin. Each episode prints its seed, which with BERTH_MODEL_STEPS=1 repeats it.
 */
#include "perform_calls.h"

#define MODULES 25
#define PLUGINS (MODULES * 2)
#define TEXT 1024
/* Changes between two fresh starts. */
#define EPISODE 20

/* xorshift64 (G. Marsaglia, Xorshift RNGs, 2003). */
static uint64_t random_state = UINT64_C(0x2545f4914f6cdd1d);

static unsigned roll(unsigned sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % sides);
}

static struct recipe {
    struct {
        bool is_there;
        unsigned version, upgrade;
        struct {
            bool is_there, has_interface, is_disabled, reconfigures, has_state;
            unsigned size, requirement_count;
            struct {
                bool is_binding;
                unsigned target;
            } requirements[3];
        } plugins[2];
    } modules[MODULES];
} recipe;

static char uris[PLUGINS][32];
/* How the last change that touched it went. */
static bool was_told[PLUGINS];
/* Stopped by an operator, until it is started again. */
static bool is_stopped[PLUGINS];
static enum change_kind last_kind;
/* The one that has a service. */
#define ANSWERS 7
static const char *const versions[] = {"1.0.0", "2.0.0", "3.0.0"};

static void roll_module(unsigned m)
{
    recipe.modules[m].is_there = roll(6) > 0;
    recipe.modules[m].version = roll(3);
    recipe.modules[m].upgrade = roll(3);
    for (unsigned i = 0; i < 2; i++) {
        recipe.modules[m].plugins[i].is_there = i == 0 || roll(4) > 0;
        recipe.modules[m].plugins[i].has_interface = roll(2) == 0;
        recipe.modules[m].plugins[i].is_disabled = roll(10) == 0;
        recipe.modules[m].plugins[i].reconfigures = roll(2) == 0;
        recipe.modules[m].plugins[i].has_state = roll(3) == 0;
        recipe.modules[m].plugins[i].size = roll(3);
        recipe.modules[m].plugins[i].requirement_count = roll(4);
        for (unsigned k = 0; k < 3; k++) {
            recipe.modules[m].plugins[i].requirements[k].is_binding = roll(2) == 0;
            recipe.modules[m].plugins[i].requirements[k].target = roll(PLUGINS);
        }
    }
}

static void mutate(void)
{
    for (unsigned n = 1 + roll(4); n > 0; n--) {
        unsigned m = roll(MODULES), i = roll(2);

        switch (roll(5)) {
        case 0:
            roll_module(m);
            break;
        case 1:
            recipe.modules[m].version = roll(3);
            break;
        case 2:
            recipe.modules[m].plugins[i].size = roll(3);
            break;
        case 3:
            recipe.modules[m].plugins[i].is_disabled = !recipe.modules[m].plugins[i].is_disabled;
            break;
        case 4:
            recipe.modules[m].is_there = !recipe.modules[m].is_there;
            break;
        }
    }
}

static bool is_there(unsigned plugin)
{
    return recipe.modules[plugin / 2].is_there && recipe.modules[plugin / 2].plugins[plugin % 2].is_there;
}

static void write_requirements(FILE *out, unsigned plugin, bool is_binding)
{
    const char *separator = is_binding ? " requires: [" : " wants: [";
    bool seen[PLUGINS] = {false};
    bool is_any = false;

    for (unsigned k = 0; k < recipe.modules[plugin / 2].plugins[plugin % 2].requirement_count; k++) {
        unsigned target = recipe.modules[plugin / 2].plugins[plugin % 2].requirements[k].target;

        if (recipe.modules[plugin / 2].plugins[plugin % 2].requirements[k].is_binding != is_binding ||
            target == plugin || seen[target])
            continue;
        for (unsigned n = 0; n < k; n++)
            seen[recipe.modules[plugin / 2].plugins[plugin % 2].requirements[n].target] = true;
        if (seen[target])
            continue;
        seen[target] = true;
        fprintf(out, "%s%s", separator, uris[target]);
        separator = ", ";
        is_any = true;
    }
    if (is_any)
        fputs("],", out);
}

static void write_module(FILE *out, unsigned m)
{
    static const char *const modes[] = {"exclusive", "handover", "beside"};
    unsigned mode = recipe.modules[m].upgrade;

    fprintf(out, "{module: m%u, version: %s, plugins: [", m, versions[recipe.modules[m].version]);
    for (unsigned i = 0; i < 2; i++) {
        unsigned plugin = 2 * m + i;

        if (!recipe.modules[m].plugins[i].is_there)
            continue;
        fprintf(out, "{type: io.x.t%u.v1, id: p,%s%s upgrade: %s, config: {size: {type: int, default: 0}},",
                plugin, recipe.modules[m].plugins[i].has_interface ? " interface: s," : "",
                plugin == ANSWERS ? " services: {test.Stage: {Ask: unary}}," : "", modes[mode]);
        write_requirements(out, plugin, true);
        write_requirements(out, plugin, false);
        if (mode != 2 && recipe.modules[m].plugins[i].has_state)
            fprintf(out, " state: {writes: 1, reads: [1]}, callbacks: [%ssave_state, load_state]},",
                    recipe.modules[m].plugins[i].reconfigures ? "reconfigure, " : "");
        else
            fprintf(out, "%s},",
                    recipe.modules[m].plugins[i].reconfigures ? " callbacks: [reconfigure]" : "");
    }
    fputs("]}", out);
}

/* The arguments of stage_change, in memory that lives until the next. */
static const char *const *write_modules(char (*texts)[TEXT * 2], const char **modules)
{
    size_t count = 0;

    for (unsigned m = 0; m < MODULES; m++)
        if (recipe.modules[m].is_there) {
            FILE *out = fmemopen(texts[m], sizeof(texts[m]), "w");

            assert_non_null(out);
            write_module(out, m);
            fclose(out);
            modules[count++] = texts[m];
        }
    modules[count] = NULL;
    return modules;
}

static void write_configuration(char *text, size_t size)
{
    FILE *out = fmemopen(text, size, "w");

    assert_non_null(out);
    fputs("disabled_plugins: [", out);
    for (unsigned i = 0; i < PLUGINS; i++)
        if (is_there(i) && (is_stopped[i] || recipe.modules[i / 2].plugins[i % 2].is_disabled))
            fprintf(out, "%s,", uris[i]);
    fputs("]\nplugins: {", out);
    for (unsigned i = 0; i < PLUGINS; i++)
        if (is_there(i) && recipe.modules[i / 2].plugins[i % 2].size > 0)
            fprintf(out, "%s: {size: %u},", uris[i], recipe.modules[i / 2].plugins[i % 2].size);
    fputs("}\n", out);
    fclose(out);
}

/* A plugin of one version does one thing wrong, always: a fresh start would find the same. */
static void roll_faults(void)
{
    static const char *const what[] = {"init fails",    "init hangs", "serve fails", "drain hangs",
                                       "close hangs",   "save fails", "load fails",  "module fails",
                                       "prepare fails", "restart",    "refuse"};

    for (unsigned i = 0; i < 30; i++) {
        unsigned plugin = roll(PLUGINS);

        stage_fault(uris[plugin], versions[roll(3)], what[roll(11)]);
    }
}

static bool would_init(const struct plan_entry *entry)
{
    return !is_faulty(entry, "init fails") && !is_faulty(entry, "init hangs") &&
           !is_faulty(entry, "module fails") && !is_faulty(entry, "prepare fails");
}

static size_t number_of(const char *uri)
{
    for (size_t i = 0; i < PLUGINS; i++)
        if (strcmp(uris[i], uri) == 0)
            return i;
    fail_msg("no plugin %s", uri);
    return 0;
}

static void note_result(const struct perform_result *result)
{
    was_told[number_of(result->uri)] = result->code != BERTH_OK;
}

/* An upgrade leaves what it is not about to a reload, and the listing says so. */
static bool is_left(const struct registry_plugin *plugin)
{
    return plugin->state == BERTH_STATE_BLOCKED && plugin->reason != NULL &&
           strstr(plugin->reason, "the last change did not start it") != NULL;
}

/* Of who differs somebody must have been told, or of somebody that it requires. */
static void spread_told(const struct plan *plan, bool *told)
{
    bool goes_on = true;

    memcpy(told, was_told, sizeof(was_told));
    for (size_t i = 0; i < plan->run_count && last_kind == CHANGE_UPGRADE_PLUGINS; i++)
        if (is_left(registry_get(stage.registry, i)))
            told[number_of(plan->entries[i].plugin->uri)] = true;
    while (goes_on) {
        goes_on = false;
        for (size_t i = 0; i < plan->count; i++)
            for (size_t k = 0; k < plan->entries[i].requirement_count; k++) {
                const struct plan_requirement *requirement = &plan->entries[i].requirements[k];
                size_t a = number_of(plan->entries[i].plugin->uri), b;

                if (requirement->target != PLAN_TARGET_PLUGIN || !requirement->binding)
                    continue;
                b = number_of(plan->entries[requirement->index].plugin->uri);
                if (told[b] && !told[a])
                    told[a] = goes_on = true;
            }
    }
}

static void compare_with_a_fresh_start(void)
{
    const struct plan *plan = registry_plan(stage.registry);
    bool *is_ready = calloc(plan->run_count + 1, sizeof(*is_ready)), told[PLUGINS];

    spread_told(plan, told);
    for (size_t i = 0; i < plan->run_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        const struct registry_plugin *plugin = registry_get(stage.registry, i);
        bool runs = registry_plugin_is_ready(plugin), serves;

        is_ready[i] = would_init(entry);
        for (size_t k = 0; k < entry->requirement_count; k++)
            if (entry->requirements[k].binding && entry->requirements[k].target == PLAN_TARGET_PLUGIN)
                is_ready[i] = is_ready[i] && entry->requirements[k].index < plan->run_count &&
                              is_ready[entry->requirements[k].index];
        serves = is_ready[i] && !is_faulty(entry, "serve fails");
        runs =
            runs && strcmp(plugin->entry->plugin->manifest->version, entry->plugin->manifest->version) == 0;
        if (runs != serves && !told[number_of(entry->plugin->uri)])
            fail_msg("%s %s is %s (%s), and nobody was told; the report:\n%s", entry->plugin->uri,
                     entry->plugin->manifest->version, berth_state_name(plugin->state),
                     plugin->reason != NULL ? plugin->reason : "", stage.report);
    }
    for (size_t i = plan->count; i < registry_count(stage.registry); i++)
        if (registry_plugin_is_ready(registry_at(stage.registry, i)) &&
            !registry_at(stage.registry, i)->is_taken)
            fail_msg("%s runs without a generation", registry_at(stage.registry, i)->entry->plugin->uri);
    free(is_ready);
}

static bool count_open(void *context, const struct generation *generation)
{
    *(size_t *)context += generation->is_open;
    return true;
}

/* What the newest plan does not run is gone, or somebody was told of its stop. */
static bool check_wanted(void *context, const struct generation *generation)
{
    const struct registry_plugin *plugin = registry_find(stage.registry, generation_uri(generation));

    if ((plugin->planned == NULL || !plan_entry_will_run(plugin->planned)) &&
        !was_told[number_of(generation_uri(generation))])
        fail_msg("%s lives (%s), and the plan does not run it; the report:\n%s", generation_uri(generation),
                 berth_state_name(plugin->state), stage.report);
    return true;
}

/* What is replaced has gone by now, unless it hangs, and nothing else is open than what the machine knows. */
static void check_the_crew(void)
{
    size_t open = 0;

    perform_each_living(stage.perform, count_open, &open);
    assert_int_equal(open, stage.open);
    perform_each(stage.perform, check_wanted, NULL);
}

/* What is asked for */

struct change_arguments {
    char texts[MODULES][TEXT * 2], configuration[8192];
    const char *modules[MODULES + 1];
};

static void write_world(struct change_arguments *arguments, struct asked *asked)
{
    write_configuration(arguments->configuration, sizeof(arguments->configuration));
    asked->world = stage_world(write_modules(arguments->texts, arguments->modules), arguments->configuration);
}

static void roll_subject(struct asked *asked, enum change_kind kind, bool stops)
{
    unsigned plugin = roll(PLUGINS);

    asked->kind = kind;
    asked->subjects[asked->subject_count++] = uris[plugin];
    is_stopped[plugin] = stops;
}

/* What the plan has besides is the same as before, so that nothing is left to a reload. */
static void roll_upgrade(struct asked *asked)
{
    unsigned m = roll(MODULES);

    asked->kind = CHANGE_UPGRADE_PLUGINS;
    recipe.modules[m].version = roll(3);
    for (unsigned i = 0; i < 2; i++)
        if (is_there(2 * m + i))
            asked->subjects[asked->subject_count++] = uris[2 * m + i];
    if (asked->subject_count == 0)
        asked->kind = CHANGE_RELOAD;
}

static void roll_change(struct asked *asked)
{
    *asked = (struct asked){.request = {.begin = stage_begin, .on_done = stage_on_done}};
    switch (roll(8)) {
    case 0:
        roll_subject(asked, CHANGE_STOP_PLUGINS, true);
        break;
    case 1:
        roll_subject(asked, CHANGE_START_PLUGINS, false);
        break;
    case 2:
        roll_subject(asked, CHANGE_RESTART_PLUGINS, false);
        break;
    case 3:
        roll_upgrade(asked);
        break;
    default:
        asked->kind = CHANGE_RELOAD;
        mutate();
        break;
    }
}

/* Calls that run meanwhile, and plugins that die */

static void let_one_die(void)
{
    const struct registry_plugin *plugin = registry_find(stage.registry, uris[roll(PLUGINS)]);
    size_t count;
    const struct generation **list = perform_list(stage.perform, &count);

    for (size_t i = 0; i < count; i++)
        if (list[i]->plugin == plugin && generation_is_well(list[i])) {
            berth_fail(&list[i]->host.table, BERTH_UNAVAILABLE, "its worker died");
            was_told[number_of(generation_uri(list[i]))] = true;
        }
    free(list);
}

/* Some changes have another behind them, which a refusal of the first does not concern. */
static void change_once(void)
{
    static struct change_arguments arguments[2];
    const struct recipe before = recipe;
    bool stopped_before[PLUGINS];
    struct asked asked[2];
    struct berth_stream stream;
    struct berth_call *call = roll(3) == 0 ? open_call(&stream) : NULL;
    unsigned count = 1 + (roll(5) == 0), turns = roll(20);

    memcpy(stopped_before, is_stopped, sizeof(is_stopped));
    stage.is_forced = roll(4) == 0;
    stage.is_atomic = roll(4) == 0;
    for (unsigned i = 0; i < count; i++) {
        roll_change(&asked[i]);
        /* Only a reload may follow another change: it leaves nothing of a refused one to be done. */
        if (i > 0)
            asked[i] = (struct asked){.request = asked[i].request, .kind = CHANGE_RELOAD};
        write_world(&arguments[i], &asked[i]);
        perform_ask(stage.perform, &asked[i].request);
        for (unsigned k = 0; k < turns; k++)
            stage_turn();
    }
    for (unsigned i = 0; i < count; i++)
        stage_run_until(&asked[i].is_done);
    last_kind = asked[count - 1].kind;
    if (registry_plan(stage.registry) != asked[count - 1].world->plan) {
        recipe = before;
        memcpy(is_stopped, stopped_before, sizeof(is_stopped));
        stage_drop_refused();
    }
    compare_with_a_fresh_start();
    check_the_crew();
    if (call != NULL && !stream.is_finished)
        answer_call(call);
}

/* Whatever is under way is answered, and nothing is left. */
static void stop_in_the_middle(void)
{
    static struct change_arguments arguments;
    struct asked asked;

    roll_change(&asked);
    write_world(&arguments, &asked);
    perform_ask(stage.perform, &asked.request);
    for (unsigned turns = roll(40); turns > 0; turns--)
        stage_turn();
    perform_stop(stage.perform);
    assert_true(asked.is_done);
    stage_run_until(&stage.stopped);
}

/* From a fresh start on, with the same faults. */
static void run_episode(void)
{
    static struct change_arguments arguments;

    for (unsigned m = 0; m < MODULES; m++)
        roll_module(m);
    memset(was_told, 0, sizeof(was_told));
    memset(is_stopped, 0, sizeof(is_stopped));
    last_kind = CHANGE_RELOAD;
    write_configuration(arguments.configuration, sizeof(arguments.configuration));
    stage_start(write_modules(arguments.texts, arguments.modules), arguments.configuration);
    compare_with_a_fresh_start();
    for (int step = 0; step < EPISODE; step++) {
        if (roll(8) == 0)
            let_one_die();
        change_once();
        stage_complete();
        for (int i = 0; i < 5; i++)
            uv_run(&stage.loop, UV_RUN_NOWAIT);
        stage_sweep();
    }
    if (roll(2) == 0)
        stop_in_the_middle();
    stage_end();
}

static void random_changes_lead_to_what_a_fresh_start_gives(void **state)
{
    const char *steps = getenv("BERTH_MODEL_STEPS"), *seed = getenv("BERTH_MODEL_SEED");
    long count = steps != NULL ? atol(steps) : 2000;

    if (seed != NULL)
        random_state = strtoull(seed, NULL, 0);
    stage_on_result = note_result;
    stage_before_start = roll_faults;
    for (unsigned i = 0; i < PLUGINS; i++)
        snprintf(uris[i], sizeof(uris[i]), "io.x.t%u.v1.p", i);
    for (long done = 0; done < count; done += EPISODE) {
        print_message("seed %#llx\n", (unsigned long long)random_state);
        run_episode();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_lead_to_what_a_fresh_start_gives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
