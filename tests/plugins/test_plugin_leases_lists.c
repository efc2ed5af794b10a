/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of leases: turns of the loop, bounds, and callers who give up. The leases themselves are made up. */
#include <stdio.h>

#include "plugin_stage.h"

#include <berth/types/leases.h>
#include <containerd/services/leases/v1/leases.pb-c.h>

/* More than one turn of the loop visits. */
#define MANY 5000

static struct {
    struct berth_testing *testing;
    /* How many visits there were, how many of them began at the beginning, and what was visited. */
    int visits, beginnings, visited;
} stage;

/* Every thousandth matches. */
static enum berth_code list_part(void *instance, struct berth_store_txn *txn,
                                 const struct berth_leases_query *query,
                                 bool (*on_lease)(void *context, const struct berth_store_entry *lease),
                                 void *context, struct berth_error *err)
{
    int first = query->after.length == 0 ? 0 : atoi((const char *)query->after.data + 1) + 1;

    if (query->filter_count > 0 && strcmp(query->filters[0], "bad") == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "filters: bad");
    assert_string_equal(query->namespace_name, "default");
    stage.visits++;
    stage.beginnings += first == 0;
    for (int i = first; i < MANY; i++) {
        char id[16], value[24];
        struct berth_store_entry lease;

        snprintf(id, sizeof(id), "l%04d", i);
        snprintf(value, sizeof(value), "\n\5%s", id);
        lease = (struct berth_store_entry){.key = berth_store_text(id), .value = berth_store_text(value)};
        stage.visited++;
        if (!(i % 1000 == 0 ? on_lease : query->on_other)(context, &lease))
            break;
    }
    return BERTH_OK;
}

static const struct berth_leases leases_table = {.size = sizeof(leases_table), .list_part = list_part};

static int set_up(void **state)
{
    memset(&stage, 0, sizeof(stage));
    stage.testing = plugin_create("io.containerd.grpc.v1.leases", "max_list_bytes: 1KiB");
    berth_testing_provide(stage.testing, BERTH_LEASES_URI, &leases_table, NULL);
    plugin_start(stage.testing);
    return 0;
}

static int tear_down(void **state)
{
    plugin_destroy(stage.testing);
    return 0;
}

static struct berth_testing_call *begin_list(const char *filter)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};
    struct berth_testing_call *call =
        berth_testing_call_create(stage.testing, "/containerd.services.leases.v1.Leases/List", &options);
    char request[64];
    int length = snprintf(request, sizeof(request), "\n%c%s", (char)strlen(filter), filter);

    berth_testing_call_send(call, request, (size_t)length);
    berth_testing_call_half_close(call);
    return call;
}

static void run(struct berth_testing_call *call)
{
    for (int i = 0; i < 100 && (int)berth_testing_call_code(call) == BERTH_PENDING; i++)
        berth_testing_run(stage.testing);
}

static void a_list_of_many_takes_several_turns_and_has_each_once(void **state)
{
    struct berth_testing_call *call = begin_list("id==any");
    size_t length;
    const void *reply;
    Containerd__Services__Leases__V1__ListResponse *list;

    assert_int_equal(berth_testing_call_code(call), BERTH_PENDING);
    run(call);
    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_true(stage.visits > 2);
    assert_int_equal(stage.beginnings, 1);
    assert_int_equal(stage.visited, MANY);
    reply = berth_testing_call_reply(call, 0, &length);
    list = containerd__services__leases__v1__list_response__unpack(NULL, length, reply);
    assert_non_null(list);
    assert_int_equal(list->n_leases, 5);
    for (size_t i = 0; i < list->n_leases; i++)
        assert_int_equal(atoi(list->leases[i]->id + 1), 1000 * i);
    containerd__services__leases__v1__list_response__free_unpacked(list, NULL);
    berth_testing_call_destroy(call);
}

static void a_list_that_its_caller_gives_up_ends(void **state)
{
    struct berth_testing_call *call = begin_list("id==any");
    int visits;

    berth_testing_call_cancel(call);
    assert_int_equal(berth_testing_call_code(call), BERTH_CANCELLED);
    visits = stage.visits;
    for (int i = 0; i < 10; i++)
        berth_testing_run(stage.testing);
    assert_int_equal(stage.visits, visits);
    berth_testing_call_destroy(call);
}

static void a_malformed_filter_is_refused_in_containerds_form(void **state)
{
    struct berth_testing_call *call = begin_list("bad");

    assert_int_equal(berth_testing_call_code(call), BERTH_INVALID_ARGUMENT);
    assert_string_equal(berth_testing_call_message(call), "filters: bad: invalid argument");
    berth_testing_call_destroy(call);
}

#define ON_A_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STAGE(a_list_of_many_takes_several_turns_and_has_each_once),
        ON_A_STAGE(a_list_that_its_caller_gives_up_ends),
        ON_A_STAGE(a_malformed_filter_is_refused_in_containerds_form),
    };

    return cmocka_run_group_tests_name("leases lists", tests, NULL, NULL);
}
