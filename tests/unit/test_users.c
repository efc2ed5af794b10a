/* SPDX-License-Identifier: Apache-2.0 */
/* Of what the ledger has, only what one living plugin has of another's interface makes it a user. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <core/reload/users.h>

/* One that runs, with an owner. */
struct actor {
    struct manifest_plugin plugin;
    struct plan_entry entry;
};

static struct actor actors[3];
static struct change_running items[3];
static const void *owners[3];

static void begin(struct ledger *ledger)
{
    static const char *const uris[] = {"io.x.a", "io.x.b", "io.x.c"};

    *ledger = (struct ledger){0};
    for (size_t i = 0; i < 3; i++) {
        actors[i].plugin.uri = uris[i];
        actors[i].entry = (struct plan_entry){.plugin = &actors[i].plugin};
        items[i] = (struct change_running){.entry = &actors[i].entry, .has_interface = i != 2};
        owners[i] = &actors[i];
    }
}

static struct ledger_side side(size_t i)
{
    return (struct ledger_side){&actors[i], actors[i].plugin.uri, 1};
}

static void refer(struct ledger *ledger, size_t holder, size_t provider)
{
    ledger_refer(ledger, &(struct ledger_side){&actors[holder], actors[holder].plugin.uri, 1},
                 &(struct ledger_side){&actors[provider], actors[provider].plugin.uri, 1});
}

static void those_that_have_an_interface_are_listed(void **state)
{
    struct ledger ledger;
    struct users users;

    begin(&ledger);
    refer(&ledger, 1, 0);
    refer(&ledger, 2, 0);
    refer(&ledger, 2, 0);
    refer(&ledger, 0, 1);
    users_find(&users, &ledger, items, owners, 3);
    assert_true(items[0].users_are_known);
    assert_int_equal(items[0].user_count, 2);
    assert_string_equal(items[0].users[0], "io.x.c");
    assert_string_equal(items[0].users[1], "io.x.b");
    assert_int_equal(items[1].user_count, 1);
    assert_string_equal(items[1].users[0], "io.x.a");
    users_finish(&users);
    ledger_finish(&ledger);
}

static void other_entries_make_no_user(void **state)
{
    const struct ledger_side before = {&before, "io.x.a", 1}, holder = side(1), provider = side(0);
    struct ledger ledger;
    struct users users;

    begin(&ledger);
    /* Of a generation that was replaced, of itself, what a provider notes, and of one without an interface.
     */
    ledger_refer(&ledger, &holder, &before);
    refer(&ledger, 0, 0);
    ledger_hold(&ledger, &holder, &provider, "a watch");
    refer(&ledger, 1, 2);
    users_find(&users, &ledger, items, owners, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(items[i].user_count, 0);
        assert_int_equal(items[i].users_are_known, i != 2);
    }
    users_finish(&users);
    ledger_finish(&ledger);
}

static void nothing_runs(void **state)
{
    struct ledger ledger = {0};
    struct users users;

    users_find(&users, &ledger, items, owners, 0);
    users_finish(&users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_have_an_interface_are_listed),
        cmocka_unit_test(other_entries_make_no_user),
        cmocka_unit_test(nothing_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
