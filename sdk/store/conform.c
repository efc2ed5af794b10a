/* SPDX-License-Identifier: Apache-2.0 */
/* Fixtures of the conformance suite: a store, its loop, and updates whose completion is recorded. */
#include "conform.h"

#include <stdio.h>
#include <stdlib.h>

static const struct berth_store *const store = &berth_store_interface;

void conform_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    fflush(NULL);
    _exit(1);
}

void conform_open(struct conform *c, bool is_fresh)
{
    struct berth_error err;
    enum berth_code code;

    CHECK(uv_loop_init(&c->loop) == 0);
    err.message[0] = '\0';
    code = c->harness->open(c->harness->context, &c->loop, is_fresh, &c->instance, &err);
    if (code != BERTH_OK)
        fprintf(stderr, "%s: %s\n", berth_code_name(code), err.message);
    CHECK(code == BERTH_OK);
    c->is_closed = false;
}

static void on_closed(void *closing)
{
    struct conform *c = closing;

    CHECK(!c->is_closed);
    c->is_closed = true;
}

void conform_close(struct conform *c)
{
    c->harness->close(c->harness->context, c->instance, on_closed, c);
    while (!c->is_closed)
        uv_run(&c->loop, UV_RUN_ONCE);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&c->loop) == 0);
}

static enum berth_code change(struct berth_store_update *base, struct berth_store_txn *txn,
                              struct berth_error *err)
{
    struct conform_update *update = (struct conform_update *)base;
    enum berth_code code;

    CHECK(!update->c->is_inside);
    CHECK(update->ended == 0);
    update->runs++;
    update->c->is_inside = true;
    code = update->change(update, txn, err);
    update->c->is_inside = false;
    return code;
}

static void done(struct berth_store_update *base, enum berth_code code, const char *message)
{
    struct conform_update *update = (struct conform_update *)base;

    CHECK(!update->c->is_inside);
    CHECK((code == BERTH_OK) == (message == NULL));
    update->order = update->c->ended++;
    update->ended++;
    update->code = code;
    if (message != NULL)
        snprintf(update->message, sizeof(update->message), "%s", message);
    if (update->on_done != NULL)
        update->on_done(update);
}

void conform_ask(struct conform *c, struct conform_update *update)
{
    bool was_inside = c->is_inside;

    update->base.change = change;
    update->base.done = done;
    update->c = c;
    update->ended = 0;
    c->is_inside = true;
    store->update(c->instance, &update->base);
    c->is_inside = was_inside;
}

void conform_wait(struct conform *c, const struct conform_update *update)
{
    while (update->ended == 0)
        uv_run(&c->loop, UV_RUN_ONCE);
}

enum berth_code conform_do(struct conform *c, struct conform_update *update)
{
    conform_ask(c, update);
    conform_wait(c, update);
    return update->code;
}

struct one_write {
    const char *bucket;
    struct berth_store_bytes key;
    struct berth_store_bytes value;
};

static enum berth_code write_one(struct conform_update *update, struct berth_store_txn *txn,
                                 struct berth_error *err)
{
    const struct one_write *write = update->context;

    return write->value.data == NULL ? store->remove(txn, write->bucket, write->key, err)
                                     : store->put(txn, write->bucket, write->key, write->value, err);
}

enum berth_code conform_write(struct conform *c, const char *bucket, struct berth_store_bytes key,
                              struct berth_store_bytes value)
{
    struct one_write write = {bucket, key, value};
    struct conform_update update = {.change = write_one, .context = &write};

    return conform_do(c, &update);
}

bool conform_equal(struct berth_store_bytes left, struct berth_store_bytes right)
{
    return left.length == right.length &&
           (left.length == 0 || memcmp(left.data, right.data, left.length) == 0);
}

bool conform_view_is(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                     struct berth_store_bytes value)
{
    struct berth_error err;
    struct berth_store_bytes found = {0};
    enum berth_code code = store->get(txn, bucket, key, &found, &err);

    if (value.data == NULL)
        return code == BERTH_NOT_FOUND;
    return code == BERTH_OK && found.data != NULL && conform_equal(found, value);
}

bool conform_is(struct conform *c, const char *bucket, struct berth_store_bytes key,
                struct berth_store_bytes value)
{
    struct berth_error err;
    struct berth_store_txn *txn;
    bool is_so;

    CHECK(store->begin(c->instance, &txn, &err) == BERTH_OK);
    is_so = conform_view_is(txn, bucket, key, value);
    store->end(txn);
    return is_so;
}

uint32_t conform_random_next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

uint32_t conform_seed(void)
{
    const char *text = getenv("BERTH_STORE_SEED");
    uint32_t seed = text == NULL ? 1 : (uint32_t)strtoul(text, NULL, 10);

    return seed == 0 ? 1 : seed;
}
