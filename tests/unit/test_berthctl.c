/* SPDX-License-Identifier: Apache-2.0 */
/* What berthctl makes of a daemon's answer: finding, explaining, blaming, formatting. */
#include <tools/berthctl/plugin/list.h>
#include <tools/berthctl/plugin/explain.h>
#include <tools/berthctl/plugin/introspected.h>
#include <tools/berthctl/plugin/print.h>

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

static char *copy(const char *text)
{
    char *made = strdup(text);

    assert_non_null(made);
    return made;
}

static plugin_message *add(struct plugin_list *list, const char *uri, Berth__Inspect__V1__State state)
{
    plugin_message *plugin = calloc(1, sizeof(*plugin));

    assert_non_null(plugin);
    berth__inspect__v1__plugin__init(plugin);
    plugin->uri = copy(uri);
    if (*uri != '\0')
        plugin->id = copy(strrchr(uri, '.') + 1);
    plugin->state = state;
    plugin_list_add(list, plugin);
    return plugin;
}

static void add_edge(plugin_message *plugin, const char *provider)
{
    Berth__Inspect__V1__Edge *edge = calloc(1, sizeof(*edge));

    assert_non_null(edge);
    berth__inspect__v1__edge__init(edge);
    edge->provider = copy(provider);
    plugin->edges = reallocarray(plugin->edges, plugin->n_edges + 1, sizeof(*plugin->edges));
    plugin->edges[plugin->n_edges++] = edge;
}

static void set_times(plugin_message *plugin, uint64_t start_ns, uint64_t duration_ns)
{
    plugin->times = calloc(1, sizeof(*plugin->times));
    assert_non_null(plugin->times);
    berth__inspect__v1__times__init(plugin->times);
    plugin->times->init = calloc(1, sizeof(*plugin->times->init));
    assert_non_null(plugin->times->init);
    berth__inspect__v1__step__init(plugin->times->init);
    plugin->times->init->start_ns = start_ns;
    plugin->times->init->duration_ns = duration_ns;
    plugin->times->ready_at_ns = start_ns + duration_ns;
}

static void an_unknown_uri_brings_up_the_one_that_was_meant(void **state)
{
    struct plugin_list list = {0};

    add(&list, "io.x.v1.greeter", BERTH__INSPECT__V1__STATE__STATE_READY);
    add(&list, "io.y.v1.store", BERTH__INSPECT__V1__STATE__STATE_READY);
    add(&list, "io.z.v1.store", BERTH__INSPECT__V1__STATE__STATE_READY);
    add(&list, "", BERTH__INSPECT__V1__STATE__STATE_REJECTED);
    assert_string_equal(plugin_list_nearest(&list, "io.x.v1.greter"), "io.x.v1.greeter");
    assert_string_equal(plugin_list_nearest(&list, "greeter"), "io.x.v1.greeter");
    assert_null(plugin_list_nearest(&list, "store"));
    assert_null(plugin_list_find(&list, ""));
    assert_int_equal(plugin_list_refused(&list), 1);
    plugin_list_finish(&list);
}

static void of_two_with_one_uri_the_one_that_lives_is_found(void **state)
{
    struct plugin_list list = {0};

    add(&list, "io.x.v1.a", BERTH__INSPECT__V1__STATE__STATE_REJECTED);
    add(&list, "io.x.v1.a", BERTH__INSPECT__V1__STATE__STATE_READY);
    assert_ptr_equal(plugin_list_find(&list, "io.x.v1.a"), list.plugins[1]);
    plugin_list_finish(&list);
}

static char *explain(const struct plugin_list *list, const char *uri)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    explain_print(out, list, plugin_list_find(list, uri), false);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void expect_explanation(const struct plugin_list *list, const char *uri, const char *expected)
{
    char *text = explain(list, uri);

    assert_string_equal(text, expected);
    free(text);
}

static plugin_message *add_fallen(struct plugin_list *list, const char *uri, Berth__Inspect__V1__State state,
                                  enum berth_code code, const char *reason, const char *cause)
{
    plugin_message *plugin = add(list, uri, state);

    plugin->code = (int32_t)code;
    plugin->reason = copy(reason);
    plugin->cause = copy(cause);
    return plugin;
}

