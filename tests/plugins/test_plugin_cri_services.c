/* SPDX-License-Identifier: Apache-2.0 */
/* CRI's two services in the fake host, over a store in memory. */
#include "plugin_stage.h"

#include <limits.h>
#include <unistd.h>

#include <berth/store_memory.h>
#include <berth/types/cri.h>
#include <berth/types/deprecations.h>
#include <berth/types/events.h>
#include <runtime/v1/api.pb-c.h>

#define RUNTIME "/runtime.v1.RuntimeService/"
#define IMAGES "/runtime.v1.ImageService/"

static struct {
    struct berth_testing *images, *runtime, *server;
    struct berth_store_memory *memory;
    struct berth_testing_call *call;
    bool store_closed;
} stage;

/* Deprecations that the daemon has met. */
static const struct berth_deprecation met[] = {
    {.size = sizeof(met[0]),
     .id = "io.containerd.deprecation/enable-cdi",
     .message = "enable_cdi is deprecated"},
    {.size = sizeof(met[0]), .id = "io.berth.deprecation/x", .message = "x is \"deprecated\""},
};
static size_t met_count;

static void each_deprecation(void *instance,
                             bool (*on_deprecation)(void *context,
                                                    const struct berth_deprecation *deprecation),
                             void *context)
{
    for (size_t i = 0; i < met_count; i++)
        if (!on_deprecation(context, &met[i]))
            return;
}

static const struct berth_deprecations deprecations = {.size = sizeof(deprecations),
                                                       .each = each_deprecation};
static const struct berth_exchange exchange = {.size = sizeof(exchange)};

static void provide_part(const char *uri, struct berth_testing *part)
{
    berth_testing_provide(stage.server, uri, berth_testing_interface(part), berth_testing_instance(part));
}

static void set_up(const char *runtime_settings, const char *images_settings)
{
    memset(&stage, 0, sizeof(stage));
    stage.images = plugin_run(BERTH_CRI_IMAGES_URI, images_settings);
    stage.runtime = plugin_run(BERTH_CRI_RUNTIME_URI, runtime_settings);
    stage.server = plugin_create("io.containerd.grpc.v1.cri", NULL);
    stage.memory = berth_store_memory_create(berth_testing_loop(stage.server));
    assert_non_null(stage.memory);
    provide_part(BERTH_CRI_IMAGES_URI, stage.images);
    provide_part(BERTH_CRI_RUNTIME_URI, stage.runtime);
    berth_testing_provide(stage.server, "io.berth.store.v1.memory", &berth_store_interface, stage.memory);
    berth_testing_provide(stage.server, BERTH_EXCHANGE_URI, &exchange, NULL);
    berth_testing_provide(stage.server, BERTH_DEPRECATIONS_URI, &deprecations, NULL);
    plugin_start(stage.server);
}

static void on_store_closed(void *context)
{
    *(bool *)context = true;
}

static bool is_set(void *context)
{
    return *(bool *)context;
}

static void close_store(void)
{
    berth_store_memory_close(stage.memory, on_store_closed, &stage.store_closed);
    assert_true(berth_testing_run_until(stage.server, is_set, &stage.store_closed));
    stage.memory = NULL;
}

static void tear_down_stage(void)
{
    struct berth_error err;

    berth_testing_call_destroy(stage.call);
    if (berth_testing_step(stage.server, BERTH_STEP_CLOSE, &err) == BERTH_PENDING ||
        berth_testing_instance(stage.server) != NULL)
        berth_testing_close(stage.server, &err);
    if (stage.memory != NULL)
        close_store();
    plugin_destroy(stage.server);
    plugin_destroy(stage.runtime);
    plugin_destroy(stage.images);
}

