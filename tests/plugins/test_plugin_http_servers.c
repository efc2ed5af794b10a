/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics server and the debug server: where they listen, to whom they answer, and what they say. */
#include <sys/stat.h>

#include "http_stage.h"
#include "plugin_stage.h"

#include <berth/types/server.h>

#define METRICS "io.containerd.server.v1.metrics"
#define DEBUG "io.containerd.server.v1.debug"
#define OTHER "io.containerd.server.v1.other"

static char folder[] = "/tmp/berth-test-XXXXXX";

static struct berth_testing *serve(const char *uri, const char *settings)
{
    struct berth_testing *testing = plugin_create(uri, settings);
    struct berth_error err;

    plugin_start(testing);
    if (berth_testing_serve(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return testing;
}

static void assert_has(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, text != NULL ? text : "");
}

static void assert_refuses(const char *uri, const char *settings, enum berth_code code, const char *text)
{
    struct berth_testing *testing = plugin_create(uri, settings);
    struct berth_error err = {.message = ""};

    if (berth_testing_start(testing, &err) != code)
        fail_msg("%s: %s", settings, err.message);
    assert_has(err.message, text);
    plugin_destroy(testing);
}

/* Refused before anything is started: the settings do not fit their schema. */
static void assert_rejects(const char *uri, const char *settings, const char *text)
{
    struct berth_error err = {.message = ""};

    assert_null(berth_testing_create(&berth_module, uri, settings, &err));
    assert_has(err.message, text);
}

static void the_metrics_listen_where_it_makes_sense(void **state)
{
    assert_refuses(METRICS, NULL, BERTH_SKIP, "address is not set");
    assert_refuses(METRICS, "address: 0.0.0.0:0", BERTH_INVALID_ARGUMENT, "insecure: true");
    assert_refuses(METRICS, "address: \"[::]:0\"", BERTH_INVALID_ARGUMENT, "insecure: true");
    assert_refuses(METRICS, "address: somewhere:80", BERTH_INVALID_ARGUMENT, "is not an IP address and port");
    assert_refuses(METRICS, "address: 127.0.0.1:99999", BERTH_INVALID_ARGUMENT, "99999");
    assert_refuses(METRICS, "address: 127.0.0.1", BERTH_INVALID_ARGUMENT,
                   "\"127.0.0.1\" is neither an IP address and port, such as 127.0.0.1:8080, nor");
    assert_refuses(METRICS, "address: \"8080\"", BERTH_INVALID_ARGUMENT, "is neither an IP address and port");
    assert_refuses(METRICS, "address: unix:a.sock", BERTH_INVALID_ARGUMENT, "the absolute path");
    assert_refuses(METRICS, "{address: \"127.0.0.1:0\", tls_cert: /a.pem}", BERTH_INVALID_ARGUMENT,
                   "set tls_key too");
    assert_refuses(METRICS, "{address: /a.sock, tls_cert: /a.pem, tls_key: /a.key}", BERTH_INVALID_ARGUMENT,
                   "TLS is for TCP addresses");
    assert_rejects(METRICS, "{address: /a.sock, mode: \"0888\"}", "mode");
    plugin_destroy(serve(METRICS, "{address: \"0.0.0.0:0\", insecure: true}"));
}

static void the_debug_server_is_off_unless_asked_and_only_local(void **state)
{
    assert_refuses(DEBUG, NULL, BERTH_SKIP, "enabled is not set");
    assert_refuses(DEBUG, "enabled: false", BERTH_SKIP, "enabled");
    assert_rejects(DEBUG, "{enabled: true, mode: \"0800\"}", "mode");
    assert_rejects(DEBUG, "{enabled: true, insecure: true}", "insecure");
}

static void assert_mode(const char *uri, const char *more, mode_t mode)
{
    char settings[320], path[256];
    struct berth_testing *testing;
    struct stat status;

    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(settings, sizeof(settings), "{address: %s%s}", path, more);
    testing = serve(uri, settings);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 07777, mode);
    plugin_destroy(testing);
    assert_int_equal(stat(path, &status), -1);
}

static void sockets_have_their_modes(void **state)
{
    assert_mode(METRICS, "", 0660);
    assert_mode(METRICS, ", mode: \"0600\"", 0600);
    assert_mode(METRICS, ", mode: \"666\"", 0666);
    assert_mode(DEBUG, ", enabled: true", 0600);
    assert_mode(DEBUG, ", enabled: true, mode: \"0640\"", 0640);
}

