/* SPDX-License-Identifier: Apache-2.0 */
/* CRI in the fake host: its settings, and what is checked beyond their schemas. */
#include "plugin_stage.h"

#include <berth/types/cri.h>

static const struct berth_settings *settings_of(struct berth_testing *testing)
{
    const struct berth_cri_part *part = berth_testing_interface(testing);

    return part->settings(berth_testing_instance(testing));
}

static const struct berth_value *find(const struct berth_settings *settings, const char *path)
{
    const struct berth_value *value = settings->root;
    char text[256];
    char *rest = text;

    snprintf(text, sizeof(text), "%s", path);
    while (rest != NULL)
        value = settings->find(value, strsep(&rest, "."));
    return value;
}

static void the_defaults_are_containerds(void **state)
{
    struct berth_testing *testing = plugin_run(BERTH_CRI_IMAGES_URI, NULL);
    const struct berth_settings *settings = settings_of(testing);

    assert_string_equal(settings->string(find(settings, "snapshotter")), "overlayfs");
    assert_string_equal(settings->string(find(settings, "pinned_images.sandbox")),
                        "registry.k8s.io/pause:3.10.2");
    assert_int_equal(settings->integer(find(settings, "max_concurrent_downloads")), 3);
    assert_int_equal(settings->integer(find(settings, "image_pull_progress_timeout")),
                     5 * 60 * INT64_C(1000000000));
    plugin_destroy(testing);

    testing = plugin_run(BERTH_CRI_RUNTIME_URI, NULL);
    settings = settings_of(testing);
    assert_string_equal(settings->string(find(settings, "containerd.default_runtime_name")), "runc");
    assert_string_equal(settings->string(find(settings, "containerd.runtimes.runc.runtime_type")),
                        "io.containerd.runc.v2");
    assert_string_equal(settings->string(find(settings, "containerd.runtimes.runc.io_type")), "fifo");
    assert_int_equal(settings->integer(find(settings, "max_container_log_line_size")), 16384);
    assert_true(settings->boolean(find(settings, "enable_unprivileged_ports")));
    assert_true(settings->boolean(find(settings, "tolerate_missing_hugetlb_controller")));
    plugin_destroy(testing);
}

static void runc_remains_beside_other_runtimes(void **state)
{
    struct berth_testing *testing = plugin_run(
        BERTH_CRI_RUNTIME_URI, "containerd: {runtimes: {kata: {runtime_type: io.containerd.kata.v2, "
                               "options: {ConfigPath: /etc/kata.toml}}, runc: {options: "
                               "{SystemdCgroup: true}}}}");
    const struct berth_settings *settings = settings_of(testing);
    const struct berth_value *runtimes = find(settings, "containerd.runtimes");

    assert_int_equal(settings->count(runtimes), 2);
    assert_string_equal(settings->string(find(settings, "containerd.runtimes.runc.runtime_type")),
                        "io.containerd.runc.v2");
    assert_true(settings->boolean(find(settings, "containerd.runtimes.runc.options.SystemdCgroup")));
    assert_int_equal(settings->integer(find(settings, "containerd.runtimes.runc.options.IoUid")), 0);
    assert_int_equal(settings->count(find(settings, "containerd.runtimes.kata.options")), 1);
    plugin_destroy(testing);
}

static void runtimes_of_containerd_1_become_those_of_the_list(void **state)
{
    struct berth_testing *testing = plugin_run(
        BERTH_CRI_RUNTIME_URI,
        "{config_version: 2, disable_cgroup: false, systemd_cgroup: false, cni: {bin_dir: /opt/cni},\n"
        " containerd: {no_pivot: false, default_runtime_name: runc,\n"
        "  default_runtime: {runtime_type: io.containerd.kata.v2, runtime_engine: '', base_runtime_spec: "
        "''},\n"
        "  untrusted_workload_runtime: {runtime_type: '', runtime_root: ''},\n"
        "  runtimes: {x.y: {runtime_type: io.containerd.runc.v2, runtime_root: '', sandbox_mode: shim}}}}");
    const struct berth_settings *settings = settings_of(testing);
    const struct berth_value *runtimes = find(settings, "containerd.runtimes");

    assert_int_equal(settings->count(runtimes), 3);
    assert_string_equal(settings->string(find(settings, "containerd.default_runtime_name")), "default");
    assert_string_equal(settings->string(find(settings, "containerd.runtimes.default.runtime_type")),
                        "io.containerd.kata.v2");
    assert_string_equal(settings->string(settings->find(settings->find(runtimes, "x.y"), "sandboxer")),
                        "shim");
    assert_null(find(settings, "containerd.runtimes.untrusted"));
    assert_string_equal(settings->string(settings->at(find(settings, "cni.bin_dirs"), 0, NULL)), "/opt/cni");
    plugin_destroy(testing);
}

