/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of the conformance suite: closing, opening again, and being killed. */
#include "conform.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITING 50
#define WRITERS 4
#define BEFORE_THE_KILL 200

static const struct berth_store *const store = &berth_store_interface;

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

/* Writes and tells what was acknowledged, until it is killed. */
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

#define CASE(name, needs)                                                                                    \
    {                                                                                                        \
#name, name, needs                                                                                   \
    }

const struct conform_case conform_life[] = {
    CASE(a_close_ends_every_update_that_waits, 0),
    CASE(a_close_waits_for_what_is_on_its_way, 0),
    CASE(an_update_that_is_asked_for_during_the_close_ends_too, 0),
    CASE(what_was_done_is_there_after_a_close, CONFORM_SURVIVAL),
    CASE(what_a_close_ended_did_not_happen, CONFORM_SURVIVAL),
    CASE(what_was_done_is_there_after_a_kill, CONFORM_SURVIVAL),
    {NULL, NULL, 0},
};
