/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance suite: entries, their names, limits and order; what snapshots and changes see, what is undone,
 * and the order in which changes end.
 */
#include "conform.h"

#include <stdio.h>
#include <stdlib.h>

#define FLOOR_VALUE (1 << 20)
#define FLOOR_WRITES 64
#define MANY_WRITES 4096
#define MANY 300

static const struct berth_store *const store = &berth_store_interface;
static const struct berth_store_bytes nothing;

static void an_entry_is_there_once_it_is_done(struct conform *c)
{
    CHECK(conform_is(c, "b", BYTES("k"), nothing));
    CHECK(conform_write(c, "b", BYTES("k"), BYTES("v")) == BERTH_OK);
    CHECK(conform_is(c, "b", BYTES("k"), BYTES("v")));
    CHECK(conform_write(c, "b", BYTES("k"), BYTES("another")) == BERTH_OK);
    CHECK(conform_is(c, "b", BYTES("k"), BYTES("another")));
}

static void a_removed_entry_is_gone_and_removing_none_is_fine(struct conform *c)
{
    CHECK(conform_write(c, "b", BYTES("k"), nothing) == BERTH_OK);
    CHECK(conform_write(c, "b", BYTES("k"), BYTES("v")) == BERTH_OK);
    CHECK(conform_write(c, "b", BYTES("k"), nothing) == BERTH_OK);
    CHECK(conform_is(c, "b", BYTES("k"), nothing));
    CHECK(conform_write(c, "b", BYTES("k"), BYTES("again")) == BERTH_OK);
    CHECK(conform_is(c, "b", BYTES("k"), BYTES("again")));
}

static void an_empty_value_is_a_value(struct conform *c)
{
    struct berth_store_entry entry;
    struct berth_store_txn *txn;
    struct berth_error err;

    CHECK(conform_write(c, "b", BYTES("k"), BYTES("")) == BERTH_OK);
    CHECK(conform_is(c, "b", BYTES("k"), BYTES("")));
    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    CHECK(store->next(txn, "b", nothing, &entry, &err) == BERTH_OK);
    CHECK(entry.value.data != NULL && entry.value.length == 0);
    store->end(txn);
}

static void a_value_may_hold_any_bytes(struct conform *c)
{
    unsigned char bytes[256];
    struct berth_store_bytes value = {bytes, sizeof(bytes)};

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    CHECK(conform_write(c, "b", value, value) == BERTH_OK);
    CHECK(conform_is(c, "b", value, value));
}

static void a_key_of_one_bucket_is_none_of_another(struct conform *c)
{
    CHECK(conform_write(c, "a", BYTES("bc"), BYTES("1")) == BERTH_OK);
    CHECK(conform_write(c, "ab", BYTES("c"), BYTES("2")) == BERTH_OK);
    CHECK(conform_write(c, "a/b", BYTES("c"), BYTES("3")) == BERTH_OK);
    CHECK(conform_write(c, "a", BYTES("/b"), BYTES("4")) == BERTH_OK);
    CHECK(conform_is(c, "a", BYTES("bc"), BYTES("1")));
    CHECK(conform_is(c, "ab", BYTES("c"), BYTES("2")));
    CHECK(conform_is(c, "a/b", BYTES("c"), BYTES("3")));
    CHECK(conform_is(c, "a", BYTES("c"), nothing));
    CHECK(conform_is(c, "abc", BYTES("c"), nothing));
    CHECK(conform_write(c, "ab", BYTES("c"), nothing) == BERTH_OK);
    CHECK(conform_is(c, "a", BYTES("bc"), BYTES("1")));
}

