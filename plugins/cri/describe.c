/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the settings of the runtime as containerd does, whose JSON names for them follow no single rule.
 * Unset texts are "".
 */
#include "describe.h"

#include <inttypes.h>
#include <stdio.h>

static void string(struct berth_json_writer *json, const char *key, const char *value)
{
    berth_json_string(json, key, value == NULL ? "" : value);
}

/* In Go's spelling, in the largest unit that divides it: "10s", "250ms". */
static void duration(struct berth_json_writer *json, const char *key, int64_t nanoseconds)
{
    static const struct {
        int64_t nanoseconds;
        const char *unit;
    } units[] = {{INT64_C(3600000000000), "h"}, {INT64_C(60000000000), "m"}, {INT64_C(1000000000), "s"},
                 {INT64_C(1000000), "ms"},      {INT64_C(1000), "µs"},       {1, "ns"}};
    char text[32] = "0s";
    size_t i = 0;

    while (nanoseconds % units[i].nanoseconds != 0)
        i++;
    if (nanoseconds != 0)
        snprintf(text, sizeof(text), "%" PRId64 "%s", nanoseconds / units[i].nanoseconds, units[i].unit);
    berth_json_string(json, key, text);
}

/* A list of the generated structs: `items` and `count`. */
#define STRINGS(json, key, list) strings(json, key, (list).items, (list).count)

static void strings(struct berth_json_writer *json, const char *key, const char *const *items, size_t count)
{
    berth_json_open(json, key, '[');
    for (size_t i = 0; i < count; i++)
        string(json, NULL, items[i]);
    berth_json_close(json, ']');
}

/* Recursion is bounded by the depth of the configuration. */
static void any(struct berth_json_writer *json, const char *key, const struct berth_settings *settings,
                const struct berth_value *value)
{
    enum berth_value_kind kind = settings->kind(value);
    bool is_map = kind == BERTH_VALUE_MAP;

    switch (kind) {
    case BERTH_VALUE_NONE:
        berth_json_string(json, key, NULL);
        return;
    case BERTH_VALUE_BOOL:
        berth_json_bool(json, key, settings->boolean(value));
        return;
    case BERTH_VALUE_INT:
        berth_json_integer(json, key, settings->integer(value));
        return;
    case BERTH_VALUE_FLOAT:
        berth_json_number(json, key, settings->number(value));
        return;
    case BERTH_VALUE_STRING:
        berth_json_string(json, key, settings->string(value));
        return;
    case BERTH_VALUE_LIST:
    case BERTH_VALUE_MAP:
        break;
    }
    berth_json_open(json, key, is_map ? '{' : '[');
    for (size_t i = 0; i < settings->count(value); i++) {
        const char *name = NULL;
        const struct berth_value *item = settings->at(value, i, &name);

        any(json, is_map ? name : NULL, settings, item);
    }
    berth_json_close(json, is_map ? '}' : ']');
}

static void describe_one(struct berth_json_writer *json, const char *name,
                         const struct berth_settings *settings,
                         const struct runtime_config_containerd_runtimes_value *runtime)
{
    static const char *const io_types[] = {
        [RUNTIME_CONFIG_CONTAINERD_RUNTIMES_VALUE_IO_TYPE_FIFO] = "fifo",
        [RUNTIME_CONFIG_CONTAINERD_RUNTIMES_VALUE_IO_TYPE_STREAMING] = "streaming",
    };

    berth_json_open(json, name, '{');
    string(json, "runtimeType", runtime->runtime_type);
    string(json, "runtimePath", runtime->runtime_path);
    STRINGS(json, "PodAnnotations", runtime->pod_annotations);
    STRINGS(json, "ContainerAnnotations", runtime->container_annotations);
    berth_json_open(json, "options", '{');
    for (size_t i = 0; i < runtime->options.count; i++)
        any(json, runtime->options.items[i].key, settings, runtime->options.items[i].value);
    berth_json_close(json, '}');
    berth_json_bool(json, "privileged_without_host_devices", runtime->privileged_without_host_devices);
    berth_json_bool(json, "privileged_without_host_devices_all_devices_allowed",
                    runtime->privileged_without_host_devices_all_devices_allowed);
    berth_json_bool(json, "cgroupWritable", runtime->cgroup_writable);
    string(json, "baseRuntimeSpec", runtime->base_runtime_spec);
    string(json, "cniConfDir", runtime->cni_conf_dir);
    berth_json_integer(json, "cniMaxConfNum", runtime->cni_max_conf_num);
    string(json, "snapshotter", runtime->snapshotter);
    string(json, "sandboxer", runtime->sandboxer);
    berth_json_bool(json, "disablePauseImagePull", runtime->disable_pause_image_pull);
    berth_json_string(json, "io_type", io_types[runtime->io_type]);
    berth_json_close(json, '}');
}