static int set_up_default(void **state)
{
    met_count = 0;
    set_up(NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    tear_down_stage();
    return 0;
}

static void ask(const char *path, const ProtobufCMessage *request)
{
    uint8_t bytes[8192];
    size_t length = request == NULL ? 0 : protobuf_c_message_get_packed_size(request);

    assert_true(length <= sizeof(bytes));
    if (request != NULL)
        protobuf_c_message_pack(request, bytes);
    berth_testing_call_destroy(stage.call);
    stage.call = berth_testing_unary(stage.server, path, bytes, length);
}

static void *reply_of(const char *path, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *descriptor)
{
    const void *bytes;
    size_t length;
    ProtobufCMessage *reply;

    ask(path, request);
    if (berth_testing_call_code(stage.call) != BERTH_OK)
        fail_msg("%s: %s", path, berth_testing_call_message(stage.call));
    bytes = berth_testing_call_reply(stage.call, 0, &length);
    assert_non_null(bytes);
    reply = protobuf_c_message_unpack(descriptor, NULL, length, bytes);
    assert_non_null(reply);
    return reply;
}

static void version_is_the_protocols_and_the_daemons(void **state)
{
    Runtime__V1__VersionResponse *reply =
        reply_of(RUNTIME "Version", NULL, &runtime__v1__version_response__descriptor);

    assert_string_equal(reply->version, "0.1.0");
    assert_string_equal(reply->runtime_name, "berth");
    assert_string_equal(reply->runtime_version, berth_testing_host(stage.server)->inspect->daemon->version);
    assert_string_equal(reply->runtime_api_version, "v1");
    runtime__v1__version_response__free_unpacked(reply, NULL);
}

static Runtime__V1__StatusResponse *ask_for_status(bool verbose)
{
    Runtime__V1__StatusRequest request = RUNTIME__V1__STATUS_REQUEST__INIT;
    Runtime__V1__StatusResponse *reply;

    request.verbose = verbose;
    reply = reply_of(RUNTIME "Status", &request.base, &runtime__v1__status_response__descriptor);
    assert_non_null(reply->status);
    assert_int_equal(reply->status->n_conditions, 3);
    return reply;
}

static const char *find_info(const Runtime__V1__StatusResponse *reply, const char *key)
{
    for (size_t i = 0; i < reply->n_info; i++)
        if (strcmp(reply->info[i]->key, key) == 0)
            return reply->info[i]->value;
    return NULL;
}

static void assert_has(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL)
        fail_msg("no \"%s\" in: %s", part, text == NULL ? "nothing" : text);
}

static void status_names_what_is_missing(void **state)
{
    Runtime__V1__StatusResponse *reply = ask_for_status(false);
    Runtime__V1__RuntimeCondition **conditions = reply->status->conditions;

    assert_string_equal(conditions[0]->type, "RuntimeReady");
    assert_false(conditions[0]->status);
    assert_string_equal(conditions[0]->reason, "NoPodSandboxes");
    assert_has(conditions[0]->message,
               "no plugin provides io.containerd.podsandbox.controller.v1 (pod sandboxes)");
    assert_has(conditions[0]->message, "io.containerd.transfer.v1 (image pulls)");
    assert_string_equal(conditions[1]->type, "NetworkReady");
    assert_false(conditions[1]->status);
    assert_string_equal(conditions[1]->reason, "NetworkPluginNotReady");
    assert_has(conditions[1]->message, "CNI");
    assert_string_equal(conditions[2]->type, "ContainerdHasNoDeprecationWarnings");
    assert_true(conditions[2]->status);
    assert_string_equal(conditions[2]->message, "");
    assert_int_equal(reply->n_info, 0);
    runtime__v1__status_response__free_unpacked(reply, NULL);
}

static void deprecations_are_listed_unless_ignored(void **state)
{
    Runtime__V1__StatusResponse *reply;

    met_count = 2;
    reply = ask_for_status(false);
    assert_false(reply->status->conditions[2]->status);
    assert_string_equal(reply->status->conditions[2]->reason, "ContainerdHasDeprecationWarnings");
    assert_string_equal(reply->status->conditions[2]->message,
                        "{\"io.containerd.deprecation/enable-cdi\":\"enable_cdi is deprecated\","
                        "\"io.berth.deprecation/x\":\"x is \\u0022deprecated\\u0022\"}");
    runtime__v1__status_response__free_unpacked(reply, NULL);

    tear_down_stage();
    set_up("ignore_deprecation_warnings: [io.containerd.deprecation/enable-cdi, io.berth.deprecation/x]",
           NULL);
    reply = ask_for_status(false);
    assert_true(reply->status->conditions[2]->status);
    runtime__v1__status_response__free_unpacked(reply, NULL);
}

