/* SPDX-License-Identifier: Apache-2.0 */
/* Introspection: who the daemon is, what containerd's clients see of plugins, and what ours do. */
#include "plugin_stage.h"

#include <sys/stat.h>
#include <unistd.h>

#include <berth/inspect/v1/inspect.pb-c.h>
#include <berth/types/introspection.h>
#include <containerd/services/introspection/v1/introspection.pb-c.h>
#include <plugins/introspection/identity.h>

#define SERVICE "io.containerd.service.v1.introspection-service"
#define GRPC "io.containerd.grpc.v1.introspection"
#define CONTAINERD "/containerd.services.introspection.v1.Introspection/"

typedef Containerd__Services__Introspection__V1__Plugin containerd_plugin;
typedef Containerd__Services__Introspection__V1__PluginsResponse containerd_plugins;

/* What a host could tell. */
static const char *const requirements[] = {"io.berth.store.v1.lmdb", "io.berth.store.v1", "*", "io.b.v12",
                                           "io.b.v1.v"};
static const struct berth_platform platforms[] = {{"linux", "amd64", NULL}};
static const struct berth_export exports[] = {{"root", "/r"}};
static const char *const services[] = {"a.B", "a.C"};
static const char *const transport_names[] = {"grpc", "tcp"};
static const struct berth_strings transports[] = {{transport_names, 2}, {transport_names, 1}};
static const struct berth_edge edges[] = {{"io.berth.store.v1.lmdb", "io.berth.store.v1", true}};

static const struct berth_plugin_info found[] = {
    {
        .size = sizeof(found[0]),
        .uri = "io.berth.store.v1.lmdb",
        .type = "io.berth.store.v1",
        .id = "lmdb",
        .state = BERTH_STATE_READY,
        .platforms = platforms,
        .platform_count = 1,
        .exports = exports,
        .export_count = 1,
        .generation = 1,
        .times = {.init_start_ns = 5, .init_ns = 7},
        .services = {services, 2},
        .transports = transports,
        .condition = BERTH_UNAVAILABLE,
        .condition_reason = "the disk is full",
    },
    {
        .uri = "io.berth.test.v1.skipped",
        .type = "io.berth.test.v1",
        .id = "skipped",
        .state = BERTH_STATE_SKIPPED,
        .code = BERTH_SKIP,
        .reason = "no such device",
        .requirements = {requirements, 5},
        .edges = edges,
        .edge_count = 1,
    },
    {
        .uri = "io.berth.test.v1.failed",
        .type = "io.berth.test.v1",
        .id = "failed",
        .state = BERTH_STATE_FAILED,
        .code = BERTH_RESOURCE_EXHAUSTED,
        .reason = "the disk is full",
    },
    {
        .uri = "io.berth.test.v1.disabled",
        .type = "io.berth.test.v1",
        .id = "disabled",
        .state = BERTH_STATE_DISABLED,
        .code = BERTH_SKIP,
        .reason = "disabled at berthd.yaml:3:5: skip plugin",
    },
    {
        .uri = "io.berth.test.v1.late",
        .type = "io.berth.test.v1",
        .id = "late",
        .state = BERTH_STATE_TIMED_OUT,
        .code = BERTH_DEADLINE_EXCEEDED,
        .reason = "init took longer than 10s",
    },
    {
        .path = "/plugins/broken.so",
        .state = BERTH_STATE_REJECTED,
        .code = BERTH_INVALID_ARGUMENT,
        .reason = "no ELF file",
    },
};

static void tell_all(const struct berth_inspect *inspect,
                     bool (*on_plugin)(void *context, const struct berth_plugin_info *info), void *context)
{
    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++)
        if (!on_plugin(context, &found[i]))
            return;
}

static const struct berth_daemon_info told = {
    .size = sizeof(told),
    .version = "1.2.3",
    .revision = "abc",
    .root = "/r",
    .state = "/s",
    .pid = 42,
    .ready = true,
    .ready_ns = 99,
};

static const struct berth_inspect inspect = {
    .size = sizeof(inspect),
    .each = tell_all,
    .daemon = &told,
};

/* The service of this module over that host, as the other plugin of the module finds it. */
struct fixture {
    void *service;
    struct berth_testing *testing;
};

