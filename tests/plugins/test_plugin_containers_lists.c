/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of containers: filters, streams, bounds, turns of the loop, and damage. */
#include "containers_stage.h"

static int set_up_for_short_lists(void **state)
{
    return make_stage("max_list_bytes: 1KiB");
}

static void filters_find_containers_by_their_fields(void **state)
{
    static const struct {
        const char *filter;
        const char *ids;
    } cases[] = {
        {NULL, "B a c1 c2"},
        {"", "B a c1 c2"},
        {"id==c1", "c1"},
        {"id~=^c", "c1 c2"},
        {"id!=c1", "B a c2"},
        {"image==busybox", "c2"},
        {"image", "c2"},
        {"image!=busybox", "B a c1"},
        {"runtime.name==kata", "c2"},
        {"runtime", ""},
        {"runtime.options", ""},
        {"labels.a==1", "c2"},
        {"labels.a", "a c2"},
        {"labels.\"io.x/y\"==v", "a"},
        {"labels.io.\"x/y\"==v", "a"},
        {"labels.io", ""},
        {"labels", ""},
        {"id~=^c,labels.b==2,image~=busy", "c2"},
        {"spec", ""},
        {"nonsense!=1", "B a c1 c2"},
    };
    const struct given labelled = {
        .id = "a", .runtime = "runc", .spec = "oci", .labels = "a= io.x/y=v a.b=c"};
    const struct given last = {.id = "B", .runtime = "runc", .spec = "oci"};
    const struct given emptied = {.id = "a", .labels = "a=3"};
    char ids[256];

    create(&plain);
    create(&full);
    create(&labelled);
    create(&last);
    update(&emptied, "labels.a");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        list(METHODS "List", cases[i].filter);
        stage_assert(BERTH_OK, "");
        ids_of(ids, sizeof(ids));
        assert_string_equal(ids, cases[i].ids);
        list(METHODS "ListStream", cases[i].filter);
        stage_assert(BERTH_OK, "");
        ids_of(ids, sizeof(ids));
        assert_string_equal(ids, cases[i].ids);
    }
}

static void a_filter_that_is_none_is_refused(void **state)
{
    list(METHODS "List", "id==");
    stage_assert(
        BERTH_INVALID_ARGUMENT,
        "filters: parse error: [id==]: expected value or quoted: invalid argument: invalid argument");
    list(METHODS "ListStream", "id==");
    stage_assert(
        BERTH_INVALID_ARGUMENT,
        "filters: parse error: [id==]: expected value or quoted: invalid argument: invalid argument");
}

static void empty_filters_let_all_through_however_many(void **state)
{
    MESSAGE(ListContainersRequest)
    request = CONTAINERD__SERVICES__CONTAINERS__V1__LIST_CONTAINERS_REQUEST__INIT;
    char *filters[] = {stage_text(""), stage_text("id==c2"), stage_text(""), stage_text("")};
    char ids[64];

    create(&plain);
    create(&full);
    request.filters = filters;
    request.n_filters = 4;
    stage_call("default", METHODS "ListStream", &request.base);
    stage_assert(BERTH_OK, "");
    ids_of(ids, sizeof(ids));
    assert_string_equal(ids, "c1 c2");
}

static void a_stream_goes_on_behind_what_was_sent_whatever_changed_meanwhile(void **state)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};
    struct berth_testing_call *slow;
    char ids[256];

    for (int i = 0; i < 9; i++) {
        char id[8];
        const struct given given = {.id = id, .runtime = "runc", .spec = "oci"};

        snprintf(id, sizeof(id), "c%d", i * 2);
        if (i < 5)
            create(&given);
    }
    slow = berth_testing_call_create(stage.testing, METHODS "ListStream", &options);
    berth_testing_call_set_slow(slow, true);
    berth_testing_call_send(slow, "", 0);
    berth_testing_call_half_close(slow);
    berth_testing_run(stage.testing);
    assert_int_equal(berth_testing_call_code(slow), BERTH_PENDING);
    assert_int_equal(berth_testing_call_reply_count(slow), 0);
    delete_("c4");
    create(&(const struct given){.id = "c5", .runtime = "runc", .spec = "oci"});
    berth_testing_call_set_slow(slow, false);
    berth_testing_run(stage.testing);
    assert_int_equal(berth_testing_call_code(slow), BERTH_OK);
    berth_testing_call_destroy(stage.call);
    stage.call = slow;
    ids_of(ids, sizeof(ids));
    assert_string_equal(ids, "c0 c2 c5 c6 c8");
}