static void a_verbose_status_has_the_settings_by_containerds_names(void **state)
{
    Runtime__V1__StatusResponse *reply;
    const char *config;

    tear_down_stage();
    set_up("drain_exec_sync_io_timeout: 90s\n"
           "containerd: {runtimes: {kata: {runtime_type: t, options: {Deep: [1, {on: true}], Ratio: 0.5}}}}\n"
           "cni: {bin_dirs: [/a, /b]}\n",
           NULL);
    reply = ask_for_status(true);
    config = find_info(reply, "config");
    assert_has(config,
               "{\"containerd\":{\"defaultRuntimeName\":\"runc\",\"runtimes\":{\"runc\":{\"runtimeType\":"
               "\"io.containerd.runc.v2\"");
    assert_has(config, "\"kata\":{\"runtimeType\":\"t\"");
    assert_has(config, "\"options\":{\"Deep\":[1,{\"on\":true}],\"Ratio\":0.5}");
    assert_has(config, "\"binDirs\":[\"/a\",\"/b\"]");
    assert_has(config, "\"drainExecSyncIOTimeout\":\"90s\"");
    assert_has(config, "\"statsRetentionPeriod\":\"2m\"");
    assert_has(config, "/io.containerd.grpc.v1.cri\"}");
    assert_has(find_info(reply, "lastCNILoadStatus"), "no CNI configuration is loaded");
    assert_null(find_info(reply, "podCIDR"));
    runtime__v1__status_response__free_unpacked(reply, NULL);
}

static void the_cgroup_driver_is_runcs(void **state)
{
    static const struct {
        const char *settings;
        Runtime__V1__CgroupDriver driver;
    } cases[] = {
        {NULL, RUNTIME__V1__CGROUP_DRIVER__CGROUPFS},
        {"containerd: {runtimes: {runc: {options: {SystemdCgroup: true}}}}",
         RUNTIME__V1__CGROUP_DRIVER__SYSTEMD},
        /* The default runtime decides, even against one before it. */
        {"containerd: {default_runtime_name: z, runtimes: {z: {runtime_type: io.containerd.runc.v2, options: "
         "{SystemdCgroup: true}}, a: {runtime_type: io.containerd.runc.v2, options: {SystemdCgroup: "
         "false}}}}",
         RUNTIME__V1__CGROUP_DRIVER__SYSTEMD},
        /* One that does not say so leaves it to the first by name. */
        {"containerd: {default_runtime_name: z, runtimes: {z: {runtime_type: io.containerd.kata.v2, options: "
         "{SystemdCgroup: true}}, b: {runtime_type: io.containerd.runc.v2, options: {Root: /}}, a: "
         "{runtime_type: "
         "io.containerd.runc.v2, options: {SystemdCgroup: true}}, runc: {options: {SystemdCgroup: false}}}}",
         RUNTIME__V1__CGROUP_DRIVER__SYSTEMD},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Runtime__V1__RuntimeConfigResponse *reply;

        tear_down_stage();
        set_up(cases[i].settings, NULL);
        reply = reply_of(RUNTIME "RuntimeConfig", NULL, &runtime__v1__runtime_config_response__descriptor);
        assert_non_null(reply->linux);
        if (reply->linux->cgroup_driver != cases[i].driver)
            fail_msg("case %zu: %d", i, (int)reply->linux->cgroup_driver);
        runtime__v1__runtime_config_response__free_unpacked(reply, NULL);
    }
}