static void explaining_walks_down_to_the_root(void **state)
{
    struct plugin_list list = {0};

    add_fallen(&list, "io.a.v1.x", BERTH__INSPECT__V1__STATE__STATE_BLOCKED, BERTH_FAILED_PRECONDITION,
               "requires io.b.v1", "io.b.v1.x");
    add_fallen(&list, "io.b.v1.x", BERTH__INSPECT__V1__STATE__STATE_BLOCKED, BERTH_FAILED_PRECONDITION,
               "requires io.c.v1", "io.c.v1.x");
    add_fallen(&list, "io.c.v1.x", BERTH__INSPECT__V1__STATE__STATE_FAILED, BERTH_UNAVAILABLE, "no disk", "");
    expect_explanation(
        &list, "io.a.v1.x",
        "io.a.v1.x is blocked (FAILED_PRECONDITION)\n    requires io.b.v1\n"
        "because io.b.v1.x is blocked (FAILED_PRECONDITION)\n    requires io.c.v1\n"
        "because io.c.v1.x is failed (UNAVAILABLE)\n    no disk\n"
        "\nnext: fix the problem above, then run `berthctl plugins start io.c.v1.x`; for its log, run "
        "`berthctl log io.c.v1.x`\n");
    plugin_list_finish(&list);
}

static void explaining_tells_what_is_degraded_and_who_stands_on_it(void **state)
{
    struct plugin_list list = {0};
    plugin_message *store = add(&list, "io.store.v1.s", BERTH__INSPECT__V1__STATE__STATE_READY);
    plugin_message *service = add(&list, "io.service.v1.s", BERTH__INSPECT__V1__STATE__STATE_READY);

    store->condition = BERTH_UNAVAILABLE;
    store->condition_reason = copy("the disk is full");
    add_edge(service, "io.store.v1.s");
    service->edges[0]->binding = true;
    assert_false(plugin_is_well(store));
    expect_explanation(&list, "io.store.v1.s",
                       "io.store.v1.s is ready, degraded\n    UNAVAILABLE: the disk is full\n"
                       "\nnext: fix the problem above; unless it names a command to run, the plugin then "
                       "recovers by itself, and "
                       "health reports NOT_SERVING until it has\n");
    expect_explanation(&list, "io.service.v1.s",
                       "io.service.v1.s is ready\nbelow it, io.store.v1.s is ready, degraded\n"
                       "    UNAVAILABLE: the disk is full\n\nnext: fix the problem above; unless it names "
                       "a command to run, the plugin then recovers by itself, and health reports NOT_SERVING "
                       "until it has\n");
    plugin_list_finish(&list);
}

static void a_ring_of_causes_ends(void **state)
{
    struct plugin_list list = {0};
    char *text;

    add_fallen(&list, "io.a.v1.x", BERTH__INSPECT__V1__STATE__STATE_BLOCKED, BERTH_NOT_FOUND, "r",
               "io.b.v1.x");
    add_fallen(&list, "io.b.v1.x", BERTH__INSPECT__V1__STATE__STATE_BLOCKED, BERTH_NOT_FOUND, "r",
               "io.c.v1.x");
    add_fallen(&list, "io.c.v1.x", BERTH__INSPECT__V1__STATE__STATE_BLOCKED, BERTH_NOT_FOUND, "r",
               "io.b.v1.x");
    text = explain(&list, "io.a.v1.x");
    assert_non_null(strstr(text, "\nnext: "));
    assert_true(strlen(text) < 1000);
    free(text);
    plugin_list_finish(&list);
}

static void one_that_starts_says_what_it_waits_for(void **state)
{
    struct plugin_list list = {0};

    add_edge(add(&list, "io.a.v1.x", BERTH__INSPECT__V1__STATE__STATE_WAITING), "io.b.v1.x");
    add(&list, "io.b.v1.x", BERTH__INSPECT__V1__STATE__STATE_STARTING);
    expect_explanation(&list, "io.a.v1.x",
                       "io.a.v1.x is waiting\n    waits for io.b.v1.x is starting\n"
                       "\nnext: wait: the daemon is still starting; ask again\n");
    plugin_list_finish(&list);
}

static void one_that_lost_to_another_is_its_own_root(void **state)
{
    struct plugin_list list = {0};
    char *text;

    add_fallen(&list, "io.a.v1.b", BERTH__INSPECT__V1__STATE__STATE_REJECTED, BERTH_ALREADY_EXISTS, "r",
               "io.a.v1.a");
    add(&list, "io.a.v1.a", BERTH__INSPECT__V1__STATE__STATE_SERVING);
    text = explain(&list, "io.a.v1.b");
    assert_null(strstr(text, "because"));
    assert_non_null(strstr(text, "berth-sdk check"));
    free(text);
    plugin_list_finish(&list);
}

