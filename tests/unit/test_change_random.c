/* SPDX-License-Identifier: Apache-2.0 */
/* Changes between random plans: whatever they are, doing the steps in their order leads to what is planned.
 */
#include "change_world.h"

#define MODULES 12
#define PLUGINS_OF_A_MODULE 4
#define PLUGINS (MODULES * PLUGINS_OF_A_MODULE)
#define TYPES 8
#define ROUNDS 3000

/* xorshift64 (G. Marsaglia, Xorshift RNGs, 2003). */
static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

static unsigned roll(unsigned sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % sides);
}

/* What a random configuration of the daemon comes from. */
struct recipe {
    struct {
        bool is_there;
        unsigned version;
        struct {
            bool is_there, has_interface, is_disabled, takes_settings;
            unsigned upgrade, size;
            struct {
                bool is_binding, is_type;
                unsigned target;
            } requirements[3];
            unsigned requirement_count;
        } plugins[PLUGINS_OF_A_MODULE];
    } modules[MODULES];
};

static void roll_plugin(struct recipe *recipe, unsigned module, unsigned i)
{
    recipe->modules[module].plugins[i].is_there = roll(8) > 0;
    recipe->modules[module].plugins[i].has_interface = roll(2) == 0;
    recipe->modules[module].plugins[i].takes_settings = roll(3) == 0;
    recipe->modules[module].plugins[i].upgrade = roll(3);
    recipe->modules[module].plugins[i].requirement_count = roll(4);
    for (unsigned k = 0; k < 3; k++) {
        recipe->modules[module].plugins[i].requirements[k].is_binding = roll(2) == 0;
        recipe->modules[module].plugins[i].requirements[k].is_type = roll(4) == 0;
        recipe->modules[module].plugins[i].requirements[k].target = roll(PLUGINS);
    }
}

static void roll_all(struct recipe *recipe)
{
    memset(recipe, 0, sizeof(*recipe));
    for (unsigned m = 0; m < MODULES; m++) {
        recipe->modules[m].is_there = roll(6) > 0;
        for (unsigned i = 0; i < PLUGINS_OF_A_MODULE; i++)
            roll_plugin(recipe, m, i);
    }
}

/* A few things change: settings, versions with other requirements, files that come and go, disabled plugins.
 */
static void change_some(struct recipe *recipe)
{
    for (unsigned n = roll(6); n > 0; n--) {
        unsigned m = roll(MODULES), i = roll(PLUGINS_OF_A_MODULE);

        switch (roll(4)) {
        case 0:
            recipe->modules[m].plugins[i].size++;
            break;
        case 1:
            recipe->modules[m].version++;
            roll_plugin(recipe, m, i);
            break;
        case 2:
            recipe->modules[m].is_there = !recipe->modules[m].is_there;
            break;
        default:
            recipe->modules[m].plugins[i].is_disabled = !recipe->modules[m].plugins[i].is_disabled;
        }
    }
}

static void write_requirements(FILE *out, const struct recipe *recipe, unsigned m, unsigned i,
                               bool is_binding)
{
    const char *separator = is_binding ? ", requires: [" : ", wants: [";

    for (unsigned k = 0; k < recipe->modules[m].plugins[i].requirement_count; k++) {
        unsigned target = recipe->modules[m].plugins[i].requirements[k].target;

        if (recipe->modules[m].plugins[i].requirements[k].is_binding != is_binding ||
            target % TYPES == (m * PLUGINS_OF_A_MODULE + i) % TYPES)
            continue;
        if (recipe->modules[m].plugins[i].requirements[k].is_type)
            fprintf(out, "%sio.x.t%u.v1", separator, target % TYPES);
        else
            fprintf(out, "%sio.x.t%u.v1.p%u", separator, target % TYPES, target);
        separator = ", ";
    }
    if (separator[1] == ' ' && separator[2] == '\0')
        fputs("]", out);
}

