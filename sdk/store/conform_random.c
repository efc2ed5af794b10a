/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance suite: random changes compared with a simple model, also with faults in the engine. */
#include "conform.h"

#include <stdio.h>

#define NAMES 120
#define BUCKETS 4
#define VALUES 64
#define WRITES 6
#define GROUP 12
#define CHANGES 2000
#define FAULTY 600

static const struct berth_store *const store = &berth_store_interface;

/* The simple model: the length of each name's value, in the store's order; 0: no entry. */
struct model {
    unsigned char lengths[NAMES];
};

static const char *const buckets[BUCKETS] = {"a", "a/b", "a/b-c", "ab"};

struct name {
    const char *bucket;
    unsigned char bytes[3];
    struct berth_store_bytes key;
};

static struct name name_at(size_t i, struct name *name)
{
    size_t within = i % (NAMES / BUCKETS);

    *name = (struct name){.bucket = buckets[i / (NAMES / BUCKETS)]};
    name->bytes[0] = (unsigned char)(within / 3 * 28);
    name->bytes[1] = within % 3 == 0 ? 0 : 0xff;
    name->bytes[2] = 0xff;
    name->key = (struct berth_store_bytes){name->bytes, 1 + within % 3};
    return *name;
}

static struct berth_store_bytes value_at(unsigned length)
{
    static const char text[VALUES + 1] = "the value of this length, which says what was written at last...";

    return (struct berth_store_bytes){text, length - 1};
}

static void check_entry(const struct model *model, size_t i, const struct berth_store_entry *entry)
{
    struct name name;

    name_at(i, &name);
    CHECK(conform_equal(entry->key, name.key));
    CHECK(conform_equal(entry->value, value_at(model->lengths[i])));
}

static void check_bucket(struct berth_store_txn *txn, const struct model *model, size_t bucket)
{
    struct berth_store_entry entry = {0};
    struct berth_error err;
    size_t first = bucket * (NAMES / BUCKETS);

    for (size_t i = first; i < first + NAMES / BUCKETS; i++)
        if (model->lengths[i] != 0) {
            CHECK(store->next(txn, buckets[bucket], entry.key, &entry, &err) == BERTH_OK);
            check_entry(model, i, &entry);
        }
    CHECK(store->next(txn, buckets[bucket], entry.key, &entry, &err) == BERTH_NOT_FOUND);
}

static void check_all(struct berth_store_txn *txn, const struct model *model)
{
    char bucket[BERTH_STORE_BUCKET_MAX + 1] = "";
    static const unsigned char empty[NAMES / BUCKETS];
    struct berth_error err;

    for (size_t i = 0; i < BUCKETS; i++) {
        check_bucket(txn, model, i);
        if (memcmp(model->lengths + i * sizeof(empty), empty, sizeof(empty)) == 0)
            continue;
        CHECK(store->next_bucket(txn, bucket, bucket, &err) == BERTH_OK);
        CHECK(strcmp(bucket, buckets[i]) == 0);
    }
    CHECK(store->next_bucket(txn, bucket, bucket, &err) == BERTH_NOT_FOUND);
}

/* The names it writes, the length of each value in the model, and whether it then fails. */
struct script {
    struct conform_update update;
    struct model *model;
    size_t names[WRITES];
    unsigned char lengths[WRITES];
    size_t count;
    bool refuses;
    /* No other update is in flight with it, so it must see exactly the model. */
    bool is_alone;
};

static void apply(const struct script *script, struct model *model)
{
    for (size_t i = 0; i < script->count; i++)
        model->lengths[script->names[i]] = script->lengths[i];
}

static enum berth_code play(struct conform_update *update, struct berth_store_txn *txn,
                            struct berth_error *err)
{
    struct script *script = (struct script *)update;
    struct model expected = *script->model;
    enum berth_code code = BERTH_OK;

    if (script->is_alone)
        check_all(txn, &expected);
    for (size_t i = 0; i < script->count && code == BERTH_OK; i++) {
        struct name name;

        name_at(script->names[i], &name);
        code = script->lengths[i] == 0
                   ? store->remove(txn, name.bucket, name.key, err)
                   : store->put(txn, name.bucket, name.key, value_at(script->lengths[i]), err);
    }
    apply(script, &expected);
    if (script->is_alone)
        check_all(txn, &expected);
    if (code == BERTH_OK && script->refuses)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "refused by chance");
    return code;
}

static void ended(struct conform_update *update)
{
    struct script *script = (struct script *)update;

    CHECK(update->code == (script->refuses ? BERTH_FAILED_PRECONDITION : BERTH_OK));
    if (update->code == BERTH_OK)
        apply(script, script->model);
}

static void write_script(struct script *script, struct model *model, uint32_t *seed)
{
    *script = (struct script){
        .update = {.change = play, .on_done = ended},
        .model = model,
        .count = conform_random_next(seed) % (WRITES + 1),
        .refuses = conform_random_next(seed) % 5 == 0,
    };
    for (size_t i = 0; i < script->count; i++) {
        script->names[i] = conform_random_next(seed) % NAMES;
        script->lengths[i] =
            (unsigned char)(conform_random_next(seed) % 3 == 0 ? 0 : 1 + conform_random_next(seed) % VALUES);
    }
}

