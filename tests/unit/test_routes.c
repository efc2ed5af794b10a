/* SPDX-License-Identifier: Apache-2.0 */
/* Which calls find which service: paths, transports, tables that differ from their manifest, listings. */
#include "router_stage.h"

static void unknown_paths_are_refused_in_the_words_that_clients_know(void **state)
{
    static const struct {
        const char *path;
        const char *events;
    } cases[] = {
        {"/test.Echo/Nope", "finish(UNIMPLEMENTED: unknown method Nope for service test.Echo) "},
        {"/test.Nope/Unary", "finish(UNIMPLEMENTED: unknown service test.Nope) "},
        {"/bad", "finish(UNIMPLEMENTED: malformed method name: \"/bad\") "},
        {"bad/Unary", "finish(UNIMPLEMENTED: malformed method name: \"bad/Unary\") "},
        {"", "finish(UNIMPLEMENTED: malformed method name: \"\") "},
        {"/", "finish(UNIMPLEMENTED: malformed method name: \"/\") "},
        {"/test.Echo/Unary/", "finish(UNIMPLEMENTED: unknown service test.Echo/Unary) "},
        {"/test.echo/Unary", "finish(UNIMPLEMENTED: unknown service test.echo) "},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(open_path(cases[i].path));
        assert_events(cases[i].events);
    }
}

static void a_path_of_any_length_is_refused(void **state)
{
    char path[100000];

    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[50000] = '/';
    path[sizeof(path) - 1] = '\0';
    assert_null(open_path(path));
    events[40] = '\0';
    assert_events("finish(UNIMPLEMENTED: unknown service xx");
}

static void a_service_is_declared_once(void **state)
{
    struct berth_error err;

    assert_int_equal(router_declare(fixture.router, &declared_service, &err), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "test.Echo is already exported by io.test.v1.echo"));
}