static void lists_are_empty(void **state)
{
    static const char *const methods[] = {
        RUNTIME "ListPodSandbox",
        RUNTIME "ListContainers",
        RUNTIME "ListContainerStats",
        RUNTIME "ListPodSandboxStats",
        RUNTIME "ListMetricDescriptors",
        RUNTIME "ListPodSandboxMetrics",
        IMAGES "ListImages",
        IMAGES "ImageStatus",
    };
    size_t length;

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        ask(methods[i], NULL);
        assert_int_equal(berth_testing_call_code(stage.call), BERTH_OK);
        assert_int_equal(berth_testing_call_reply_count(stage.call), 1);
        berth_testing_call_reply(stage.call, 0, &length);
        assert_int_equal(length, 0);
    }
}

static void streams_of_lists_end_at_once(void **state)
{
    static const char *const methods[] = {
        RUNTIME "StreamPodSandboxes",    RUNTIME "StreamContainers",        RUNTIME "StreamContainerStats",
        RUNTIME "StreamPodSandboxStats", RUNTIME "StreamPodSandboxMetrics", IMAGES "StreamImages",
    };

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        ask(methods[i], NULL);
        assert_int_equal(berth_testing_call_code(stage.call), BERTH_OK);
        assert_int_equal(berth_testing_call_reply_count(stage.call), 0);
    }
}

static void bytes_that_are_no_request_are_refused(void **state)
{
    static const char *const methods[] = {RUNTIME "ListPodSandbox", RUNTIME "Status",
                                          RUNTIME "UpdateRuntimeConfig", RUNTIME "GetContainerEvents",
                                          IMAGES "ImageStatus"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        berth_testing_call_destroy(stage.call);
        stage.call = berth_testing_unary(stage.server, methods[i], "\xff\xff\xff", 3);
        assert_int_equal(berth_testing_call_code(stage.call), BERTH_INTERNAL);
    }
}