static void check_now(struct conform *c, const struct model *model)
{
    struct berth_store_txn *txn;
    struct berth_error err;

    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    check_all(txn, model);
    store->end(txn);
}

static void random_changes_leave_what_a_plain_model_has(struct conform *c)
{
    static struct script scripts[GROUP];
    unsigned changes = c->harness->random_changes == 0 ? CHANGES : c->harness->random_changes;
    uint32_t seed = conform_seed();
    struct model model = {{0}};

    for (unsigned i = 0; i < changes;) {
        size_t group = 1 + conform_random_next(&seed) % GROUP;

        for (size_t j = 0; j < group; j++, i++) {
            write_script(&scripts[j], &model, &seed);
            scripts[j].is_alone = group == 1;
            conform_ask(c, &scripts[j].update);
        }
        conform_wait(c, &scripts[group - 1].update);
        check_now(c, &model);
    }
    if (c->harness->survives) {
        conform_close(c);
        conform_open(c, false);
        check_now(c, &model);
    }
}

static struct berth_store_fault choose(void *context, enum berth_store_operation operation)
{
    static const enum berth_code codes[] = {BERTH_ABORTED, BERTH_RESOURCE_EXHAUSTED, BERTH_UNAVAILABLE};
    uint32_t *seed = context;
    uint32_t random = conform_random_next(seed) >> 4;

    if (operation != BERTH_STORE_COMMIT)
        return (struct berth_store_fault){.kind =
                                              random % 50 == 0 ? BERTH_STORE_REFUSED : BERTH_STORE_NO_FAULT,
                                          .code = random % 100 == 0 ? BERTH_DATA_LOSS : BERTH_UNAVAILABLE};
    return (struct berth_store_fault){
        .kind = (enum berth_store_fault_kind)(random % 8 > BERTH_STORE_DELAYED ? BERTH_STORE_NO_FAULT
                                                                               : random % 8),
        .code = codes[random / 8 % 3],
        .delay_ms = random / 32 % 3,
    };
}

/* Writes its own entry, and how many wrote before it. */
static enum berth_code sign(struct conform_update *update, struct berth_store_txn *txn,
                            struct berth_error *err)
{
    uint32_t index = (uint32_t)update->index, count = 0;
    struct berth_store_bytes value;

    if (store->get(txn, "book", BYTES("count"), &value, err) == BERTH_OK)
        memcpy(&count, value.data, sizeof(count));
    count++;
    store->put(txn, "names", (struct berth_store_bytes){&index, sizeof(index)}, BYTES("x"), err);
    store->put(txn, "book", BYTES("count"), (struct berth_store_bytes){&count, sizeof(count)}, err);
    return index % 7 == 0 ? berth_error_set(err, BERTH_ALREADY_EXISTS, "refused") : BERTH_OK;
}

static bool has_signed(struct conform *c, uint32_t index)
{
    return conform_is(c, "names", (struct berth_store_bytes){&index, sizeof(index)}, BYTES("x"));
}

static uint32_t check_signatures(struct conform *c, const struct conform_update updates[])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < FAULTY; i++) {
        bool is_there = has_signed(c, i);

        CHECK(updates[i].ended == 1 && updates[i].order == i);
        CHECK(updates[i].code != BERTH_OK || (is_there && i % 7 != 0));
        CHECK(updates[i].code == BERTH_OK || updates[i].code == BERTH_UNKNOWN || !is_there);
        CHECK(updates[i].code != BERTH_UNKNOWN || i % 7 != 0);
        count += is_there;
    }
    return count;
}

static void with_faults_nothing_acknowledged_is_lost_and_nothing_refused_is_seen(struct conform *c)
{
    static struct conform_update updates[FAULTY];
    uint32_t seed = conform_seed(), count;
    struct berth_store_faults *faults = berth_store_faults_add(&c->loop, c->instance, choose, &seed);

    CHECK(faults != NULL);
    for (size_t i = 0; i < FAULTY; i++) {
        updates[i] = (struct conform_update){.change = sign, .index = i};
        conform_ask(c, &updates[i]);
        if (i % 16 == 15)
            conform_wait(c, &updates[i - 4]);
    }
    conform_wait(c, &updates[FAULTY - 1]);
    berth_store_faults_remove(faults);
    count = check_signatures(c, updates);
    CHECK(count > 0);
    CHECK(conform_is(c, "book", BYTES("count"), (struct berth_store_bytes){&count, sizeof(count)}));
}

const struct conform_case conform_random[] = {
    CONFORM_CASE(random_changes_leave_what_a_plain_model_has, 0),
    CONFORM_CASE(with_faults_nothing_acknowledged_is_lost_and_nothing_refused_is_seen, 0),
    {NULL, NULL, 0},
};
