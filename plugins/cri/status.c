/* SPDX-License-Identifier: Apache-2.0 */
/* Reports what the node is, whether it can run pods, and why not. */
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "describe.h"

/* The protocol between kubelet and node, and the version of the messages. */
#define KUBELET_VERSION "0.1.0"
#define API_VERSION "v1"

/* Maximum size of one value in a reply. */
#define INFO_MAX ((size_t)1 << 20)

/* For fields of a reply, which are not const. */
static char *text(const char *value)
{
    return (char *)(uintptr_t)value;
}

void status_version(struct berth_call *call, const Runtime__V1__VersionRequest *request)
{
    const struct cri *cri = call->instance;
    Runtime__V1__VersionResponse reply = RUNTIME__V1__VERSION_RESPONSE__INIT;

    reply.version = text(KUBELET_VERSION);
    reply.runtime_name = text("berth");
    reply.runtime_version = text(cri->host->inspect->daemon->version);
    reply.runtime_api_version = text(API_VERSION);
    runtime_v1_runtime_service_version_reply(call, &reply);
}

/* Plugin types that pods need. */
static const struct part {
    const char *type;
    const char *what;
} parts[] = {
    {"io.containerd.podsandbox.controller.v1", "pod sandboxes"},
    {"io.containerd.runtime.v2", "container processes"},
    {"io.containerd.snapshotter.v1", "their file systems"},
    {"io.containerd.content.v1", "image content"},
    {"io.containerd.transfer.v1", "image pulls"},
};

#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

static bool find_part(void *context, const struct berth_plugin_info *info)
{
    bool *has = context;
    bool is_ready = info->state == BERTH_STATE_READY || info->state == BERTH_STATE_SERVING;

    for (size_t i = 0; i < PART_COUNT; i++)
        if (is_ready && info->type != NULL && strcmp(info->type, parts[i].type) == 0)
            has[i] = true;
    return true;
}

static void explain_runtime(const struct cri *cri, char *message, size_t size)
{
    bool has[PART_COUNT] = {false};
    size_t used = (size_t)snprintf(message, size, "pods cannot run: ");
    size_t missing = 0;

    cri->host->inspect->each(cri->host->inspect, find_part, has);
    for (size_t i = 0; i < PART_COUNT; i++)
        if (!has[i])
            used +=
                (size_t)snprintf(message + used, size - used, "%s%s (%s)",
                                 missing++ == 0 ? "no plugin provides " : ", ", parts[i].type, parts[i].what);
    snprintf(message + used, size - used, "%s%s does not start pods yet", missing == 0 ? "" : "; ",
             cri->host->uri);
}

/* A JSON object of messages by id, without those that are ignored. */
struct deprecations {
    const struct runtime_config *runtime;
    struct berth_json_writer json;
    size_t count;
};

static bool add_deprecation(void *context, const struct berth_deprecation *deprecation)
{
    struct deprecations *deprecations = context;
    const struct runtime_config_ignore_deprecation_warnings *ignored =
        &deprecations->runtime->ignore_deprecation_warnings;

    for (size_t i = 0; i < ignored->count; i++)
        if (strcmp(ignored->items[i], deprecation->id) == 0)
            return true;
    deprecations->count++;
    berth_json_string(&deprecations->json, deprecation->id, deprecation->message);
    return true;
}

static void list_deprecations(const struct cri *cri, struct deprecations *deprecations)
{
    *deprecations = (struct deprecations){.runtime = &cri->runtime, .json = {.max = INFO_MAX}};
    berth_json_open(&deprecations->json, NULL, '{');
    if (cri->deprecations != NULL)
        cri->deprecations->each(cri->deprecations_instance, add_deprecation, deprecations);
    berth_json_close(&deprecations->json, '}');
    berth_json_raw(&deprecations->json, "", 1);
}

/* Each value of the reply's info: JSON, with a NUL. */
struct info {
    struct berth_json_writer config, load, ranges;
    Runtime__V1__StatusResponse__InfoEntry entries[3];
    Runtime__V1__StatusResponse__InfoEntry *pointers[3];
    size_t count;
};

static void add_info(struct info *info, const char *key, struct berth_json_writer *json)
{
    Runtime__V1__StatusResponse__InfoEntry *entry = &info->entries[info->count];

    berth_json_raw(json, "", 1);
    if (json->failed)
        return;
    *entry = (Runtime__V1__StatusResponse__InfoEntry)RUNTIME__V1__STATUS_RESPONSE__INFO_ENTRY__INIT;
    entry->key = text(key);
    entry->value = json->bytes;
    info->pointers[info->count++] = entry;
}

static void fill_info(const struct cri *cri, struct info *info)
{
    char ranges[NETWORK_MAX + 1];

    describe_runtime(&info->config, cri);
    add_info(info, "config", &info->config);
    berth_json_string(&info->load, NULL,
                      "no CNI configuration is loaded: this daemon does not support CNI yet");
    add_info(info, "lastCNILoadStatus", &info->load);
    if (network_get(&cri->network, ranges) == 0)
        return;
    berth_json_string(&info->ranges, NULL, ranges);
    add_info(info, "podCIDR", &info->ranges);
}

