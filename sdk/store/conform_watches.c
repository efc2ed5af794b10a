/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of the conformance suite: other daemons' changes, and who is told of them. */
#include "conform.h"

#include <stdio.h>

#define MANY 40

static const struct berth_store *const store = &berth_store_interface;
static const struct berth_store_bytes nothing;

struct told {
    struct conform *c;
    struct berth_store_watch *watch;
    size_t count;
    /* "key:before>after;" of each. */
    char text[4096];
    bool stops;
};

static void add(struct told *told, struct berth_store_bytes bytes, char end)
{
    size_t used = strlen(told->text);

    snprintf(told->text + used, sizeof(told->text) - used, "%.*s%c",
             bytes.data == NULL ? 1 : (int)bytes.length, bytes.data == NULL ? "!" : (const char *)bytes.data,
             end);
}

static void on_change(void *context, const struct berth_store_change *change)
{
    struct told *told = context;

    CHECK(!told->c->is_inside);
    CHECK(change->size >= sizeof(*change) && change->cause == BERTH_STORE_OTHER);
    CHECK(conform_is(told->c, change->bucket, change->key, change->after));
    told->count++;
    add(told, change->key, ':');
    add(told, change->before, '>');
    add(told, change->after, ';');
    if (told->stops)
        store->unwatch(told->c->instance, told->watch);
}

static void watch(struct conform *c, struct told *told, const char *prefix)
{
    *told = (struct told){.c = c};
    told->watch = store->watch(c->instance, prefix, on_change, told);
    CHECK(told->watch != NULL);
}

static void write_as_other(struct conform *c, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes value)
{
    struct berth_error err;
    enum berth_code code =
        c->harness->write_as_other(c->harness->context, c->instance, bucket, key, value, &err);

    if (code != BERTH_OK)
        fprintf(stderr, "%s\n", err.message);
    CHECK(code == BERTH_OK);
}

static void wait_for(struct conform *c, const struct told *told, size_t count)
{
    while (told->count < count)
        uv_run(&c->loop, UV_RUN_ONCE);
}

static void watchers_hear_of_others_with_before_and_after(struct conform *c)
{
    struct told told;

    CHECK(conform_write(c, "b", BYTES("k"), BYTES("mine")) == BERTH_OK);
    watch(c, &told, "");
    write_as_other(c, "b", BYTES("k"), BYTES("theirs"));
    wait_for(c, &told, 1);
    write_as_other(c, "b", BYTES("k"), nothing);
    wait_for(c, &told, 2);
    write_as_other(c, "b", BYTES("k"), BYTES(""));
    wait_for(c, &told, 3);
    CHECK(strcmp(told.text, "k:mine>theirs;k:theirs>!;k:!>;") == 0);
    store->unwatch(c->instance, told.watch);
}

static void a_watcher_hears_of_its_prefix_only(struct conform *c)
{
    struct told all, some;

    watch(c, &all, "");
    watch(c, &some, "containers/");
    write_as_other(c, "containers", BYTES("1"), BYTES("x"));
    write_as_other(c, "containers/a", BYTES("2"), BYTES("x"));
    write_as_other(c, "leases/a", BYTES("3"), BYTES("x"));
    write_as_other(c, "containers/b", BYTES("4"), BYTES("x"));
    wait_for(c, &all, 4);
    CHECK(strcmp(all.text, "1:!>x;2:!>x;3:!>x;4:!>x;") == 0);
    CHECK(strcmp(some.text, "2:!>x;4:!>x;") == 0);
    store->unwatch(c->instance, all.watch);
    store->unwatch(c->instance, some.watch);
    store->unwatch(c->instance, NULL);
}

static void nobody_is_told_of_this_instance_s_own_changes(struct conform *c)
{
    struct told told;

    watch(c, &told, "");
    CHECK(conform_write(c, "b", BYTES("own"), BYTES("x")) == BERTH_OK);
    write_as_other(c, "b", BYTES("k"), BYTES("y"));
    wait_for(c, &told, 1);
    CHECK(strcmp(told.text, "k:!>y;") == 0);
    store->unwatch(c->instance, told.watch);
}

static void who_stops_watching_hears_nothing_more(struct conform *c)
{
    struct told first, second;

    watch(c, &first, "");
    watch(c, &second, "");
    first.stops = true;
    write_as_other(c, "b", BYTES("1"), BYTES("x"));
    write_as_other(c, "b", BYTES("2"), BYTES("x"));
    wait_for(c, &second, 2);
    CHECK(first.count == 1);
    store->unwatch(c->instance, second.watch);
}

static enum berth_code claim(struct conform_update *update, struct berth_store_txn *txn,
                             struct berth_error *err)
{
    struct berth_store_bytes value;

    if (store->get(txn, "b", berth_store_text(update->context), &value, err) == BERTH_OK)
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "somebody has it");
    return store->put(txn, "b", berth_store_text(update->context), BYTES("mine"), err);
}

/* Whichever came first, the other does not overwrite it unknowingly. */
static void a_name_that_two_daemons_claim_goes_to_one(struct conform *c)
{
    struct told told;
    char key[16];

    watch(c, &told, "");
    for (size_t i = 0; i < MANY; i++) {
        struct conform_update update = {.change = claim, .context = key};

        snprintf(key, sizeof(key), "%zu", i);
        told.text[0] = '\0';
        conform_ask(c, &update);
        for (size_t turns = 0; turns < i % 4; turns++)
            uv_run(&c->loop, UV_RUN_NOWAIT);
        write_as_other(c, "b", berth_store_text(key), BYTES("theirs"));
        conform_wait(c, &update);
        wait_for(c, &told, i + 1);
        CHECK(update.code == BERTH_OK || update.code == BERTH_ALREADY_EXISTS);
        CHECK((update.code == BERTH_OK) == (strstr(told.text, ":mine>theirs;") != NULL));
        CHECK((update.code != BERTH_OK) == (strstr(told.text, ":!>theirs;") != NULL));
        CHECK(conform_is(c, "b", berth_store_text(key), BYTES("theirs")));
    }
    store->unwatch(c->instance, told.watch);
}

#define CASE(name)                                                                                           \
    {                                                                                                        \
#name, name, CONFORM_OTHERS                                                                          \
    }

const struct conform_case conform_watches[] = {
    CASE(watchers_hear_of_others_with_before_and_after), CASE(a_watcher_hears_of_its_prefix_only),
    CASE(nobody_is_told_of_this_instance_s_own_changes), CASE(who_stops_watching_hears_nothing_more),
    CASE(a_name_that_two_daemons_claim_goes_to_one),     {NULL, NULL, 0},
};