static void a_stream_that_nobody_reads_ends_with_its_caller(void **state)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};

    create(&plain);
    berth_testing_call_destroy(stage.call);
    stage.call = berth_testing_call_create(stage.testing, METHODS "ListStream", &options);
    berth_testing_call_set_slow(stage.call, true);
    berth_testing_call_send(stage.call, "\x0a\x02id", 4);
    berth_testing_call_half_close(stage.call);
    berth_testing_run(stage.testing);
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_PENDING);
    berth_testing_call_cancel(stage.call);
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_CANCELLED);
    assert_int_equal(berth_testing_call_reply_count(stage.call), 0);
}

struct paging {
    char ids[256];
    size_t left;
    char last[80];
};

static bool take(void *context, const struct berth_store_entry *container)
{
    struct paging *paging = context;

    snprintf(paging->last, sizeof(paging->last), "%.*s", (int)container->key.length,
             (const char *)container->key.data);
    snprintf(paging->ids + strlen(paging->ids), sizeof(paging->ids) - strlen(paging->ids), " %s",
             paging->last);
    return --paging->left > 0;
}

static void a_listing_goes_on_after_a_key(void **state)
{
    struct paging paging = {.left = 2};
    struct berth_containers_query query = {.size = sizeof(query), .namespace_name = "default"};
    struct berth_error err;

    for (int i = 0; i < 5; i++) {
        char id[8];

        snprintf(id, sizeof(id), "c%d", i);
        create(&(const struct given){.id = id, .runtime = "runc", .spec = "oci"});
    }
    assert_int_equal(containers_service_interface.list(stage.service, NULL, &query, take, &paging, &err),
                     BERTH_OK);
    assert_string_equal(paging.ids, " c0 c1");
    query.after = berth_store_text(paging.last);
    paging.left = 99;
    delete_("c1");
    assert_int_equal(containers_service_interface.list(stage.service, NULL, &query, take, &paging, &err),
                     BERTH_OK);
    assert_string_equal(paging.ids, " c0 c1 c2 c3 c4");
}

static void a_list_that_is_too_large_for_one_message_says_what_helps(void **state)
{
    const size_t large = 1000 * 1000;
    char *value = malloc(large + 8);
    char id[8];

    assert_non_null(value);
    memcpy(value, "\x1a\xc0\x84\x3d", 4);
    memset(value + 4, 'i', large);
    value[large + 4] = '\0';
    for (int i = 0; i < 17; i++) {
        snprintf(id, sizeof(id), "c%d", i);
        stage_put_as_other("containers/default", id, value);
        stage.told[0] = '\0';
    }
    free(value);
    list(METHODS "List", NULL);
    stage_assert(
        BERTH_RESOURCE_EXHAUSTED,
        "a list of more than 16 containers exceeds max_list_bytes (16777216): narrow the filters, or "
        "use ListStream, which sends each in a message of its own");
    list(METHODS "ListStream", NULL);
    stage_assert(BERTH_OK, "");
    assert_int_equal(berth_testing_call_reply_count(stage.call), 17);
}