extern const struct berth_introspection introspection_service_interface;
enum berth_code introspection_service_prepare(const struct berth_prepare *prepare, void **ret_prepared,
                                              struct berth_error *err);
enum berth_code introspection_service_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                           struct berth_error *err);
enum berth_code introspection_service_close(const struct berth_host *host, void *instance,
                                            struct berth_error *err);

static char folder[] = "/tmp/berth-test-XXXXXX";
static char logged[256];

static enum berth_code no_root(const struct berth_prepare *prepare, const char **ret_path,
                               struct berth_error *err)
{
    return berth_error_set(err, BERTH_FAILED_PRECONDITION, "root: /r: read-only file system");
}

static void keep_log(const struct berth_prepare *prepare, enum berth_log_level level, const char *text)
{
    snprintf(logged, sizeof(logged), "%d %s", (int)level, text);
}

/* Another plugin's list of deprecations; none where `has_deprecations` is false. */
static bool has_deprecations;

static void tell_deprecations(void *instance,
                              bool (*on_deprecation)(void *context,
                                                     const struct berth_deprecation *deprecation),
                              void *context)
{
    const struct berth_deprecation told_of[] = {
        {.size = sizeof(told_of[0]),
         .id = "a/b",
         .message = "use c",
         .last_seconds = 7,
         .last_nanoseconds = 9},
        {.size = sizeof(told_of[0]), .id = "d/e", .message = "use f", .last_seconds = 8},
    };

    assert_ptr_equal(instance, &has_deprecations);
    for (size_t i = 0; i < 2 && on_deprecation(context, &told_of[i]); i++)
        ;
}

static const struct berth_deprecations their_deprecations = {.size = sizeof(their_deprecations),
                                                             .each = tell_deprecations};

static enum berth_code get_deprecations(const struct berth_host *host, const char *uri,
                                        struct berth_ref *ret_ref, struct berth_error *err)
{
    assert_string_equal(uri, "io.containerd.warning.v1.deprecations");
    if (!has_deprecations)
        return berth_error_set(err, BERTH_NOT_FOUND, "nobody provides it");
    *ret_ref = (struct berth_ref){.interface = &their_deprecations, .instance = &has_deprecations};
    return BERTH_OK;
}

static int set_up(void **state)
{
    const struct berth_prepare prepare = {.size = sizeof(prepare), .root_dir = no_root, .log = keep_log};
    const struct berth_host host = {.size = sizeof(host), .inspect = &inspect, .get = get_deprecations};
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct berth_error err;
    void *prepared;

    *state = fixture;
    assert_int_equal(introspection_service_prepare(&prepare, &prepared, &err), BERTH_OK);
    assert_int_equal(introspection_service_init(&host, prepared, &fixture->service, &err), BERTH_OK);
    fixture->testing = plugin_create(GRPC, NULL);
    berth_testing_provide(fixture->testing, SERVICE, &introspection_service_interface, fixture->service);
    plugin_start(fixture->testing);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    plugin_destroy(fixture->testing);
    introspection_service_close(NULL, fixture->service, NULL);
    free(fixture);
    return 0;
}

static struct berth_testing_call *ask_plugins(struct fixture *fixture, const char *filter)
{
    Containerd__Services__Introspection__V1__PluginsRequest request =
        CONTAINERD__SERVICES__INTROSPECTION__V1__PLUGINS_REQUEST__INIT;
    char *filters[] = {(char *)(uintptr_t)filter};
    uint8_t bytes[256];

    request.filters = filters;
    request.n_filters = filter != NULL;
    return berth_testing_unary(
        fixture->testing, CONTAINERD "Plugins", bytes,
        containerd__services__introspection__v1__plugins_request__pack(&request, bytes));
}

static containerd_plugins *take_plugins(struct berth_testing_call *call)
{
    size_t length;
    const void *bytes = berth_testing_call_reply(call, 0, &length);
    containerd_plugins *plugins;

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    plugins = containerd__services__introspection__v1__plugins_response__unpack(NULL, length, bytes);
    assert_non_null(plugins);
    berth_testing_call_destroy(call);
    return plugins;
}