static void what_needs_pods_or_images_is_refused(void **state)
{
    static const struct {
        const char *method;
        const char *why;
    } cases[] = {
        {RUNTIME "RunPodSandbox", "does not run pods yet"},
        {RUNTIME "StopPodSandbox", "does not run pods yet"},
        {RUNTIME "RemovePodSandbox", "does not run pods yet"},
        {RUNTIME "PodSandboxStatus", "does not run pods yet"},
        {RUNTIME "PodSandboxStats", "does not run pods yet"},
        {RUNTIME "UpdatePodSandboxResources", "does not run pods yet"},
        {RUNTIME "CreateContainer", "does not run containers yet"},
        {RUNTIME "StartContainer", "does not run containers yet"},
        {RUNTIME "StopContainer", "does not run containers yet"},
        {RUNTIME "RemoveContainer", "does not run containers yet"},
        {RUNTIME "ContainerStatus", "does not run containers yet"},
        {RUNTIME "UpdateContainerResources", "does not run containers yet"},
        {RUNTIME "ReopenContainerLog", "does not run containers yet"},
        {RUNTIME "ContainerStats", "does not run containers yet"},
        {RUNTIME "ExecSync", "does not run containers yet"},
        {RUNTIME "Exec", "no streaming server"},
        {RUNTIME "Attach", "no streaming server"},
        {RUNTIME "PortForward", "no streaming server"},
        {RUNTIME "CheckpointContainer", "does not call CRIU"},
        {RUNTIME "CheckpointPod", "does not call CRIU"},
        {RUNTIME "RestorePod", "does not call CRIU"},
        {IMAGES "PullImage", "no content store and no transfer service"},
        {IMAGES "RemoveImage", "no content store and no transfer service"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(cases[i].method, NULL);
        assert_int_equal(berth_testing_call_code(stage.call), BERTH_UNIMPLEMENTED);
        assert_has(berth_testing_call_message(stage.call), cases[i].why);
    }
}

static void the_file_system_of_images_is_the_snapshotters(void **state)
{
    Runtime__V1__ImageFsInfoResponse *reply;
    char path[PATH_MAX];

    tear_down_stage();
    set_up(NULL, "snapshotter: native");
    reply = reply_of(IMAGES "ImageFsInfo", NULL, &runtime__v1__image_fs_info_response__descriptor);
    snprintf(path, sizeof(path), "%s/io.containerd.snapshotter.v1.native",
             berth_testing_host(stage.server)->inspect->daemon->root);
    assert_int_equal(reply->n_image_filesystems, 1);
    assert_string_equal(reply->image_filesystems[0]->fs_id->mountpoint, path);
    assert_true(reply->image_filesystems[0]->timestamp > 0);
    assert_int_equal(reply->image_filesystems[0]->used_bytes->value, 0);
    assert_int_equal(reply->image_filesystems[0]->inodes_used->value, 0);
    runtime__v1__image_fs_info_response__free_unpacked(reply, NULL);
}

static enum berth_code update(const char *ranges)
{
    Runtime__V1__UpdateRuntimeConfigRequest request = RUNTIME__V1__UPDATE_RUNTIME_CONFIG_REQUEST__INIT;
    Runtime__V1__RuntimeConfig config = RUNTIME__V1__RUNTIME_CONFIG__INIT;
    Runtime__V1__NetworkConfig network = RUNTIME__V1__NETWORK_CONFIG__INIT;

    network.pod_cidr = (char *)(uintptr_t)ranges;
    config.network_config = &network;
    request.runtime_config = &config;
    ask(RUNTIME "UpdateRuntimeConfig", &request.base);
    return berth_testing_call_code(stage.call);
}

static void assert_kept(const char *json)
{
    Runtime__V1__StatusResponse *reply = ask_for_status(true);
    const char *value = find_info(reply, "podCIDR");

    if (json == NULL)
        assert_null(value);
    else
        assert_string_equal(value, json);
    runtime__v1__status_response__free_unpacked(reply, NULL);
}

static void ranges_of_pods_are_kept(void **state)
{
    char host[HOST_NAME_MAX + 1];
    struct berth_store_bytes value;
    struct berth_store_txn *txn;
    struct berth_error err;

    assert_int_equal(update("10.244.0.0/16"), BERTH_OK);
    assert_kept("\"10.244.0.0/16\"");
    assert_int_equal(update(" 10.0.0.0/0 ,\tfd00:10::/64, ::/128 "), BERTH_OK);
    assert_kept("\"10.0.0.0/0,fd00:10::/64,::/128\"");
    assert_int_equal(update(""), BERTH_OK);
    ask(RUNTIME "UpdateRuntimeConfig", NULL);
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_OK);
    assert_kept("\"10.0.0.0/0,fd00:10::/64,::/128\"");
    gethostname(host, sizeof(host));
    assert_int_equal(berth_store_interface.begin(stage.memory, &txn, &err), BERTH_OK);
    assert_int_equal(berth_store_interface.get(txn, "cri/pod-cidr", berth_store_text(host), &value, &err),
                     BERTH_OK);
    assert_int_equal(value.length, strlen("10.0.0.0/0,fd00:10::/64,::/128"));
    berth_store_interface.end(txn);
}

static void what_is_no_range_is_refused(void **state)
{
    static const char *const wrong[] = {
        "x",
        "10.0.0.0",
        "10.0.0.0/",
        "/16",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0/16",
        "10.0.0.0/016",
        "10.0.0.0/1 6",
        "fd00::/129",
        "fd00::/0x10",
        "10.0.0.0/16,",
        ",10.0.0.0/16",
        "10.0.0.0/16,,fd00::/64",
        "10.0.0.0/16 fd00::/64",
        "10.0.0.0/99999999999999999999",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8",
        " ",
    };
    char many[5000];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (update(wrong[i]) != BERTH_INVALID_ARGUMENT)
            fail_msg("accepted: \"%s\"", wrong[i]);
        assert_has(berth_testing_call_message(stage.call), "is not an address range (such as 10.244.0.0/16)");
    }
    memset(many, 'x', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    assert_int_equal(update(many), BERTH_INVALID_ARGUMENT);
    assert_string_equal(berth_testing_call_message(stage.call), "pod_cidr has 4999 bytes (limit: 4096)");
    assert_kept(NULL);
}

static void damaged_ranges_do_not_hide_the_status(void **state)
{
    char host[HOST_NAME_MAX + 1];

    assert_int_equal(update("10.244.0.0/16"), BERTH_OK);
    gethostname(host, sizeof(host));
    assert_true(berth_store_memory_damage(stage.memory, "cri/pod-cidr", berth_store_text(host)));
    assert_kept(NULL);
    assert_true(berth_testing_has_logged(stage.server, "cannot read the address ranges of pods"));
}