static void a_list_is_bounded_by_max_list_bytes(void **state)
{
    char id[8];

    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof(id), "c%02d", i);
        create(&(struct given){
            .id = id, .image = "docker.io/library/busybox:1", .runtime = "runc", .spec = "oci"});
        stage_assert(BERTH_OK, "");
    }
    list(METHODS "List", NULL);
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_RESOURCE_EXHAUSTED);
    list(METHODS "List", "id~=\"c0[0-4]\"");
    stage_assert(BERTH_OK, "");
    list(METHODS "ListStream", NULL);
    assert_int_equal(berth_testing_call_reply_count(stage.call), 40);
    assert_int_equal(plugin_reconfigure(stage.testing, "max_list_bytes: 1MiB"), BERTH_OK);
    list(METHODS "List", NULL);
    stage_assert(BERTH_OK, "");
    assert_int_equal(plugin_reconfigure(stage.testing, "max_list_bytes: 1KiB"), BERTH_OK);
    list(METHODS "List", NULL);
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_RESOURCE_EXHAUSTED);
}

/* More than one turn of the loop visits. */
#define MANY 5000

/* Without a turn of the loop. @param value  NULL: removes it. */
static void write_as_other(const char *id, const char *value)
{
    const struct berth_store_bytes bytes = {value, value == NULL ? 0 : strlen(value)};
    struct berth_error err;

    assert_int_equal(berth_store_memory_write_as_other(stage.memory, "containers/default",
                                                       berth_store_text(id), bytes, &err),
                     BERTH_OK);
}

static void create_many(void)
{
    char id[8], value[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "c%04d", i);
        snprintf(value, sizeof(value), "\n\5%s", id);
        write_as_other(id, value);
    }
    /* The service sees them come. */
    for (int turn = 0; turn < 100; turn++)
        berth_testing_run(stage.testing);
    stage.told[0] = '\0';
}

static struct berth_testing_call *begin_list(const char *method, const char *filter)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};
    struct berth_testing_call *call = berth_testing_call_create(stage.testing, method, &options);
    char request[64];
    int length = snprintf(request, sizeof(request), "\n%c%s", (char)strlen(filter), filter);

    berth_testing_call_send(call, request, (size_t)length);
    berth_testing_call_half_close(call);
    return call;
}

/* Of a list that goes on: how many turns of the loop it has had, and what happens after the first. */
struct turns {
    uv_check_t check;
    struct berth_testing_call *call;
    void (*after_first)(struct berth_testing_call *call);
    int count;
};

static void on_turn(uv_check_t *check)
{
    struct turns *turns = check->data;

    if (berth_testing_call_code(turns->call) == BERTH_PENDING && ++turns->count == 2)
        turns->after_first(turns->call);
}

/* The call that is begun here is the stage's. */
static void run_list(struct turns *turns, const char *method, const char *filter)
{
    uv_loop_t *loop = berth_testing_loop(stage.testing);

    berth_testing_call_destroy(stage.call);
    turns->count = 0;
    turns->call = stage.call = begin_list(method, filter);
    assert_int_equal(uv_check_init(loop, &turns->check), 0);
    turns->check.data = turns;
    assert_int_equal(uv_check_start(&turns->check, on_turn), 0);
    for (int i = 0; i < 100 && berth_testing_call_code(stage.call) == BERTH_PENDING; i++)
        berth_testing_run(stage.testing);
    uv_close((uv_handle_t *)&turns->check, NULL);
    berth_testing_run(stage.testing);
}

/* Behind what the first turn visited, and before. */
static void change_both_ends(struct berth_testing_call *call)
{
    write_as_other("c9999", "\n\5c9999");
    write_as_other("c0001", NULL);
}

static void a_list_of_many_takes_several_turns_of_the_loop(void **state)
{
    static const char *const methods[] = {METHODS "List", METHODS "ListStream"};
    struct turns turns = {.after_first = change_both_ends};
    char ids[256];

    create_many();
    for (size_t i = 0; i < 2; i++) {
        run_list(&turns, methods[i], "id~=\"c(0001|3499|4999|9999)\"");
        stage_assert(BERTH_OK, "");
        assert_true(turns.count > 2);
        ids_of(ids, sizeof(ids));
        assert_string_equal(ids, "c0001 c3499 c4999 c9999");
        write_as_other("c9999", NULL);
        write_as_other("c0001", "\n\5c0001");
        berth_testing_run(stage.testing);
    }
}