/* In byte order. */
static const struct berth_store_bytes keys[] = {
    {"\0", 1},       {"\0\0", 2}, {"\0\xff", 2}, {"\x01", 1},     {"/", 1},
    {"a", 1},        {"a\0", 2},  {"a\0b", 3},   {"a/", 2},       {"aa", 2},
    {"a\xff", 2},    {"b", 1},    {"\x7f", 1},   {"\x80", 1},     {"\xfe", 1},
    {"\xfe\xff", 2}, {"\xff", 1}, {"\xff\0", 2}, {"\xff\xff", 2}, {"\xff\xff\xff", 3},
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static enum berth_code write_keys(struct conform_update *update, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    for (size_t i = 0; i < KEYS; i++)
        store->put(txn, "b", keys[(i * 7) % KEYS], keys[(i * 7) % KEYS], err);
    store->put(txn, "a", BYTES("before"), BYTES("1"), err);
    return store->put(txn, "b-", BYTES("after"), BYTES("1"), err);
}

static void check_keys(struct berth_store_txn *txn)
{
    struct berth_store_entry entry = {0};
    struct berth_error err;

    for (size_t i = 0; i < KEYS; i++) {
        CHECK(store->next(txn, "b", entry.key, &entry, &err) == BERTH_OK);
        CHECK(conform_equal(entry.key, keys[i]));
        CHECK(conform_equal(entry.value, keys[i]));
    }
    CHECK(store->next(txn, "b", entry.key, &entry, &err) == BERTH_NOT_FOUND);
}

static void keys_come_in_the_order_of_their_bytes(struct conform *c)
{
    struct conform_update update = {.change = write_keys};
    struct berth_store_txn *txn;
    struct berth_error err;

    CHECK(conform_do(c, &update) == BERTH_OK);
    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    check_keys(txn);
    store->end(txn);
}

static enum berth_code read_keys(struct conform_update *update, struct berth_store_txn *txn,
                                 struct berth_error *err)
{
    write_keys(update, txn, err);
    check_keys(txn);
    return BERTH_OK;
}

static void a_change_sees_the_same_order(struct conform *c)
{
    struct conform_update update = {.change = read_keys};

    CHECK(conform_do(c, &update) == BERTH_OK);
    CHECK(conform_do(c, &update) == BERTH_OK);
}

static void next_goes_on_from_a_key_that_is_not_there(struct conform *c)
{
    struct berth_store_entry entry;
    struct berth_store_txn *txn;
    struct berth_error err;

    CHECK(conform_write(c, "b", BYTES("c"), BYTES("1")) == BERTH_OK);
    CHECK(conform_write(c, "b", BYTES("ca"), BYTES("2")) == BERTH_OK);
    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    CHECK(store->next(txn, "b", BYTES("a"), &entry, &err) == BERTH_OK);
    CHECK(conform_equal(entry.key, BYTES("c")));
    CHECK(store->next(txn, "b", BYTES("c\0"), &entry, &err) == BERTH_OK);
    CHECK(conform_equal(entry.key, BYTES("ca")));
    CHECK(store->next(txn, "b", BYTES("d"), &entry, &err) == BERTH_NOT_FOUND);
    CHECK(store->next(txn, "c", nothing, &entry, &err) == BERTH_NOT_FOUND);
    store->end(txn);
}

static const char *const buckets[] = {"-", "a", "a-", "a-b", "a.b", "a/", "a/b", "a0", "aA", "a_", "aa", "b"};

#define BUCKETS (sizeof(buckets) / sizeof(buckets[0]))

static enum berth_code write_buckets(struct conform_update *update, struct berth_store_txn *txn,
                                     struct berth_error *err)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        store->put(txn, buckets[(i * 5) % BUCKETS], BYTES("\xff"), BYTES(""), err);
        store->put(txn, buckets[(i * 5) % BUCKETS], BYTES("\0"), BYTES(""), err);
    }
    return BERTH_OK;
}

static void check_buckets(struct berth_store_txn *txn, size_t without)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 1] = "";
    struct berth_error err;

    for (size_t i = 0; i < BUCKETS; i++) {
        if (i == without)
            continue;
        CHECK(store->next_bucket(txn, bucket, bucket, &err) == BERTH_OK);
        CHECK(strcmp(bucket, buckets[i]) == 0);
    }
    CHECK(store->next_bucket(txn, bucket, bucket, &err) == BERTH_NOT_FOUND);
}

static void check_buckets_now(struct conform *c, size_t without)
{
    struct berth_store_txn *txn;
    struct berth_error err;

    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    check_buckets(txn, without);
    store->end(txn);
}

static enum berth_code empty_a_bucket(struct conform_update *update, struct berth_store_txn *txn,
                                      struct berth_error *err)
{
    store->remove(txn, buckets[5], BYTES("\0"), err);
    check_buckets(txn, BUCKETS);
    store->remove(txn, buckets[5], BYTES("\xff"), err);
    check_buckets(txn, 5);
    return BERTH_OK;
}