static void close_waits_for_the_store(void **state)
{
    Runtime__V1__UpdateRuntimeConfigRequest request = RUNTIME__V1__UPDATE_RUNTIME_CONFIG_REQUEST__INIT;
    Runtime__V1__RuntimeConfig config = RUNTIME__V1__RUNTIME_CONFIG__INIT;
    Runtime__V1__NetworkConfig network = RUNTIME__V1__NETWORK_CONFIG__INIT;
    struct berth_error err;
    uint8_t bytes[64];
    size_t length;

    network.pod_cidr = (char *)(uintptr_t) "10.244.0.0/16";
    config.network_config = &network;
    request.runtime_config = &config;
    length = runtime__v1__update_runtime_config_request__pack(&request, bytes);
    stage.call = berth_testing_call_create(stage.server, RUNTIME "UpdateRuntimeConfig", NULL);
    berth_testing_call_send(stage.call, bytes, length);
    berth_testing_call_half_close(stage.call);
    berth_testing_call_cancel(stage.call);
    assert_int_equal(berth_testing_close(stage.server, &err), BERTH_OK);
}

static struct berth_testing_call *open_events(void)
{
    struct berth_testing_call *call =
        berth_testing_call_create(stage.server, RUNTIME "GetContainerEvents", NULL);

    berth_testing_call_send(call, "", 0);
    berth_testing_call_half_close(call);
    berth_testing_run(stage.server);
    return call;
}

static void events_stay_open_until_the_caller_or_the_plugin_ends_them(void **state)
{
    struct berth_testing_call *calls[] = {open_events(), open_events(), open_events()};
    struct berth_error err;

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(berth_testing_call_code(calls[i]), BERTH_PENDING);
    berth_testing_call_cancel(calls[1]);
    assert_int_equal(berth_testing_call_code(calls[1]), BERTH_CANCELLED);
    assert_int_equal(berth_testing_drain(stage.server, &err), BERTH_OK);
    for (size_t i = 0; i < 3; i += 2) {
        assert_int_equal(berth_testing_call_code(calls[i]), BERTH_UNAVAILABLE);
        assert_string_equal(berth_testing_call_message(calls[i]), "the CRI service is stopping; call again");
        assert_int_equal(berth_testing_call_reply_count(calls[i]), 0);
    }
    for (size_t i = 0; i < 3; i++)
        berth_testing_call_destroy(calls[i]);
    stage.call = open_events();
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_UNAVAILABLE);
}

static void streams_of_a_plugin_that_is_replaced_ask_to_call_again(void **state)
{
    struct berth_testing_call *call = open_events();

    plugin_drain_for_another(stage.server);
    assert_int_equal(berth_testing_call_code(call), BERTH_UNAVAILABLE);
    assert_string_equal(berth_testing_call_message(call), PLUGIN_REPLACED);
    berth_testing_call_destroy(call);
    stage.call = open_events();
    assert_int_equal(berth_testing_call_code(stage.call), BERTH_PENDING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_default, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(version_is_the_protocols_and_the_daemons),
        TEST(status_names_what_is_missing),
        TEST(deprecations_are_listed_unless_ignored),
        TEST(a_verbose_status_has_the_settings_by_containerds_names),
        TEST(the_cgroup_driver_is_runcs),
        TEST(lists_are_empty),
        TEST(streams_of_lists_end_at_once),
        TEST(bytes_that_are_no_request_are_refused),
        TEST(what_needs_pods_or_images_is_refused),
        TEST(the_file_system_of_images_is_the_snapshotters),
        TEST(ranges_of_pods_are_kept),
        TEST(what_is_no_range_is_refused),
        TEST(damaged_ranges_do_not_hide_the_status),
        TEST(close_waits_for_the_store),
        TEST(events_stay_open_until_the_caller_or_the_plugin_ends_them),
        TEST(streams_of_a_plugin_that_is_replaced_ask_to_call_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