static void a_list_of_many_that_its_caller_gives_up_ends(void **state)
{
    struct turns turns = {.after_first = berth_testing_call_cancel};

    create_many();
    run_list(&turns, METHODS "List", "id==nothing");
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_CANCELLED);
    assert_int_equal(turns.count, 2);
    run_list(&turns, METHODS "ListStream", "id==nothing");
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_CANCELLED);
    assert_int_equal(turns.count, 2);
}

static void of_damaged_containers_a_list_says_so_and_a_stream_sends_the_others_first(void **state)
{
    static const char *const filters[] = {NULL, "id!=none", "id==a"};
    static const char *const sent[] = {"a c", "a c", "a"};
    char ids[64];

    make_three_of_which_one_is_damaged();
    for (size_t i = 0; i < 3; i++) {
        list(METHODS "List", filters[i]);
        stage_assert(BERTH_DATA_LOSS, DAMAGED);
        list(METHODS "ListStream", filters[i]);
        stage_assert(BERTH_DATA_LOSS, DAMAGED);
        ids_of(ids, sizeof(ids));
        assert_string_equal(ids, sent[i]);
    }
}

static void a_stream_that_met_a_damaged_container_says_so_however_slowly_it_is_read(void **state)
{
    const struct berth_testing_call_options options = {.namespace_name = "default", .transport = "grpc"};
    struct berth_testing_call *slow;
    char ids[64];

    make_three_of_which_one_is_damaged();
    damage("a");
    slow = berth_testing_call_create(stage.testing, METHODS "ListStream", &options);
    berth_testing_call_set_slow(slow, true);
    berth_testing_call_send(slow, "", 0);
    berth_testing_call_half_close(slow);
    berth_testing_run(stage.testing);
    assert_int_equal(berth_testing_call_code(slow), BERTH_PENDING);
    /* What it met is gone by now; its list is not complete all the same. */
    berth_testing_call_destroy(stage.call);
    stage.call = NULL;
    delete_("a");
    delete_("b");
    berth_testing_call_set_slow(slow, false);
    berth_testing_run(stage.testing);
    berth_testing_call_destroy(stage.call);
    stage.call = slow;
    stage_assert(BERTH_DATA_LOSS, "bucket containers/default, key \"a\": the entry is damaged");
    ids_of(ids, sizeof(ids));
    assert_string_equal(ids, "c");
}

static void do_nothing(struct berth_testing_call *call)
{
}

static void a_damaged_container_among_many_is_told_once_all_were_visited(void **state)
{
    static const char *const methods[] = {METHODS "List", METHODS "ListStream"};
    struct turns turns = {.after_first = do_nothing};

    create_many();
    damage("c0003");
    for (size_t i = 0; i < 2; i++) {
        run_list(&turns, methods[i], "id==c4999");
        stage_assert(BERTH_DATA_LOSS, "bucket containers/default, key \"c0003\": the entry is damaged");
        assert_int_equal(berth_testing_call_reply_count(stage.call), i);
        assert_true(turns.count > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(filters_find_containers_by_their_fields),
        TEST(a_filter_that_is_none_is_refused),
        TEST(empty_filters_let_all_through_however_many),
        TEST(a_stream_goes_on_behind_what_was_sent_whatever_changed_meanwhile),
        TEST(a_stream_that_nobody_reads_ends_with_its_caller),
        TEST(a_listing_goes_on_after_a_key),
        TEST(a_list_that_is_too_large_for_one_message_says_what_helps),
        cmocka_unit_test_setup_teardown(a_list_is_bounded_by_max_list_bytes, set_up_for_short_lists,
                                        tear_down),
        TEST(a_list_of_many_takes_several_turns_of_the_loop),
        TEST(a_list_of_many_that_its_caller_gives_up_ends),
        TEST(a_damaged_container_among_many_is_told_once_all_were_visited),
        TEST(of_damaged_containers_a_list_says_so_and_a_stream_sends_the_others_first),
        TEST(a_stream_that_met_a_damaged_container_says_so_however_slowly_it_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