static void describe_containerd(struct berth_json_writer *json, const struct berth_settings *settings,
                                const struct runtime_config_containerd *containerd)
{
    berth_json_open(json, "containerd", '{');
    string(json, "defaultRuntimeName", containerd->default_runtime_name);
    berth_json_open(json, "runtimes", '{');
    for (size_t i = 0; i < containerd->runtimes.count; i++)
        describe_one(json, containerd->runtimes.items[i].key, settings, &containerd->runtimes.items[i].value);
    berth_json_close(json, '}');
    berth_json_bool(json, "ignoreBlockIONotEnabledErrors", containerd->ignore_blockio_not_enabled_errors);
    berth_json_bool(json, "ignoreRdtNotEnabledErrors", containerd->ignore_rdt_not_enabled_errors);
    berth_json_close(json, '}');
}

static void describe_cni(struct berth_json_writer *json, const struct runtime_config_cni *cni)
{
    static const char *const preferences[] = {
        [RUNTIME_CONFIG_CNI_IP_PREF_IPV4] = "ipv4",
        [RUNTIME_CONFIG_CNI_IP_PREF_IPV6] = "ipv6",
        [RUNTIME_CONFIG_CNI_IP_PREF_CNI] = "cni",
    };

    berth_json_open(json, "cni", '{');
    string(json, "binDir", cni->bin_dir);
    STRINGS(json, "binDirs", cni->bin_dirs);
    string(json, "confDir", cni->conf_dir);
    berth_json_integer(json, "maxConfNum", cni->max_conf_num);
    berth_json_bool(json, "setupSerially", cni->setup_serially);
    string(json, "confTemplate", cni->conf_template);
    berth_json_string(json, "ipPref", preferences[cni->ip_pref]);
    berth_json_bool(json, "useInternalLoopback", cni->use_internal_loopback);
    berth_json_close(json, '}');
}

static void describe_rest(struct berth_json_writer *json, const struct runtime_config *runtime)
{
    berth_json_bool(json, "enableSelinux", runtime->enable_selinux);
    berth_json_integer(json, "selinuxCategoryRange", runtime->selinux_category_range);
    berth_json_integer(json, "maxContainerLogLineSize", runtime->max_container_log_line_size);
    berth_json_bool(json, "disableApparmor", runtime->disable_apparmor);
    berth_json_bool(json, "restrictOOMScoreAdj", runtime->restrict_oom_score_adj);
    berth_json_bool(json, "disableProcMount", runtime->disable_proc_mount);
    string(json, "unsetSeccompProfile", runtime->unset_seccomp_profile);
    berth_json_bool(json, "tolerateMissingHugetlbController", runtime->tolerate_missing_hugetlb_controller);
    berth_json_bool(json, "disableHugetlbController", runtime->disable_hugetlb_controller);
    berth_json_bool(json, "device_ownership_from_security_context",
                    runtime->device_ownership_from_security_context);
    berth_json_bool(json, "ignoreImageDefinedVolumes", runtime->ignore_image_defined_volumes);
    berth_json_bool(json, "netnsMountsUnderStateDir", runtime->netns_mounts_under_state_dir);
    berth_json_bool(json, "enableUnprivilegedPorts", runtime->enable_unprivileged_ports);
    berth_json_bool(json, "enableUnprivilegedICMP", runtime->enable_unprivileged_icmp);
    berth_json_bool(json, "enableCDI", runtime->enable_cdi);
    STRINGS(json, "cdiSpecDirs", runtime->cdi_spec_dirs);
    duration(json, "drainExecSyncIOTimeout", runtime->drain_exec_sync_io_timeout);
    STRINGS(json, "ignoreDeprecationWarnings", runtime->ignore_deprecation_warnings);
    duration(json, "statsCollectPeriod", runtime->stats_collect_period);
    duration(json, "statsRetentionPeriod", runtime->stats_retention_period);
    berth_json_bool(json, "enableCRIU", runtime->enable_criu);
}

static void describe_place(struct berth_json_writer *json, const struct berth_host *host)
{
    const struct berth_daemon_info *daemon = host->inspect->daemon;
    char path[4096];

    string(json, "containerdRootDir", daemon->root);
    snprintf(path, sizeof(path), "%s/%s", daemon->root, host->uri);
    string(json, "rootDir", path);
    snprintf(path, sizeof(path), "%s/%s", daemon->state, host->uri);
    string(json, "stateDir", path);
}

void describe_runtime(struct berth_json_writer *json, const struct cri *cri)
{
    berth_json_open(json, NULL, '{');
    describe_containerd(json, cri->runtime_settings, &cri->runtime.containerd);
    describe_cni(json, &cri->runtime.cni);
    describe_rest(json, &cri->runtime);
    describe_place(json, cri->host);
    berth_json_close(json, '}');
}