static void containerds_clients_see_every_plugin_in_order(void **state)
{
    containerd_plugins *plugins = take_plugins(ask_plugins(*state, NULL));

    assert_int_equal(plugins->n_plugins, 5);
    assert_string_equal(plugins->plugins[0]->id, "lmdb");
    assert_null(plugins->plugins[0]->init_err);
    assert_int_equal(plugins->plugins[0]->n_platforms, 1);
    assert_string_equal(plugins->plugins[0]->platforms[0]->architecture, "amd64");
    assert_int_equal(plugins->plugins[0]->n_exports, 1);
    assert_string_equal(plugins->plugins[0]->exports[0]->key, "root");
    assert_string_equal(plugins->plugins[0]->exports[0]->value, "/r");
    assert_int_equal(plugins->plugins[1]->n_requires, 4);
    assert_string_equal(plugins->plugins[1]->requires[0], "io.berth.store.v1");
    assert_string_equal(plugins->plugins[1]->requires[1], "*");
    assert_string_equal(plugins->plugins[1]->requires[2], "io.b.v12");
    assert_string_equal(plugins->plugins[1]->requires[3], "io.b.v1");
    containerd__services__introspection__v1__plugins_response__free_unpacked(plugins, NULL);
}

static void what_keeps_a_plugin_from_running_is_its_init_err(void **state)
{
    static const struct {
        size_t plugin;
        int32_t code;
        const char *message;
    } cases[] = {
        {1, BERTH_UNKNOWN, "no such device: skip plugin"},
        {2, BERTH_RESOURCE_EXHAUSTED, "the disk is full"},
        {3, BERTH_UNKNOWN, "disabled at berthd.yaml:3:5: skip plugin"},
        {4, BERTH_DEADLINE_EXCEEDED, "init took longer than 10s"},
    };
    containerd_plugins *plugins = take_plugins(ask_plugins(*state, NULL));

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const containerd_plugin *plugin = plugins->plugins[cases[i].plugin];

        assert_non_null(plugin->init_err);
        assert_int_equal(plugin->init_err->code, cases[i].code);
        assert_string_equal(plugin->init_err->message, cases[i].message);
    }
    containerd__services__introspection__v1__plugins_response__free_unpacked(plugins, NULL);
}

static void filters_choose_by_type_and_id(void **state)
{
    static const struct {
        const char *filter;
        size_t count;
    } cases[] = {
        {"type==io.berth.test.v1", 4}, {"id~=ed$", 3}, {"type==io.berth.test.v1,id==failed", 1},
        {"state==failed", 1},          {"nope", 0},    {"", 5},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        containerd_plugins *plugins = take_plugins(ask_plugins(*state, cases[i].filter));

        assert_int_equal(plugins->n_plugins, cases[i].count);
        containerd__services__introspection__v1__plugins_response__free_unpacked(plugins, NULL);
    }
}

static void a_filter_that_is_none_is_refused_in_containerds_words(void **state)
{
    struct berth_testing_call *call = ask_plugins(*state, "id==");

    assert_int_equal(berth_testing_call_code(call), BERTH_INVALID_ARGUMENT);
    assert_string_equal(
        berth_testing_call_message(call),
        "filters: parse error: [id==]: expected value or quoted: invalid argument: invalid argument");
    berth_testing_call_destroy(call);
}

static void the_server_tells_who_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct berth_testing_call *call = berth_testing_unary(fixture->testing, CONTAINERD "Server", "", 0);
    Containerd__Services__Introspection__V1__ServerResponse *reply;
    struct stat status;
    const void *bytes;
    size_t length;

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    bytes = berth_testing_call_reply(call, 0, &length);
    reply = containerd__services__introspection__v1__server_response__unpack(NULL, length, bytes);
    assert_non_null(reply);
    assert_int_equal(strlen(reply->uuid), 36);
    assert_int_equal(reply->uuid[14], '4');
    assert_int_equal(reply->pid, 42);
    assert_int_equal(stat("/proc/self/ns/pid", &status), 0);
    assert_int_equal(reply->pidns, status.st_ino);
    assert_int_equal(reply->n_deprecations, 0);
    containerd__services__introspection__v1__server_response__free_unpacked(reply, NULL);
    berth_testing_call_destroy(call);
}

static int set_up_with_deprecations(void **state)
{
    has_deprecations = true;
    return set_up(state);
}

static int tear_down_with_deprecations(void **state)
{
    has_deprecations = false;
    return tear_down(state);
}