static void the_critical_path_is_the_chain_that_settled_last(void **state)
{
    struct plugin_list list = {0};
    const plugin_message *path[4];

    set_times(add(&list, "io.a.v1.quick", BERTH__INSPECT__V1__STATE__STATE_READY), 1, 1);
    set_times(add(&list, "io.b.v1.slow", BERTH__INSPECT__V1__STATE__STATE_READY), 1, 100);
    set_times(add(&list, "io.c.v1.last", BERTH__INSPECT__V1__STATE__STATE_READY), 101, 5);
    set_times(add(&list, "io.d.v1.alone", BERTH__INSPECT__V1__STATE__STATE_READY), 1, 50);
    add_edge(list.plugins[2], "io.a.v1.quick");
    add_edge(list.plugins[2], "io.b.v1.slow");
    add_edge(list.plugins[2], "io.gone.v1.x");
    add_edge(list.plugins[1], "io.c.v1.last");
    assert_int_equal(critical_path_find(&list, path), 2);
    assert_string_equal(path[0]->uri, "io.b.v1.slow");
    assert_string_equal(path[1]->uri, "io.c.v1.last");
    plugin_list_finish(&list);
}

static void durations_have_three_digits(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = {{0, "-"},
                {7, "7ns"},
                {1500, "1.50us"},
                {12345678, "12.3ms"},
                {123456789, "123ms"},
                {1234567890, "1.23s"},
                {UINT64_MAX, "18446744074s"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[PLUGIN_DURATION_MAX];

        plugin_format_duration(rows[i].ns, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void a_state_of_a_newer_daemon_is_unknown(void **state)
{
    struct plugin_list list = {0};
    const plugin_message *plugin = add(&list, "io.x.v1.a", (Berth__Inspect__V1__State)99);

    assert_string_equal(plugin_state_name(plugin), "unknown");
    assert_false(plugin_is_well(plugin));
    plugin_list_finish(&list);
}

/* protobuf-c has no const texts. */
static introspected_plugin *make_introspected(void)
{
    introspected_plugin *plugin = calloc(1, sizeof(*plugin));

    assert_non_null(plugin);
    containerd__services__introspection__v1__plugin__init(plugin);
    plugin->type = copy("io.containerd.snapshotter.v1");
    plugin->id = copy("aufs");
    plugin->requires = calloc(1, sizeof(char *));
    plugin->requires[plugin->n_requires++] = copy("io.containerd.content.v1");
    plugin->platforms = calloc(2, sizeof(*plugin->platforms));
    for (; plugin->n_platforms < 2; plugin->n_platforms++) {
        plugin->platforms[plugin->n_platforms] = calloc(1, sizeof(Containerd__Types__Platform));
        containerd__types__platform__init(plugin->platforms[plugin->n_platforms]);
        plugin->platforms[plugin->n_platforms]->os = copy("linux");
        plugin->platforms[plugin->n_platforms]->architecture = copy("amd64");
    }
    plugin->exports = calloc(1, sizeof(*plugin->exports));
    plugin->exports[0] = calloc(1, sizeof(**plugin->exports));
    containerd__services__introspection__v1__plugin__exports_entry__init(plugin->exports[0]);
    plugin->exports[plugin->n_exports]->key = copy("root");
    plugin->exports[plugin->n_exports++]->value = copy("/r");
    plugin->init_err = calloc(1, sizeof(*plugin->init_err));
    google__rpc__status__init(plugin->init_err);
    plugin->init_err->code = BERTH_FAILED_PRECONDITION;
    plugin->init_err->message = copy("no aufs: skip plugin");
    return plugin;
}

static void an_introspected_plugin_looks_as_in_ctr(void **state)
{
    introspected_plugin *plugin = make_introspected();
    struct table table = {0};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    introspected_add_block(&table, plugin, true);
    table_print(&table, out, false);
    table_finish(&table);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(introspected_status(plugin), "skip");
    assert_string_equal(text, "Type:          io.containerd.snapshotter.v1\n"
                              "ID:            aufs\n"
                              "Requires:     \n"
                              "               io.containerd.content.v1\n"
                              "Platforms:     linux/amd64\n"
                              "Exports:      \n"
                              "               root      /r\n"
                              "Error:        \n"
                              "               Code:        FailedPrecondition\n"
                              "               Message:     no aufs: skip plugin\n");
    free(text);
    containerd__services__introspection__v1__plugin__free_unpacked(plugin, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_uri_brings_up_the_one_that_was_meant),
        cmocka_unit_test(of_two_with_one_uri_the_one_that_lives_is_found),
        cmocka_unit_test(explaining_walks_down_to_the_root),
        cmocka_unit_test(explaining_tells_what_is_degraded_and_who_stands_on_it),
        cmocka_unit_test(a_ring_of_causes_ends),
        cmocka_unit_test(one_that_starts_says_what_it_waits_for),
        cmocka_unit_test(one_that_lost_to_another_is_its_own_root),
        cmocka_unit_test(the_critical_path_is_the_chain_that_settled_last),
        cmocka_unit_test(durations_have_three_digits),
        cmocka_unit_test(a_state_of_a_newer_daemon_is_unknown),
        cmocka_unit_test(an_introspected_plugin_looks_as_in_ctr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