static void buckets_come_in_order_and_are_there_while_they_hold_an_entry(struct conform *c)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 1];
    struct conform_update update = {.change = write_buckets};
    struct berth_store_txn *txn;
    struct berth_error err;

    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    CHECK(store->next_bucket(txn, "", bucket, &err) == BERTH_NOT_FOUND);
    store->end(txn);
    CHECK(conform_do(c, &update) == BERTH_OK);
    check_buckets_now(c, BUCKETS);
    update.change = empty_a_bucket;
    CHECK(conform_do(c, &update) == BERTH_OK);
    check_buckets_now(c, 5);
}

/* Is a name of these lengths accepted? */
static void check_length(struct conform *c, size_t bucket_length, size_t key_length, bool fits)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 2] = "";
    unsigned char key[BERTH_STORE_NAME_MAX + 1];
    struct berth_store_bytes name = {key, key_length};
    enum berth_code code;

    memset(bucket, 'z', bucket_length);
    memset(key, 0xff, sizeof(key));
    code = conform_write(c, bucket, name, BYTES("v"));
    CHECK(code == (fits ? BERTH_OK : BERTH_INVALID_ARGUMENT));
    if (!fits)
        return;
    CHECK(conform_is(c, bucket, name, BYTES("v")));
    key[key_length - 1] = 0;
    CHECK(conform_is(c, bucket, name, nothing));
    CHECK(conform_write(c, bucket, name, BYTES("w")) == BERTH_OK);
    key[key_length - 1] = 0xff;
    CHECK(conform_is(c, bucket, name, BYTES("v")));
}

static void names_may_be_as_long_as_they_may(struct conform *c)
{
    check_length(c, 1, 1, true);
    check_length(c, 1, BERTH_STORE_NAME_MAX - 1, true);
    check_length(c, 1, BERTH_STORE_NAME_MAX, false);
    check_length(c, BERTH_STORE_BUCKET_MAX, 1, true);
    check_length(c, BERTH_STORE_BUCKET_MAX, BERTH_STORE_NAME_MAX - BERTH_STORE_BUCKET_MAX, true);
    check_length(c, BERTH_STORE_BUCKET_MAX, BERTH_STORE_NAME_MAX - BERTH_STORE_BUCKET_MAX + 1, false);
    check_length(c, BERTH_STORE_BUCKET_MAX + 1, 1, false);
    check_length(c, 0, 1, false);
    check_length(c, 1, 0, false);
}

static void a_bucket_s_name_has_no_strange_bytes(struct conform *c)
{
    static const char *const strange[] = {" ", "a b", "a\n", "\xc3\xa4", "a:", "a\\", "*", "a\x7f"};
    struct berth_store_bytes value;
    struct berth_store_txn *txn;
    struct berth_error err;

    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
        CHECK(conform_write(c, strange[i], BYTES("k"), BYTES("v")) == BERTH_INVALID_ARGUMENT);
    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    CHECK(store->get(txn, "a b", BYTES("k"), &value, &err) == BERTH_INVALID_ARGUMENT);
    store->end(txn);
    CHECK(conform_write(c, "AZaz09._-/", BYTES("k"), BYTES("v")) == BERTH_OK);
}

static void a_value_may_be_as_large_as_it_may(struct conform *c)
{
    uint64_t most = store->limits(c->instance)->max_value;
    struct berth_store_bytes value = {calloc(1, FLOOR_VALUE), FLOOR_VALUE};

    CHECK(most >= FLOOR_VALUE && value.data != NULL);
    CHECK(store->limits(c->instance)->max_change >= FLOOR_VALUE + BERTH_STORE_NAME_MAX);
    CHECK(conform_write(c, "b", BYTES("k"), value) == BERTH_OK);
    CHECK(conform_is(c, "b", BYTES("k"), value));
    /* Rejected by its length, before anybody reads it. */
    value.length = (size_t)most + 1;
    CHECK(conform_write(c, "b", BYTES("l"), value) == BERTH_RESOURCE_EXHAUSTED);
    CHECK(conform_is(c, "b", BYTES("l"), nothing));
    free((void *)value.data);
}

static enum berth_code write_many(struct conform_update *update, struct berth_store_txn *txn,
                                  struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (uint32_t i = 0; i < update->index; i++)
        code = store->put(txn, "many", (struct berth_store_bytes){&i, sizeof(i)}, BYTES("v"), err);
    return code;
}