static char *write_module(const struct recipe *recipe, unsigned m)
{
    static const char *const modes[] = {"exclusive", "handover", "beside"};
    const char *separator = "";
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    fprintf(out, "{module: m%u, version: 1.%u.0, plugins: [", m, recipe->modules[m].version);
    for (unsigned i = 0; i < PLUGINS_OF_A_MODULE; i++) {
        unsigned number = m * PLUGINS_OF_A_MODULE + i;

        if (!recipe->modules[m].plugins[i].is_there && i > 0)
            continue;
        fprintf(out, "%s\n{type: io.x.t%u.v1, id: p%u, upgrade: %s%s%s", separator, number % TYPES, number,
                modes[recipe->modules[m].plugins[i].upgrade],
                recipe->modules[m].plugins[i].has_interface ? ", interface: f" : "",
                recipe->modules[m].plugins[i].takes_settings ? ", callbacks: [reconfigure]" : "");
        write_requirements(out, recipe, m, i, true);
        write_requirements(out, recipe, m, i, false);
        fputs(", config: {size: {type: int, default: 0}}}", out);
        separator = ",";
    }
    fputs("]}", out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static bool is_found(const struct recipe *recipe, unsigned m, unsigned i)
{
    return recipe->modules[m].is_there && (i == 0 || recipe->modules[m].plugins[i].is_there);
}

static char *write_configuration(const struct recipe *recipe)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    fputs("disabled_plugins:\n", out);
    for (unsigned n = 0; n < PLUGINS; n++)
        if (is_found(recipe, n / PLUGINS_OF_A_MODULE, n % PLUGINS_OF_A_MODULE) &&
            recipe->modules[n / PLUGINS_OF_A_MODULE].plugins[n % PLUGINS_OF_A_MODULE].is_disabled)
            fprintf(out, "  - io.x.t%u.v1.p%u\n", n % TYPES, n);
    fputs("plugins:\n", out);
    for (unsigned n = 0; n < PLUGINS; n++)
        if (is_found(recipe, n / PLUGINS_OF_A_MODULE, n % PLUGINS_OF_A_MODULE))
            fprintf(out, "  io.x.t%u.v1.p%u: {size: %u}\n", n % TYPES, n,
                    recipe->modules[n / PLUGINS_OF_A_MODULE].plugins[n % PLUGINS_OF_A_MODULE].size);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void make_world(struct world *world, const struct recipe *recipe)
{
    const char *modules[MODULES + 1];
    char *configuration = write_configuration(recipe);
    size_t count = 0;

    for (unsigned m = 0; m < MODULES; m++)
        if (recipe->modules[m].is_there)
            modules[count++] = write_module(recipe, m);
    modules[count] = NULL;
    world_open(world, modules, "c", configuration);
    for (size_t i = 0; i < count; i++)
        free((char *)modules[i]);
    free(configuration);
}

/* What is running while the steps of a change are done, one slot for each step. */
struct play {
    const struct change *change;
    const struct world *after;
    const struct change_running *running;
    /** The entry whose generation runs, old or new; NULL: none. */
    const struct plan_entry *now[2 * PLUGINS];
};

static const char *name_of(const struct play *play, size_t step)
{
    return play->change->steps[step].uri;
}

static bool is_old(const struct play *play, size_t step)
{
    return play->now[step] != NULL && play->now[step] == play->change->steps[step].from;
}

static bool has_interface(const struct plan_entry *entry)
{
    return entry->plugin->interface != NULL;
}

/* Does the entry require or want the other by type or URI? */
static bool uses(const struct plan_entry *user, const struct plan_entry *provider, bool is_binding)
{
    for (size_t i = 0; user != provider && i < user->requirement_count; i++)
        if (!user->requirements[i].dropped && (user->requirements[i].binding || !is_binding) &&
            (strcmp(user->requirements[i].name, provider->plugin->type) == 0 ||
             strcmp(user->requirements[i].name, provider->plugin->uri) == 0))
            return true;
    return false;
}

/* Nobody may still use the interface of what ends, nor require it once it is to stop. */
static void end(struct play *play, size_t step)
{
    const struct plan_entry *ending = play->now[step];

    assert_non_null(ending);
    for (size_t i = 0; i < play->change->step_count; i++) {
        if (i == step || !is_old(play, i) || !uses(play->now[i], ending, false))
            continue;
        if (has_interface(ending))
            fail_msg("%s ends while %s uses its interface", name_of(play, step), name_of(play, i));
        if (play->change->steps[step].action == CHANGE_STOP && play->change->steps[i].action == CHANGE_STOP)
            fail_msg("%s stops before %s, which uses it", name_of(play, step), name_of(play, i));
    }
    play->now[step] = NULL;
}

/* All that it requires or wants is running by then, unless it failed before. */
static void begin(struct play *play, size_t step)
{
    const struct change_step *starting = &play->change->steps[step];

    assert_null(play->now[step]);
    play->now[step] = starting->to;
    for (size_t i = 0; i < play->change->step_count; i++) {
        const struct change_step *other = &play->change->steps[i];

        if (other->to == NULL || !uses(starting->to, other->to, false) || play->now[i] != NULL)
            continue;
        if (other->action != CHANGE_KEEP)
            fail_msg("%s begins before %s, which it uses", starting->uri, other->uri);
        assert_false(play->running[other->running].is_ready);
    }
}

static void do_group(struct play *play, const struct change_group *group)
{
    for (size_t i = 0; i < group->end_count; i++)
        end(play, group->ends[i]);
    for (size_t i = 0; i < group->begin_count; i++)
        if (play->change->steps[group->begins[i]].action != CHANGE_RECONFIGURE)
            begin(play, group->begins[i]);
}

static void assert_planned(const struct play *play)
{
    for (size_t i = 0; i < play->change->step_count; i++) {
        const struct change_step *step = &play->change->steps[i];
        bool was_tried = step->running != CHANGE_NONE && !play->running[step->running].is_ready;

        if (step->to == NULL && play->now[i] != NULL)
            fail_msg("%s goes on although it is not planned", step->uri);
        if (step->to != NULL && play->now[i] == NULL && !(step->action == CHANGE_KEEP && was_tried))
            fail_msg("%s is planned, but does not run", step->uri);
        if (step->action == CHANGE_KEEP && play->now[i] != NULL)
            assert_true(step->from->plugin->manifest->hash == step->to->plugin->manifest->hash);
    }
}

/* Who goes on while something else moves is not one that uses its interface, as it was or as it will be. */
static void assert_nobody_uses_what_moved(const struct play *play)
{
    for (size_t i = 0; i < play->change->step_count; i++) {
        const struct change_step *stays = &play->change->steps[i];

        if (stays->from == NULL || (stays->action != CHANGE_KEEP && stays->action != CHANGE_RECONFIGURE))
            continue;
        for (size_t k = 0; k < play->change->step_count; k++) {
            const struct change_step *moves = &play->change->steps[k];

            if (moves->action == CHANGE_KEEP || moves->action == CHANGE_RECONFIGURE)
                continue;
            if (moves->from != NULL && has_interface(moves->from) && uses(stays->from, moves->from, false))
                fail_msg("%s keeps what it uses of %s", stays->uri, moves->uri);
            if (moves->to != NULL && has_interface(moves->to) && uses(stays->to, moves->to, false))
                fail_msg("%s does not see %s", stays->uri, moves->uri);
        }
    }
}

static void assert_each_step_has_its_place(const struct change *change)
{
    size_t ends[2 * PLUGINS] = {0}, begins[2 * PLUGINS] = {0};

    for (size_t g = 0; g < change->group_count; g++) {
        for (size_t i = 0; i < change->groups[g].end_count; i++) {
            ends[change->groups[g].ends[i]]++;
            assert_int_equal(change->steps[change->groups[g].ends[i]].group, g);
        }
        for (size_t i = 0; i < change->groups[g].begin_count; i++) {
            begins[change->groups[g].begins[i]]++;
            assert_int_equal(change->steps[change->groups[g].begins[i]].group, g);
        }
    }
    for (size_t i = 0; i < change->step_count; i++) {
        enum change_action action = change->steps[i].action;

        assert_int_equal(ends[i],
                         action == CHANGE_STOP || action == CHANGE_RESTART || action == CHANGE_UPGRADE);
        assert_int_equal(begins[i], action != CHANGE_STOP && action != CHANGE_KEEP);
        assert_true((action == CHANGE_KEEP) == (change->steps[i].group == CHANGE_NONE));
        assert_true(action == CHANGE_KEEP || change->steps[i].reason != NULL);
        assert_true(i == 0 || strcmp(change->steps[i - 1].uri, change->steps[i].uri) < 0);
    }
}

/* Those that failed, and with them all that cannot do without. */
static void fail_some(struct change_running *running, const struct plan *plan)
{
    for (size_t i = 0; i < plan->run_count; i++)
        if (roll(20) == 0)
            running[i].is_ready = false;
    for (size_t i = 0; i < plan->run_count; i++)
        for (size_t k = 0; k < i; k++)
            if (!running[k].is_ready && uses(running[i].entry, running[k].entry, true))
                running[i].is_ready = false;
}

static void play_change(const struct world *before, const struct world *after, bool fails)
{
    struct change_running *running = world_run(before);
    const struct change_request request = {.kind = CHANGE_RELOAD};
    struct change *change;
    struct play play = {.after = after, .running = running};

    if (fails)
        fail_some(running, before->plan);
    change = change_create(running, before->plan->run_count, before->settings, after->plan, after->settings,
                           &request);
    play.change = change;
    assert_int_equal(change->code, BERTH_OK);
    for (size_t i = 0; i < change->step_count; i++)
        play.now[i] = change->steps[i].from;
    assert_each_step_has_its_place(change);
    for (size_t i = 0; i < change->group_count; i++)
        do_group(&play, &change->groups[i]);
    assert_planned(&play);
    assert_nobody_uses_what_moved(&play);
    change_destroy(change);
    free(running);
}

static void any_change_leads_to_the_plan(void **state)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct recipe recipe;
        struct world before, after;

        roll_all(&recipe);
        make_world(&before, &recipe);
        change_some(&recipe);
        make_world(&after, &recipe);
        play_change(&before, &after, roll(2) == 0);
        play_change(&after, &before, roll(2) == 0);
        world_close(&before);
        world_close(&after);
    }
}