static void the_server_tells_what_is_deprecated(void **state)
{
    struct fixture *fixture = *state;
    struct berth_testing_call *call = berth_testing_unary(fixture->testing, CONTAINERD "Server", "", 0);
    Containerd__Services__Introspection__V1__ServerResponse *reply;
    size_t length;
    const void *bytes = berth_testing_call_reply(call, 0, &length);

    reply = containerd__services__introspection__v1__server_response__unpack(NULL, length, bytes);
    assert_non_null(reply);
    assert_int_equal(reply->n_deprecations, 2);
    assert_string_equal(reply->deprecations[0]->id, "a/b");
    assert_string_equal(reply->deprecations[0]->message, "use c");
    assert_int_equal(reply->deprecations[0]->last_occurrence->seconds, 7);
    assert_int_equal(reply->deprecations[0]->last_occurrence->nanos, 9);
    assert_string_equal(reply->deprecations[1]->id, "d/e");
    containerd__services__introspection__v1__server_response__free_unpacked(reply, NULL);
    berth_testing_call_destroy(call);
}

static struct berth_testing_call *ask_info(struct fixture *fixture, const char *type, const char *id,
                                           bool with_options)
{
    Containerd__Services__Introspection__V1__PluginInfoRequest request =
        CONTAINERD__SERVICES__INTROSPECTION__V1__PLUGIN_INFO_REQUEST__INIT;
    Google__Protobuf__Any options = GOOGLE__PROTOBUF__ANY__INIT;
    uint8_t bytes[512];

    request.type = (char *)(uintptr_t)type;
    request.id = (char *)(uintptr_t)id;
    request.options = with_options ? &options : NULL;
    return berth_testing_unary(
        fixture->testing, CONTAINERD "PluginInfo", bytes,
        containerd__services__introspection__v1__plugin_info_request__pack(&request, bytes));
}

static void one_plugin_is_found_by_its_name(void **state)
{
    struct berth_testing_call *call = ask_info(*state, "io.berth.test.v1", "failed", false);
    Containerd__Services__Introspection__V1__PluginInfoResponse *reply;
    const void *bytes;
    size_t length;

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    bytes = berth_testing_call_reply(call, 0, &length);
    reply = containerd__services__introspection__v1__plugin_info_response__unpack(NULL, length, bytes);
    assert_non_null(reply);
    assert_string_equal(reply->plugin->id, "failed");
    assert_string_equal(reply->plugin->init_err->message, "the disk is full");
    containerd__services__introspection__v1__plugin_info_response__free_unpacked(reply, NULL);
    berth_testing_call_destroy(call);
}