static void a_change_writes_as_many_names_as_it_may(struct conform *c)
{
    uint64_t most = store->limits(c->instance)->max_writes;
    struct conform_update update = {.change = write_many, .index = FLOOR_WRITES};

    CHECK(most >= FLOOR_WRITES);
    CHECK(conform_do(c, &update) == BERTH_OK);
    if (most > MANY_WRITES)
        return;
    update.index = (size_t)most;
    CHECK(conform_do(c, &update) == BERTH_OK);
    update.index = (size_t)most + 1;
    CHECK(conform_do(c, &update) == BERTH_RESOURCE_EXHAUSTED);
    CHECK(strstr(update.message, "many") != NULL);
}

static enum berth_code write_one_name_often(struct conform_update *update, struct berth_store_txn *txn,
                                            struct berth_error *err)
{
    for (uint64_t i = 0; i <= MANY_WRITES; i++)
        CHECK(store->put(txn, "b", BYTES("k"), BYTES("v"), err) == BERTH_OK);
    return BERTH_OK;
}

static void writing_one_name_often_counts_once(struct conform *c)
{
    struct conform_update update = {.change = write_one_name_often};

    CHECK(conform_do(c, &update) == BERTH_OK);
}

static void end_the_turn(struct conform_update *update)
{
    CHECK(conform_is(update->c, "b", BYTES("k"), BYTES("after")));
}

static enum berth_code write_after(struct conform_update *update, struct berth_store_txn *txn,
                                   struct berth_error *err)
{
    return store->put(txn, "b", BYTES("k"), BYTES("after"), err);
}

static void a_snapshot_shows_nothing_of_a_commit_on_its_way_and_all_once_it_is_done(struct conform *c)
{
    struct conform_update update = {.change = write_after, .on_done = end_the_turn};

    CHECK(conform_write(c, "b", BYTES("k"), BYTES("before")) == BERTH_OK);
    conform_ask(c, &update);
    while (update.ended == 0) {
        CHECK(conform_is(c, "b", BYTES("k"), BYTES("before")));
        uv_run(&c->loop, UV_RUN_NOWAIT);
    }
    CHECK(update.code == BERTH_OK);
}

static void a_snapshot_cannot_be_written_to(struct conform *c)
{
    struct berth_store_txn *txn;
    struct berth_error err;

    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    CHECK(store->put(txn, "b", BYTES("k"), BYTES("v"), &err) == BERTH_FAILED_PRECONDITION);
    CHECK(store->remove(txn, "b", BYTES("k"), &err) == BERTH_FAILED_PRECONDITION);
    CHECK(conform_view_is(txn, "b", BYTES("k"), nothing));
    store->end(txn);
}

static void what_snapshots_gave_lives_until_each_ends(struct conform *c)
{
    struct berth_store_txn *first, *second;
    struct berth_store_bytes one, two;
    struct berth_error err;

    CHECK(conform_write(c, "b", BYTES("k"), BYTES("one")) == BERTH_OK);
    CHECK(conform_write(c, "b", BYTES("l"), BYTES("two")) == BERTH_OK);
    CHECK(store->begin(c->instance, &first, &err) == BERTH_OK);
    CHECK(store->get(first, "b", BYTES("k"), &one, &err) == BERTH_OK);
    CHECK(store->begin(c->instance, &second, &err) == BERTH_OK);
    CHECK(store->get(second, "b", BYTES("l"), &two, &err) == BERTH_OK);
    for (int i = 0; i < MANY; i++)
        CHECK(conform_view_is(second, "b", BYTES("k"), BYTES("one")));
    CHECK(conform_equal(one, BYTES("one")));
    store->end(first);
    CHECK(conform_equal(two, BYTES("two")));
    store->end(second);
    store->end(NULL);
}

/* Committed are a, c, e and g; after its writes the change sees b, its own c, and g. */
static enum berth_code read_what_it_wrote(struct conform_update *update, struct berth_store_txn *txn,
                                          struct berth_error *err)
{
    struct berth_store_entry entry = {0};
    char bucket[BERTH_STORE_BUCKET_MAX + 1];