static void an_untrusted_runtime_is_kept_beside_the_default_one(void **state)
{
    struct berth_testing *testing = plugin_run(
        BERTH_CRI_RUNTIME_URI, "{config_version: 1, containerd: {\n"
                               " untrusted_workload_runtime: {runtime_type: io.containerd.kata.v2},\n"
                               " runtimes: {untrusted: {runtime_type: io.containerd.runc.v2}}}}");
    const struct berth_settings *settings = settings_of(testing);

    /* What is set in the list wins. */
    assert_string_equal(settings->string(find(settings, "containerd.runtimes.untrusted.runtime_type")),
                        "io.containerd.runc.v2");
    assert_string_equal(settings->string(find(settings, "containerd.default_runtime_name")), "runc");
    plugin_destroy(testing);
}

static void what_no_longer_exists_is_refused_only_where_it_is_in_use(void **state)
{
    static const char *const lost[][2] = {
        {"{config_version: 2, systemd_cgroup: true}", "unknown setting \"systemd_cgroup\""},
        {"{config_version: 2, disable_cgroup: perhaps}", "disable_cgroup: \"perhaps\" is not"},
        {"{config_version: 2, containerd: {no_pivot: true}}", "unknown setting \"no_pivot\""},
        {"{config_version: 2, containerd: {runtimes: {a: {runtime_engine: /bin/x}}}}",
         "unknown setting \"runtime_engine\""},
        {"{config_version: 2, containerd: {default_runtime: x, runtimes: x}}",
         "containerd.runtimes: expected map"},
        {"{config_version: 4, containerd: {default_runtime: {runtime_type: ''}}}",
         "unknown setting \"default_runtime\""},
    };
    struct berth_error err;

    for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
        assert_null(berth_testing_create(&berth_module, BERTH_CRI_RUNTIME_URI, lost[i][0], &err));
        if (strstr(err.message, lost[i][1]) == NULL)
            fail_msg("%s: %s", lost[i][0], err.message);
    }
}

/* @param expected  what the error or warning contains; NULL: there is none, and the plugin starts. */
static void assert_check(const char *uri, const char *text, enum berth_code code, const char *expected)
{
    struct berth_testing *testing = plugin_create(uri, text);
    struct berth_error err = {""};

    assert_int_equal(berth_testing_start(testing, &err), code);
    if (code != BERTH_OK && strstr(err.message, expected) == NULL)
        fail_msg("%s", err.message);
    if (code == BERTH_OK && expected != NULL && !berth_testing_has_logged(testing, expected))
        fail_msg("not logged: %s", expected);
    plugin_destroy(testing);
}

static void mirrors_and_config_path_exclude_each_other(void **state)
{
    assert_check(BERTH_CRI_IMAGES_URI, "registry: {config_path: /etc/certs.d}", BERTH_OK, NULL);
    assert_check(BERTH_CRI_IMAGES_URI,
                 "registry: {mirrors: {docker.io: {endpoint: [\"https://mirror.example.com\"]}}}", BERTH_OK,
                 NULL);
    assert_check(BERTH_CRI_IMAGES_URI,
                 "registry: {config_path: /etc/certs.d, mirrors: {docker.io: {endpoint: "
                 "[\"https://mirror.example.com\"]}}}",
                 BERTH_INVALID_ARGUMENT, "registry.config_path: cannot be combined with mirrors");
}

static void an_endpoint_is_a_url(void **state)
{
    static const char *const wrong[] = {"mirror.example.com", "://mirror", "https://", "https:///v2"};
    char text[128];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "registry: {mirrors: {docker.io: {endpoint: [\"%s\"]}}}", wrong[i]);
        assert_check(BERTH_CRI_IMAGES_URI, text, BERTH_INVALID_ARGUMENT, "is not a URL");
    }
}

static void the_default_runtime_is_listed(void **state)
{
    assert_check(BERTH_CRI_RUNTIME_URI, "containerd: {default_runtime_name: kata}", BERTH_INVALID_ARGUMENT,
                 "containerd.default_runtime_name: \"kata\" is not listed under containerd.runtimes");
    assert_check(BERTH_CRI_RUNTIME_URI,
                 "containerd: {default_runtime_name: kata, runtimes: {kata: {runtime_type: "
                 "io.containerd.kata.v2}}}",
                 BERTH_OK, NULL);
}