static void a_table_that_differs_from_its_manifest_never_gets_live(void **state)
{
    static const struct berth_method unknown[] = {
        METHOD("Unary", BERTH_METHOD_UNARY), METHOD("Down", BERTH_METHOD_SERVER_STREAM),
        METHOD("Up", BERTH_METHOD_CLIENT_STREAM), METHOD("Bath", BERTH_METHOD_BIDI_STREAM)};
    static const struct berth_method kinds[] = {
        METHOD("Unary", BERTH_METHOD_BIDI_STREAM), METHOD("Down", BERTH_METHOD_SERVER_STREAM),
        METHOD("Up", BERTH_METHOD_CLIENT_STREAM), METHOD("Both", BERTH_METHOD_BIDI_STREAM)};
    static const struct berth_method deaf[] = {{.name = "Unary", .kind = BERTH_METHOD_UNARY},
                                               METHOD("Down", BERTH_METHOD_SERVER_STREAM),
                                               METHOD("Up", BERTH_METHOD_CLIENT_STREAM),
                                               METHOD("Both", BERTH_METHOD_BIDI_STREAM)};
    const struct {
        const struct berth_method *methods;
        size_t count;
        uint32_t method_size;
        const char *reason;
    } cases[] = {
        {unknown, 4, sizeof(methods[0]), "method /test.Echo/Both is declared but missing from the code"},
        {kinds, 4, sizeof(methods[0]), "the code of /test.Echo/Unary has another streaming kind"},
        {deaf, 4, sizeof(methods[0]), "the code of /test.Echo/Unary has no on_message"},
        {methods, 3, sizeof(methods[0]), "4 methods of test.Echo are declared, but its code has 3"},
        {methods, 4, 8, "the table of test.Echo is too small"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_service table = service;
        struct berth_error err;

        table.methods = cases[i].methods;
        table.method_count = cases[i].count;
        table.method_size = cases[i].method_size;
        assert_int_equal(router_set_live(fixture.router, "test.Echo", &table, NULL, NULL, &err),
                         BERTH_FAILED_PRECONDITION);
        assert_non_null(strstr(err.message, cases[i].reason));
    }
    assert_int_equal(router_set_live(fixture.router, "test.Nope", &service, NULL, NULL, NULL),
                     BERTH_FAILED_PRECONDITION);
}

static void a_module_with_wider_methods_is_served(void **state)
{
    struct {
        struct berth_method method;
        void *of_a_later_sdk;
    } wide[4];
    struct berth_service table = service;

    for (size_t i = 0; i < 4; i++) {
        wide[i].method = methods[3 - i];
        wide[i].of_a_later_sdk = NULL;
    }
    table.methods = &wide[0].method;
    table.method_size = sizeof(wide[0]);
    assert_int_equal(router_set_live(fixture.router, "test.Echo", &table, &fixture.instance, NULL, NULL),
                     BERTH_OK);
    fixture.instance.in_message = reply;
    open_path("/test.Echo/Unary");
    deliver_last("x");
    assert_events("start message(x) sent(pong) finish(OK) end(OK) ");
}

static bool on_route(void *context, const struct berth_route_info *route)
{
    event("%s of %s %s %.*s ", route->service, route->plugin, route->live ? "live" : "down",
          (int)route->descriptors_length, (const char *)route->descriptors);
    return true;
}

static void routes_are_listed_with_their_state(void **state)
{
    fixture.interface->each(fixture.interface, on_route, NULL);
    router_set_gone(fixture.router, "test.Echo", BERTH_UNAVAILABLE, "gone");
    fixture.interface->each(fixture.interface, on_route, NULL);
    assert_events("test.Echo of io.test.v1.echo live descriptors test.Echo of io.test.v1.echo down  ");
}

static void a_service_goes_over_the_transports_that_its_plugin_names(void **state)
{
    static const char *const carried_by[] = {"grpc", "ttrpc", "test"};
    router_declare(fixture.router, &narrow_service, NULL);
    router_set_live(fixture.router, "test.Narrow", &service, &fixture.instance, NULL, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(open_over(&fixture.stream, "/test.Narrow/Both", carried_by[i]));
        assert_string_equal(fixture.stream.call->transport, carried_by[i]);
        cancel();
        assert_events("start end(CANCELLED) ");
    }
}

static void over_another_transport_a_service_is_unknown(void **state)
{
    router_declare(fixture.router, &narrow_service, NULL);
    router_set_live(fixture.router, "test.Narrow", &service, &fixture.instance, NULL, NULL);
    assert_null(open_over(&fixture.stream, "/test.Narrow/Both", "tcp"));
    assert_null(open_over(&fixture.stream, "/test.Narrow/Nope", "tcp"));
    assert_null(open_over(&fixture.stream, "/test.Narrow/Both", "grp"));
    assert_events("finish(UNIMPLEMENTED: unknown service test.Narrow) "
                  "finish(UNIMPLEMENTED: unknown service test.Narrow) "
                  "finish(UNIMPLEMENTED: unknown service test.Narrow) ");
    assert_null(open_over(&fixture.stream, "/test.Narrow/Nope", "grpc"));
    assert_events("finish(UNIMPLEMENTED: unknown method Nope for service test.Narrow) ");
}

static bool on_transports(void *context, const struct berth_route_info *route)
{
    if (route->transports == NULL)
        event("%s over all ", route->service);
    for (size_t i = 0; i < route->transport_count; i++)
        event("%s over %s ", route->service, route->transports[i]);
    return true;
}

static void routes_tell_their_transports(void **state)
{
    router_declare(fixture.router, &narrow_service, NULL);
    fixture.interface->each(fixture.interface, on_transports, NULL);
    assert_events("test.Echo over all test.Narrow over grpc test.Narrow over ttrpc ");
}

static void many_services_are_all_found(void **state)
{
    char names[500][32];

    for (size_t i = 0; i < 500; i++) {
        struct router_service more = declared_service;

        snprintf(names[i], sizeof(names[i]), "test.S%zu", i);
        more.name = names[i];
        assert_int_equal(router_declare(fixture.router, &more, NULL), BERTH_OK);
        assert_int_equal(router_set_live(fixture.router, names[i], &service, &fixture.instance, NULL, NULL),
                         BERTH_OK);
    }
    for (size_t i = 0; i < 500; i++) {
        char path[64];

        snprintf(path, sizeof(path), "/%.40s/Both", names[i]);
        assert_non_null(open_path(path));
        assert_string_equal(fixture.stream.call->service, names[i]);
        cancel();
        events[0] = '\0';
    }
}

static const struct berth_method any_methods[] = {METHOD("*", BERTH_METHOD_BIDI_STREAM)};

static const struct berth_service any_table = {
    .size = sizeof(any_table),
    .method_size = sizeof(any_methods[0]),
    .name = "*",
    .methods = any_methods,
    .method_count = 1,
};

static const struct router_method any_declared[] = {{"*", BERTH_METHOD_BIDI_STREAM}};
static const struct router_method named_declared[] = {{"Named", BERTH_METHOD_UNARY}};

static void declare_any(const struct router_method *declared)
{
    const struct router_service any = {
        .plugin = "io.test.v1.any", .name = "test.Any", .methods = declared, .method_count = 1};
    struct berth_error err;

    assert_int_equal(router_declare(fixture.router, &any, &err), BERTH_OK);
    assert_int_equal(router_set_live(fixture.router, "test.Any", &any_table, &fixture.instance, "any", &err),
                     BERTH_OK);
}

static bool add_path(void *context, const struct berth_method_info *method)
{
    if (strcmp(method->service, "test.Any") == 0)
        event("%s=%d ", method->path, (int)method->opened);
    return true;
}

static void a_method_called_star_takes_calls_of_every_method(void **state)
{
    declare_any(any_declared);
    open_path("/test.Any/First");
    assert_string_equal(fixture.stream.call->path, "/test.Any/First");
    assert_string_equal(fixture.stream.call->method, "First");
    assert_int_equal(fixture.stream.call->kind, BERTH_METHOD_BIDI_STREAM);
    deliver("x");
    cancel();
    open_path("/test.Any/First");
    cancel();
    assert_events("start message(x) end(CANCELLED) start end(CANCELLED) ");
    assert_null(open_path("/test.Any/*"));
    assert_null(open_path("/test.Any/no-name"));
    assert_null(open_path("/test.Any/"));
    events[0] = '\0';
    fixture.interface->each_method(fixture.interface, add_path, NULL);
    assert_events("/test.Any/First=2 ");
}

static void as_many_methods_as_a_router_bears_are_known_by_star(void **state)
{
    char path[64];

    declare_any(any_declared);
    for (int i = 0; i < 4096; i++) {
        snprintf(path, sizeof(path), "/test.Any/M%d", i);
        assert_non_null(open_path(path));
        cancel();
        events[0] = '\0';
    }
    assert_null(open_path("/test.Any/M4096"));
    assert_non_null(open_path("/test.Any/M17"));
    cancel();
}

static void a_table_with_star_serves_methods_that_are_declared_by_name(void **state)
{
    declare_any(named_declared);
    open_path("/test.Any/Named");
    assert_int_equal(fixture.stream.call->kind, BERTH_METHOD_UNARY);
    cancel();
    assert_null(open_path("/test.Any/Other"));
}

static void a_method_that_gets_a_name_keeps_its_counts(void **state)
{
    const struct router_service named = {
        .plugin = "io.test.v1.any", .name = "test.Any", .methods = named_declared, .method_count = 1};
    struct berth_error err;

    declare_any(any_declared);
    open_path("/test.Any/Named");
    router_remove(fixture.router, "test.Any");
    assert_int_equal(router_declare(fixture.router, &named, &err), BERTH_OK);
    assert_int_equal(router_set_live(fixture.router, "test.Any", &any_table, &fixture.instance, "any", &err),
                     BERTH_OK);
    deliver("still there");
    cancel();
    open_path("/test.Any/Named");
    assert_int_equal(fixture.stream.call->kind, BERTH_METHOD_UNARY);
    cancel();
    events[0] = '\0';
    fixture.interface->each_method(fixture.interface, add_path, NULL);
    assert_events("/test.Any/Named=2 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_method_called_star_takes_calls_of_every_method),
        TEST(as_many_methods_as_a_router_bears_are_known_by_star),
        TEST(a_table_with_star_serves_methods_that_are_declared_by_name),
        TEST(a_method_that_gets_a_name_keeps_its_counts),
        TEST(unknown_paths_are_refused_in_the_words_that_clients_know),
        TEST(a_path_of_any_length_is_refused),
        TEST(a_service_is_declared_once),
        TEST(a_table_that_differs_from_its_manifest_never_gets_live),
        TEST(a_module_with_wider_methods_is_served),
        TEST(routes_are_listed_with_their_state),
        TEST(a_service_goes_over_the_transports_that_its_plugin_names),
        TEST(over_another_transport_a_service_is_unknown),
        TEST(routes_tell_their_transports),
        TEST(many_services_are_all_found),
    };

    return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
