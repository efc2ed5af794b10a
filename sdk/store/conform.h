/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_CONFORM_H
#define BERTH_STORE_CONFORM_H

#include <stdbool.h>
#include <string.h>

#include <berth/store_test.h>

/* The store of one test case. */
struct conform {
    const struct berth_store_harness *harness;
    uv_loop_t loop;
    void *instance;
    bool is_closed;
    /* How many updates have ended. */
    size_t ended;
    /* Inside update, change or on_change: `done` must not be called. */
    bool is_inside;
};

enum conform_need {
    CONFORM_SURVIVAL = 1,
    CONFORM_OTHERS = 2,
};

/* A list ends with a case without a name. */
struct conform_case {
    const char *name;
    void (*run)(struct conform *c);
    unsigned needs;
};

#define CONFORM_CASE(name, needs)                                                                            \
    {                                                                                                        \
#name, name, needs                                                                                   \
    }

extern const struct conform_case conform_entries[];
extern const struct conform_case conform_life[];
extern const struct conform_case conform_random[];

/* An update whose completion is recorded. Zero-initialise, and set what `change` needs. */
struct conform_update {
    struct berth_store_update base;
    struct conform *c;
    enum berth_code (*change)(struct conform_update *update, struct berth_store_txn *txn,
                              struct berth_error *err);
    void (*on_done)(struct conform_update *update);
    void *context;
    size_t index;
    unsigned runs;
    unsigned ended;
    /* Position in the order of completion, from 0. */
    size_t order;
    enum berth_code code;
    char message[256];
};

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            conform_fail(__FILE__, __LINE__, #condition);                                                    \
    } while (0)

#define BYTES(literal) ((struct berth_store_bytes){(literal), sizeof(literal) - 1})

/* Ends the test case's process. */
__attribute__((noreturn)) void conform_fail(const char *file, int line, const char *condition);

void conform_open(struct conform *c, bool is_fresh);
void conform_close(struct conform *c);
/* Requests the update, and runs the loop until it has ended. */
void conform_ask(struct conform *c, struct conform_update *update);
void conform_wait(struct conform *c, const struct conform_update *update);
enum berth_code conform_do(struct conform *c, struct conform_update *update);
/* A change that writes one entry; data NULL removes. */
enum berth_code conform_write(struct conform *c, const char *bucket, struct berth_store_bytes key,
                              struct berth_store_bytes value);
/* Does a snapshot have this value? `value.data` NULL: is there no entry? */
bool conform_is(struct conform *c, const char *bucket, struct berth_store_bytes key,
                struct berth_store_bytes value);
bool conform_view_is(struct berth_store_txn *txn, const char *bucket, struct berth_store_bytes key,
                     struct berth_store_bytes value);
bool conform_equal(struct berth_store_bytes left, struct berth_store_bytes right);
/* The next number of a repeatable series. */
uint32_t conform_random_next(uint32_t *seed);
uint32_t conform_seed(void);

#endif