    CHECK(store->remove(txn, "b", BYTES("a"), err) == BERTH_OK);
    CHECK(store->put(txn, "b", BYTES("b"), BYTES("own"), err) == BERTH_OK);
    CHECK(store->put(txn, "b", BYTES("c"), BYTES("new"), err) == BERTH_OK);
    CHECK(store->put(txn, "b", BYTES("d"), BYTES("gone"), err) == BERTH_OK);
    CHECK(store->remove(txn, "b", BYTES("d"), err) == BERTH_OK);
    CHECK(store->remove(txn, "b", BYTES("e"), err) == BERTH_OK);
    CHECK(store->remove(txn, "b", BYTES("z"), err) == BERTH_OK);
    CHECK(conform_view_is(txn, "b", BYTES("a"), nothing));
    CHECK(conform_view_is(txn, "b", BYTES("b"), BYTES("own")));
    CHECK(conform_view_is(txn, "b", BYTES("d"), nothing));
    CHECK(store->next(txn, "b", entry.key, &entry, err) == BERTH_OK);
    CHECK(conform_equal(entry.key, BYTES("b")) && conform_equal(entry.value, BYTES("own")));
    CHECK(store->next(txn, "b", entry.key, &entry, err) == BERTH_OK);
    CHECK(conform_equal(entry.key, BYTES("c")) && conform_equal(entry.value, BYTES("new")));
    CHECK(store->next(txn, "b", entry.key, &entry, err) == BERTH_OK);
    CHECK(conform_equal(entry.key, BYTES("g")) && conform_equal(entry.value, BYTES("old")));
    CHECK(store->next(txn, "b", entry.key, &entry, err) == BERTH_NOT_FOUND);
    CHECK(store->put(txn, "a", BYTES("k"), BYTES(""), err) == BERTH_OK);
    CHECK(store->next_bucket(txn, "", bucket, err) == BERTH_OK && strcmp(bucket, "a") == 0);
    CHECK(store->next_bucket(txn, bucket, bucket, err) == BERTH_OK && strcmp(bucket, "b") == 0);
    CHECK(store->next_bucket(txn, bucket, bucket, err) == BERTH_NOT_FOUND);
    return BERTH_OK;
}

static void a_change_sees_what_it_wrote_and_removed(struct conform *c)
{
    struct conform_update update = {.change = read_what_it_wrote};

    for (const char *key = "aceg"; *key != '\0'; key++)
        CHECK(conform_write(c, "b", (struct berth_store_bytes){key, 1}, BYTES("old")) == BERTH_OK);
    CHECK(conform_do(c, &update) == BERTH_OK);
    CHECK(conform_is(c, "b", BYTES("a"), nothing));
    CHECK(conform_is(c, "b", BYTES("c"), BYTES("new")));
    CHECK(conform_is(c, "b", BYTES("g"), BYTES("old")));
}

static enum berth_code keep_what_was_read(struct conform_update *update, struct berth_store_txn *txn,
                                          struct berth_error *err)
{
    struct berth_store_bytes committed, own, filler = {calloc(1, 100000), 100000};
    struct berth_store_entry entry;

    CHECK(filler.data != NULL);
    CHECK(store->get(txn, "b", BYTES("k"), &committed, err) == BERTH_OK);
    CHECK(store->next(txn, "b", nothing, &entry, err) == BERTH_OK);
    CHECK(store->put(txn, "b", BYTES("l"), BYTES("own"), err) == BERTH_OK);
    CHECK(store->get(txn, "b", BYTES("l"), &own, err) == BERTH_OK);
    CHECK(store->put(txn, "c", BYTES("copy"), own, err) == BERTH_OK);
    CHECK(store->put(txn, "b", BYTES("l"), committed, err) == BERTH_OK);
    CHECK(store->put(txn, "b", entry.key, filler, err) == BERTH_OK);
    CHECK(store->remove(txn, "b", entry.key, err) == BERTH_OK);
    CHECK(conform_view_is(txn, "b", BYTES("l"), BYTES("committed")));
    CHECK(conform_equal(committed, BYTES("committed")));
    CHECK(conform_equal(own, BYTES("own")));
    CHECK(conform_equal(entry.key, BYTES("k")) && conform_equal(entry.value, BYTES("committed")));
    free((void *)filler.data);
    return BERTH_OK;
}