static void a_runtime_needs_what_it_builds_on(void **state)
{
    assert_check(BERTH_CRI_RUNTIME_URI,
                 "containerd: {runtimes: {runc: {runtime_type: io.containerd.runc.v2, "
                 "privileged_without_host_devices_all_devices_allowed: true}}}",
                 BERTH_INVALID_ARGUMENT, "requires privileged_without_host_devices: true");
    assert_check(BERTH_CRI_RUNTIME_URI,
                 "containerd: {runtimes: {runc: {runtime_type: io.containerd.runc.v2, "
                 "privileged_without_host_devices: true, "
                 "privileged_without_host_devices_all_devices_allowed: true}}}",
                 BERTH_OK, NULL);
    assert_check(BERTH_CRI_RUNTIME_URI, "containerd: {runtimes: {odd: {}}}", BERTH_OK,
                 "containerd.runtimes.odd: cannot run pods without runtime_type; set it");
}

static void bin_dir_and_bin_dirs_exclude_each_other(void **state)
{
    assert_check(BERTH_CRI_RUNTIME_URI, "cni: {bin_dir: /opt/bin}", BERTH_OK, NULL);
    assert_check(BERTH_CRI_RUNTIME_URI, "cni: {bin_dir: /opt/bin, bin_dirs: [/opt/cni/bin]}",
                 BERTH_INVALID_ARGUMENT, "cni.bin_dir: cannot be combined with bin_dirs");
}

static void settings_without_effect_are_named(void **state)
{
    assert_check(BERTH_CRI_RUNTIME_URI, "cni: {conf_template: /etc/cni/template.json}", BERTH_OK,
                 "cni.conf_template: not supported yet; write a network configuration");
}

static void durations_and_choices_are_checked_by_the_schema(void **state)
{
    static const struct {
        const char *uri;
        const char *text;
    } wrong[] = {
        {BERTH_CRI_RUNTIME_URI, "drain_exec_sync_io_timeout: ten"},
        {BERTH_CRI_RUNTIME_URI, "drain_exec_sync_io_timeout: -1s"},
        {BERTH_CRI_RUNTIME_URI, "containerd: {runtimes: {runc: {io_type: pipe}}}"},
        {BERTH_CRI_RUNTIME_URI, "cni: {ip_pref: both}"},
        {BERTH_CRI_IMAGES_URI, "image_pull_progress_timeout: soon"},
        {BERTH_CRI_IMAGES_URI, "pinned_images: {sandbox: \"\"}"},
        {"io.containerd.grpc.v1.cri", "stream_server_port: http"},
        {"io.containerd.grpc.v1.cri", "stream_idle_timeout: 4"},
    };
    struct berth_error err;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (berth_testing_create(&berth_module, wrong[i].uri, wrong[i].text, &err) != NULL)
            fail_msg("accepted: %s", wrong[i].text);
}

static void assert_server_check(const char *settings, const char *expected)
{
    struct berth_testing *testing = plugin_create("io.containerd.grpc.v1.cri", settings);
    struct berth_error err = {""};

    assert_int_equal(berth_testing_start(testing, &err), BERTH_INVALID_ARGUMENT);
    if (strstr(err.message, expected) == NULL)
        fail_msg("%s", err.message);
    plugin_destroy(testing);
}

static void the_stream_server_is_checked(void **state)
{
    assert_server_check("stream_server_port: \"65536\"", "\"65536\" is not a port");
    assert_server_check("x509_key_pair_streaming: {tls_cert_file: /etc/a.pem}",
                        "has no effect without enable_tls_streaming: true");
    assert_server_check("enable_tls_streaming: true\nx509_key_pair_streaming: {tls_cert_file: /etc/a.pem}",
                        "tls_cert_file: has no key");
    assert_server_check("enable_tls_streaming: true\nx509_key_pair_streaming: {tls_key_file: /etc/a.pem}",
                        "tls_key_file: has no certificate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_containerds),
        cmocka_unit_test(runc_remains_beside_other_runtimes),
        cmocka_unit_test(runtimes_of_containerd_1_become_those_of_the_list),
        cmocka_unit_test(an_untrusted_runtime_is_kept_beside_the_default_one),
        cmocka_unit_test(what_no_longer_exists_is_refused_only_where_it_is_in_use),
        cmocka_unit_test(mirrors_and_config_path_exclude_each_other),
        cmocka_unit_test(an_endpoint_is_a_url),
        cmocka_unit_test(the_default_runtime_is_listed),
        cmocka_unit_test(a_runtime_needs_what_it_builds_on),
        cmocka_unit_test(bin_dir_and_bin_dirs_exclude_each_other),
        cmocka_unit_test(settings_without_effect_are_named),
        cmocka_unit_test(durations_and_choices_are_checked_by_the_schema),
        cmocka_unit_test(the_stream_server_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