static void a_path_that_others_have_taken_is_refused(void **state)
{
    char settings[320], path[256];
    struct berth_testing *testing;
    struct berth_error err = {.message = ""};
    FILE *file;

    snprintf(path, sizeof(path), "%s/file", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    snprintf(settings, sizeof(settings), "{enabled: true, address: %s}", path);
    testing = plugin_create(DEBUG, settings);
    plugin_start(testing);
    assert_int_not_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_has(err.message, path);
    plugin_destroy(testing);
    assert_int_equal(access(path, F_OK), 0);
}

static void the_metrics_are_at_their_paths_alone(void **state)
{
    static const char *const paths[] = {"/metrics", "/v1/metrics"};
    struct berth_testing *testing = serve(METRICS, "address: 127.0.0.1:0");
    const char *text;
    char line[64];

    for (size_t i = 0; i < 2; i++) {
        snprintf(line, sizeof(line), "GET %s", paths[i]);
        text = ask(testing, line);
        assert_has(text, "HTTP/1.1 200 OK\r\n");
        assert_has(text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    }
    text = ask(testing, "GET /metrics/more");
    assert_has(text, "HTTP/1.1 404 Not Found\r\n");
    assert_has(text, "the metrics are at /v1/metrics and /metrics");
    assert_has(ask(testing, "GET /"), "HTTP/1.1 404 Not Found\r\n");
    assert_has(ask(testing, "DELETE /metrics"), "HTTP/1.1 405 Method Not Allowed\r\n");
    plugin_destroy(testing);
}

static void each_connection(void *instance,
                            bool (*on_connection)(void *context, const struct berth_connection *connection),
                            void *context)
{
    for (uint64_t number = 1; number <= 2; number++)
        on_connection(context,
                      &(struct berth_connection){.size = sizeof(struct berth_connection), .number = number});
}

static const struct berth_server other = {.size = sizeof(other), .each_connection = each_connection};

static void the_debug_server_shows_what_the_host_knows(void **state)
{
    static const struct berth_plugin_costs costs = {.size = sizeof(costs), .uri = OTHER, .stalls = 3};
    static const struct berth_daemon_costs whole = {.size = sizeof(whole), .turns = 41, .lag_ns = 5};
    struct berth_testing *testing;
    const char *text;
    char settings[320];

    snprintf(settings, sizeof(settings), "{enabled: true, address: %s/debug}", folder);
    testing = serve(DEBUG, settings);
    berth_testing_provide(testing, OTHER, &other, NULL);
    berth_testing_set_condition(testing, OTHER, BERTH_UNAVAILABLE, "tired \"of it\"");
    berth_testing_set_costs(testing, &costs);
    berth_testing_set_daemon_costs(testing, &whole);
    berth_testing_set_daemon(testing, true, false);
    text = ask(testing, "GET /debug/vars");
    assert_has(text, "Content-Type: application/json\r\n");
    assert_has(text, "\"ready\":true,\"draining\":false");
    /* Two of the other server, and the one that asks. */
    assert_has(text, "\"connections\":3,");
    assert_has(text, "\"turns\":41,");
    assert_has(text, "\"uri\":\"" OTHER "\"");
    assert_has(text, "\"stalls\":3,");
    assert_has(ask(testing, "GET /debug/loop"), "\"lag_ns\":5,");
    text = ask(testing, "GET /debug/plugins");
    assert_has(text, "\"condition\":14,\"condition_reason\":\"tired \\u0022of it\\u0022\"");
    assert_has(text, "\"uri\":\"" DEBUG "\",\"state\":\"serving\"");
    assert_has(ask(testing, "GET /debug/heap"), "<malloc");
    assert_has(ask(testing, "GET /debug/stacks"), "thread ");
    assert_has(ask(testing, "GET /debug/"), "/debug/vars");
    assert_has(ask(testing, "GET /debug/others"), "HTTP/1.1 404 Not Found\r\n");
    assert_has(ask(testing, "POST /debug/vars"), "HTTP/1.1 405 Method Not Allowed\r\n");
    plugin_destroy(testing);
}

static int remove_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_metrics_listen_where_it_makes_sense),
        cmocka_unit_test(the_debug_server_is_off_unless_asked_and_only_local),
        cmocka_unit_test(sockets_have_their_modes),
        cmocka_unit_test(a_path_that_others_have_taken_is_refused),
        cmocka_unit_test(the_metrics_are_at_their_paths_alone),
        cmocka_unit_test(the_debug_server_shows_what_the_host_knows),
    };

    if (mkdtemp(folder) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