static void what_one_plugin_cannot_tell_has_its_code(void **state)
{
    static const struct {
        const char *type, *id;
        bool with_options;
        enum berth_code code;
        const char *message;
    } cases[] = {
        {"io.no.v1", "x", false, BERTH_NOT_FOUND, "plugin io.no.v1.x not found: not found"},
        {"io.berth.test.v1", "failed", true, BERTH_FAILED_PRECONDITION,
         "cannot get extra info, plugin not successfully loaded: failed precondition"},
        {"io.berth.store.v1", "lmdb", true, BERTH_UNIMPLEMENTED,
         "plugin does not provided extra information: not implemented"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_testing_call *call = ask_info(*state, cases[i].type, cases[i].id, cases[i].with_options);

        assert_int_equal(berth_testing_call_code(call), cases[i].code);
        assert_string_equal(berth_testing_call_message(call), cases[i].message);
        berth_testing_call_destroy(call);
    }
}

static struct berth_testing_call *ask_all(struct fixture *fixture, bool all, bool slow)
{
    Berth__Inspect__V1__PluginsRequest request = BERTH__INSPECT__V1__PLUGINS_REQUEST__INIT;
    struct berth_testing_call *call =
        berth_testing_call_create(fixture->testing, "/berth.inspect.v1.Inspect/Plugins", NULL);
    uint8_t bytes[64];

    request.all = all;
    berth_testing_call_set_slow(call, slow);
    berth_testing_call_send(call, bytes, berth__inspect__v1__plugins_request__pack(&request, bytes));
    berth_testing_call_half_close(call);
    berth_testing_run(fixture->testing);
    return call;
}

static Berth__Inspect__V1__Plugin *take_plugin(struct berth_testing_call *call, size_t i)
{
    size_t length;
    const void *bytes = berth_testing_call_reply(call, i, &length);
    Berth__Inspect__V1__Plugin *plugin = berth__inspect__v1__plugin__unpack(NULL, length, bytes);

    assert_non_null(plugin);
    return plugin;
}

static void our_clients_see_all_that_is_known(void **state)
{
    struct berth_testing_call *call = ask_all(*state, true, false);
    Berth__Inspect__V1__Plugin *plugin;

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_int_equal(berth_testing_call_reply_count(call), 6);
    plugin = take_plugin(call, 0);
    assert_string_equal(plugin->uri, "io.berth.store.v1.lmdb");
    assert_int_equal(plugin->state, BERTH__INSPECT__V1__STATE__STATE_READY);
    assert_int_equal(plugin->times->init->start_ns, 5);
    assert_int_equal(plugin->times->init->duration_ns, 7);
    assert_null(plugin->times->prepare);
    assert_int_equal(plugin->condition, BERTH_UNAVAILABLE);
    assert_string_equal(plugin->condition_reason, "the disk is full");
    assert_int_equal(plugin->n_transports, 2);
    assert_string_equal(plugin->transports[0]->service, "a.B");
    assert_int_equal(plugin->transports[0]->n_transports, 2);
    assert_string_equal(plugin->transports[0]->transports[1], "tcp");
    assert_int_equal(plugin->transports[1]->n_transports, 1);
    berth__inspect__v1__plugin__free_unpacked(plugin, NULL);
    plugin = take_plugin(call, 1);
    assert_int_equal(plugin->n_transports, 0);
    assert_int_equal(plugin->condition, 0);
    assert_int_equal(plugin->n_edges, 1);
    assert_string_equal(plugin->edges[0]->provider, "io.berth.store.v1.lmdb");
    assert_true(plugin->edges[0]->binding);
    berth__inspect__v1__plugin__free_unpacked(plugin, NULL);
    plugin = take_plugin(call, 5);
    assert_string_equal(plugin->uri, "");
    assert_string_equal(plugin->path, "/plugins/broken.so");
    assert_string_equal(plugin->reason, "no ELF file");
    assert_int_equal(plugin->state, BERTH__INSPECT__V1__STATE__STATE_REJECTED);
    berth__inspect__v1__plugin__free_unpacked(plugin, NULL);
    berth_testing_call_destroy(call);
}

static void what_never_could_run_is_left_out_unless_asked_for(void **state)
{
    struct berth_testing_call *call = ask_all(*state, false, false);

    assert_int_equal(berth_testing_call_reply_count(call), 4);
    berth_testing_call_destroy(call);
}

static void a_slow_reader_gets_the_rest_later(void **state)
{
    struct fixture *fixture = *state;
    struct berth_testing_call *call = ask_all(fixture, true, true);

    assert_int_equal(berth_testing_call_code(call), BERTH_PENDING);
    assert_int_equal(berth_testing_call_reply_count(call), 0);
    berth_testing_call_set_slow(call, false);
    berth_testing_run(fixture->testing);
    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_int_equal(berth_testing_call_reply_count(call), 6);
    berth_testing_call_destroy(call);
}

static void our_clients_see_the_daemon(void **state)
{
    struct fixture *fixture = *state;
    struct berth_testing_call *call =
        berth_testing_unary(fixture->testing, "/berth.inspect.v1.Inspect/Daemon", "", 0);
    Berth__Inspect__V1__DaemonResponse *reply;
    const void *bytes;
    size_t length;

    bytes = berth_testing_call_reply(call, 0, &length);
    reply = berth__inspect__v1__daemon_response__unpack(NULL, length, bytes);
    assert_non_null(reply);
    assert_string_equal(reply->version, "1.2.3");
    assert_string_equal(reply->revision, "abc");
    assert_true(reply->ready);
    assert_int_equal(reply->ready_ns, 99);
    berth__inspect__v1__daemon_response__free_unpacked(reply, NULL);
    berth_testing_call_destroy(call);
}

static struct berth_testing_call *ask_settings(struct fixture *fixture, const char *uri)
{
    Berth__Inspect__V1__SettingsRequest request = BERTH__INSPECT__V1__SETTINGS_REQUEST__INIT;
    uint8_t bytes[256];

    request.uri = (char *)(uintptr_t)uri;
    return berth_testing_unary(fixture->testing, "/berth.inspect.v1.Inspect/Settings", bytes,
                               berth__inspect__v1__settings_request__pack(&request, bytes));
}

static void our_clients_see_the_settings_of_one_plugin(void **state)
{
    struct berth_testing_call *call = ask_settings(*state, GRPC);

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    berth_testing_call_destroy(call);
    call = ask_settings(*state, "io.nobody.v1.there");
    assert_int_equal(berth_testing_call_code(call), BERTH_NOT_FOUND);
    berth_testing_call_destroy(call);
}

static void a_root_that_cannot_be_written_costs_only_the_memory(void **state)
{
    assert_string_equal(logged, "1 root: /r: read-only file system; using a new UUID until the next start");
}

static void write_uuid_file(const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/uuid", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_uuid_is_made_once_and_kept(void **state)
{
    char first[IDENTITY_UUID_SIZE], second[IDENTITY_UUID_SIZE];
    struct berth_error err;

    assert_int_equal(identity_keep_uuid(folder, first, &err), BERTH_OK);
    assert_int_equal(identity_keep_uuid(folder, second, &err), BERTH_OK);
    assert_string_equal(first, second);
    assert_int_equal(first[14], '4');
    assert_non_null(strchr("89ab", first[19]));
}

static void a_uuid_file_that_holds_none_is_written_again(void **state)
{
    static const char *const texts[] = {"", "\n", "nonsense", "650a2963-a35d-445c-8a96-7b44df115c6"};
    char uuid[IDENTITY_UUID_SIZE], again[IDENTITY_UUID_SIZE];
    struct berth_error err;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_uuid_file(texts[i]);
        assert_int_equal(identity_keep_uuid(folder, uuid, &err), BERTH_OK);
        assert_int_equal(identity_keep_uuid(folder, again, &err), BERTH_OK);
        assert_string_equal(uuid, again);
    }
    write_uuid_file("650a2963-a35d-445c-8a96-7b44df115c6a\n");
    assert_int_equal(identity_keep_uuid(folder, uuid, &err), BERTH_OK);
    assert_string_equal(uuid, "650a2963-a35d-445c-8a96-7b44df115c6a");
}

static void a_uuid_that_cannot_be_kept_is_an_error_with_its_place(void **state)
{
    char uuid[IDENTITY_UUID_SIZE];
    struct berth_error err;

    assert_int_equal(identity_keep_uuid("/nonexistent", uuid, &err), BERTH_UNAVAILABLE);
    assert_string_equal(err.message,
                        "cannot keep the daemon's UUID in /nonexistent/uuid: No such file or directory");
}

static void the_service_starts_in_a_host_of_its_own(void **state)
{
    struct berth_testing *testing = plugin_run(SERVICE, NULL);

    assert_ptr_equal(berth_testing_interface(testing), &introspection_service_interface);
    plugin_destroy(testing);
}

static int make_folder(void **state)
{
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(containerds_clients_see_every_plugin_in_order),
        TEST(what_keeps_a_plugin_from_running_is_its_init_err),
        TEST(filters_choose_by_type_and_id),
        TEST(a_filter_that_is_none_is_refused_in_containerds_words),
        TEST(the_server_tells_who_it_is),
        cmocka_unit_test_setup_teardown(the_server_tells_what_is_deprecated, set_up_with_deprecations,
                                        tear_down_with_deprecations),
        TEST(one_plugin_is_found_by_its_name),
        TEST(what_one_plugin_cannot_tell_has_its_code),
        TEST(our_clients_see_all_that_is_known),
        TEST(what_never_could_run_is_left_out_unless_asked_for),
        TEST(a_slow_reader_gets_the_rest_later),
        TEST(our_clients_see_the_daemon),
        TEST(our_clients_see_the_settings_of_one_plugin),
        TEST(a_root_that_cannot_be_written_costs_only_the_memory),
        cmocka_unit_test(a_uuid_is_made_once_and_kept),
        cmocka_unit_test(a_uuid_file_that_holds_none_is_written_again),
        cmocka_unit_test(a_uuid_that_cannot_be_kept_is_an_error_with_its_place),
        cmocka_unit_test(the_service_starts_in_a_host_of_its_own),
    };

    return cmocka_run_group_tests_name("introspection", tests, make_folder, remove_folder);
}