static void what_a_change_read_lives_until_it_returns(struct conform *c)
{
    struct conform_update update = {.change = keep_what_was_read};

    CHECK(conform_write(c, "b", BYTES("k"), BYTES("committed")) == BERTH_OK);
    CHECK(conform_do(c, &update) == BERTH_OK);
    CHECK(conform_is(c, "b", BYTES("k"), nothing));
    CHECK(conform_is(c, "b", BYTES("l"), BYTES("committed")));
    CHECK(conform_is(c, "c", BYTES("copy"), BYTES("own")));
}

/* Counts the entry "n"; fails if told to. */
static enum berth_code count_up(struct conform_update *update, struct berth_store_txn *txn,
                                struct berth_error *err)
{
    struct berth_store_bytes value;
    uint32_t number = 0;

    if (store->get(txn, "b", BYTES("n"), &value, err) == BERTH_OK)
        memcpy(&number, value.data, sizeof(number));
    number++;
    store->put(txn, "b", BYTES("n"), (struct berth_store_bytes){&number, sizeof(number)}, err);
    if (update->index % 3 == 1)
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "refused %zu", update->index);
    return BERTH_OK;
}

static uint32_t counted(struct conform *c)
{
    struct berth_store_bytes value;
    struct berth_store_txn *txn;
    struct berth_error err;
    uint32_t number = 0;

    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    if (store->get(txn, "b", BYTES("n"), &value, &err) == BERTH_OK)
        memcpy(&number, value.data, sizeof(number));
    store->end(txn);
    return number;
}

static void a_refused_change_leaves_nothing_and_says_why(struct conform *c)
{
    struct conform_update update = {.change = count_up, .index = 1};

    CHECK(conform_do(c, &update) == BERTH_ALREADY_EXISTS);
    CHECK(strcmp(update.message, "refused 1") == 0);
    CHECK(conform_is(c, "b", BYTES("n"), nothing));
}

static void changes_happen_and_end_in_the_order_they_were_asked_for(struct conform *c)
{
    static struct conform_update updates[MANY];
    char message[32];

    for (size_t i = 0; i < MANY; i++) {
        updates[i] = (struct conform_update){.change = count_up, .index = i};
        conform_ask(c, &updates[i]);
    }
    conform_wait(c, &updates[MANY - 1]);
    for (size_t i = 0; i < MANY; i++) {
        CHECK(updates[i].ended == 1);
        CHECK(updates[i].order == i);
        CHECK(updates[i].code == (i % 3 == 1 ? BERTH_ALREADY_EXISTS : BERTH_OK));
        snprintf(message, sizeof(message), "refused %zu", i);
        CHECK(i % 3 != 1 || strcmp(updates[i].message, message) == 0);
    }
    CHECK(counted(c) == MANY / 3 * 2);
}

static enum berth_code fail_in_the_middle(struct conform_update *update, struct berth_store_txn *txn,
                                          struct berth_error *err)
{
    struct berth_store_bytes value;

    CHECK(store->put(txn, "b", BYTES("k"), BYTES("v"), err) == BERTH_OK);
    CHECK(store->get(txn, "b", BYTES("none"), &value, err) == BERTH_NOT_FOUND);
    CHECK(store->put(txn, "b", nothing, BYTES("v"), err) == BERTH_INVALID_ARGUMENT);
    store->put(txn, "b", BYTES("l"), BYTES("v"), err);
    return update->index == 0 ? BERTH_OK : berth_error_set(err, BERTH_NOT_FOUND, "another reason");
}

static void what_failed_in_a_change_is_its_end_whatever_it_returns(struct conform *c)
{
    struct conform_update update = {.change = fail_in_the_middle};

    for (update.index = 0; update.index < 2; update.index++) {
        CHECK(conform_do(c, &update) == BERTH_INVALID_ARGUMENT);
        CHECK(strstr(update.message, "another") == NULL && update.message[0] != '\0');
        CHECK(conform_is(c, "b", BYTES("k"), nothing));
        CHECK(conform_is(c, "b", BYTES("l"), nothing));
    }
}

static enum berth_code only_read(struct conform_update *update, struct berth_store_txn *txn,
                                 struct berth_error *err)
{
    CHECK(conform_view_is(txn, "b", BYTES("k"), BYTES("v")));
    return BERTH_OK;
}

static void a_change_may_only_read(struct conform *c)
{
    struct conform_update update = {.change = only_read};

    CHECK(conform_write(c, "b", BYTES("k"), BYTES("v")) == BERTH_OK);
    CHECK(conform_do(c, &update) == BERTH_OK);
    CHECK(update.runs >= 1);
}