static void finish_info(struct info *info)
{
    berth_json_finish(&info->config);
    berth_json_finish(&info->load);
    berth_json_finish(&info->ranges);
}

static void set_condition(Runtime__V1__RuntimeCondition *condition, const char *type, const char *reason,
                          const char *message)
{
    *condition = (Runtime__V1__RuntimeCondition)RUNTIME__V1__RUNTIME_CONDITION__INIT;
    condition->type = text(type);
    condition->status = reason == NULL;
    if (reason == NULL)
        return;
    condition->reason = text(reason);
    condition->message = text(message);
}

void status_get(struct berth_call *call, const Runtime__V1__StatusRequest *request)
{
    const struct cri *cri = call->instance;
    Runtime__V1__StatusResponse reply = RUNTIME__V1__STATUS_RESPONSE__INIT;
    Runtime__V1__RuntimeStatus status = RUNTIME__V1__RUNTIME_STATUS__INIT;
    Runtime__V1__RuntimeCondition conditions[3];
    Runtime__V1__RuntimeCondition *pointers[] = {&conditions[0], &conditions[1], &conditions[2]};
    struct deprecations deprecations;
    struct info info = {.config = {.max = INFO_MAX}, .load = {.max = INFO_MAX}, .ranges = {.max = INFO_MAX}};
    char message[1024];

    explain_runtime(cri, message, sizeof(message));
    list_deprecations(cri, &deprecations);
    set_condition(&conditions[0], "RuntimeReady", "NoPodSandboxes", message);
    set_condition(&conditions[1], "NetworkReady", "NetworkPluginNotReady",
                  "pods have no network: this daemon does not load CNI plugins yet");
    set_condition(&conditions[2], "ContainerdHasNoDeprecationWarnings",
                  deprecations.count > 0 ? "ContainerdHasDeprecationWarnings" : NULL,
                  deprecations.json.failed ? "too many to list here; run berthctl deprecations"
                                           : deprecations.json.bytes);
    status.conditions = pointers;
    status.n_conditions = 3;
    reply.status = &status;
    if (request->verbose)
        fill_info(cri, &info);
    reply.info = info.pointers;
    reply.n_info = info.count;
    runtime_v1_runtime_service_status_reply(call, &reply);
    finish_info(&info);
    berth_json_finish(&deprecations.json);
}

/* Only the options of runc have SystemdCgroup. */
static bool find_driver(const struct cri *cri, const struct runtime_config_containerd_runtimes_entry *entry,
                        Runtime__V1__CgroupDriver *ret_driver)
{
    const struct berth_settings *settings = cri->runtime_settings;
    const char *type = entry->value.runtime_type;

    if (type == NULL || strcmp(type, "io.containerd.runc.v2") != 0 || entry->value.options.count == 0)
        return false;
    *ret_driver = RUNTIME__V1__CGROUP_DRIVER__CGROUPFS;
    for (size_t i = 0; i < entry->value.options.count; i++)
        if (strcmp(entry->value.options.items[i].key, "SystemdCgroup") == 0 &&
            settings->boolean(entry->value.options.items[i].value))
            *ret_driver = RUNTIME__V1__CGROUP_DRIVER__SYSTEMD;
    return true;
}

/* The default runtime decides, or else the first by name. */
static Runtime__V1__CgroupDriver choose_driver(const struct cri *cri)
{
    const struct runtime_config_containerd *containerd = &cri->runtime.containerd;
    Runtime__V1__CgroupDriver driver, chosen = RUNTIME__V1__CGROUP_DRIVER__CGROUPFS;
    const char *first = NULL;
    struct stat status;

    for (size_t i = 0; i < containerd->runtimes.count; i++) {
        const struct runtime_config_containerd_runtimes_entry *entry = &containerd->runtimes.items[i];

        if (!find_driver(cri, entry, &driver))
            continue;
        if (strcmp(entry->key, containerd->default_runtime_name) == 0)
            return driver;
        if (first == NULL || strcmp(entry->key, first) < 0) {
            first = entry->key;
            chosen = driver;
        }
    }
    if (first == NULL && lstat("/run/systemd/system", &status) == 0 && S_ISDIR(status.st_mode))
        chosen = RUNTIME__V1__CGROUP_DRIVER__SYSTEMD;
    return chosen;
}

void status_runtime_config(struct berth_call *call, const Runtime__V1__RuntimeConfigRequest *request)
{
    Runtime__V1__RuntimeConfigResponse reply = RUNTIME__V1__RUNTIME_CONFIG_RESPONSE__INIT;
    Runtime__V1__LinuxRuntimeConfiguration configuration = RUNTIME__V1__LINUX_RUNTIME_CONFIGURATION__INIT;

    configuration.cgroup_driver = choose_driver(call->instance);
    reply.linux = &configuration;
    runtime_v1_runtime_service_runtime_config_reply(call, &reply);
}
