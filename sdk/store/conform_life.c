/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance suite: closing, reopening, and being killed; changes by other daemons, and which watches report
 * them.
 */
#include "conform.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITING 50
#define WRITERS 4
#define BEFORE_THE_KILL 200
#define CLAIMS 40

static const struct berth_store *const store = &berth_store_interface;
static const struct berth_store_bytes nothing;

static struct berth_store_bytes number_of(const uint32_t *number)
{
    return (struct berth_store_bytes){number, sizeof(*number)};
}

/* Writes its number under two names. */
static enum berth_code write_twice(struct conform_update *update, struct berth_store_txn *txn,
                                   struct berth_error *err)
{
    uint32_t number = (uint32_t)update->index;

    store->put(txn, "left", number_of(&number), number_of(&number), err);
    return store->put(txn, "right", number_of(&number), number_of(&number), err);
}

static bool is_written(struct conform *c, uint32_t number)
{
    struct berth_store_bytes bytes = number_of(&number);
    bool is_left = conform_is(c, "left", bytes, bytes);

    CHECK(is_left == conform_is(c, "right", bytes, bytes));
    return is_left;
}

static void reopen(struct conform *c)
{
    conform_close(c);
    conform_open(c, false);
}

static struct conform_update updates[WAITING];

static void ask_some(struct conform *c)
{
    for (size_t i = 0; i < WAITING; i++) {
        updates[i] = (struct conform_update){.change = write_twice, .index = i};
        conform_ask(c, &updates[i]);
    }
}

static void check_ended(void)
{
    for (size_t i = 0; i < WAITING; i++) {
        CHECK(updates[i].ended == 1);
        CHECK(updates[i].order == i);
        CHECK(updates[i].code == BERTH_OK || updates[i].code == BERTH_UNAVAILABLE);
        CHECK(i == 0 || updates[i].code == BERTH_UNAVAILABLE || updates[i - 1].code == BERTH_OK);
    }
}

static void a_close_ends_every_update_that_waits(struct conform *c)
{
    ask_some(c);
    conform_close(c);
    check_ended();
    conform_open(c, true);
}

static void a_close_waits_for_what_is_on_its_way(struct conform *c)
{
    ask_some(c);
    while (updates[0].runs == 0)
        uv_run(&c->loop, UV_RUN_NOWAIT);
    conform_close(c);
    check_ended();
    CHECK(updates[0].code == BERTH_OK);
    conform_open(c, true);
}

static void ask_in_vain(struct conform_update *update)
{
    static bool has_asked;

    if (update->code == BERTH_UNAVAILABLE && !has_asked) {
        has_asked = true;
        update->c->ended--;
        conform_ask(update->c, update);
    }
}

static void an_update_that_is_asked_for_during_the_close_ends_too(struct conform *c)
{
    struct conform_update update = {.change = write_twice, .on_done = ask_in_vain};

    conform_ask(c, &update);
    conform_close(c);
    CHECK(update.ended == 1);
    CHECK(update.code == BERTH_UNAVAILABLE || update.code == BERTH_OK);
    conform_open(c, true);
}

static void what_was_done_is_there_after_a_close(struct conform *c)
{
    ask_some(c);
    conform_wait(c, &updates[WAITING - 1]);
    reopen(c);
    for (uint32_t i = 0; i < WAITING; i++)
        CHECK(is_written(c, i));
}

static void what_a_close_ended_did_not_happen(struct conform *c)
{
    ask_some(c);
    uv_run(&c->loop, UV_RUN_NOWAIT);
    conform_close(c);
    check_ended();
    conform_open(c, false);
    for (uint32_t i = 0; i < WAITING; i++)
        CHECK(is_written(c, i) == (updates[i].code == BERTH_OK));
}

static void tell_and_go_on(struct conform_update *update)
{
    uint32_t number = (uint32_t)update->index;
    int out = *(int *)update->context;

    CHECK(update->code == BERTH_OK);
    CHECK(write(out, &number, sizeof(number)) == (ssize_t)sizeof(number));
    update->index += WRITERS;
    conform_ask(update->c, update);
}

/* Writes and reports what was acknowledged, until it is killed. */
static void write_for_ever(struct conform *c, int out)
{
    struct conform_update writers[WRITERS];

    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct conform_update){
            .change = write_twice, .on_done = tell_and_go_on, .context = &out, .index = i};
        conform_ask(c, &writers[i]);
    }
    for (;;)
        uv_run(&c->loop, UV_RUN_ONCE);
}

static size_t read_until_killed(int in, pid_t writer, uint32_t numbers[], size_t most)
{
    size_t count = 0;

    while (count < most && read(in, &numbers[count], sizeof(numbers[0])) == (ssize_t)sizeof(numbers[0]))
        if (++count == BEFORE_THE_KILL)
            kill(writer, SIGKILL);
    return count;
}

static void what_was_done_is_there_after_a_kill(struct conform *c)
{
    static uint32_t numbers[65536];
    size_t count;
    int ends[2];
    pid_t writer;

    conform_close(c);
    CHECK(pipe(ends) == 0);
    writer = fork();
    if (writer == 0) {
        close(ends[0]);
        conform_open(c, true);
        write_for_ever(c, ends[1]);
    }
    close(ends[1]);
    CHECK(writer > 0);
    count = read_until_killed(ends[0], writer, numbers, sizeof(numbers) / sizeof(numbers[0]));
    CHECK(waitpid(writer, NULL, 0) == writer);
    close(ends[0]);
    CHECK(count >= BEFORE_THE_KILL);
    conform_open(c, false);
    for (size_t i = 0; i < count; i++)
        CHECK(is_written(c, numbers[i]));
    for (uint32_t i = 0; i < WRITERS; i++)
        is_written(c, numbers[count - 1] + i);
}

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

/* Whichever is first, the other does not overwrite it unknowingly. */
static void a_name_that_two_daemons_claim_goes_to_one(struct conform *c)
{
    struct told told;
    char key[16];

    watch(c, &told, "");
    for (size_t i = 0; i < CLAIMS; i++) {
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

const struct conform_case conform_life[] = {
    CONFORM_CASE(a_close_ends_every_update_that_waits, 0),
    CONFORM_CASE(a_close_waits_for_what_is_on_its_way, 0),
    CONFORM_CASE(an_update_that_is_asked_for_during_the_close_ends_too, 0),
    CONFORM_CASE(what_was_done_is_there_after_a_close, CONFORM_SURVIVAL),
    CONFORM_CASE(what_a_close_ended_did_not_happen, CONFORM_SURVIVAL),
    CONFORM_CASE(what_was_done_is_there_after_a_kill, CONFORM_SURVIVAL),
    CONFORM_CASE(watchers_hear_of_others_with_before_and_after, CONFORM_OTHERS),
    CONFORM_CASE(a_watcher_hears_of_its_prefix_only, CONFORM_OTHERS),
    CONFORM_CASE(nobody_is_told_of_this_instance_s_own_changes, CONFORM_OTHERS),
    CONFORM_CASE(who_stops_watching_hears_nothing_more, CONFORM_OTHERS),
    CONFORM_CASE(a_name_that_two_daemons_claim_goes_to_one, CONFORM_OTHERS),
    {NULL, NULL, 0},
};