static void a_change_without_a_difference_has_no_step(void **state)
{
    for (int round = 0; round < ROUNDS / 10; round++) {
        const struct change_request request = {.kind = CHANGE_RELOAD};
        struct recipe recipe;
        struct world before, after;
        struct change_running *running;
        struct change *change;

        roll_all(&recipe);
        make_world(&before, &recipe);
        make_world(&after, &recipe);
        running = world_run(&before);
        change = change_create(running, before.plan->run_count, before.settings, after.plan, after.settings,
                               &request);
        assert_int_equal(change->work_count, 0);
        assert_int_equal(change->group_count, 0);
        assert_int_equal(change->daemon_count, 0);
        change_destroy(change);
        free(running);
        world_close(&before);
        world_close(&after);
    }
}

/* The daemon's start and its stop. */
static void the_change_from_nothing_starts_all_and_that_to_nothing_stops_all(void **state)
{
    const char *const no_modules[] = {NULL};
    struct world nothing;

    world_open(&nothing, no_modules, "c", "");
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct recipe recipe;
        struct world world;

        roll_all(&recipe);
        make_world(&world, &recipe);
        play_change(&nothing, &world, false);
        play_change(&world, &nothing, false);
        world_close(&world);
    }
    world_close(&nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_change_leads_to_the_plan),
        cmocka_unit_test(a_change_without_a_difference_has_no_step),
        cmocka_unit_test(the_change_from_nothing_starts_all_and_that_to_nothing_stops_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