static void ask_again(struct conform_update *update)
{
    CHECK(update->code == BERTH_OK);
    if (++update->index < 6)
        conform_ask(update->c, update);
}

static enum berth_code count_always(struct conform_update *update, struct berth_store_txn *txn,
                                    struct berth_error *err)
{
    return count_up(&(struct conform_update){.index = 0}, txn, err);
}

static void an_update_may_be_asked_for_again_when_it_is_done(struct conform *c)
{
    struct conform_update update = {.change = count_always, .on_done = ask_again};

    conform_ask(c, &update);
    while (update.index < 6)
        uv_run(&c->loop, UV_RUN_ONCE);
    CHECK(counted(c) == 6);
}

/* Visits the bucket one entry at a time, each in its own snapshot, while others are added and removed. */
static void who_goes_on_in_another_snapshot_meets_each_entry_once(struct conform *c)
{
    struct berth_store_entry entry;
    struct berth_store_txn *txn;
    struct berth_error err;
    char key[2] = "", other[2] = "";
    size_t met = 0;

    for (char letter = 'b'; letter < 'z'; letter += 2)
        CHECK(conform_write(c, "b", (struct berth_store_bytes){&letter, 1}, BYTES("stays")) == BERTH_OK);
    for (;; other[0] = (char)((key[0] - 'b') % 2 == 0 && key[0] < 'x' ? key[0] + 1 : 'a')) {
        if (other[0] != '\0')
            CHECK(conform_write(c, "b", berth_store_text(other), BYTES("comes")) == BERTH_OK);
        CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
        if (store->next(txn, "b", berth_store_text(key), &entry, &err) == BERTH_NOT_FOUND)
            break;
        met += conform_equal(entry.value, BYTES("stays"));
        CHECK(entry.key.length == 1 && *(const char *)entry.key.data > key[0]);
        key[0] = *(const char *)entry.key.data;
        store->end(txn);
    }
    store->end(txn);
    CHECK(met == 12);
}

const struct conform_case conform_entries[] = {
    CONFORM_CASE(an_entry_is_there_once_it_is_done, 0),
    CONFORM_CASE(a_removed_entry_is_gone_and_removing_none_is_fine, 0),
    CONFORM_CASE(an_empty_value_is_a_value, 0),
    CONFORM_CASE(a_value_may_hold_any_bytes, 0),
    CONFORM_CASE(a_key_of_one_bucket_is_none_of_another, 0),
    CONFORM_CASE(keys_come_in_the_order_of_their_bytes, 0),
    CONFORM_CASE(a_change_sees_the_same_order, 0),
    CONFORM_CASE(next_goes_on_from_a_key_that_is_not_there, 0),
    CONFORM_CASE(buckets_come_in_order_and_are_there_while_they_hold_an_entry, 0),
    CONFORM_CASE(names_may_be_as_long_as_they_may, 0),
    CONFORM_CASE(a_bucket_s_name_has_no_strange_bytes, 0),
    CONFORM_CASE(a_value_may_be_as_large_as_it_may, 0),
    CONFORM_CASE(a_change_writes_as_many_names_as_it_may, 0),
    CONFORM_CASE(writing_one_name_often_counts_once, 0),
    CONFORM_CASE(a_snapshot_shows_nothing_of_a_commit_on_its_way_and_all_once_it_is_done, 0),
    CONFORM_CASE(a_snapshot_cannot_be_written_to, 0),
    CONFORM_CASE(what_snapshots_gave_lives_until_each_ends, 0),
    CONFORM_CASE(a_change_sees_what_it_wrote_and_removed, 0),
    CONFORM_CASE(what_a_change_read_lives_until_it_returns, 0),
    CONFORM_CASE(a_refused_change_leaves_nothing_and_says_why, 0),
    CONFORM_CASE(changes_happen_and_end_in_the_order_they_were_asked_for, 0),
    CONFORM_CASE(what_failed_in_a_change_is_its_end_whatever_it_returns, 0),
    CONFORM_CASE(a_change_may_only_read, 0),
    CONFORM_CASE(an_update_may_be_asked_for_again_when_it_is_done, 0),
    CONFORM_CASE(who_goes_on_in_another_snapshot_meets_each_entry_once, 0),
    {NULL, NULL, 0},
};
